"""Fixtures that several tests share, and the rule that nothing may be skipped where everything was provided."""

import io
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import gin
import numpy as np
import pytest
import torch
from filelock import FileLock
from PIL import Image
from support import drawn
from support.made_logs import write_table

import zapbench.leaderboard.read.mapping  # noqa: F401 (registers with gin, which the first run of a process locks)
from zapbench.scenarios import mini_imagenet, omni_image, tiny_imagenet, torchvision_dataset
from zapbench.scenarios.images import Images
from zapbench.scenarios.scenario import Scenario

torch.set_num_threads(1)


def pytest_addoption(parser):
    parser.addoption("--no-skips", action="store_true", help="a skipped test is a failed one")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.skipped and item.config.getoption("--no-skips") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, and nothing may be: {report.longrepr[2]}"


@pytest.fixture(autouse=True)
def _fresh_gin() -> Iterator[None]:
    with gin.unlock_config():
        gin.clear_config()
    yield
    with gin.unlock_config():
        gin.clear_config()


@pytest.fixture(autouse=True)
def _offline(monkeypatch) -> None:
    monkeypatch.setenv("ZAPBENCH_OFFLINE", "1")


def _real(folder: str) -> Path:
    root = os.environ.get("ZAPBENCH_DATA")
    if not root or not (Path(root) / folder).is_dir():
        pytest.skip(f"ZAPBENCH_DATA holds no {folder}")
    return Path(root)


@pytest.fixture(scope="session")
def omniglot_root(tmp_path_factory) -> Iterator[Path]:
    """The data folder with Omniglot: the real one, else drawn archives in its layout, once for all processes."""
    root = os.environ.get("ZAPBENCH_DATA")
    if root and (Path(root) / "omniglot-py").is_dir():
        yield Path(root)
        return
    own = tmp_path_factory.getbasetemp()
    shared = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "drawn"
    with FileLock(f"{shared}.lock"):
        if not (shared / "omniglot-py").is_dir():
            drawn.write_omniglot(shared / "unfinished")
            (shared / "unfinished").rename(shared / "omniglot-py")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZAPBENCH_DATA", str(shared))
        patch.setenv("XDG_CACHE_HOME", str(shared / "cache"))  # the user's own has copies of real images
        yield shared


@pytest.fixture
def omniglot_files(omniglot_root: Path) -> Path:
    return omniglot_root


@pytest.fixture
def real_omniglot() -> Path:
    return _real("omniglot-py")


@pytest.fixture
def real_tiny_imagenet() -> Path:
    return _real("tiny-imagenet")


@pytest.fixture(scope="session")
def photographs() -> list[Image.Image]:
    """Forty 64x64 colour images, of forty classes: real ones, else drawn ones."""
    sample = Path(os.environ.get("ZAPBENCH_DATA", "")) / "tiny-imagenet" / "tiny-imagenet-200-sample.zip"
    if not sample.is_file():
        return drawn.photographs()
    with zipfile.ZipFile(sample) as archive:
        names = [name for name in archive.namelist() if name.endswith("_0.JPEG")][:40]
        return [Image.open(io.BytesIO(archive.read(name))).convert("RGB") for name in names]


@pytest.fixture
def data_root(tmp_path, monkeypatch) -> Path:
    """An empty data folder and an empty cache folder."""
    monkeypatch.setenv("ZAPBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "data"


@pytest.fixture
def provide(request, monkeypatch) -> Callable[[str], None]:
    """Gives a shipped scenario its data: real ones, or blank images of the true classes where none can be had."""

    def blank(classes: list[str], images: int, size: int) -> Images:
        count = len(classes) * images
        pixels = np.zeros((count, size, size, 3), dtype=np.uint8)  # takes no memory before it is written to
        return Images(pixels, np.repeat(np.arange(len(classes)), images), tuple(classes), "0" * 64)

    def give(scenario: str) -> None:
        root = Path(os.environ.get("ZAPBENCH_DATA", "nowhere"))
        if scenario.startswith("omniglot"):
            request.getfixturevalue("omniglot_root")
        if scenario.startswith("tiny_imagenet") and not (root / "tiny-imagenet").is_dir():
            wnids = [f"n{place:08}" for place in range(tiny_imagenet.CLASSES)]
            monkeypatch.setattr(tiny_imagenet, "load", lambda size: blank(wnids, 130, size))
        every = sorted(c for split in mini_imagenet.SPLITS for c in mini_imagenet.published(split))
        monkeypatch.setattr(mini_imagenet, "load", lambda size: blank(every, 600, size))
        monkeypatch.setattr(omni_image, "load", lambda size, images: blank(list(omni_image.listed()), images, size))

        monkeypatch.setattr(
            torchvision_dataset, "load", lambda name, root, parts, size, mode: blank([*map(str, range(100))], 600, size)
        )

    return give


@pytest.fixture
def tiny() -> Scenario:
    """Twelve classes of eight random 28x28 images."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (96, 28, 28), dtype=np.uint8)
    labels = np.repeat(np.arange(12), 8)
    images = Images(pixels, labels, tuple(f"class {i}" for i in range(12)), "0" * 64)
    return Scenario(
        name="tiny",
        version=1,
        images=images,
        pretrain_classes=(0, 1, 2, 3),
        report_pool=(4, 5, 6, 7, 8),
        select_pool=(9, 10, 11),
        classes_per_trial=4,
        classes_per_selection_trial=3,
        pretrain_images=6,
        validation_images=2,
        images_trained_on=5,
        images_held_out=3,
        pretrain_outputs=6,
        transfer_outputs=10,
    )


@pytest.fixture
def logs(tmp_path) -> Path:
    """Made logs of a few methods; see `made_logs.write_table`."""
    write_table(tmp_path)
    return tmp_path
