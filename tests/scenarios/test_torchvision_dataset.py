"""Data sets of torchvision and Avalanche as scenarios: made by them, or read from files in their layouts."""

import hashlib
import pickle
import shutil
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torchvision
from PIL import Image
from torch.utils.data import Dataset

from zapbench.cli.data import scenario_of
from zapbench.cli.main import main
from zapbench.scenarios import downloads
from zapbench.scenarios import torchvision_dataset as module
from zapbench.scenarios.catalog import CATALOG
from zapbench.scenarios.torchvision_dataset import torchvision_dataset

FEW = {"pretrain_images": 2, "validation_images": 1, "images_trained_on": 2, "images_held_out": 1}
CIFAR_SIZES = {"pretrain_images": 4, "validation_images": 2, "images_trained_on": 4, "images_held_out": 2}


@pytest.fixture(autouse=True)
def _no_memory(data_root):
    yield
    module._load.cache_clear()


def pixels_of(scenario, name):
    place = scenario.images.classes.index(name)
    return scenario.images.pixels[scenario.images.labels == place]


def test_images_and_classes_are_those_of_the_library(data_root):
    part = {"size": 60, "image_size": (3, 40, 40), "num_classes": 5}
    scenario = torchvision_dataset(dataset="FakeData", name="fake", parts=(part,), pretrain=2, **FEW)
    theirs = torchvision.datasets.FakeData(**part)
    for index in (0, 7, 59):
        image, label = theirs[index]
        wanted = np.asarray(image.resize((32, 32), Image.Resampling.LANCZOS))
        assert np.array_equal(scenario.images.pixels[index], wanted)
        assert scenario.images.classes[scenario.images.labels[index]] == str(int(label))
    assert (len(scenario.pretrain_classes), len(scenario.report_pool)) == (2, 3)
    grey = torchvision_dataset(dataset="FakeData", name="fake", parts=(part,), pretrain=2, colour=False, **FEW)
    assert (grey.channels, scenario.channels) == (1, 3)


def write_cifar100(root, monkeypatch, *, extra=None):
    """Writes the layout of CIFAR-100 with five training images and one test image a class; returns the pixels."""
    folder = root / "cifar-100-python"
    folder.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (600, 3, 32, 32), dtype=np.uint8)
    labels = [index % 100 for index in range(600)]
    names = [f"kind {label:02}" for label in range(100)]
    contents = {
        "train": {"data": pixels[:500].reshape(500, -1), "fine_labels": labels[:500]},
        "test": {"data": pixels[500:].reshape(100, -1), "fine_labels": labels[500:]},
        "meta": {"fine_label_names": names},
    }
    md5 = {}
    for name, content in contents.items():
        (folder / name).write_bytes(pickle.dumps(content))
        md5[name] = hashlib.md5((folder / name).read_bytes()).hexdigest()
    kind = torchvision.datasets.CIFAR100
    monkeypatch.setattr(kind, "train_list", [["train", md5["train"]]])
    monkeypatch.setattr(kind, "test_list", [["test", md5["test"]]])
    monkeypatch.setattr(kind, "meta", kind.meta | {"md5": md5["meta"]})
    return pixels.transpose(0, 2, 3, 1)


def cifar_file(tmp_path):
    """The shipped scenario, for six images a class."""
    sizes = "".join(f"torchvision_dataset.{name} = {value}\n" for name, value in CIFAR_SIZES.items())
    shipped = (Path(module.__file__).parents[1] / "gin" / "scenarios" / "cifar100.gin").read_text(encoding="utf-8")
    (tmp_path / "few.gin").write_text(shipped + sizes)
    return str(tmp_path / "few.gin")


def test_the_shipped_cifar_100_reads_torchvisions_layout_and_puts_its_two_parts_together(
    data_root, tmp_path, monkeypatch
):
    pixels = write_cifar100(data_root / "cifar100", monkeypatch)
    scenario = scenario_of(cifar_file(tmp_path))
    assert np.array_equal(pixels_of(scenario, "kind 07"), pixels[7::100])
    assert (len(scenario.pretrain_classes), len(scenario.report_pool), len(scenario.select_pool)) == (50, 30, 20)
    assert (scenario.classes_per_trial, scenario.classes_per_selection_trial) == (30, 20)


@pytest.mark.parametrize("at_hand", [True, False])
def test_an_archive_at_hand_or_fetched_before_is_unpacked_without_a_network(data_root, tmp_path, monkeypatch, at_hand):
    pixels = write_cifar100(tmp_path / "elsewhere", monkeypatch)
    archive = tmp_path / "elsewhere" / torchvision.datasets.CIFAR100.filename
    with tarfile.open(archive, "w:gz") as file:
        file.add(tmp_path / "elsewhere" / "cifar-100-python", "cifar-100-python")
    monkeypatch.setattr(torchvision.datasets.CIFAR100, "tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())

    def fetch(description):
        description.path.mkdir(parents=True)
        shutil.copy(archive, description.path)

    monkeypatch.setattr(downloads, "fetch", fetch)
    if at_hand:
        fetch(CATALOG["cifar100"])
    assert np.array_equal(pixels_of(scenario_of(cifar_file(tmp_path)), "kind 99"), pixels[99::100])


@pytest.mark.parametrize(("dataset", "elsewhere"), [("CIFAR100", True), ("Omniglot", False)])
def test_nothing_is_fetched_to_a_folder_that_the_library_is_not_given(
    data_root, tmp_path, monkeypatch, dataset, elsewhere
):
    """torchvision looks for Omniglot in `omniglot/omniglot-py` below the data root, the catalog in `omniglot-py`."""
    fetched = []
    monkeypatch.setattr(downloads, "fetch", fetched.append)
    with pytest.raises(ValueError, match=f"^{dataset} cannot be read from "):
        module.load(dataset, str(tmp_path / "own") if elsewhere else "")
    assert not fetched


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("name", ["train", "test", "meta"])
def test_a_pickle_that_is_not_cifars_is_refused_before_it_is_opened(name, data_root, tmp_path, monkeypatch, capsys):
    write_cifar100(data_root / "cifar100", monkeypatch)
    (data_root / "cifar100" / "cifar-100-python" / name).write_bytes(pickle.dumps(Evil(tmp_path / "owned")))
    assert main(["data", "show", cifar_file(tmp_path), "--out", str(tmp_path / "a.png")]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "CIFAR100 cannot be read from" in error
    assert "ZAPBENCH_OFFLINE is set" in error
    assert not (tmp_path / "owned").exists()


def test_mnists_files_are_read_in_grey(data_root, tmp_path):
    raw = tmp_path / "own" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    generator = np.random.default_rng(1)
    whole = []
    for part, count in (("train", 40), ("t10k", 20)):
        pixels = generator.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        whole.append(pixels)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">iiii", 2051, count, 28, 28) + pixels.tobytes())
        labels = bytes(index % 10 for index in range(count))
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">ii", 2049, count) + labels)
    scenario = torchvision_dataset(
        dataset="MNIST", name="mnist", root=str(tmp_path / "own"), pretrain=5, size=28, colour=False, **FEW
    )
    assert np.array_equal(pixels_of(scenario, "3 - three"), np.concatenate(whole)[3::10])


def test_a_data_set_of_avalanche_is_read_from_its_layout(data_root):
    folder = data_root / "cub200" / "CUB_200_2011"
    lines = {"train_test_split": [], "images": [], "image_class_labels": [], "bounding_boxes": []}
    for index in range(24):
        name = f"{index % 4 + 1:03}.bird/{index}.jpg"
        (folder / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (48, 48), (10 * index, 50, 60)).save(folder / "images" / name, quality=95)
        lines["train_test_split"].append(f"{index + 1} {index % 2}")
        lines["images"].append(f"{index + 1} {name}")
        lines["image_class_labels"].append(f"{index + 1} {index % 4 + 1}")
        lines["bounding_boxes"].append(f"{index + 1} 0.0 0.0 40.0 40.0")
    for name, own in lines.items():
        (folder / f"{name}.txt").write_text("\n".join(own) + "\n")
    scenario = torchvision_dataset(dataset="CUB200", name="birds", pretrain=["0", "3"], selection=["1"], **FEW)
    assert len(scenario.images.labels) == 24
    reds = sorted(int(image[16, 16, 0]) for image in pixels_of(scenario, "2"))
    assert all(abs(red - 10 * index) <= 4 for red, index in zip(reds, range(2, 24, 4)))
    assert [scenario.images.classes[c] for c in scenario.report_pool] == ["2"]


class Made(Dataset):
    """Twelve images of classes 1 and 2 of three; unpacks a file when it is first opened."""

    classes = ("nothing", "one", "two")
    opened = 0

    def __init__(self, root, download=True):
        Made.opened += 1
        Path(root).mkdir(parents=True, exist_ok=True)
        if not (Path(root) / "unpacked").exists():
            (Path(root) / "unpacked").write_text("images")

    def __len__(self):
        return 12

    def __getitem__(self, index):
        return np.full((8, 8, 3), 20 * index, np.uint8), 1 + index % 2


@pytest.fixture
def made(monkeypatch):
    monkeypatch.setattr(torchvision.datasets, "Made", Made, raising=False)
    monkeypatch.setattr(Made, "opened", 0)
    return lambda **more: torchvision_dataset(**({"dataset": "Made", "name": "made", "pretrain": 1} | FEW | more))


def test_what_a_library_unpacks_is_decoded_once_and_then_read_from_the_cache(made):
    first = made().images
    opened = Made.opened
    module._load.cache_clear()
    again = made().images
    assert Made.opened == opened
    assert np.array_equal(first.pixels, again.pixels)
    assert first.digest == again.digest


def test_a_changed_file_is_read_again(made, data_root):
    made()
    opened = Made.opened
    (data_root / "made" / "unpacked").write_text("other images")
    module._load.cache_clear()
    made()
    assert Made.opened > opened


def test_a_class_without_images_is_none(made):
    assert made().images.classes == ("one", "two")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"dataset": "CIFAR10O"},
            "neither torchvision nor Avalanche has a data set 'CIFAR10O', did you mean CIFAR10 or CIFAR100",
        ),
        ({"dataset": "os"}, "neither torchvision nor Avalanche has a data set 'os'"),
        ({"parts": ({"trian": True},)}, "Made has no argument 'trian'"),
        ({"size": 0}, "torchvision_dataset.size must be at least 1, got 0"),
        ({"pretrain": ["three"]}, "made: pretrain names the class 'three', and there is none"),
        ({"pretrain_images": 9}, "made: pre-training needs 10 images per class, and class 'one' has 6"),
        ({"dataset": "SVHN"}, "SVHN cannot be read from .*svhn: Dataset not found or corrupted"),
    ],
)
def test_a_mistake_is_one_line(changes, words, made, data_root):
    with pytest.raises(ValueError, match=words) as error:
        made(**changes)
    assert "\n" not in str(error.value)
    assert not (data_root / "svhn").exists()


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ((np.zeros((8, 8, 3), np.uint8), [1, 2]), r"Made: image 0 has the label \[1, 2\], and not one class"),
        ((np.zeros((8, 8, 3), np.uint8), -1), "has the label -1"),
        ((np.zeros((8, 8, 3), np.uint8), "one"), "has the label one"),
        ((np.zeros((8, 8, 7), np.uint8), 1), r"gives images of uint8 \(8, 8, 7\); allowed: grey or RGB"),
        (np.zeros((8, 8, 3), np.uint8), "gives ndarrays, and not an image with its class"),
    ],
)
def test_what_has_no_image_of_one_class_is_refused(item, words, made, monkeypatch):
    monkeypatch.setattr(Made, "__getitem__", lambda self, index: item)
    with pytest.raises(ValueError, match=words):
        made()


def test_the_split_is_said_in_words(data_root, tmp_path, monkeypatch, capsys):
    write_cifar100(data_root / "cifar100", monkeypatch)
    assert main(["data", "show", cifar_file(tmp_path), "--out", str(tmp_path / "a.png")]) == 0
    said = capsys.readouterr().out
    assert said.startswith("cifar100: 50 classes to pre-train on (kind ")
    assert "30 for reported trials (kind " in said
    assert "20 for selection trials (kind " in said
    assert "4 to pre-train on and 2 to validate; in a trial 4 trained on and 2 held out" in said
    assert "A reported trial has 30 classes, a selection trial 20. Images are 32x32, colour." in said


def test_parts_with_different_classes_under_the_same_numbers_are_refused(made, monkeypatch):
    """As those of torchvision's Omniglot: both parts number their characters from 0."""

    class Parted(Made):
        def __init__(self, root, train=True, download=True):
            super().__init__(root)
            self._characters = ["a", "b"] if train else ["c", "d"]

    monkeypatch.setattr(torchvision.datasets, "Made", Parted, raising=False)
    with pytest.raises(ValueError, match="its parts have different classes under the same numbers"):
        made()
