"""Several folders make one leaderboard: repeats are compared, and no folder changes a row of an earlier one."""

import pytest
from support.made_logs import describe, write, write_run, write_submission

from zapbench.cli.main import main
from zapbench.experiment.record import write_trial
from zapbench.leaderboard import contract
from zapbench.leaderboard.contract import Closing
from zapbench.leaderboard.decide.tables import tables
from zapbench.leaderboard.read.load import load
from zapbench.transfer.reference import Trajectory


def trials_of(folder, method, scores, **about):
    for seed, score in enumerate(scores):
        write(folder, [0.9, score], method=method, seed=seed, **about)


@pytest.fixture
def ours(tmp_path):
    for method, base in (("asb", 0.5), ("iid", 0.3)):
        trials_of(tmp_path / "ours", method, [base, base + 0.01, base + 0.02])
        for seed in range(3):
            write_run(tmp_path / "ours", method=method, seed=seed)
    return tmp_path / "ours"


def rows_of(folders):
    (table,) = tables(load(folders))
    return {row.method: row for row in table.rows}, table


def test_the_same_tasks_from_another_machine_are_compared_and_counted_once(ours, tmp_path):
    trials_of(tmp_path / "theirs", "asb", [0.52, 0.51, 0.48])
    trials_of(tmp_path / "theirs", "mine", [0.6, 0.61, 0.62])
    alone, _ = rows_of(ours)
    rows, table = rows_of([ours, tmp_path / "theirs"])
    assert set(rows) == {"asb", "iid", "mine"}
    assert rows["asb"].held_out == alone["asb"].held_out
    (line,) = [note for note in table.notes if "asb" in note and "recorded more than once" in note]
    assert "3 trials 2.00 points apart on average, 4.00 at most" in line
    assert load([ours, tmp_path / "theirs"]).problems == []


def test_the_order_of_the_folders_says_which_record_counts(ours, tmp_path):
    trials_of(tmp_path / "a_folder_whose_name_comes_first", "asb", [0.8, 0.8, 0.8])
    folders = [ours, tmp_path / "a_folder_whose_name_comes_first"]
    assert rows_of(folders)[0]["asb"].held_out.mean == pytest.approx(0.51)
    assert rows_of(folders[::-1])[0]["asb"].held_out.mean == pytest.approx(0.8)


def test_an_unfinished_record_of_the_first_folder_is_not_replaced_by_a_later_one(ours, tmp_path):
    path = next(path for path in ours.rglob("report=0/*tfevents*"))
    path.write_bytes(path.read_bytes()[:-5])
    seed = load(ours).trials.query("status == 'unfinished'").iloc[0]
    write(tmp_path / "theirs", [0.9, 0.99], method=seed["method"], seed=int(seed["pretrain_seed"]))
    (one,) = load([ours, tmp_path / "theirs"]).trials.query("status == 'unfinished'").to_dict("records")
    assert one["method"] == seed["method"]


@pytest.mark.parametrize(
    ("added", "words"),
    [
        ({"rate": 0.1}, "rates 0.1"),
        ({"setting": {"A.b": "7"}, "config_hash": "other", "method_hash": "h"}, "settings A.b=7"),
    ],
)
def test_another_setting_under_a_known_name_is_named_and_never_preferred_for_being_better(tmp_path, added, words):
    own = {"method_hash": "h"}
    for role in ("select", "report"):
        trials_of(tmp_path / "ours", "asb", [0.5, 0.5, 0.5], role=role, **own)
        trials_of(tmp_path / "theirs", "asb", [0.9, 0.9, 0.9], role=role, **own | added)
    rows, table = rows_of([tmp_path / "ours", tmp_path / "theirs"])
    assert list(rows) == ["asb"]
    assert rows["asb"].held_out.mean == pytest.approx(0.5)
    (line,) = [note for note in table.notes if "not merged" in note]
    assert f"6 trials in theirs: {words}" in line


def test_seeds_that_a_later_folder_adds_to_a_known_method_are_named_and_not_counted(ours, tmp_path):
    for seed in (3, 4, 5):
        write(tmp_path / "theirs", [0.9, 0.01], method="asb", seed=seed)
    rows, table = rows_of([ours, tmp_path / "theirs"])
    assert rows["asb"].held_out.seeds == 3
    assert any("3 trials in theirs: pre-training seeds 3, 4, 5" in note for note in table.notes)


def test_another_method_of_a_known_name_is_a_row_that_is_called_by_its_folder(ours, tmp_path):
    trials_of(tmp_path / "theirs", "asb", [0.9, 0.91, 0.92], setting={"new": "1"})
    rows, _ = rows_of([ours, tmp_path / "theirs"])
    assert set(rows) == {"asb", "iid", "asb (theirs)"}
    assert rows["asb"].held_out.mean == pytest.approx(0.51)


def test_a_later_folder_can_neither_split_nor_unrank_nor_lower_the_chance_of_a_row(ours, tmp_path):
    before, table = rows_of(ours)
    theirs = tmp_path / "theirs"
    write(theirs, [0.9, 0.9], method="asb", seed=9, method_hash="zzzz", outputs=10**9)
    write(theirs, [0.1], method="new", outputs=10**9, status=contract.DIVERGED)
    about = describe(method="asb", seed=7)
    run = {"transfer": None, "rate": None, "role": None, "transfer_seed": None, "protocol": None, "fingerprint": ""}
    about = type(about)(**vars(about) | run)
    write_trial(theirs / "run", about, "", Trajectory(), {}, Closing(contract.FAILED, "no reason"))
    after, merged = rows_of([ours, theirs])
    assert {name: (row.rank, row.held_out) for name, row in after.items() if name in before} == {
        name: (row.rank, row.held_out) for name, row in before.items()
    }
    assert merged.chance == table.chance
    assert load([ours, theirs]).runs.query("status == 'failed'").empty


def test_a_later_folder_adds_no_pretraining_to_a_method_of_which_an_earlier_one_has_trials_alone(tmp_path):
    trials_of(tmp_path / "ours", "asb", [0.5, 0.5, 0.5])
    write_run(tmp_path / "theirs", method="asb")
    write_run(tmp_path / "theirs", method="new")
    assert set(load([tmp_path / "ours", tmp_path / "theirs"]).runs["method"]) == {"new"}


def test_records_of_an_earlier_version_are_repeated_by_those_of_a_later_one(tmp_path):
    trials_of(tmp_path / "old", "asb", [0.5, 0.5, 0.5], config_hash="c")
    trials_of(tmp_path / "new", "asb", [0.6, 0.6, 0.6], config_hash="c", method_hash="m", transfer_hash="t")
    logs = load([tmp_path / "old", tmp_path / "new"])
    assert set(logs.trials["method"]) == {"asb"}
    assert len(logs.repeats) == 3


def test_the_command_takes_several_folders_and_its_page_shows_the_configurations_of_each(ours, tmp_path, capsys):
    write_submission(tmp_path / "theirs", ("mine",), steps=2, facts=dict.fromkeys(contract.FINGERPRINT_FIELDS, 1))
    page = tmp_path / "page"
    assert main(["leaderboard", str(ours), str(tmp_path / "theirs"), "--site", str(page), "--no-cache"]) == 0
    assert "mine" in capsys.readouterr().out
    (shown,) = [path.read_text() for path in (page / "methods").glob("mine*")]
    assert "<pre>gin</pre>" in shown


def test_a_folder_given_twice_is_refused(ours, capsys):
    assert main(["leaderboard", str(ours), f"{ours}/../{ours.name}"]) == 2
    assert "is given twice" in capsys.readouterr().err


def given(folder, weights, scores, first_seed=0):
    """Writes logs of `zapbench transfer`, whose models all have one configuration."""
    about = {"method": "model", "strategy": "pretrained", "config_hash": "same", "method_hash": "same"}
    for seed, (digest, score) in enumerate(zip(weights, scores), start=first_seed):
        write(folder, [score], seed=seed, weights=digest, **about)
        write_run(folder / "run", seed=seed, weights=digest, costs={contract.EFFECTIVE_RANK: 100 * score}, **about)


def test_other_given_weights_are_another_model_and_the_same_ones_a_repeat(tmp_path):
    given(tmp_path / "a", ["1a", "2a", "3a"], [0.5, 0.51, 0.52])
    given(tmp_path / "b", ["1b", "2b", "3b"], [0.2, 0.21, 0.22])
    given(tmp_path / "c", ["1a", "2a", "3a"], [0.5, 0.51, 0.52])
    rows, _ = rows_of([tmp_path / "a", tmp_path / "b"])
    assert {name: round(row.held_out.mean, 3) for name, row in rows.items()} == {"model": 0.51, "model (b)": 0.21}
    assert {name: round(row.effective_rank) for name, row in rows.items()} == {"model": 51, "model (b)": 21}
    logs = load([tmp_path / "a", tmp_path / "c"])
    assert set(logs.trials["method"]) == {"model"}
    assert sum(repeat.is_copy for repeat in logs.repeats) >= 3


def test_a_later_folder_cannot_add_seeds_to_given_models_either(tmp_path):
    given(tmp_path / "a", ["1a", "2a", "3a"], [0.5, 0.51, 0.52])
    given(tmp_path / "b", ["1a", "2b", "3b"], [0.5, 0.9, 0.9], first_seed=5)
    rows, _ = rows_of([tmp_path / "a", tmp_path / "b"])
    assert rows["model"].held_out.seeds == 3


def test_a_run_record_of_a_later_folder_says_nothing_of_an_earlier_row(ours, tmp_path):
    """A name is not part of a configuration: another method's record can state the same one, honestly or not."""
    costs = {contract.SECONDS: 1.0}
    trials_of(tmp_path / "ours", "iid2", [0.3, 0.31, 0.32], config_hash="shared")
    for seed in range(3):
        write_run(tmp_path / "ours", method="iid2", seed=seed, config_hash="shared", costs=costs)
        write_run(tmp_path / "theirs", method="evil", seed=seed, config_hash="shared", costs={contract.SECONDS: 9e6})
    trials_of(tmp_path / "theirs", "evil", [0.9, 0.9, 0.9], config_hash="shared")
    rows, _ = rows_of([ours, tmp_path / "theirs"])
    assert rows["iid2"].seconds == pytest.approx(1.0)
    assert rows["evil"].seconds == pytest.approx(9e6)


def test_a_later_folder_may_transfer_the_models_of_an_earlier_one(ours, tmp_path):
    """Its own record of their pre-training is a repeat, which does not count; the earlier one does."""
    about = {"transfer": "replay", "learner": "replay"}
    trials_of(tmp_path / "theirs", "asb", [0.6, 0.61, 0.62], **about)
    for seed in range(3):
        write_run(tmp_path / "ours", method="asb", seed=seed, costs={contract.SECONDS: 7.0}, config_hash="asbNone")
        write_run(tmp_path / "theirs", method="asb", seed=seed, costs={contract.SECONDS: 7.0}, config_hash="asbNone")
    rows, _ = rows_of([ours, tmp_path / "theirs"])
    assert rows["asb + replay"].seconds == pytest.approx(rows["asb"].seconds)
