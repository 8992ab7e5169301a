"""A person's own folder of images: its classes, their split by numbers or lists, and the cache."""

import os
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image
from support.data_files import a_full_disk, decoded_copies, encoded, half_written

from zapbench.scenarios import cache, decode
from zapbench.scenarios.catalog import CATALOG
from zapbench.scenarios.decode import Reading, decoded
from zapbench.scenarios.image_files import by_class, image_files
from zapbench.scenarios.image_folder import image_folder
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


def test_another_content_or_another_transform_is_decoded_again(letters):
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


def test_what_a_killed_process_left_is_removed_and_never_read(letters):
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
    with pytest.raises(ValueError, match=rf"{name}: no .* in {data_root}.*ZAPBENCH_DATA") as caught:
        CATALOG[name].load()
    assert "\n" not in str(caught.value)


def nest(folder, *moves):
    """Moves class folders: `nest(letters, ("class 0", "greek/a"))`."""
    for old, new in moves:
        (folder / new).parent.mkdir(parents=True, exist_ok=True)
        (folder / old).rename(folder / new)


def alphabets(folder):
    nest(folder, *((f"class {i}", f"{'greek' if i < 5 else 'latin'}/{'abcde'[i % 5]}") for i in range(10)))


def own(folder, **change):
    return image_folder(**({"root": str(folder), "name": "mine", "pretrain": 4, "selection": 2, **SPLIT} | change))


def test_nested_folders_are_refused_or_asked_for_and_never_merged(letters):
    alphabets(letters)
    with pytest.raises(
        ValueError, match=r"greek/a/0\.jpg is at depth 2, .*levels is 1; with levels = 2 there are 10 cl"
    ):
        own(letters)
    assert own(letters, levels=2).images.classes == tuple(f"{a}/{c}" for a in ("greek", "latin") for c in "abcde")
    with pytest.raises(ValueError, match=r"depth 2, and image_folder.levels is 3"):
        own(letters, levels=3)
    with pytest.raises(ValueError, match="levels must be at least 1, got 0"):
        own(letters, levels=0)


def test_train_and_test_folders_are_not_merged(letters):
    nest(letters, *((f"class {i}", f"{part}/class {i % 5}") for i, part in enumerate(["train"] * 5 + ["test"] * 5)))
    with pytest.raises(ValueError, match=r"test/class 0/0\.jpg is at depth 2, .* 10 classes such as 'test/class 0'"):
        own(letters)


def test_one_folder_around_all_classes_is_no_part_of_their_names(letters, tmp_path):
    expected = own(letters).images.classes
    nest(letters.parent, ("letters", "outer/inner/letters"))
    assert own(tmp_path / "outer").images.classes == expected
    with zipfile.ZipFile(tmp_path / "letters.zip", "w") as archive:
        for path in sorted((tmp_path / "outer").rglob("*")):
            archive.write(path, path.relative_to(tmp_path))
    assert own(tmp_path / "letters.zip").images.classes == expected


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sheet.png", r"mine: sheet\.png is in no folder of a class; move it away"),
        ("class 3/more/a.png", r"mine: class 3/more/a\.png is at depth 2, and image_folder.levels is 1"),
        ("empty/", r"mine: the folder empty has no image \(1 such folders\); remove it"),
        ("texts/a.txt", r"mine: the folder texts has no image"),
        ("class 3/more/a.txt", r"mine: the folder class 3/more has no image"),
        ("class 3/a.webp", r"class 3/a\.webp is not read \(1 such files\): images are \.png"),
    ],
)
def test_what_would_be_ignored_is_named(letters, photographs, name, words):
    (letters / name).parent.mkdir(parents=True, exist_ok=True)
    if name.endswith("/"):
        (letters / name).mkdir()
    else:
        (letters / name).write_bytes(encoded(photographs[39], "PNG"))
    with pytest.raises(ValueError, match=words):
        own(letters)


@pytest.mark.parametrize("odd", [b"caf\xe9", b"class 1\nclass 2", b"\x1b[2J"])
def test_a_folder_whose_name_cannot_be_a_class_is_named(letters, odd):
    (letters / "class 3").rename(letters / os.fsdecode(odd))
    with pytest.raises(ValueError, match=r"mine: the name of the folder '.*' is not UTF-8, or has control characters"):
        own(letters)


def test_hidden_and_service_folders_are_no_classes_and_links_are(letters, tmp_path):
    expected = own(letters).images
    for name in (".ipynb_checkpoints", "__MACOSX"):
        shutil.copytree(letters / "class 0", letters / name)
    (letters / "class 1" / "Thumbs.db").write_bytes(b"x")
    (letters / "class 9").rename(tmp_path / "elsewhere")
    (letters / "class 9").symlink_to(tmp_path / "elsewhere")
    found = own(letters).images
    assert found.classes == expected.classes
    assert np.array_equal(found.pixels, expected.pixels)


def test_an_image_that_is_there_twice_is_named_or_allowed(letters):
    (letters / "class 3" / "copy.png").write_bytes((letters / "class 7" / "1.png").read_bytes())
    with pytest.raises(
        ValueError, match=r"mine: .*: class 3/copy\.png and class 7/1\.png are the same image .*distinct = F"
    ):
        own(letters)
    assert len(own(letters, distinct=False).images.labels) == 41


def test_an_image_without_variation_is_named_or_allowed(letters):
    (letters / "class 3" / "blank.png").write_bytes(encoded(Image.new("RGB", (9, 9), "white")))
    with pytest.raises(ValueError, match=r"mine: .*class 3/blank\.png has one colour in all pixels .*distinct = False"):
        own(letters)
    own(letters, distinct=False)
    with pytest.raises(ValueError, match="one colour"):
        own(letters)  # the decoded copy that was allowed is another


def test_images_that_change_are_read_again_in_the_same_process(letters, photographs):
    before = own(letters).facts()["data"]
    (letters / "class 3" / "1.png").write_bytes(encoded(photographs[39].rotate(90)))
    assert own(letters).facts()["data"] != before


def test_an_image_of_the_same_size_and_time_is_read_again(letters, photographs):
    path = letters / "class 3" / "1.png"
    raw = [image.resize((32, 32)) for image in photographs[38:40]]
    facts = []
    for image in raw:
        image.save(path, compress_level=0)
        os.utime(path, ns=(10**18, 10**18))
        facts.append((path.stat().st_size, path.stat().st_mtime_ns, own(letters).facts()["data"]))
    assert facts[0][:2] == facts[1][:2]
    assert facts[0][2] != facts[1][2]


def test_the_content_of_class_lists_is_part_of_what_a_scenario_is(letters, tmp_path):
    """The lists keep their names and lengths: only the classes in them change."""
    pretrain, selection = tmp_path / "pre.txt", tmp_path / "sel.txt"

    def facts(*lists):
        for path, classes in zip((pretrain, selection), lists):
            path.write_text("".join(f"class {c}\n" for c in classes))
        return own(letters, pretrain=str(pretrain), selection=str(selection)).facts()

    first, same, swapped = facts((0, 1, 2), (6, 7)), facts((2, 0, 1), (7, 6)), facts((3, 4, 5), (0, 1))
    assert first == same
    assert {name for name in first if first[name] != swapped[name]} == {
        "pretrain_classes", "report_pool", "select_pool"
    }  # fmt: skip


def test_class_lists_may_begin_with_a_byte_order_mark(letters, tmp_path):
    (tmp_path / "list.txt").write_bytes("\ufeffclass 3\r\n\r\nclass 1\r\n".encode())
    scenario = own(letters, pretrain=str(tmp_path / "list.txt"))
    assert [scenario.images.classes[c] for c in scenario.pretrain_classes] == ["class 1", "class 3"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"class 1\nclass 2\nclass 1\n", r"pretrain \(.*list\.txt\) lists the class 'class 1' twice"),
        (b"\n", r"pretrain \(.*list\.txt\) lists no class"),
        ("class 1\n".encode("utf-16"), r"list\.txt is not a text file in UTF-8"),
    ],
)
def test_a_class_list_that_says_something_else_than_meant_is_refused(letters, tmp_path, content, words):
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(ValueError, match=words):
        own(letters, pretrain=str(tmp_path / "list.txt"))
