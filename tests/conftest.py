"""Fixtures that several tests share, and the rule that nothing may be skipped where everything was provided."""

import os
from collections.abc import Iterator
from pathlib import Path

import gin
import numpy as np
import pytest
import torch

from zapbench.scenarios.scenario import Images, Scenario

torch.set_num_threads(1)

LOGS = Path(__file__).parent / "logs"


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


@pytest.fixture(scope="session")
def real_omniglot_root() -> Path:
    root = os.environ.get("ZAPBENCH_DATA")
    if not root or not (Path(root) / "omniglot-py").is_dir():
        pytest.skip("ZAPBENCH_DATA holds no omniglot-py")
    return Path(root)


@pytest.fixture
def real_omniglot(real_omniglot_root: Path) -> Path:
    return real_omniglot_root


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
        classes_a_trial=4,
        classes_a_selection_trial=3,
        pretrain_images=6,
        validation_images=2,
        images_trained_on=5,
        images_held_out=3,
        pretrain_outputs=6,
        transfer_outputs=10,
    )
