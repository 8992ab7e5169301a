"""Values that cannot be right are refused in one line before anything starts: no nonsense, and no traceback.

Values are generated from what each parameter declares, for suites, for bindings in reach of a run, and for the command
line; what is right is tried beside them, so that a refusal of everything would be seen.
"""

import contextlib
import io
from collections import Counter

import pytest

from zapbench import config
from zapbench.cli.main import main
from zapbench.config.types import fits, hints_of
from zapbench.experiment.root import register_everything
from zapbench.suites.schema import RULES
from zapbench.suites.suite import Suite

GOOD = {"scenarios": ("glyphs",), "strategies": ("asb",)}
NONSENSE = (None, -1, 1.5, "3", "", "x", [], [1], {}, True, 10**12, [None], ["a", "a"], {"a": 1}, [[1]], "a\nb", 1e300)
RIGHT = {
    "scenarios": (["a"], ["3"]), "strategies": (["a"],), "transfers": (["a"],), "seeds": (3, [1], (0, 2)),
    "trials": (0, 7), "select_trials": (0, 7), "rates": ([1], [0.1]), "tune": ({},), "tried_before": ({},),
    "tune_seeds": (0, 7),
    "bindings": ([], ["a"]), "full": (True, False), "name": ("", "x", "3"), "weights": ([], ["x", "3"]),
    "figures": ([], ["bars"]), "cpus": (1,), "gpus": (0, 1.5, 1),
}  # fmt: skip
"""Values that a rule may let pass: what is nonsense for one parameter is right for another."""


def reason(function, *arguments, **named):
    """Returns why a call is refused; empty where it is not."""
    try:
        function(*arguments, **named)
    except ValueError as error:
        return str(error)
    return ""


def refused(rule, value):
    words = reason(rule, value)
    assert "\n" not in words
    return bool(words)


@pytest.mark.parametrize("name", sorted(RULES))
def test_a_suites_parameter_takes_what_is_right_and_refuses_nonsense(name):
    counted = Counter(refused(RULES[name], value) for value in NONSENSE)
    passed = [value for value in NONSENSE if not refused(RULES[name], value)]
    for value in RIGHT[name]:
        assert not refused(RULES[name], value), value
    for value in passed:
        assert any(type(value) is type(right) for right in RIGHT[name]), value
    assert counted[True] >= 12


@pytest.mark.parametrize(
    "change",
    [
        {"seeds": [0, 0]}, {"seeds": [2**64]}, {"seeds": [-1]}, {"seeds": [1.5]}, {"seeds": True}, {"seeds": 10**9},
        {"rates": [0.1, 0.1]}, {"rates": [0.1, 0.1 + 1e-12]}, {"rates": [float("nan")]}, {"rates": [float("inf")]},
        {"rates": [0.0]}, {"rates": [-1.0]}, {"rates": "0.1"}, {"rates": [True]}, {"scenarios": ["glyphs", "glyphs"]},
        {"scenarios": "glyphs"}, {"scenarios": ["a/x.gin", "b/x.gin"]}, {"strategies": ["a/x.gin", "b/x.gin"]},
        {"transfers": ["sequential", "sequential"]}, {"transfers": []}, {"strategies": {}},
        {"strategies": {"glyphs": []}}, {"tune": {"asb": []}}, {"tune": {"asb": 3}}, {"tune": {"asb": [3]}},
        {"tune": {"asb": [{"a b": 1}]}}, {"tune": {"asb": [{"ASB.inner_lr": float("nan")}]}},
        {"tune": {"nobody": [{}]}},
        {"tune": {"asb": [{3: 1}]}}, {"tried_before": {"asb": 0}}, {"tried_before": {"asb": "x"}},
        {"tried_before": {"asb": 1.5}}, {"tried_before": {"nobody": 2}}, {"bindings": [1]}, {"bindings": "a = 1"},
        {"full": 1}, {"full": "x"}, {"name": "a\nb"}, {"name": "x" * 300}, {"name": "n", "strategies": ["iid", "asb"]},
        {"weights": "w.pt"}, {"weights": ["w.pt"], "seeds": 2}, {"figures": ["pie"]}, {"figures": ["bars", "bars"]},
        {"cpus": 0},
        {"tune_seeds": 9}, {"tune_seeds": -1}, {"tune_seeds": True},
        {"cpus": 10**9}, {"gpus": -1}, {"gpus": float("nan")}, {"trials": 10**9}, {"seeds": 10_000, "trials": 100_000},
    ],
    ids=str,
)  # fmt: skip
def test_an_impossible_suite_is_refused_in_one_line(change):
    with pytest.raises(ValueError, match=r"^suite: [^\n]+$"):
        Suite(**GOOD | change)


TRANSFERS = ("sequential", "replay", "ewc", "iid")
VALUES = ("None", "-1", "1.5", "'3'", "''", "True", "[]", "[1]", "{}", "(1, 2)")


def bound():
    """Every binding in reach of some runs whose parameter declares a plain type."""
    register_everything()
    found = {}
    for strategy in ("asb_zap", "iid_zap", "meta_asb"):
        for transfer in TRANSFERS:
            whole = config.reachable("glyphs", strategy, ()) | config.transfer_configuration(
                "glyphs", strategy, transfer, ()
            )
            found |= {key: (strategy, transfer) for key, value in whole.items() if "@" not in value}
    return found


def test_a_value_of_another_type_is_refused_wherever_it_is_bound():
    """Counts what is tried: several hundred values, none accepted, none that ends otherwise than in one line."""
    counted = Counter()
    for key, (strategy, transfer) in bound().items():
        selector, _, parameter = key.rsplit("/", 1)[-1].partition(".")
        hint = hints_of(selector).get(parameter)
        if hint is None:
            continue
        for text in VALUES:
            (binding,) = config.parse_bindings([f"{key} = {text}"])
            right = fits(eval(text), hint)
            words = reason(config.compose, "glyphs", strategy, transfer, [binding], pretrain_seed=0)
            counted["refused" if words else "accepted"] += 1
            assert bool(words) != right, f"{binding}: {words or 'accepted'}"
            assert "\n" not in words
    assert counted["refused"] > 150
    assert counted["accepted"] > 30


LINES = [
    "run", "run glyphs", "run nowhere asb", "run glyphs nobody", "run glyphs iid --seed -1", "run glyphs iid --seed x",
    "run glyphs iid --seed 1 --seed 2", "run glyphs iid --out a --out b", "run glyphs iid --seed 9007199254740992",
    "run glyphs iid --trials 0", "run glyphs iid --trials 1000000000", "run glyphs iid --select-trials 1000000000",
    "run glyphs iid --threads 0", "run glyphs iid --threads 1000000000", "run glyphs iid --rates 1e300",
    "run glyphs iid --rates 0", "run glyphs iid --rates nan", "run glyphs iid --rates 0.1 0.1",
    "run glyphs iid --transfer asb", "run glyphs iid --transfer sequential sequential", "run glyphs iid -p IID.epochs",
    "run glyphs iid -p IID.epochs=fast", "run glyphs iid -p Nobody.x=1", "run glyphs iid --name a\x1bb",
    "run glyphs iid --frobnicate", "suite", "suite nowhere", "suite demo --jobs 0", "suite demo --jobs 1000000",
    "suite demo --address 1.2.3.4:1", "suite demo -p Suite.seeds=[0,0] --dry-run", "new strategy class",
    "new strategy torch", "new strategy Upper", "new nothing x", "leaderboard nowhere", "leaderboard", "show nowhere",
    "repeat nowhere", "submit nowhere --out x.zip", "check nothing", "data fetch nothing", "nonsense",
]  # fmt: skip


@pytest.mark.parametrize("line", LINES)
def test_a_wrong_command_is_one_line_and_exit_2(line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            status = main(line.split(" "))
        except SystemExit as end:
            status = end.code
    lines = [one for one in said.getvalue().splitlines() if one]
    assert status == 2, lines
    assert len(lines) == 1
    assert lines[0].startswith("zapbench: ")
    assert "<ast." not in lines[0]
    assert not list(tmp_path.rglob("*tfevents*"))
