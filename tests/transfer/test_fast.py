"""Fast engines against the plain loop, on features of a model pre-trained on real Omniglot."""

import json
import subprocess
import sys
from dataclasses import replace
from functools import cache, partial

import numpy as np
import pytest
import torch
from support.contending import assert_alike
from support.paths import ROOT
from torch import nn

from zapbench import config
from zapbench.experiment.context import Options
from zapbench.experiment.root import execute
from zapbench.leaderboard import contract
from zapbench.leaderboard.read.parse import read_file
from zapbench.networks.classifier import convnet
from zapbench.scenarios.omniglot import omniglot
from zapbench.tasks import Job, RunSpec, Stopped, TrialSpec
from zapbench.transfer import fast_adam as columns
from zapbench.transfer.fast import chunks, fast_engine_for
from zapbench.transfer.features import Features
from zapbench.transfer.metrics import Curve, Measure
from zapbench.transfer.plan import TrialPlan, learner_for, trial_generator
from zapbench.transfer.protocol import iid_transfer, sequential_transfer
from zapbench.transfer.reference import run_trial

SGD, Momentum = torch.optim.SGD, partial(torch.optim.SGD, momentum=0.9)
Adam, AdamW = partial(torch.optim.Adam, fused=True), torch.optim.AdamW
PROTOCOL = sequential_transfer()
CLASSES = 15


@cache
def pretrained():
    """A small scenario of real Omniglot and a model that learned 40 of its classes for some seconds."""
    scenario = omniglot(
        name="small",
        pretrain_classes=40,
        selection_classes=20,
        classes_per_trial=CLASSES,
        classes_per_selection_trial=10,
    )
    torch.manual_seed(0)
    model = convnet(outputs=scenario.pretrain_outputs, channels=1, size=28, filters=8)
    images, split = scenario.tensor(), scenario.pretraining(0)
    flat, labels = torch.from_numpy(split.train.flatten()), torch.arange(40).repeat_interleave(split.train.shape[1])
    stepper = torch.optim.Adam(model.parameters(), lr=0.003)
    losses = []
    for _ in range(60):
        batch = torch.randint(len(flat), (64,))
        loss = nn.functional.cross_entropy(model(images(flat[batch])), labels[batch])
        stepper.zero_grad()
        loss.backward()
        stepper.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])
    return scenario, model


@cache
def features(dtype):
    scenario, model = pretrained()
    wanted = [scenario.trial(0, seed) for seed in range(2)]
    index = np.concatenate([part.flatten() for trial in wanted for part in (trial.train, trial.held_out)])
    return Features(model.to(dtype).encoder, scenario.tensor(dtype=dtype), torch.from_numpy(index))


def task(dtype, optimizer, rate, *, seed=0, protocol=PROTOCOL):
    scenario, model = pretrained()
    trial = scenario.trial(0, seed)
    draws = trial_generator("head", "small", 0, seed, "report")
    head = learner_for(model.to(dtype), protocol, scenario.transfer_outputs, draws, features(dtype))
    return TrialPlan(trial, head, protocol, optimizer, rate, protocol.points(CLASSES, "report"), draw=seed)


def plain(dtype, optimizer, rate, protocol=PROTOCOL):
    one = task(dtype, optimizer, rate, protocol=protocol)
    return run_trial(features(dtype), one)


def learn(dtype, optimizer, tasks, protocol=PROTOCOL):
    engine = fast_engine_for(protocol, optimizer, features(dtype), {t.rate for t in tasks})
    return engine.transfer(features(dtype), tasks, lambda: None)


BEYOND = {torch.float32: 1e38, torch.float64: 1e308}
"""Rates at which the loss stops being finite."""


@pytest.mark.parametrize(
    ("optimizer", "rates"),
    [(SGD, (0.01, 0.1)), (Momentum, (0.01,)), (Adam, (0.001, 0.03)), (AdamW, (0.003,))],
    ids=["sgd", "momentum", "adam", "adamw"],
)
def test_in_float64_every_engine_gives_the_plain_loops_curves_a_diverging_rate_among_them(
    omniglot_files, optimizer, rates
):
    whole = (*rates, BEYOND[torch.float64])
    found = learn(torch.float64, optimizer, [task(torch.float64, optimizer, rate) for rate in whole])
    for rate, curves in zip(whole, found):
        assert_alike(curves, plain(torch.float64, optimizer, rate))
        assert len(curves.held_out_seen) == len(curves.correct) == len(curves.loss_steps) == len(curves.steps)
    assert found[-1].diverged.startswith("the loss is not finite at class ")
    assert not any(curves.diverged for curves in found[:-1])
    assert max(found[0].held_out) > 0.1


@pytest.mark.parametrize(("optimizer", "rate"), [(SGD, 0.03), (Momentum, 0.01), (Adam, 0.003)])
def test_in_float32_an_image_differs_only_where_its_two_largest_logits_are_equal_but_for_rounding(
    omniglot_files, monkeypatch, optimizer, rate
):
    right, margins = [], []
    add, measure = Curve.add, Measure._judged

    def adding(self, step, held_out, trained_on, held_out_seen):
        right.append(np.concatenate([held_out.flatten(), trained_on.flatten()]))
        add(self, step, held_out, trained_on, held_out_seen)

    def measuring(self, images, *, losses):
        largest = self._scores_of(self._inputs(torch.from_numpy(images.flatten()))).detach().topk(2).values
        margins.append((largest[:, 0] - largest[:, 1]).numpy())
        return measure(self, images, losses=losses)

    monkeypatch.setattr(Curve, "add", adding)
    monkeypatch.setattr(Measure, "_judged", measuring)
    both = [task(torch.float32, optimizer, r) for r in (BEYOND[torch.float32], rate)]
    diverged, _ = learn(torch.float32, optimizer, both)
    assert_alike(diverged, plain(torch.float32, optimizer, BEYOND[torch.float32]))
    fast = np.concatenate(right[-CLASSES:])
    right.clear()
    margins.clear()
    plain(torch.float32, optimizer, rate)
    different = fast != np.concatenate(right)
    assert len(different) == 20 * CLASSES * (CLASSES + 1) // 2
    assert different.mean() <= 1e-4
    assert (np.concatenate(margins)[different] < 1e-4).all()


def test_a_label_that_is_all_but_certain_is_stepped_as_torch_rounds_it(omniglot_files):
    """1 minus its probability has few digits left in float32, and Adam makes as much of them as of any others."""
    whole = task(torch.float32, Momentum, 1.0)
    trial = replace(whole.trial, **{name: rows[:1] for name, rows in vars(whole.trial).items()})
    trial = replace(trial, train=trial.train[:, :1])
    label = int(trial.labels[0])
    for certain, moved in ((24, False), (22, True)):  # the other probabilities add up to 4e-8 and 3e-7
        nn.init.zeros_(whole.head.weight)
        nn.init.zeros_(whole.head.bias)
        whole.head.bias.data[label] = certain
        fast = columns._Head(features(torch.float32), replace(whole, trial=trial, points=[1]))
        fast.step(0, 1, shared=False)
        run_trial(features(torch.float32), TrialPlan(trial, whole.head, PROTOCOL, Momentum, rate=1.0, points=[1]))
        expected = whole.head.weight.detach()[label].numpy()
        assert bool(expected.any()) == moved
        np.testing.assert_array_equal(fast._joined()[:-1, label], expected)


@pytest.mark.parametrize("optimizer", [SGD, Adam], ids=["sgd", "adam"])
def test_a_trial_is_the_same_bit_for_bit_in_any_chunk(omniglot_files, optimizer):
    tasks = [task(torch.float32, optimizer, rate, seed=seed) for seed in (0, 1) for rate in (0.003, 0.01)]
    engine = fast_engine_for(PROTOCOL, optimizer, features(torch.float32), {0.003, 0.01})
    together = engine.transfer(features(torch.float32), tasks, lambda: None)
    one_by_one = [engine.transfer(features(torch.float32), [t], lambda: None)[0] for t in tasks]
    assert together == one_by_one
    assert together[0] != together[2]


@pytest.mark.parametrize("optimizer", [SGD, Adam], ids=["sgd", "adam"])
def test_points_and_passes_are_the_plain_loops(omniglot_files, optimizer):
    protocol = replace(sequential_transfer(every=6, first=True), passes=2)
    (found,) = learn(torch.float64, optimizer, [task(torch.float64, optimizer, 0.01, protocol=protocol)], protocol)
    assert found.steps == [1, 6, 12, 15]
    assert_alike(found, plain(torch.float64, optimizer, 0.01, protocol))


@pytest.mark.parametrize("optimizer", [SGD, Adam], ids=["sgd", "adam"])
def test_losses_are_measured_at_as_many_points_as_the_protocol_says_and_are_the_plain_loops(omniglot_files, optimizer):
    protocol = sequential_transfer(losses=4)
    (found,) = learn(torch.float64, optimizer, [task(torch.float64, optimizer, 0.01, protocol=protocol)], protocol)
    assert found.loss_steps == [3, 7, 11, 15]
    assert_alike(found, plain(torch.float64, optimizer, 0.01, protocol))


def test_chunks_keep_to_the_budget_and_lose_nothing(omniglot_files):
    tasks = [task(torch.float32, SGD, 0.001 * n, seed=n % 2) for n in range(1, 8)]
    table = features(torch.float32)
    engine = fast_engine_for(PROTOCOL, SGD, table, {0.001})
    budget = engine.memory(table, tasks[:3])
    made = list(chunks(engine, table, tasks, budget))
    assert [t for chunk in made for t in chunk] == tasks
    assert 1 < len(made) < 7
    assert all(engine.memory(table, chunk) <= budget for chunk in made)
    assert [len(chunk) for chunk in chunks(engine, table, tasks, 1.0)] == [1] * 7


class Own(torch.optim.Adam):
    """Might do anything."""


def hooked(parameters, lr):
    stepper = torch.optim.SGD(parameters, lr=lr)
    stepper.register_step_pre_hook(lambda *_: None)
    return stepper


def in_groups(parameters, lr):
    weight, bias = parameters
    return torch.optim.SGD([{"params": [weight]}, {"params": [bias], "lr": 2 * lr}], lr=lr)


def test_an_engine_is_chosen_where_it_computes_the_same_and_nowhere_else(omniglot_files):
    table = features(torch.float32)

    def chosen(optimizer, protocol=PROTOCOL):
        engine = fast_engine_for(protocol, optimizer, table, {0.1, 0.01})
        return engine.name if engine else "plain"

    assert chosen(SGD) == "gram"
    assert [chosen(o) for o in (Momentum, Adam, AdamW, torch.optim.Adam)] == ["columns"] * 4
    unknown = [
        Own,
        hooked,
        in_groups,
        torch.optim.RMSprop,
        partial(torch.optim.SGD, weight_decay=0.1),
        partial(torch.optim.SGD, momentum=0.9, nesterov=True),
        partial(torch.optim.SGD, maximize=True),
        partial(torch.optim.Adam, weight_decay=0.1),
        partial(torch.optim.Adam, amsgrad=True),
        partial(torch.optim.Adam, eps=0.0),
    ]
    assert [chosen(optimizer) for optimizer in unknown] == ["plain"] * len(unknown)
    others = [sequential_transfer(frozen=False), sequential_transfer(images_per_step=5), iid_transfer(frozen=True)]
    others.append(replace(PROTOCOL, class_losses=True))
    assert [chosen(SGD, protocol) for protocol in others] == ["plain"] * 4


SHRUNK = ["convnet.filters = 4", "glyphs.classes_per_trial = 5", "glyphs.classes_per_selection_trial = 5"]


@pytest.mark.parametrize(("transfer", "engine"), [("sequential", "columns"), ("sequential_sgd", "gram")])
def test_a_sweep_that_is_stopped_keeps_whole_chunks_and_goes_on_to_the_same_records(
    tmp_path, monkeypatch, transfer, engine
):
    small = [*SHRUNK, "ASB.episodes = 3", "run.transfer_memory = 1.0"]  # no two trials fit, so each is a chunk
    run = RunSpec("glyphs", "asb", 0, (), config.parse_bindings(small))
    trials = tuple(TrialSpec(transfer, rate, "report", seed) for seed in (0, 1) for rate in (0.001, 0.01))

    def records(out):
        files = [read_file(out / run.folder / t.folder / contract.EVENT_FILE) for t in trials]
        curves = [{tag: c for tag, c in f.curves.items() if not tag.startswith("cost/")} for f in files]
        return [(f.description.stable(), f.closing, c, f.class_accuracy) for f, c in zip(files, curves)]

    execute(Job(run, trials), Options(tmp_path / "whole"))

    def progress(phase, done, total):
        if phase.startswith("transfer") and done == 2:
            raise Stopped

    with pytest.raises(Stopped):
        execute(Job(run, trials), Options(tmp_path / "cut", progress=progress))
    kept = sorted((tmp_path / "cut").rglob(f"{transfer}/**/{contract.EVENT_FILE}"))
    assert len(kept) == 2
    before = [path.read_bytes() for path in kept]
    execute(Job(run, trials), Options(tmp_path / "cut"))
    assert [path.read_bytes() for path in kept] == before
    assert records(tmp_path / "cut") == records(tmp_path / "whole")
    assert {about["engine"] for about, *_ in records(tmp_path / "whole")} == {engine}


@pytest.mark.parametrize("transfer", ["sequential", "iid"])
def test_progress_counts_the_trials_that_are_missing_and_speaks_of_none_where_all_are_done(tmp_path, transfer):
    """One transfer has a fast engine, the other none."""
    run = RunSpec("glyphs", "asb", 0, (), config.parse_bindings([*SHRUNK, "ASB.episodes = 3"]))
    trials = tuple(TrialSpec(transfer, 0.001, "report", seed) for seed in (0, 1))
    reports = []
    options = Options(tmp_path, progress=lambda *report: reports.append(report))
    execute(Job(run, trials), options)
    of_transfer = [report for report in reports if report[0].startswith("transfer")]
    assert of_transfer[0][1:] == (0, 2)
    assert of_transfer[-1] == (f"transfer {transfer}", 2, 2)
    assert all(total > 0 for *_, total in reports)
    reports.clear()
    execute(Job(run, trials), options)
    assert not [report for report in reports if report[0].startswith("transfer")]


def test_the_benchmark_of_transfer_runs_in_its_small_form():
    script = ROOT / "benchmarks" / "transfer.py"
    done = subprocess.run([sys.executable, script, "--small"], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    cases = json.loads(done.stdout)["cases"]
    assert cases.pop("adam, evaluation")["of_the_matmul_rate"]["pairs"] == 2
    found = [case["largest_difference_of_held_out_accuracy_by_rate"] for case in cases.values()]
    assert {difference for by_rate in found for difference in by_rate.values()} == {0.0}
    assert {case["ratio"]["pairs"] for case in cases.values()} == {2}
