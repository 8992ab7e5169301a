"""Contracts over every shipped scenario, and tests of single ones."""

import dataclasses
import unicodedata

import numpy as np
import pytest
import torch
from PIL import Image

from zapbench import config
from zapbench.cli.data import scenario_of
from zapbench.scenarios.cache import cached
from zapbench.scenarios.glyphs import LETTERS, glyphs
from zapbench.scenarios.image_tensor import ImageTensor
from zapbench.scenarios.images import Images, digest
from zapbench.scenarios.omniglot import omniglot


def small_omniglot():
    return omniglot(
        name="omniglot_small",
        pretrain_classes=100,
        selection_classes=100,
        classes_per_trial=100,
        classes_per_selection_trial=100,
    )


@pytest.fixture(params=["tiny", *config.names("scenarios")])
def scenario(request, tiny, provide):
    if request.param == "tiny":
        return tiny
    provide(request.param)
    return scenario_of(request.param)


PROTOCOL = {
    # pre-training, reported and selection classes; images to pre-train on, to validate with, trained on, held out; head
    "omniglot": (964, 600, 59, 15, 5, 15, 5, 1000),
    "mini_imagenet": (64, 20, 16, 500, 100, 30, 100, 64),
    "omni_image": (700, 300, 0, 15, 5, 15, 5, 700),
}


@pytest.mark.parametrize("name", PROTOCOL)
def test_sizes_are_the_papers(name, provide):
    provide(name)
    scenario = scenario_of(name)
    pools = tuple(map(len, (scenario.pretrain_classes, scenario.report_pool, scenario.select_pool)))
    images = (
        scenario.pretrain_images, scenario.validation_images, scenario.images_trained_on, scenario.images_held_out
    )  # fmt: skip
    assert (*pools, *images, scenario.pretrain_outputs) == PROTOCOL[name]
    assert scenario.pretrain_outputs == scenario.transfer_outputs
    assert scenario.classes_per_trial == len(scenario.report_pool)


def test_pretraining_reported_and_selection_classes_are_disjoint(scenario):
    pools = [set(scenario.pretrain_classes), set(scenario.report_pool), set(scenario.select_pool)]
    assert sum(map(len, pools)) == len(set.union(*pools))


@pytest.mark.parametrize("role", ["report", "select"])
def test_a_trial_has_its_sizes_and_no_image_on_both_sides(scenario, role):
    trial = scenario.trial(1, 2, role=role)
    count = scenario.classes_per_trial if role == "report" else scenario.classes_per_selection_trial
    assert trial.train.shape == (count, scenario.images_trained_on)
    assert trial.held_out.shape == (count, scenario.images_held_out)
    drawn = np.concatenate([trial.train, trial.held_out], axis=1)
    assert len(np.unique(drawn)) == drawn.size
    assert (scenario.images.labels[drawn] == trial.classes[:, None]).all()
    pool = scenario.report_pool if role == "report" else scenario.select_pool or scenario.report_pool
    assert set(trial.classes) <= set(pool)


def test_labels_are_positions_among_all_transfer_classes(scenario):
    trial = scenario.trial(0, 0)
    assert [scenario.transfer_classes[label] for label in trial.labels] == list(trial.classes)
    assert trial.labels.max() < scenario.transfer_outputs


def test_the_same_seeds_give_the_same_trial_and_each_of_them_another(scenario):
    def draw(*seeds, role="report"):
        return scenario.trial(*seeds, role=role)

    one = draw(0, 0)
    for name in ("classes", "labels", "train", "held_out"):
        assert np.array_equal(getattr(one, name), getattr(draw(0, 0), name))
    for other in (draw(0, 1), draw(1, 0)):
        assert not np.array_equal(one.classes, other.classes)


def test_the_pretraining_split_has_its_sizes_and_depends_on_the_seed(scenario):
    split = scenario.pretraining(0)
    assert split.train.shape == (len(scenario.pretrain_classes), scenario.pretrain_images)
    assert split.validation.shape == (len(scenario.pretrain_classes), scenario.validation_images)
    assert not set(split.train.ravel()) & set(split.validation.ravel())
    assert not np.array_equal(split.train, scenario.pretraining(1).train)
    assert (scenario.images.labels[split.train] == np.array(scenario.pretrain_classes)[:, None]).all()


def test_images_are_floats_between_0_and_1_before_the_mean_is_taken_off(scenario):
    few = dataclasses.replace(scenario.images, pixels=scenario.images.pixels[:10])
    images = ImageTensor(few.pixels, mean=scenario.mean, std=scenario.std)(torch.arange(10))
    assert images.shape == (10, scenario.channels, scenario.size, scenario.size)
    assert images.dtype == torch.float32
    mean, std = torch.tensor(scenario.mean or (0.0,)), torch.tensor(scenario.std or (1.0,))
    plain = images * std.view(-1, 1, 1) + mean.view(-1, 1, 1)
    assert torch.allclose(
        plain.permute(0, 2, 3, 1).squeeze(-1) * 255, torch.from_numpy(few.pixels.astype("f4")), atol=1e-3
    )


def test_selection_classes_are_disjoint_from_reported_ones_where_the_scenario_has_enough(scenario):
    shared = not scenario.select_pool
    assert shared == scenario.name.startswith(("omni_image", "omniglot_all"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"classes_per_trial": 6}, "classes_per_trial is 6, and there are 5 classes"),
        ({"classes_per_trial": 0}, "classes_per_trial must be at least 1, got 0"),
        ({"pretrain_images": 8}, "pre-training needs 10 images per class, and class 'class 0' has 8"),
        ({"images_held_out": 4}, "transfer needs 9 images per class, and class 'class 4' has 8"),
        ({"pretrain_outputs": 3}, "pretrain_outputs is 3, and there are 4 pre-training classes"),
        ({"pretrain_classes": (0, 4)}, "overlap"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_in_words(tiny, change, words):
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(tiny, **change)


def test_mean_and_standard_deviation_are_taken_off(tiny):
    changed = dataclasses.replace(tiny, mean=(0.4,), std=(0.2,))
    index = torch.arange(4)
    assert torch.allclose(changed.tensor()(index), (tiny.tensor()(index) - 0.4) / 0.2, atol=1e-6)


def test_no_typeface_is_on_both_sides_of_a_draw_of_glyphs():
    scenario = glyphs()
    faces = scenario.images.groups
    for trial_seed in range(5):
        trial = scenario.trial(0, trial_seed)
        assert not set(faces[trial.train].ravel()) & set(faces[trial.held_out].ravel())
    split = scenario.pretraining(0)
    assert not set(faces[split.train].ravel()) & set(faces[split.validation].ravel())


def test_letters_belong_to_their_script_and_do_not_decompose():
    for script, letters in LETTERS.items():
        for letter in letters:
            assert unicodedata.name(letter).split()[0].lower() == script
            assert not unicodedata.decomposition(letter)
    every = "".join(LETTERS.values())
    assert len(set(every)) == len(every) == 520


def test_no_two_letters_of_glyphs_have_the_same_pixels():
    scenario = glyphs()
    pixels = np.asarray(scenario.images.pixels[::20], dtype=float).reshape(520, -1)
    assert len(np.unique(pixels, axis=0)) == 520
    assert (pixels.min(axis=1) < 128).all()


def test_omniglot_has_all_classes_and_equals_pils_own_resizing(omniglot_files):
    scenario = omniglot()
    classes = scenario.images.classes
    assert sum(c.startswith("background/") for c in classes) == 964
    assert sum(c.startswith("evaluation/") for c in classes) == 659
    assert (np.bincount(scenario.images.labels) == 20).all()
    assert len(scenario.report_pool) == 600
    assert len(scenario.select_pool) == 59

    import io
    import zipfile

    for part, c in (("background", 0), ("evaluation", 1200)):
        assert classes[c].startswith(part)
        with zipfile.ZipFile(omniglot_files / "omniglot-py" / f"images_{part}.zip") as archive:
            folder = classes[c].replace(part, f"images_{part}", 1)
            names = sorted(n for n in archive.namelist() if n.startswith(folder + "/") and n.endswith(".png"))
            for place, name in enumerate(names):
                image = Image.open(io.BytesIO(archive.read(name))).convert("L").resize((28, 28), Image.LANCZOS)
                assert np.array_equal(scenario.images.pixels[c * 20 + place], np.asarray(image))


def test_omniglot_all_draws_600_of_all_659_characters_in_each_trial(omniglot_files):
    scenario, plain = scenario_of("omniglot_all"), scenario_of("omniglot")
    assert set(scenario.report_pool) == set(plain.report_pool) | set(plain.select_pool)
    assert len(scenario.report_pool) == 659
    assert scenario.pretrain_classes == plain.pretrain_classes
    report = [set(scenario.trial(0, seed).classes) for seed in range(3)]
    select = set(scenario.trial(0, 0, role="select").classes)
    for one in (*report, select):
        assert len(one) == 600
    assert len(set.union(*report)) > 600
    assert select not in report
    assert len(set.union(*(set(plain.trial(0, seed).classes) for seed in range(3)))) == 600
    differing = {name for name, fact in scenario.facts().items() if fact != plain.facts()[name]}
    assert differing == {"scenario", "report_pool", "select_pool"}


def test_the_small_omniglot_has_selection_classes_of_its_own(omniglot_files):
    scenario = small_omniglot()
    assert len(scenario.pretrain_classes) == 100
    assert len(scenario.select_pool) == 100
    assert len(scenario.report_pool) == 559


@pytest.mark.parametrize("count", [0, 965])
def test_omniglot_refuses_classes_it_does_not_have(omniglot_files, count):
    with pytest.raises(ValueError, match=f"pretrain_classes is {count}; allowed: 1 to 964"):
        omniglot(pretrain_classes=count)


def test_missing_data_is_said_with_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("ZAPBENCH_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=f"images_background.zip.* in {tmp_path}.*data fetch omniglot.*ZAPBENCH_DATA"):
        omniglot()


def test_a_damaged_archive_is_named(tmp_path, monkeypatch):
    folder = tmp_path / "omniglot-py"
    folder.mkdir()
    for part in ("background", "evaluation"):
        (folder / f"images_{part}.zip").write_bytes(b"PK not a zip")
    monkeypatch.setenv("ZAPBENCH_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=r"images_background\.zip is not a readable archive"):
        omniglot()


def an_image_set():
    pixels = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
    labels = np.array([0, 1])
    return Images(pixels, labels, ("a", "b"), digest(pixels, labels), np.array([5, 6]))


def test_decoded_images_are_built_once(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    calls = []

    def build():
        calls.append(1)
        return an_image_set()

    first, second = (cached("few", {"version": 1}, build) for _ in range(2))
    assert len(calls) == 1
    for name in ("pixels", "labels", "groups"):
        assert np.array_equal(getattr(first, name), getattr(second, name))
    assert second.classes == ("a", "b")
    cached("few", {"version": 2}, build)
    assert len(calls) == 2


def test_where_no_cache_can_be_written_images_stay_in_memory(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert cached("few", {}, an_image_set).classes == ("a", "b")


def test_a_digest_sees_pixels_labels_and_shape():
    pixels, labels = np.zeros((2, 2, 2), dtype=np.uint8), np.array([0, 1])
    digests = {
        digest(pixels, labels),
        digest(pixels + 1, labels),
        digest(pixels, labels + 1),
        digest(pixels.reshape(2, 1, 4), labels),
    }
    assert len(digests) == 4
