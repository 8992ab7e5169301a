"""Every published result can be compared with: its suite is shipped, with the configurations of its logs."""

from pathlib import Path

import gin
import pytest

from zapbench import config
from zapbench.cli.main import main
from zapbench.experiment.root import register_everything
from zapbench.leaderboard import published
from zapbench.suites.reference import Reference, heading_of, read_reference, suite_for
from zapbench.suites.suite import Suite

MADE_BY_SUITES = [name for name in published.names() if name in config.names("suites")]


def test_results_that_no_suite_made_are_refused_in_a_line_that_says_what_to_do(capsys):
    assert set(published.names()) - set(MADE_BY_SUITES) == {"omniglot_paper_all"}
    assert main(["compare", "upgd", "--with", "omniglot_paper_all"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "was made of given models and not by a suite" in line
    assert "zapbench leaderboard runs --with omniglot_paper_all" in line


@pytest.mark.parametrize("name", MADE_BY_SUITES)
def test_every_published_result_can_be_compared_with(name, data_root):
    """Its suite is shipped, with the configurations that its logs were made with."""
    reference = read_reference(name, "transfers")
    known = {row.method.split()[0] for table in reference.tables for row in table.rows}
    other = next(name for name in ("untrained", "iid_llf", "oml_small") if name not in known)
    suite = suite_for(other, "strategies", reference)
    assert (suite.seeds, suite.trials, suite.rates) == (
        reference.suite.seeds, reference.suite.trials, reference.suite.rates,
    )  # fmt: skip
    heads = {"sequential, frozen": "upgd", "sequential, unfrozen": "upgd_unfrozen", "iid, unfrozen": "iid_sgd"}
    head = heads[reference.tables[-1].protocol]
    suite = suite_for(head, "transfers", reference)
    plain = ("(sequential)", "(sequential_unfrozen)")  # settings may be selected for each transfer: these are followed
    rows = sorted(reference.tables[-1].rows, key=lambda row: row.method.endswith(plain))
    chosen = {row.method.split()[0]: row.setting for row in rows}
    finished = {row.method.split()[0] for row in rows if row.held_out.seeds == len(reference.suite.seed_list)}
    assert set(suite.strategies) == (finished or set(chosen))
    for strategy in suite.strategies:
        (setting,) = suite.settings_of(suite.scenarios[0], strategy)
        assert chosen[strategy].startswith(", ".join(f"{key}={value}" for key, value in setting.items()))
    assert config.name_of(suite.transfers[0]) == head


def test_a_binding_of_the_results_that_reaches_nothing_of_mine_is_not_inherited():
    """Else it would be refused, as one that nothing reads; and without the others, curves have other points."""
    every = "transfer/sequential_transfer.every = 2"
    theirs = Suite(
        scenarios=["glyphs"],
        strategies=["iid", "asb"],
        transfers=["sequential"],
        bindings=["ASB.inner_lr = 0.2", every],
    )
    reference = Reference("theirs", theirs, Path(), None, [])
    assert suite_for("iid_zap", "strategies", reference).bindings == (every,)
    assert suite_for("asb_zap", "strategies", reference).bindings == ("ASB.inner_lr = 0.2", every)


@pytest.mark.parametrize("transfer", config.names("transfers"))
def test_the_heading_of_a_transfer_is_known_without_composing_it(transfer):
    register_everything()
    config.compose("omniglot_small", "iid", transfer, (), pretrain_seed=0)
    protocol = gin.query_parameter("run.transfer").scoped_configurable_fn()
    assert heading_of(transfer, "omniglot_small", "iid") == protocol.name


@pytest.mark.parametrize(
    ("transfer", "binding", "heading"),
    [
        ("sequential", "transfer/sequential_transfer.frozen = False", "sequential, unfrozen"),
        ("sequential", "transfer/sequential_transfer.images_per_step = 3", "sequential, frozen, 3 images per step"),
        ("sequential_unfrozen", "transfer/sequential_transfer.layers = 2", "sequential, last 2 layers"),
        ("iid", "transfer/iid_transfer.start = 'lstsq'", "iid after least squares, unfrozen"),
    ],
)
def test_bindings_change_the_heading(transfer, binding, heading):
    assert heading_of(transfer, "omniglot_small", "iid", [binding]) == heading


def test_pre_trainings_that_unfinished_results_lack_are_named_and_not_run(monkeypatch, capsys):
    planned = []
    monkeypatch.setattr("zapbench.cli.compare._rebuild", lambda plan, *args: planned.append(plan) or 5)
    assert main(["compare", "upgd", "--with", "omniglot_paper"]) == 5
    assert "omniglot_paper does not have meta_asb_zap, meta_asb with all seeds: not compared" in capsys.readouterr().err
    kept = ["untrained", "iid", "iid_zap", "asb_zap", "asb", "iid_equal_images", "iid_equal_images_zap"]
    assert planned[0].suite.strategy_names == kept
