"""Mini-ImageNet in the two forms in which people have it, filled with real images; bad inputs end in one line each."""

import csv
import io
import os
import pickle

import numpy as np
import pytest
from PIL import Image
from support.data_files import FEW, decoded_copies, encoded, half_written

from zapbench.scenarios import mini_imagenet


@pytest.fixture
def mini(data_root, photographs):
    """Mini-ImageNet with three images per class: split -> class -> images of 84x84."""
    bigger = [image.resize((84, 84)) for image in photographs]
    found, place = {}, 0
    for split in mini_imagenet.SPLITS:
        for c in mini_imagenet.published(split):
            found.setdefault(split, {})[c] = [bigger[(place + i) % len(bigger)] for i in range(3)]
            place += 1
    return found


def write_pickles(folder, mini, *, protocol=2, change=lambda split, content: content):
    folder.mkdir(parents=True, exist_ok=True)
    for split, classes in mini.items():
        pixels = np.stack([np.asarray(image) for images in classes.values() for image in images])
        places = {c: list(range(3 * i, 3 * i + 3)) for i, c in enumerate(classes)}
        content = change(split, {"image_data": pixels, "class_dict": places})
        with (folder / f"mini-imagenet-cache-{split}.pkl").open("wb") as file:
            pickle.dump(content, file, protocol=protocol)


def write_tables(folder, mini):
    (folder / "images").mkdir(parents=True)
    for split, classes in mini.items():
        with (folder / f"{split}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["filename", "label"])
            for c, images in classes.items():
                for i, image in enumerate(images):
                    name = f"{c}{i:08}.jpg"
                    (folder / "images" / name).write_bytes(encoded(image, "JPEG"))
                    writer.writerow([name, c])


@pytest.mark.parametrize("protocol", [2, 5])
def test_mini_imagenet_is_read_from_its_three_pickles(mini, data_root, protocol):
    write_pickles(data_root / "mini-imagenet", mini, protocol=protocol)
    scenario = mini_imagenet.mini_imagenet(**FEW)
    assert [len(p) for p in (scenario.pretrain_classes, scenario.report_pool, scenario.select_pool)] == [64, 20, 16]
    names = scenario.images.classes
    assert {names[c] for c in scenario.report_pool} == set(mini_imagenet.published("test"))
    for split in mini_imagenet.SPLITS:
        c = mini_imagenet.published(split)[3]
        own = scenario.images.pixels[scenario.images.labels == names.index(c)]
        assert np.array_equal(own, np.stack([np.asarray(image) for image in mini[split][c]]))


def test_mini_imagenet_is_read_from_images_and_tables(mini, data_root):
    write_tables(data_root / "mini-imagenet", mini)
    scenario = mini_imagenet.mini_imagenet(**FEW, size=32)
    c = mini_imagenet.published("test")[0]
    own = scenario.images.pixels[scenario.images.labels == scenario.images.classes.index(c)]
    jpeg = Image.open(io.BytesIO(encoded(mini["test"][c][1], "JPEG")))
    assert np.array_equal(own[1], np.asarray(jpeg.resize((32, 32), Image.Resampling.LANCZOS)))
    assert {scenario.images.classes[c] for c in scenario.select_pool} == set(mini_imagenet.published("val"))


class Foreign:
    def __reduce__(self):
        return os.system, ("touch /tmp/zapbench-was-here",)


def broken(key):
    def change(split, content):
        if split != "val":
            return content
        first, *_ = content["class_dict"]
        if key == "foreign":
            return content | {"more": Foreign()}
        if key == "floats":
            return content | {"image_data": content["image_data"].astype(np.float32)}
        if key == "missing":
            content["class_dict"].pop(first)
        elif key == "unknown":
            content["class_dict"]["n00000000"] = content["class_dict"].pop(first)
        elif key == "outside":
            content["class_dict"][first] = [0, 10**6]
        elif key == "twice":
            content["class_dict"][first] = [0, 1, 1]
        elif key == "shared":
            content["class_dict"][first] = [0, 1, 47]
        elif key == "words":
            content["class_dict"][first] = ["0", 1]
        elif key == "empty":
            content["class_dict"][first] = []
        return content

    return change


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("foreign", r"val\.pkl is not read: it needs \w+\.system, and only NumPy arrays and plain containers"),
        ("floats", r"val\.pkl: image_data is not a uint8 array of shape \(images, 84, 84, 3\)"),
        ("missing", r"val\.pkl: class 'n\d+' is missing \(1 of 16 are\)"),
        ("unknown", r"val\.pkl: 'n00000000' is not one of the 16 published classes"),
        ("twice", r"val\.pkl: class_dict has image 1 twice; an image is of one class, once"),
        ("shared", r"val\.pkl: class_dict has image 47 twice"),
        ("words", r"val\.pkl: class_dict\['n\d+'\] is not a list of indices"),
        ("empty", r"val\.pkl: class_dict\['n\d+'\] is not a list of indices: it is empty"),
        ("outside", r"val\.pkl: class_dict\['n\d+'\] has an index outside of its 48 images"),
    ],
)
def test_a_bad_pickle_is_refused_and_nothing_of_it_runs(mini, data_root, key, words):
    write_pickles(data_root / "mini-imagenet", mini, change=broken(key))
    with pytest.raises(ValueError, match=words):
        mini_imagenet.load()
    assert not os.path.exists("/tmp/zapbench-was-here")
    assert decoded_copies() == half_written() == []


def test_an_incomplete_pickle_is_named(mini, data_root):
    write_pickles(data_root / "mini-imagenet", mini)
    path = data_root / "mini-imagenet" / "mini-imagenet-cache-train.pkl"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ValueError, match=r"train\.pkl is not a complete pickle"):
        mini_imagenet.load()


def test_a_table_that_names_a_missing_image_is_refused(mini, data_root):
    write_tables(data_root / "mini-imagenet", mini)
    lost = next((data_root / "mini-imagenet" / "images").iterdir())
    lost.unlink()
    with pytest.raises(ValueError, match=rf"\.csv names {lost.name}, which is not in .*images"):
        mini_imagenet.load()


def test_a_class_with_too_few_images_is_named(mini, data_root):
    write_pickles(data_root / "mini-imagenet", mini)
    with pytest.raises(ValueError, match=r"pre-training needs 600 images per class, and class 'n\d+' has 3"):
        mini_imagenet.mini_imagenet()


def change_table(folder, change, encoding="utf-8"):
    table = folder / "val.csv"
    table.write_text("\n".join(change(table.read_text(encoding="utf-8").splitlines())), encoding=encoding)


def test_tables_may_begin_with_a_byte_order_mark(mini, data_root):
    write_tables(data_root / "mini-imagenet", mini)
    plain = mini_imagenet.load()
    change_table(data_root / "mini-imagenet", lambda lines: lines, "utf-8-sig")
    mini_imagenet._load.cache_clear()
    assert mini_imagenet.load().digest == plain.digest


@pytest.mark.parametrize(
    ("change", "encoding", "words"),
    [
        (lambda lines: [*lines, lines[-1]], "utf-8", r"val\.csv names n\w+\.jpg, which was named before"),
        (lambda lines: [*lines, f"{lines[1].split(',')[0]},n0"], "utf-8", r"names n\w+\.jpg, which was named before"),
        (lambda lines: [*lines, ","], "utf-8", r"val\.csv has no columns filename and label, or a row without them"),
        (lambda lines: lines[1:], "utf-8", r"val\.csv has no columns filename and label"),
        (lambda lines: lines, "utf-16", r"val\.csv is not a CSV file in UTF-8"),
        (lambda lines: [], "utf-8", r"val\.csv has no columns filename and label"),
    ],
)
def test_a_table_that_is_not_what_it_should_be_is_refused(mini, data_root, change, encoding, words):
    write_tables(data_root / "mini-imagenet", mini)
    change_table(data_root / "mini-imagenet", change, encoding)
    with pytest.raises(ValueError, match=words):
        mini_imagenet.load()


def test_an_image_that_two_tables_name_is_refused(mini, data_root):
    write_tables(data_root / "mini-imagenet", mini)
    name = (data_root / "mini-imagenet" / "train.csv").read_text().splitlines()[1].split(",")[0]
    c = mini_imagenet.published("val")[0]
    change_table(data_root / "mini-imagenet", lambda lines: [*lines, f"{name},{c}"])
    with pytest.raises(ValueError, match=rf"val\.csv names {name}, which was named before"):
        mini_imagenet.load()


def test_two_images_of_one_name_are_refused(mini, data_root):
    write_tables(data_root / "mini-imagenet", mini)
    image = min((data_root / "mini-imagenet" / "images").iterdir())
    (image.parent / "more").mkdir()
    (image.parent / "more" / image.name).write_bytes(image.read_bytes())
    with pytest.raises(ValueError, match=rf"names {image.name}, which is in .*images twice"):
        mini_imagenet.load()
