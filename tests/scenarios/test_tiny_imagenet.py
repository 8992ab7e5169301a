"""Tiny-ImageNet from its sample and its folder; bad inputs end in one line each."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image
from support.data_files import FEW, decoded_copies, encoded, half_written

from zapbench.scenarios import tiny_imagenet


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
    """Tiny-ImageNet as an extracted folder, with two images per class, and with its other images."""
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
    with pytest.raises(ValueError, match=r"199 classes in .*, expected 200"):
        tiny_imagenet.load()


def test_a_class_that_lacks_an_image_is_named(tiny_folder):
    next((tiny_folder / "train" / "n00000007").rglob("*.JPEG")).unlink()
    with pytest.raises(ValueError, match=r"class 'n00000007' has \d+ images and not \d+ \(1 such .*incomplete"):
        tiny_imagenet.load()
