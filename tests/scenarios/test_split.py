"""Splits of a class's images, with and without groups."""

import dataclasses
import itertools

import numpy as np
import pytest

from zapbench.scenarios.glyphs import glyphs
from zapbench.scenarios.images import Images
from zapbench.scenarios.split import Splitter, _held_out_groups
from zapbench.seeding import numpy_generator


def grouped(counts, classes=2):
    """Images of which each class has `counts[g]` of group g."""
    groups = np.tile(np.repeat(np.arange(len(counts)), counts), classes)
    labels = np.repeat(np.arange(classes), sum(counts))
    return Images(np.zeros((len(labels), 2, 2), np.uint8), labels, tuple("abcdef"[:classes]), "0" * 64, groups)


def test_each_of_2000_draws_of_glyphs_splits_its_typefaces():
    scenario = glyphs()
    faces = scenario.images.groups
    for seed in range(920):
        draws = [scenario.trial(seed // 50, seed % 50, role=role) for role in ("report", "select")]
        parts = [(draw.train, draw.held_out) for draw in draws]
        if seed < 160:
            split = scenario.pretraining(seed)
            parts.append((split.train, split.validation))
        for train, held_out in parts:
            assert (train.shape[1], held_out.shape[1]) == (15, 5)
            assert not set(faces[train[0]]) & set(faces[held_out].ravel())
            assert not set(faces[train].ravel()) & set(faces[held_out[0]])


def test_the_draws_that_could_not_be_split_are_split():
    """Four of the twelve typefaces have one image of a letter: where they come first, five images need a pair."""
    scenario = glyphs()
    assert scenario.pretraining(157).validation.shape == (283, 5)
    assert scenario.trial(19, 5, role="select").held_out.shape == (60, 5)


def test_groups_are_held_out_in_their_order_as_far_as_their_images_are_needed():
    def in_order(counts, sizes):
        """What a draw did before every draw could be split; None where it failed."""
        held_out, room = [], sizes[1]
        for place, count in enumerate(counts):
            if count <= room:
                held_out.append(place)
                room -= count
        return held_out if room == 0 and sum(counts) - sizes[1] >= sizes[0] else None

    failed = 0
    for counts in set(itertools.permutations((1, 1, 1, 1, 2, 2, 2, 2))):
        before, now = in_order(counts, (7, 5)), _held_out_groups(counts, (7, 5))
        failed += before is None
        assert sum(counts[place] for place in now) == 5
        assert before in (None, now)
    assert failed == 1, "the four single images come first in one order of 70"


@pytest.mark.parametrize(
    ("counts", "sizes", "words"),
    [
        ((3, 3), (1, 4), "transfer: the groups of images cannot be split into 1 and 4 images"),
        ((3, 3), (4, 3), "transfer needs 7 images per class, and class 'a' has 6"),
    ],
)
def test_sizes_that_no_draw_can_give_are_refused_before_any_draw(counts, sizes, words):
    with pytest.raises(ValueError, match=words):
        Splitter(grouped(counts)).check([0, 1], sizes, "transfer")


def test_where_no_groups_have_the_exact_number_some_images_are_left_over():
    splitter = Splitter(grouped((3, 3, 3)))
    splitter.check([0, 1], (2, 4), "transfer")
    train, held_out = splitter.split([0, 1], (2, 4), numpy_generator("test", 0))
    assert train.shape == (2, 2)
    assert held_out.shape == (2, 4)


def test_classes_with_different_groups_are_refused():
    images = grouped((1, 1, 2))
    other = dataclasses.replace(images, groups=np.array([0, 1, 2, 2, 0, 0, 1, 2]))
    with pytest.raises(ValueError, match="classes 'a' and 'b' differ in their groups"):
        Splitter(other).check([0, 1], (2, 2), "transfer")
