"""What a log of another person names is not run unasked."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.made_logs import describe
from support.paths import DEMO

from zapbench import config
from zapbench.checks.reproduce import compare_tables, refuse_files, repeat
from zapbench.config import registry
from zapbench.config.installed import Offer
from zapbench.experiment.record import write_trial
from zapbench.leaderboard import contract
from zapbench.leaderboard.contract import Closing
from zapbench.transfer.reference import Trajectory

CURVE = Trajectory(steps=[1], held_out=[0.5], trained_on=[0.5], forgetting=[0.0], class_accuracy=[0.5])


@pytest.mark.parametrize("kind", ["scenario", "strategy", "transfer"])
def test_a_file_that_a_log_names_is_not_run(tmp_path, kind):
    (tmp_path / "theirs.gin").write_text("import theirs")
    description = describe("iid", scenario="glyphs", sources={kind: str(tmp_path / "theirs.gin")})
    write_trial(tmp_path / "log", description, "", CURVE, {}, Closing("finished"))
    with pytest.raises(ValueError, match=f"not a shipped {kind}; a .gin file runs code: .* --allow-files"):
        repeat(tmp_path / "log", 1)
    with pytest.raises(ValueError) as other:  # noqa: PT011 - whatever else is wrong with such a record
        repeat(tmp_path / "log", 1, allow_files=True)
    assert "shipped" not in str(other.value)


def test_a_transfer_that_is_a_file_is_not_run_where_the_log_states_no_sources(tmp_path):
    (tmp_path / "theirs.gin").write_text("import theirs")
    description = describe("iid", scenario="glyphs", transfer=str(tmp_path / "theirs.gin"))
    write_trial(tmp_path / "log", description, "", CURVE, {}, Closing("finished"))
    with pytest.raises(ValueError, match="not a shipped transfer"):
        repeat(tmp_path / "log", 1)


def test_a_log_of_shipped_names_is_repeated(tmp_path):
    assert repeat(next(DEMO.rglob("report=0")), 1)


def written(folder, correct, losses):
    curve = replace(CURVE, correct=correct, class_losses=losses)
    write_trial(folder, describe("iid", scenario="glyphs"), "", curve, {}, Closing("finished"))
    return folder


def test_the_tables_of_classes_are_compared_value_by_value(tmp_path):
    first = written(tmp_path / "first", [[3]], [[0.5]])
    for name, correct, losses, differ in [
        ("same", [[3]], [[0.5]], []),
        ("fewer", [[2]], [[0.5]], [contract.CORRECT]),
        ("later", [[3]], [[0.25]], [contract.CLASS_LOSSES]),
        ("nothing", [], [], [contract.CORRECT, contract.CLASS_LOSSES]),
    ]:
        found = list(compare_tables(first, written(tmp_path / name, correct, losses)))
        assert [field.name for field in found] == [contract.CORRECT, contract.CLASS_LOSSES]
        assert [field.name for field in found if not field.same] == differ, name
    assert not list(compare_tables(tmp_path / "nothing", first)), "an earlier version wrote no tables"


def test_a_name_of_an_installed_package_is_not_run_unasked(monkeypatch):
    offer = Offer("theirs", Path("theirs.gin"), "theirs 1.0")
    monkeypatch.setattr(registry, "offers", lambda kind: {"theirs": (offer,)} if kind == "strategies" else {})
    assert "theirs" in config.names("strategies")
    with pytest.raises(ValueError, match="'theirs', which is not a shipped strategy"):
        refuse_files(Path("log"), describe(scenario="glyphs", method="theirs"))
