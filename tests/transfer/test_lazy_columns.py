"""Lazy steps are the optimiser's own, over gaps of any length, from the first step on, whatever the threads."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from zapbench.transfer import fast_adam
from zapbench.transfer.fast_adam import _tables, _Ways
from zapbench.transfer.lazy_columns import LANES, LONGEST, TERMS, steps_alone, steps_together
from zapbench.transfer.step_rule import step_rule_of

STEPS, WIDTH, OUTPUTS = 2 * LONGEST + 40, 24, 2 * LANES + 3


def problem(dtype):
    """Features of which each column has another density, one is never and one is once not 0; labels; a head."""
    draws = torch.Generator().manual_seed(0)
    density = torch.linspace(0.004, 1, WIDTH)
    x = torch.rand(STEPS, WIDTH, generator=draws) * (torch.rand(STEPS, WIDTH, generator=draws) < density)
    x[:, 3] = 0
    x[:, 5] = 0
    x[100, 5] = 1
    labels = torch.randint(OUTPUTS, (STEPS,), generator=draws)
    return x.to(dtype), labels, torch.randn(OUTPUTS, WIDTH + 1, generator=draws).to(dtype) / 5


def torchs(dtype, optimizer, rate):
    x, labels, joined = problem(dtype)
    head = nn.Linear(WIDTH, OUTPUTS, dtype=dtype)
    head.weight.data, head.bias.data = joined[:, :-1].clone(), joined[:, -1].clone()
    stepper = optimizer(head.parameters(), lr=rate)
    for row, label in zip(x, labels, strict=True):
        stepper.zero_grad()
        nn.functional.cross_entropy(head(row[None]), label[None]).backward()
        stepper.step()
    return torch.cat([head.weight, head.bias[:, None]], 1).detach().numpy()


def lazy(dtype, optimizer, rate, *, parts=1, steps=steps_alone):
    """Returns the head `(OUTPUTS, WIDTH + 1)`."""
    state, _ = learned(dtype, optimizer, rate, parts=parts, steps=steps)
    return state[:, :, 0].transpose(1, 0, 2).reshape(WIDTH + 1, -1)[:, :OUTPUTS].T


def learned(dtype, optimizer, rate, *, parts=1, steps=steps_alone, scale=1):
    """Returns the state after all steps, and the errors of the last ones; `scale` is of the initial head."""
    x, labels, joined = problem(dtype)
    joined = scale * joined
    rule = step_rule_of(optimizer, rate)
    wide = -(-OUTPUTS // parts // LANES) * LANES
    state = np.zeros((parts, WIDTH + 1, 3 if rule.kind == "adam" else 2, wide), joined.numpy().dtype)
    filled = np.zeros((WIDTH + 1, parts * wide), state.dtype)
    filled[:, :OUTPUTS] = joined.T
    state[:, :, 0] = filled.reshape(WIDTH + 1, parts, wide).transpose(1, 0, 2)
    last = np.zeros(WIDTH + 1, state.dtype), np.zeros(WIDTH + 1, np.bool_), np.zeros(WIDTH + 1, np.int64)
    errors, logits = np.zeros((parts, LONGEST, wide), state.dtype), np.zeros((parts, wide), state.dtype)
    gaps = np.zeros((LONGEST + parts, TERMS)), np.zeros(LONGEST + parts, np.int64)
    tables = _tables(rule, STEPS, state.dtype)
    features = np.concatenate([x.numpy(), np.ones((STEPS, 1), state.dtype)], 1)
    for start in range(0, STEPS, LONGEST):
        part = slice(start, start + LONGEST)
        found = steps(features[part], labels.numpy()[part], OUTPUTS, start, state, errors, logits, last, gaps, tables)
        assert found == -1
    return state, errors


ADAM, ADAMW = torch.optim.Adam, torch.optim.AdamW
CASES = {
    "adam": (ADAM, 0.01),
    "adam, eps as large as the gradients": (partial(ADAM, eps=0.01), 0.01),
    "adam, eps far below them": (partial(ADAM, eps=1e-20), 0.003),
    "adam, one first moment alone": (partial(ADAM, betas=(0.0, 0.99)), 0.003),
    "adam, a second moment that forgets at once": (partial(ADAM, betas=(0.5, 0.0)), 0.003),
    "adam, no moments": (partial(ADAM, betas=(0.0, 0.0), eps=0.1), 0.01),
    "adam, a first moment that lasts longer than the second": (partial(ADAM, betas=(0.95, 0.8), eps=1e-3), 0.01),
    "adamw": (partial(ADAMW, weight_decay=0.3, eps=1e-3), 0.01),
    "momentum": (partial(torch.optim.SGD, momentum=0.9), 0.03),
    "momentum that lasts": (partial(torch.optim.SGD, momentum=0.99), 0.003),
}


@pytest.mark.parametrize("case", CASES)
def test_in_float64_the_weights_are_torchs(case):
    np.testing.assert_allclose(lazy(torch.float64, *CASES[case]), torchs(torch.float64, *CASES[case]), 1e-12, 1e-10)


@pytest.mark.parametrize("case", CASES)
def test_in_float32_they_are_as_far_from_float64s_as_torchs_are(case):
    exact, theirs = (torchs(dtype, *CASES[case]) for dtype in (torch.float64, torch.float32))
    ours = lazy(torch.float32, *CASES[case])
    assert np.abs(ours - exact).max() <= 3 * np.abs(theirs - exact).max() + 1e-6


@pytest.mark.parametrize("case", ["adam", "adamw", "momentum"])
def test_the_number_of_parts_and_of_threads_does_not_change_a_bit(case):
    one = lazy(torch.float32, *CASES[case])
    for parts in (2, 3):
        for steps in (steps_alone, steps_together):
            np.testing.assert_array_equal(lazy(torch.float32, *CASES[case], parts=parts, steps=steps), one)


def test_outputs_that_are_all_but_certain_to_be_wrong_make_no_subnormal_numbers():
    """Arithmetic with them takes a hundred times as long, and would take half of the time of a trial."""
    state, errors = learned(torch.float32, *CASES["adam"], scale=100)
    used = errors[:, :40, :OUTPUTS]
    assert (used == 0).any()
    assert (used[used > 0] < 1e-19).any()  # whose squares are subnormal
    smallest = np.finfo(np.float32).tiny
    for found in (errors, state[:, :, 2]):
        assert not ((found != 0) & (np.abs(found) < smallest)).any()


@pytest.mark.parametrize("faster", [False, True], ids=["heads apart", "a shared head"])
def test_the_way_that_is_timed_as_faster_is_taken_and_its_compilation_does_not_count(faster, monkeypatch):
    now, taken = [0.0], []

    class Head:
        def step(self, start, end, *, shared):
            first = shared not in taken
            taken.append(shared)
            now[0] += 1000.0 if first and shared == faster else 1.0 if shared == faster else 2.0

    monkeypatch.setattr(fast_adam, "_parts", lambda: 2)
    monkeypatch.setattr(fast_adam.time, "perf_counter", lambda: now[0])
    with ThreadPoolExecutor(1) as pool:
        ways = _Ways(pool)
        for start in range(8):
            ways.step([Head()], start, start + 1)
    assert sorted(taken[:4]) == [False, False, True, True]
    assert taken[4:] == [faster] * 4
