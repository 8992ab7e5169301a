"""Writes a package for a new scenario: a function that returns images and their protocol, a .gin file and a test."""

from pathlib import Path

from zapbench.cli.new_package import INSTALLED, write_package

DATA = '''"""{title}: a data set and its protocol sizes."""

import gin
import numpy as np

from zapbench.scenarios.images import Images, digest
from zapbench.scenarios.scenario import Scenario
from zapbench.scenarios.sizes import Sizes, sized

CLASSES, IMAGES_PER_CLASS, SIZE = 40, 20, 28


@gin.register
@sized(
    classes_per_trial=10,
    classes_per_selection_trial=10,
    pretrain_images=15,
    validation_images=5,
    images_trained_on=15,
    images_held_out=5,
)
def {package}(*, sizes: Sizes, name: str = "{package}", version: int = 1) -> Scenario:
    """Returns the scenario: 20 classes to pre-train on, 10 for reported and 10 for selection trials.

    Args:
        sizes: see `zapbench.scenarios.sizes.Sizes`; each of its attributes is a parameter.
        name: the scenario's name.
        version: to be raised with any change that changes a score.
    """
    pixels, labels = load()
    return Scenario(
        name=name,
        version=version,
        images=Images(pixels, labels, tuple(f"class {{i}}" for i in range(CLASSES)), digest(pixels, labels)),
        pretrain_classes=tuple(range(20)),
        report_pool=tuple(range(20, 30)),
        select_pool=tuple(range(30, 40)),
        pretrain_outputs=CLASSES,
        transfer_outputs=CLASSES,
        **vars(sizes),
    )


def load() -> tuple[np.ndarray, np.ndarray]:
    """Returns images and labels; replace this with your own data.

    Returns:
        Pixels of shape `(images, height, width)` or `(images, height, width, 3)`, uint8; labels, `0..classes-1`.
    """
    generator = np.random.default_rng(0)
    patterns = generator.integers(0, 160, (CLASSES, 1, SIZE, SIZE))
    noise = generator.integers(0, 96, (CLASSES, IMAGES_PER_CLASS, SIZE, SIZE))
    labels = np.repeat(np.arange(CLASSES), IMAGES_PER_CLASS)
    return (patterns + noise).reshape(-1, SIZE, SIZE).astype(np.uint8), labels
'''

GIN = """# {title}: my own images, 20 classes to pre-train on, 10 unseen classes per trial
import {package}.data

run.scenario = @{package}()
MODEL = @convnet
convnet.filters = 16

# What strategies take from a scenario: images of the episode's class, random images, rates and lengths.
K = 15
R = 64
INNER_LR = 0.03
OUTER_LR = 0.001
ASB_EPISODES = 200
META_EPISODES = 100
IID_LR = 0.001
IID_EPOCHS = 10
IID_BATCH = 64
IID_TRANSFER_BATCH = 32
ZAP_EVERY = 5
"""

TEST = '''"""Tests the data and the protocol of the scenario."""

import numpy as np

from {package}.data import {package}


def test_the_classes_of_pretraining_reported_and_selection_trials_are_disjoint() -> None:
    scenario = {package}()
    pools = [scenario.pretrain_classes, scenario.report_pool, scenario.select_pool]
    assert len(set().union(*pools)) == sum(map(len, pools))


def test_the_data_are_the_same_every_time() -> None:
    assert {package}().images.digest == {package}().images.digest


def test_every_class_has_as_many_images_as_the_protocol_uses() -> None:
    scenario = {package}()
    fewest = np.bincount(scenario.images.labels).min()
    assert fewest >= scenario.pretrain_images + scenario.validation_images
    assert fewest >= scenario.images_trained_on + scenario.images_held_out
'''

README = """# {title}

A scenario for zapbench. In this folder:

    zapbench data show {package}/{package}.gin --out sheet.png     # the images as the network sees them
    zapbench run {package}/{package}.gin asb_zap
    python -m pytest  # of `pip install pytest`

`{package}/data.py` returns the images and the sizes of the protocol, `{package}/{package}.gin` binds the network and
what strategies take from a scenario. Images in folders need no code: see docs/tutorials/your_own_data.md of zapbench.
"""

FILES = {
    "{package}/{package}.gin": GIN,
    "{package}/data.py": DATA,
    "tests/test_{package}.py": TEST,
    "README.md": README + INSTALLED,
}


def new_scenario(name: str, folder: Path) -> list[Path]:
    """Writes a package for a scenario into `folder / name`; returns its files, the .gin file first.

    Raises:
        ValueError: see `write_package`.
    """
    return write_package("scenarios", name, folder, FILES)
