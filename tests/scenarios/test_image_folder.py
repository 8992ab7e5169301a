"""A person's own folder of images, split by numbers or lists, decoded once and kept in the cache."""

import zipfile

import numpy as np
import pytest
from PIL import Image
from support.data_files import a_full_disk, decoded_copies, encoded, half_written

from zapbench.scenarios import cache, decode, mini_imagenet, omni_image, tiny_imagenet
from zapbench.scenarios.catalog import CATALOG
from zapbench.scenarios.decode import Reading, decoded
from zapbench.scenarios.image_files import by_class, image_files
from zapbench.scenarios.image_folder import image_folder
from zapbench.scenarios.omniglot import omniglot
from zapbench.scenarios.roots import cache_root


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
    assert one.classes_per_trial == 4
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
        ({"pretrain": 11}, "pretrain is 11, and 10 of 10 classes remain"),
        ({"size": 0}, "size must be at least 1, got 0"),
        ({"images_held_out": 2}, "transfer needs 5 images per class, and class 'class 0' has 4"),
        ({"pretrain": ["class 0"], "transfer": ["class 0"]}, "pre-training and transfer classes overlap"),
    ],
)
def test_a_split_that_cannot_be_is_refused_in_words(letters, change, words):
    wanted = {"root": str(letters), "name": "mine", "pretrain": 4, "selection": 2, **SPLIT} | change
    with pytest.raises(ValueError, match=words):
        image_folder(**wanted)


@pytest.mark.parametrize("name", ["../n01440764/a.png", "/etc/a.png", "x/../../a.png", "..\\a.png", "C:\\a.png"])
def test_an_archive_that_leads_out_of_itself_is_refused(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo("fine/a.png"), b"")
        archive.writestr(name, b"")
    with pytest.raises(ValueError, match=r"bad\.zip has a member that leads out of it"):
        image_files(tmp_path / "bad.zip")


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
    with pytest.raises(ValueError, match=r"class 7/1\.png is not a readable image \(no PNG or JPEG\)"):
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
    with pytest.raises(ValueError, match=rf"{name}: no .* in {data_root}.*ZAPBENCH_DATA") as caught:
        loaders[name]()
    assert "\n" not in str(caught.value)
