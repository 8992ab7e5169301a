"""Every form in which people have data, filled with real images; and bad input, one line each, nothing half-written."""

import csv
import io
import os
import pickle
import resource
import zipfile

import numpy as np
import pytest
from PIL import Image

from zapbench.scenarios import cache, decode, mini_imagenet, omni_image, tiny_imagenet
from zapbench.scenarios.catalog import CATALOG, LISTS
from zapbench.scenarios.decode import Reading, decoded
from zapbench.scenarios.image_folder import image_folder
from zapbench.scenarios.omniglot import omniglot
from zapbench.scenarios.roots import cache_root
from zapbench.scenarios.sources import by_class, image_files

FEW = {"pretrain_images": 1, "validation_images": 1, "images_trained_on": 1, "images_held_out": 1}


def encoded(image, form="PNG"):
    content = io.BytesIO()
    image.save(content, form, **({"quality": 95} if form == "JPEG" else {}))
    return content.getvalue()


def decoded_copies():
    return [path.name for path in cache_root().glob("[a-z]*")] if cache_root().exists() else []


def half_written():
    return [path.name for path in cache_root().glob(".*") if path.is_dir()] if cache_root().exists() else []


# Lists


def test_the_shipped_lists_are_the_published_ones():
    sizes = {split: len(set(mini_imagenet.published(split))) for split in mini_imagenet.SPLITS}
    assert sizes == {"train": 64, "val": 16, "test": 20}
    assert len(set().union(*(mini_imagenet.published(split) for split in mini_imagenet.SPLITS))) == 100
    listed = omni_image.listed()
    assert len(listed) == 1000
    assert {len(set(files)) for files in listed.values()} == {20}
    evolved = omni_image.transfer_classes("evolved")
    assert len(evolved) == 300
    assert evolved < set(listed)


def test_the_shipped_lists_equal_those_at_hand():
    folder = os.environ.get("ZAPBENCH_DATA")
    if not folder or not os.path.isdir(os.path.join(folder, "lists")):
        pytest.skip("ZAPBENCH_DATA holds no lists")
    names = sorted(os.listdir(os.path.join(folder, "lists")))
    assert names == sorted(path.name for path in LISTS.iterdir())
    for name in names:
        with open(os.path.join(folder, "lists", name), encoding="utf-8") as file:
            assert (LISTS / name).read_text(encoding="utf-8") == file.read(), name


def test_transfer_classes_at_random_are_300_others_for_every_seed():
    draws = [omni_image.transfer_classes(seed) for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]
    assert {len(draw) for draw in draws} == {300}
    with pytest.raises(ValueError, match="split is 'evolve'; allowed: 'evolved', or a seed"):
        omni_image.transfer_classes("evolve")


# Mini-ImageNet


@pytest.fixture
def mini(data_root, photographs):
    """Mini-ImageNet with three images a class: split -> class -> images of 84x84."""
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
        return content

    return change


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("foreign", r"val\.pkl is not read: it wants \w+\.system, and only NumPy arrays and plain containers"),
        ("floats", r"val\.pkl: image_data is no uint8 array of shape \(images, 84, 84, 3\)"),
        ("missing", r"val\.pkl: class 'n\d+' is missing \(1 of 16 are\)"),
        ("unknown", r"val\.pkl: 'n00000000' is none of its 16 classes"),
        ("outside", r"val\.pkl: class_dict\['n\d+'\] has an index outside of its 48 images"),
    ],
)
def test_a_bad_pickle_is_refused_and_nothing_of_it_runs(mini, data_root, key, words):
    write_pickles(data_root / "mini-imagenet", mini, change=broken(key))
    with pytest.raises(ValueError, match=words):
        mini_imagenet.load()
    assert not os.path.exists("/tmp/zapbench-was-here")
    assert decoded_copies() == half_written() == []


def test_a_torn_pickle_is_named(mini, data_root):
    write_pickles(data_root / "mini-imagenet", mini)
    path = data_root / "mini-imagenet" / "mini-imagenet-cache-train.pkl"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ValueError, match=r"train\.pkl is no whole pickle"):
        mini_imagenet.load()


def test_a_table_that_names_a_missing_image_is_refused(mini, data_root):
    write_tables(data_root / "mini-imagenet", mini)
    lost = next((data_root / "mini-imagenet" / "images").iterdir())
    lost.unlink()
    with pytest.raises(ValueError, match=rf"\.csv names {lost.name}, which is not in .*images"):
        mini_imagenet.load()


def test_a_class_with_too_few_images_is_named(mini, data_root):
    write_pickles(data_root / "mini-imagenet", mini)
    with pytest.raises(ValueError, match=r"pre-training wants 600 images a class, and class 'n\d+' has 3"):
        mini_imagenet.mini_imagenet()


# Omni-image


def write_omni(path, photographs, *, images=2, leave_out=(), more=()):
    path.parent.mkdir(parents=True, exist_ok=True)
    contents = [encoded(image.resize((84, 84)), "JPEG") for image in photographs]
    with zipfile.ZipFile(path, "w") as archive:
        for place, c in enumerate([*omni_image.listed(), *more]):
            for i in range(images):
                if c not in leave_out:
                    archive.writestr(f"OmnImage84_20/{c}/{c}_{i}.JPEG", contents[(place + i) % len(contents)])
    return contents


def test_omni_image_is_read_from_its_archive(data_root, photographs):
    contents = write_omni(data_root / "omni-image" / "OmnImage84_20.zip", photographs)
    scenario = omni_image.omni_image(**FEW)
    assert len(scenario.pretrain_classes) == 700
    assert {scenario.images.classes[c] for c in scenario.report_pool} == omni_image.transfer_classes("evolved")
    for place in (0, 500, 999):
        own = scenario.images.pixels[scenario.images.labels == place]
        expected = [np.asarray(Image.open(io.BytesIO(contents[(place + i) % len(contents)]))) for i in range(2)]
        assert np.array_equal(own, np.stack(expected))
    other = omni_image.omni_image(
        **FEW, split=3, selection_classes=50, classes_a_trial=250, classes_a_selection_trial=50
    )
    assert {scenario.images.classes[c] for c in other.transfer_classes} == omni_image.transfer_classes(3)
    assert len(other.select_pool) == 50


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"leave_out": ["n01440764"]}, r"omni_image: class 'n01440764' is missing \(1 of 1000 are\)"),
        ({"more": ["n00000000"]}, r"omni_image: 'n00000000' is none of its 1000 classes"),
    ],
)
def test_other_classes_than_omni_images_are_refused(data_root, photographs, change, words):
    write_omni(data_root / "omni-image" / "OmnImage84_20.zip", photographs, images=1, **change)
    with pytest.raises(ValueError, match=words):
        omni_image.load()


@pytest.fixture
def short_list(monkeypatch):
    """Omni-image cut down to six classes of its published list."""
    few = dict(list(omni_image.listed().items())[:6])
    monkeypatch.setattr(omni_image, "listed", lambda: few)
    names = tuple(name for own in few.values() for name in own)
    monkeypatch.setattr(omni_image, "class_list", lambda name: names)
    return names


@pytest.fixture
def imagenet(tmp_path, photographs, short_list):
    """A folder like ImageNet-1k's, with images of many sizes, more of them than the list wants."""
    folder = tmp_path / "imagenet"
    for place, name in enumerate([*short_list, "n01440764/n01440764_1.JPEG"]):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        bigger = photographs[place % len(photographs)].resize((300 + place % 7, 200 + place % 5))
        (folder / name).write_bytes(encoded(bigger, "JPEG"))
    return folder


def test_omni_image_is_built_from_imagenet_by_the_published_list(imagenet, data_root, short_list):
    target = omni_image.build(imagenet)
    assert [path.name for path in target.parent.iterdir()] == ["OmnImage84_20_built.zip"]
    images = omni_image.load()
    assert len(images.labels) == len(short_list) == 120
    place = sorted(short_list).index(short_list[30])
    original = Image.open(imagenet / short_list[30]).convert("RGB")
    assert np.array_equal(images.pixels[place], np.asarray(original.resize((84, 84), Image.Resampling.BOX)))


def test_a_build_that_lacks_something_says_what_and_leaves_nothing(imagenet, data_root, short_list, tmp_path):
    (imagenet / short_list[7]).rename(tmp_path / "kept")
    with pytest.raises(ValueError, match=f"lacks the image {short_list[7]}"):
        omni_image.build(imagenet)
    (imagenet / short_list[7]).write_bytes((tmp_path / "kept").read_bytes()[:500])
    with pytest.raises(ValueError, match=rf"{short_list[7]} is not a readable image"):
        omni_image.build(imagenet)
    assert list((data_root / "omni-image").iterdir()) == []
    wrong = tmp_path / "list.txt"
    wrong.write_text("\n".join((*short_list, "n00000000/n00000000_1.JPEG")))
    with pytest.raises(ValueError, match=r"list\.txt: 'n00000000' is none of its 6 classes"):
        omni_image.build(imagenet, listing=wrong)
    with pytest.raises(ValueError, match=r"give --list OmnImage_100\.txt"):
        omni_image.build(imagenet, images_a_class=100)


def test_a_build_on_a_full_disk_leaves_nothing(imagenet, data_root):
    with a_full_disk(50_000), pytest.raises(OSError, match="File too large"):
        omni_image.build(imagenet)
    assert list((data_root / "omni-image").iterdir()) == []


# Tiny-ImageNet


def test_the_tiny_imagenet_sample_has_200_classes_of_130_images_equal_to_pils(real_tiny_imagenet):
    images = tiny_imagenet.load()
    assert (np.bincount(images.labels) == 130).all()
    assert len(images.classes) == 200
    with zipfile.ZipFile(real_tiny_imagenet / "tiny-imagenet" / "tiny-imagenet-200-sample.zip") as archive:
        assert images.classes == tuple(sorted(archive.read("tiny-imagenet-200/wnids.txt").decode().split()))
        for c, i in ((0, 0), (77, 2), (199, 129)):
            wnid = images.classes[c]
            content = archive.read(f"tiny-imagenet-200/train/{wnid}/images/{wnid}_{i}.JPEG")
            expected = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
            assert np.array_equal(images.pixels[c * 130 + i], expected)


@pytest.fixture
def tiny_folder(data_root, photographs):
    """Tiny-ImageNet as an extracted folder, with two images a class, and with its other images."""
    folder = data_root / "tiny-imagenet" / "tiny-imagenet-200"
    contents = [encoded(image, "JPEG") for image in photographs]
    for place in range(200):
        own = folder / "train" / f"n{place:08}" / "images"
        own.mkdir(parents=True)
        for i in range(2):
            (own / f"n{place:08}_{i}.JPEG").write_bytes(contents[(place + i) % len(contents)])
    (folder / "val" / "images").mkdir(parents=True)
    (folder / "val" / "images" / "val_0.JPEG").write_bytes(contents[0])
    return folder


def test_tiny_imagenet_is_read_from_its_folder(tiny_folder):
    scenario = tiny_imagenet.tiny_imagenet(**FEW)
    assert len(scenario.images.labels) == 400
    assert [len(p) for p in (scenario.pretrain_classes, scenario.report_pool, scenario.select_pool)] == [100, 60, 40]


def test_a_corrupt_jpeg_is_named_and_nothing_is_kept(tiny_folder):
    path = tiny_folder / "train" / "n00000007" / "images" / "n00000007_1.JPEG"
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(ValueError, match=r"n00000007_1\.JPEG is not a readable image"):
        tiny_imagenet.load()
    assert decoded_copies() == half_written() == []


def test_an_image_of_another_size_is_named(tiny_folder, photographs):
    path = tiny_folder / "train" / "n00000007" / "images" / "n00000007_1.JPEG"
    path.write_bytes(encoded(photographs[0].resize((60, 64)), "JPEG"))
    with pytest.raises(ValueError, match=r"n00000007_1\.JPEG is 64x60, and every image is 64x64"):
        tiny_imagenet.load()


def test_a_missing_class_of_tiny_imagenet_is_counted(tiny_folder):
    (tiny_folder / "train" / "n00000007").rename(tiny_folder / "elsewhere")
    with pytest.raises(ValueError, match=r"199 classes in .*, and there should be 200"):
        tiny_imagenet.load()


# Any image folder


@pytest.fixture
def letters(tmp_path, photographs, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "letters"
    for place in range(10):
        (folder / f"class {place}").mkdir(parents=True)
        for i in range(4):
            image = photographs[4 * place + i].resize((40 + place, 50))
            (folder / f"class {place}" / f"{i}.{'png' if i % 2 else 'jpg'}").write_bytes(
                encoded(image, "PNG" if i % 2 else "JPEG")
            )
    return folder


SPLIT = {"pretrain_images": 2, "validation_images": 1, "images_trained_on": 3, "images_held_out": 1, "size": 32}


def test_an_image_folder_is_split_by_number_the_same_way_every_time(letters):
    one, two = (image_folder(root=str(letters), name="mine", pretrain=4, selection=2, **SPLIT) for _ in "ab")
    assert (one.pretrain_classes, one.report_pool) == (two.pretrain_classes, two.report_pool)
    assert [len(p) for p in (one.pretrain_classes, one.report_pool, one.select_pool)] == [4, 4, 2]
    assert one.classes_a_trial == 4
    other = image_folder(root=str(letters), name="another", pretrain=4, selection=2, **SPLIT)
    assert other.pretrain_classes != one.pretrain_classes
    assert one.images.pixels.shape == (40, 32, 32, 3)


def test_an_image_folder_is_split_by_lists(letters, tmp_path):
    (tmp_path / "pretrain.txt").write_text("class 3\nclass 1\n")
    split = {"pretrain": str(tmp_path / "pretrain.txt"), "selection": ["class 7"], "transfer": 3}
    scenario = image_folder(root=str(letters), name="mine", **split, **SPLIT, colour=False)
    names = scenario.images.classes
    assert [names[c] for c in scenario.pretrain_classes] == ["class 1", "class 3"]
    assert [names[c] for c in scenario.select_pool] == ["class 7"]
    assert len(scenario.report_pool) == 3
    assert scenario.channels == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"root": "nowhere"}, "mine: there is no folder nowhere"),
        ({"pretrain": ["class 33"]}, "pretrain names the class 'class 33', and there is none, did you mean class 3"),
        ({"pretrain": "list.txt"}, "pretrain is 'list.txt'; allowed: a number, a list of classes, or a text file"),
        ({"pretrain": 11}, "pretrain is 11, and 10 of 10 classes are left"),
        ({"size": 0}, "size must be at least 1, got 0"),
        ({"images_held_out": 2}, "transfer wants 5 images a class, and class 'class 0' has 4"),
        ({"pretrain": ["class 0"], "transfer": ["class 0"]}, "pre-training and transfer classes overlap"),
    ],
)
def test_a_split_that_cannot_be_is_refused_in_words(letters, change, words):
    wanted = {"root": str(letters), "name": "mine", "pretrain": 4, "selection": 2, **SPLIT} | change
    with pytest.raises(ValueError, match=words):
        image_folder(**wanted)


# Archives, the cache, and what can go wrong with both


def test_a_truncated_archive_is_named(data_root, photographs):
    path = data_root / "omni-image" / "OmnImage84_20.zip"
    write_omni(path, photographs, images=1)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(ValueError, match=r"OmnImage84_20\.zip is not a readable archive"):
        omni_image.load()


def test_an_archive_that_is_damaged_inside_names_the_file(data_root, photographs):
    path = data_root / "omni-image" / "OmnImage84_20.zip"
    write_omni(path, photographs, images=1)
    content = bytearray(path.read_bytes())
    content[1000:1010] = b"0123456789"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"OmnImage84_20\.zip is damaged at OmnImage84_20/n01440764/n01440764_0\.JPEG"):
        omni_image.load()


@pytest.mark.parametrize("name", ["../n01440764/a.png", "/etc/a.png", "x/../../a.png", "..\\a.png", "C:\\a.png"])
def test_an_archive_that_leads_out_of_itself_is_refused(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo("fine/a.png"), b"")
        archive.writestr(name, b"")
    with pytest.raises(ValueError, match=r"bad\.zip has a member that leads out of it"):
        image_files(tmp_path / "bad.zip")


class a_full_disk:  # noqa: N801
    """While it lasts no file can grow beyond a size: writes fail for real."""

    def __init__(self, size):
        self.size = size

    def __enter__(self):
        self.before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.before[1]))

    def __exit__(self, *args):
        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)


def test_a_full_disk_leaves_no_decoded_copy(letters):
    files = by_class(image_files(letters), 1)
    with a_full_disk(20_000), pytest.raises(OSError, match="File too large"):
        decoded("letters", files, Reading(mode="RGB", size=64))
    assert decoded_copies() == half_written() == []
    assert len(decoded("letters", files, Reading(mode="RGB", size=64)).labels) == 40


def test_a_second_start_decodes_nothing(letters, monkeypatch):
    files = by_class(image_files(letters), 1)
    first = decoded("letters", files, Reading(mode="RGB", size=24))
    monkeypatch.setattr(decode, "decoded_into", lambda *arguments: pytest.fail("decoded again"))
    second = decoded("letters", files, Reading(mode="RGB", size=24))
    assert np.array_equal(first.pixels, second.pixels)
    assert first.digest == second.digest
    assert isinstance(second.pixels, np.memmap)


def test_another_content_or_another_transform_is_decoded_anew(letters):
    def pixels(**reading):
        return decoded("letters", by_class(image_files(letters), 1), Reading(**{"mode": "RGB", "size": 24} | reading))

    before = pixels()
    assert pixels(mode="L").pixels.shape == (40, 24, 24)
    assert pixels(size=25).pixels.shape == (40, 25, 25, 3)
    assert pixels(size=25).digest == before.digest, "what the network sees is no part of what the data are"
    path = letters / "class 3" / "1.png"
    path.write_bytes(encoded(Image.new("RGB", (43, 50), (1, 2, 3))))
    assert pixels().digest != before.digest
    assert (pixels().pixels[13] == (1, 2, 3)).all()


def test_processes_decode_to_the_same_bytes_as_one(letters, monkeypatch):
    files = by_class(image_files(letters), 1)
    alone = decoded("alone", files, Reading(mode="RGB", size=24))
    monkeypatch.setattr(decode, "CHUNK", 7)
    monkeypatch.setattr(decode, "ALONE", 0)
    together = decoded("together", files, Reading(mode="RGB", size=24))
    assert np.array_equal(alone.pixels, together.pixels)
    assert alone.digest == together.digest
    (letters / "class 7" / "1.png").write_bytes(b"no image")
    files = by_class(image_files(letters), 1)
    with pytest.raises(ValueError, match=r"class 7/1\.png is not a readable image \(no image\)"):
        decoded("together", files, Reading(mode="RGB", size=24))


def test_what_a_killed_process_left_is_never_read_and_goes_away(letters):
    files = by_class(image_files(letters), 1)
    decoded("letters", files, Reading(mode="L", size=24))
    (name,) = decoded_copies()
    cache.forget("letters")
    left = cache_root() / f".{name}-killed"
    left.mkdir()
    (left / "pixels.npy").write_bytes(b"half")
    assert len(decoded("letters", files, Reading(mode="L", size=24)).labels) == 40
    assert half_written() == []


def test_data_never_go_below_the_data_root(letters, data_root):
    decoded("letters", by_class(image_files(letters), 1), Reading(mode="L", size=24))
    assert not data_root.exists()


@pytest.mark.parametrize("name", [name for name, about in CATALOG.items() if about.folder])
def test_missing_data_are_said_with_where_they_were_looked_for_and_how_to_get_them(name, data_root):
    loaders = {
        "omniglot": omniglot,
        "mini_imagenet": mini_imagenet.load,
        "omni_image": omni_image.load,
        "omni_image_100": lambda: omni_image.load(84, 100),
        "tiny_imagenet": tiny_imagenet.load,
    }
    with pytest.raises(ValueError, match=rf"{name}: there is not .* in {data_root}.*ZAPBENCH_DATA") as caught:
        loaders[name]()
    assert "\n" not in str(caught.value)
