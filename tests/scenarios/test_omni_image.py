"""Omni-image from its archive and built from ImageNet, filled with real images; a failed build leaves nothing."""

import io

import numpy as np
import pytest
from PIL import Image
from support.data_files import FEW, a_full_disk, encoded, write_omni

from zapbench.scenarios import omni_image


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
        **FEW, split=3, selection_classes=50, classes_per_trial=250, classes_per_selection_trial=50
    )
    assert {scenario.images.classes[c] for c in other.transfer_classes} == omni_image.transfer_classes(3)
    assert len(other.select_pool) == 50


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"leave_out": ["n01440764"]}, r"omni_image: class 'n01440764' is missing \(1 of 1000 are\)"),
        ({"more": ["n00000000"]}, r"omni_image: 'n00000000' is not one of the 1000 published classes"),
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
    with pytest.raises(ValueError, match=r"list\.txt: 'n00000000' is not one of the 6 published classes"):
        omni_image.build(imagenet, listing=wrong)
    wrong.write_text("\n".join((*short_list, short_list[0])))
    with pytest.raises(ValueError, match=rf"list\.txt: {short_list[0]} is listed twice"):
        omni_image.build(imagenet, listing=wrong)
    with pytest.raises(ValueError, match=r"give --list OmnImage_100\.txt"):
        omni_image.build(imagenet, images_per_class=100)


def test_a_build_on_a_full_disk_leaves_nothing(imagenet, data_root):
    with a_full_disk(50_000), pytest.raises(OSError, match="File too large"):
        omni_image.build(imagenet)
    assert list((data_root / "omni-image").iterdir()) == []


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
