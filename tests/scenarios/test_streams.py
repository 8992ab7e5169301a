"""Scenarios as Avalanche benchmarks, for people who take them without the rest."""

import dataclasses
import warnings

import gin
import numpy as np
import pytest
import torch

import zapbench.scenarios.augmentation  # noqa: F401
from zapbench.scenarios.omniglot import omniglot
from zapbench.scenarios.streams import benchmark, pretraining_experience, stream_of
from zapbench.seeding import seed_global_state


def classes_of(stream):
    return [sorted(experience.classes_in_this_experience) for experience in stream]


def test_a_trials_stream_has_a_class_an_experience_in_its_order_and_its_very_images(tiny):
    trial = tiny.trial(0, 3)
    found = tiny.transfer_stream(seed=3)
    assert classes_of(found.train_stream) == classes_of(found.test_stream) == [[label] for label in trial.labels]
    for stream, rows in ((found.train_stream, trial.train), (found.test_stream, trial.held_out)):
        for experience, row, label in zip(stream, rows, trial.labels):
            images = torch.stack([experience.dataset[i][0] for i in range(len(row))])
            assert torch.equal(images, tiny.tensor()(torch.from_numpy(row)))
            assert torch.equal(images, experience.images(torch.arange(len(row))))
            assert {int(experience.dataset[i][1]) for i in range(len(row))} == {label}


def test_streams_are_the_same_for_a_seed_and_others_for_another(tiny):
    def labels(**seeds):
        return classes_of(tiny.transfer_stream(**seeds).train_stream)

    assert labels(seed=0) == labels(seed=0)
    assert len({str(labels(seed=seed)) for seed in range(4)}) > 1
    assert len({str(labels(seed=0, pretrain_seed=seed)) for seed in range(4)}) > 1


@pytest.mark.parametrize(("size", "sizes"), [(1, [1, 1, 1, 1]), (2, [2, 2]), (3, [3, 1]), (9, [4]), (None, [4])])
def test_several_classes_are_learned_at_once_and_none_is_missing(tiny, size, sizes):
    stream = tiny.transfer_stream(classes_per_experience=size).train_stream
    assert [len(experience.classes_in_this_experience) for experience in stream] == sizes
    assert [len(experience.dataset) for experience in stream] == [5 * count for count in sizes]
    assert stream[-1].classes_seen_so_far == set(tiny.trial(0, 0).labels.tolist())


def test_train_validation_and_test_images_of_a_class_are_disjoint_and_complete(tiny):
    trial = tiny.trial(0, 0)
    found = stream_of(tiny.tensor(), trial, 2, validation_images=2)
    sizes = [len(found.streams[name][0].dataset) for name in ("train", "valid", "test")]
    assert sizes == [2 * 3, 2 * 2, 2 * 3]
    pixels = [
        found.streams[name][0].images(torch.arange(size)).flatten(1)
        for name, size in zip(("train", "valid", "test"), sizes)
    ]
    assert len(torch.cat(pixels).unique(dim=0)) == sum(sizes)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"validation_images": 5}, "validation_images is 5; allowed: 0 to 4"),
        ({"classes_per_experience": 0}, "classes_per_experience must be at least 1, got 0"),
    ],
)
def test_sizes_that_cannot_be_are_refused_in_words(tiny, change, words):
    with pytest.raises(ValueError, match=words):
        tiny.transfer_stream(**change)


def test_the_pretraining_classes_are_a_stream_too(tiny):
    split = tiny.pretraining(1)
    stream = tiny.pretraining_stream(seed=1)
    assert classes_of(stream.train_stream) == [[0, 1, 2, 3]]
    images = stream.train_stream[0].images(torch.arange(24))
    assert torch.equal(images, tiny.tensor()(torch.from_numpy(split.train.reshape(-1))))
    assert len(tiny.pretraining_stream(classes_per_experience=2).train_stream) == 2


def test_any_avalanche_strategy_learns_from_a_stream(tiny):
    from avalanche.evaluation.metrics import accuracy_metrics
    from avalanche.training.plugins import EvaluationPlugin, ReplayPlugin
    from avalanche.training.supervised import Naive

    found = tiny.transfer_stream(classes_per_experience=2)
    seed_global_state("streams", 0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(28 * 28, tiny.transfer_outputs))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        strategy = Naive(
            model=model,
            optimizer=torch.optim.SGD(model.parameters(), lr=0.01),
            criterion=torch.nn.CrossEntropyLoss(),
            train_mb_size=2,
            train_epochs=10,
            eval_mb_size=8,
            plugins=[ReplayPlugin(mem_size=20)],
            evaluator=EvaluationPlugin(accuracy_metrics(stream=True)),
        )
        for experience in found.train_stream:
            strategy.train(experience)
        (result,) = strategy.eval(found.train_stream).values()
    assert result > 0.9


def test_600_experiences_are_made_and_gone_through_without_gathering_an_image(omniglot_files):
    scenario = omniglot()
    images, trial = scenario.tensor(), scenario.trial(0, 0)
    gathered = []

    def source(index):
        gathered.append(len(index))
        return images(index)

    found = stream_of(source, trial)
    whole = sum(len(e.dataset) for e in found.train_stream) + sum(len(e.dataset) for e in found.test_stream)
    seen = [len(experience.classes_seen_so_far) for experience in found.train_stream]
    assert whole == 600 * 20
    assert seen == list(range(1, 601))
    assert gathered == []
    found.train_stream[0].images(torch.arange(15))
    assert gathered == [15]


def test_augmentation_changes_what_is_pretrained_on_and_nothing_else(tiny):
    changed = dataclasses.replace(tiny, augmentation=lambda images: 255 - images)
    plain, index = tiny.tensor(), torch.arange(6)
    rows = tiny.pretraining(0).train
    experience = pretraining_experience(plain, rows, changed.augmentation)
    expected = plain(torch.from_numpy(rows.reshape(-1))[:6])
    assert torch.allclose(experience.images(index), 1 - expected)
    assert torch.allclose(experience.dataset[0][0], 1 - expected[0])
    trial = changed.transfer_stream().train_stream[0].images(torch.arange(5))
    assert torch.equal(trial, tiny.transfer_stream().train_stream[0].images(torch.arange(5)))
    assert changed.facts() == tiny.facts()


def test_each_image_has_a_draw_of_its_own_and_a_batch_one_for_all():
    with gin.unlock_config():
        gin.parse_config([f"{name}.transforms = [@RandomHorizontalFlip()]" for name in ("whole_batch", "each_image")])
    images = torch.zeros(64, 1, 2, 2, dtype=torch.uint8)
    images[:, :, :, 0] = 255
    torch.manual_seed(0)
    flipped = gin.get_configurable("each_image")()(images)[:, 0, 0, 1] == 255
    assert 10 < int(flipped.sum()) < 54
    batches = [gin.get_configurable("whole_batch")()(images)[:, 0, 0, 1] == 255 for _ in range(16)]
    assert {int(batch.sum()) for batch in batches} == {0, 64}


def test_labels_need_not_be_all_from_0_on(tiny):
    found = benchmark(tiny.tensor(), {"train": np.array([[3], [1]])}, [40, 7], 1)
    assert classes_of(found.train_stream) == [[40], [7]]
