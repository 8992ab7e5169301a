"""The lists of classes and images that the papers published."""

import os

import pytest

from zapbench.scenarios import mini_imagenet, omni_image
from zapbench.scenarios.class_lists import LISTS


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
