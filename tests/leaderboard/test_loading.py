"""From event files to trials: what is written is read again, and what cannot be is named and never counted."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from support.documents import DEMO
from support.hostile import rewrite
from support.made_logs import FACTS, describe, write, write_table

from zapbench.experiment.record import write_trial
from zapbench.leaderboard import contract
from zapbench.leaderboard.contract import Closing, Description
from zapbench.leaderboard.decide.tables import tables
from zapbench.leaderboard.read.events import read_events
from zapbench.leaderboard.read.load import load
from zapbench.leaderboard.read.parse import correct_per_class, ending_of, read_file
from zapbench.transfer.reference import Trajectory


def test_what_is_written_is_read_again(tmp_path):
    write(tmp_path, [0.5, 0.25], method="m", setting={"ASB.inner_lr": "0.1"})
    found = read_file(next(tmp_path.rglob("*tfevents*")))
    assert found.description == describe("m", setting={"ASB.inner_lr": "0.1"})
    assert found.closing == Closing(contract.FINISHED)
    assert found.curves[contract.HELD_OUT] == ([1, 2], [0.5, 0.25])
    assert found.class_accuracy == [0.25, 0.25]
    assert not found.problem


def test_a_trial_has_at_most_twelve_tags(tmp_path):
    extra = Trajectory(
        [1, 2], [0.5, 0.25], [0.5, 0.5], [0.0, 0.1], [0.5, 0.5], "",
        [0.6, 0.5], [[2], [1, 1]], [2], [1.5], [0.5],
    )  # fmt: skip
    costs = {contract.SECONDS: 1.0, contract.PEAK_MEMORY: 2.0}
    write_trial(tmp_path / "trial", describe("m"), "gin", extra, costs, Closing(contract.FINISHED))
    events = read_events(next(tmp_path.rglob("*tfevents*")))
    tags = {value.tag for event in events for value in event.summary.value}
    assert len({tag for tag in tags if not tag.startswith("_hparams_")}) == 12
    found = read_file(next(tmp_path.rglob("*tfevents*")))
    assert found.curves[contract.HELD_OUT_SEEN] == ([1, 2], [pytest.approx(0.6), 0.5])
    assert found.curves[contract.HELD_OUT_LOSS] == ([2], [1.5])
    assert found.curves[contract.TRAINED_ON_LOSS] == ([2], [0.5])


def test_counts_per_class_are_read_as_written_and_take_a_byte_each(tmp_path):
    counts = [[(place + seen) % 6 for place in range(seen)] for seen in range(1, 601)]
    ones = [1.0] * 600
    trajectory = Trajectory(list(range(1, 601)), ones, ones, ones, held_out_seen=ones, correct=counts)
    for role in ("report", "select"):
        about = describe("m", role=role)
        write_trial(tmp_path / role, about, "", trajectory, {}, Closing(contract.FINISHED))
    found = correct_per_class(tmp_path / "report" / contract.EVENT_FILE)
    assert found.shape == (600, 600)
    assert all(list(row[:seen]) == counts[seen - 1] and not row[seen:].any() for seen, row in enumerate(found, 1))
    assert correct_per_class(tmp_path / "select" / contract.EVENT_FILE) is None, "of reported trials alone"
    sizes = [(tmp_path / role / contract.EVENT_FILE).stat().st_size for role in ("report", "select")]
    assert 360_000 < sizes[0] - sizes[1] < 361_000
    assert read_file(tmp_path / "report" / contract.EVENT_FILE).problem == ""


def test_tensorboard_reads_a_trial_and_warns_of_nothing(tmp_path, monkeypatch):
    from tensorboard.backend.event_processing import plugin_event_accumulator as tensorboard

    write(tmp_path, [0.5, 0.25])
    said = []
    monkeypatch.setattr(tensorboard.logger, "warning", lambda text, *rest: said.append(text % rest))
    read = tensorboard.EventAccumulator(str(next(tmp_path.rglob("*tfevents*"))))
    read.Reload()
    assert contract.CLASS_ACCURACY in read.Tags()["tensors"]
    assert not said


def test_broken_files_are_named_and_never_counted(logs):
    good = next(logs.rglob("*tfevents*"))
    (logs / "x").mkdir()
    (logs / "x" / "events.out.tfevents.1").write_bytes(b"\xff" * 400)
    (logs / "x" / "events.out.tfevents.2").write_bytes(b"")
    (logs / "x" / "events.out.tfevents.3").write_bytes(good.read_bytes()[:-5])
    found = load(logs)
    problems = "\n".join(found.problems)
    assert "events.out.tfevents.1: holds a damaged record at byte 0" in problems
    assert "events.out.tfevents.2: holds no description" in problems
    (repeat,) = found.repeats
    assert (repeat.file, repeat.status) == ("x/events.out.tfevents.3", contract.UNFINISHED)
    (table,) = tables(found)
    assert sum(row.trials for row in table.rows) == 18


def test_a_torn_file_is_read_up_to_its_last_whole_record(tmp_path):
    write(tmp_path, [0.5, 0.25])
    path = next(tmp_path.rglob("*tfevents*"))
    path.write_bytes(path.read_bytes()[:-5])
    row = load(tmp_path).trials.iloc[0]
    assert (row["status"], row["reason"]) == (contract.UNFINISHED, "ends in the middle of a record")
    assert row["held_out"] == 0.25


def test_of_several_records_of_one_trial_the_first_by_path_counts_and_the_others_are_compared_with_it(tmp_path):
    write(tmp_path / "a", [0.5])
    write(tmp_path / "b", [0.5])
    write(tmp_path / "c", [0.75])
    found = load(tmp_path)
    assert list(found.trials["held_out"]) == [0.5]
    assert found.problems == []
    assert [(repeat.file[0], repeat.kept[0], repeat.is_copy) for repeat in found.repeats] == [
        ("b", "a", True),
        ("c", "a", False),
    ]
    assert [repeat.difference for repeat in found.repeats] == [0.0, 0.25]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([float("nan")], "a value that is not a number"),
        ([float("inf")], "a value that is not a number"),
        ([1.5], "holds 1.5; allowed: 0 to 1"),
        ([-0.25], "holds -0.25; allowed: 0 to 1"),
    ],
)
def test_scores_that_cannot_be_are_named_and_never_counted(tmp_path, values, words):
    write(tmp_path, values)
    found = load(tmp_path)
    assert found.trials.empty
    assert words in found.problems[0]


@pytest.mark.parametrize(
    ("steps", "words"), [([1, 1], "has step 1 twice"), ([2, 1], "go back"), ([-1, 2], "a step of -1")]
)
def test_steps_that_cannot_be_are_named_and_never_counted(tmp_path, steps, words):
    trajectory = Trajectory(steps=steps, held_out=[0.1, 0.2], trained_on=[0.1, 0.2], forgetting=[0.0, 0.0])
    write_trial(tmp_path, describe(), "", trajectory, {}, Closing(contract.FINISHED))
    found = load(tmp_path)
    assert found.trials.empty
    assert words in found.problems[0]


def test_text_that_is_no_text_is_named(tmp_path):
    write(tmp_path, [0.5], method="mmmmmmmm")
    path = next(tmp_path.rglob("*tfevents*"))
    rewrite(path, b"mmmmmmmm", b"mmm\xff\xfemmm")
    found = load(tmp_path)
    assert found.trials.empty
    assert len(found.problems) == 1


def test_what_was_read_is_kept_and_a_changed_file_is_read_again(logs, tmp_path_factory, monkeypatch):
    from zapbench.leaderboard.read import load as module

    cache = tmp_path_factory.mktemp("cache")
    read = []
    original = module._read_chunk
    monkeypatch.setattr(module, "_read_chunk", lambda chunk: read.extend(chunk[1]) or original(chunk))
    first = load(logs, cache=cache)
    count = len(read)
    assert count == len(first.trials)
    again = load(logs, cache=cache)
    assert len(read) == count
    pd.testing.assert_frame_equal(first.trials, again.trials)
    pd.testing.assert_frame_equal(first.curves, again.curves)
    write(logs, [0.9, 0.55, 0.5], method="best", seed=0, trial=0, rate=0.01)
    assert 0.5 in set(load(logs, cache=cache).trials["held_out"])
    assert len(read) == count + 1
    assert not [path for path in logs.rglob("*") if path.is_file() and "tfevents" not in path.name]


@pytest.mark.parametrize("suffix", [".json", ".points"])
def test_a_damaged_cache_is_no_cache(tmp_path, tmp_path_factory, suffix, monkeypatch):
    write(tmp_path, [0.9, 0.5])
    cache = tmp_path_factory.mktemp("cache")
    before = load(tmp_path, cache=cache)
    (held,) = [path for path in cache.iterdir() if path.suffix == suffix]
    content = held.read_bytes()
    from zapbench.leaderboard.read import load as module

    read = []
    original = module._read_chunk
    monkeypatch.setattr(module, "_read_chunk", lambda chunk: read.append(chunk) or original(chunk))
    damaged = [content[: 100 if suffix == ".json" else 8], b""]
    damaged += [
        content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :] for place in range(0, len(content), 5)
    ]
    for number, other in enumerate(damaged):
        held.write_bytes(other)
        after = load(tmp_path, cache=cache)
        assert len(read) == number + 1, "it was believed"
        pd.testing.assert_frame_equal(after.trials, before.trials)
        pd.testing.assert_frame_equal(after.curves, before.curves)
        assert sorted(path.suffix for path in cache.iterdir()) == [".json", ".points"]
        (held,) = [path for path in cache.iterdir() if path.suffix == suffix]
        if suffix == ".points":
            assert held.read_bytes() == content


def test_a_file_replaced_by_one_of_the_same_size_and_time_is_read_again(tmp_path, tmp_path_factory):
    """As a second `unzip -o` does, whose members all date from 1980."""
    cache = tmp_path_factory.mktemp("cache")
    for score in (0.5, 0.25):
        write(tmp_path, [score])
        os.utime(next(tmp_path.rglob("*tfevents*")), (1, 1))
        assert list(load(tmp_path, cache=cache).trials["held_out"]) == [score]


def test_a_cache_folder_that_is_a_file_or_cannot_be_entered_is_no_cache(logs, tmp_path_factory, monkeypatch):
    cache = tmp_path_factory.mktemp("cache") / "file"
    cache.write_text("mine")
    assert len(load(logs, cache=cache).trials) == len(load(logs, cache=cache / "below").trials) > 0
    assert cache.read_text() == "mine"

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    for name in ("mkdir", "unlink", "write_bytes"):
        monkeypatch.setattr(Path, name, refuse)
    assert len(load(logs, cache=cache.parent / "other").trials) > 0


def test_linked_folders_are_read_once_and_a_link_to_above_ends(tmp_path):
    write_table(tmp_path / "logs")
    before = load(tmp_path / "logs").trials
    run = next((tmp_path / "logs").glob("*/*/seed=2"))
    (tmp_path / "store").mkdir()
    shutil.move(run, tmp_path / "store")
    assert len(load(tmp_path / "logs").trials) < len(before)
    run.symlink_to(tmp_path / "store" / "seed=2")
    (tmp_path / "logs" / "again").symlink_to(tmp_path / "store")
    (run / "loop").symlink_to(tmp_path / "logs")
    (tmp_path / "logs" / "nowhere").symlink_to(tmp_path / "gone")
    after = load(tmp_path / "logs")
    assert len(after.trials) == len(before)
    assert after.problems == []


def test_a_folder_that_cannot_be_read_is_named_and_not_packed(logs, monkeypatch):
    from zapbench.leaderboard.submissions.archives import pack

    hidden = next(path for path in logs.iterdir() if path.is_dir())
    scan = os.scandir

    def refuse(path):
        if Path(path) == hidden:
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert load(logs).problems == [f"{hidden.name}: a folder that cannot be read (Permission denied)"]
    with pytest.raises(ValueError, match="cannot be read"):
        pack(logs, logs.parent / "s.zip")


def test_reading_in_processes_gives_the_same(logs, monkeypatch):
    from zapbench.leaderboard.read import load as module

    before = load(logs, workers=1)
    monkeypatch.setattr(module, "PARALLEL_FROM", 1)
    seen = []
    after = load(logs, workers=2, progress=lambda done, total: seen.append((done, total)))
    pd.testing.assert_frame_equal(before.trials, after.trials)
    pd.testing.assert_frame_equal(before.curves, after.curves)
    assert seen[-1] == (len(after.trials), len(after.trials))


def test_rows_equal_tensorboards_own_reader(logs):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = load(logs)
    for number, row in found.trials.iterrows():
        theirs = EventAccumulator(str(logs / row["file"]), size_guidance={"scalars": 0}).Reload()
        points = theirs.Scalars(contract.HELD_OUT)
        curve = found.curves[found.curves["trial"] == number]
        assert [p.step for p in points] == list(curve["step"])
        assert [p.value for p in points] == list(curve["held_out"])
        assert points[-1].value == row["held_out"]


def test_loading_needs_neither_torch_nor_avalanche(logs):
    code = (
        "import sys; from pathlib import Path\n"
        "from zapbench.leaderboard import load, tables, to_json\n"
        f"print(len(to_json(tables(load(Path({str(logs)!r}))))))\n"
        "assert not {'torch', 'avalanche', 'tensorflow'} & set(sys.modules), 'heavy import'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_description_of_another_schema_is_refused():
    text = describe().to_json().replace('"schema": 1', '"schema": 99')
    with pytest.raises(ValueError, match="schema 99, and this zapbench reads schema 1"):
        Description.from_json(text)


@pytest.mark.parametrize(
    ("field", "value"), [("rate", '"x"'), ("pretrain_seed", "-1"), ("role", '"best"'), ("method", "3")]
)
def test_a_description_with_a_wrong_type_is_refused(field, value):
    raw = json.loads(describe().to_json()) | {field: json.loads(value)}
    with pytest.raises(ValueError, match=field):
        Description.from_json(json.dumps(raw))


def test_a_fingerprint_takes_exactly_its_fields():
    with pytest.raises(ValueError, match="missing or unknown: learner"):
        contract.fingerprint(FACTS | {"learner": 1})
    changed = {contract.fingerprint(FACTS | {name: 2}) for name in contract.FINGERPRINT_FIELDS}
    assert len(changed) == len(contract.FINGERPRINT_FIELDS)


def test_volatile_fields_are_not_part_of_what_must_repeat():
    one, other = describe(time="a", command="b"), describe(time="c", command="d")
    assert one.stable() == other.stable()
    assert one.stable() != describe(seed=1).stable()


def test_every_name_of_the_package_is_found_and_help_waits_for_no_pandas():
    from zapbench import leaderboard

    for name in leaderboard._HOME:
        assert getattr(leaderboard, name).__name__ == name
    code = (
        "import sys; from zapbench.cli.main import main\n"
        "try: main(['leaderboard', '--help'])\n"
        "except SystemExit: pass\n"
        "import zapbench.leaderboard\n"
        "assert not {'pandas', 'scipy', 'torch'} & set(sys.modules), 'heavy import'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_curves_are_scalars_and_costs_are_not_so_that_tensorboard_opens_on_curves(tmp_path):
    trajectory = Trajectory([1], [0.5], [0.5], [0.0])
    costs = {contract.SECONDS: 1.5, contract.PARAMETERS: 48396.0}
    write_trial(tmp_path, describe("m"), "gin", trajectory, costs, Closing(contract.FINISHED))
    path = tmp_path / contract.EVENT_FILE
    scalars = {v.tag for event in read_events(path) for v in event.summary.value if v.HasField("simple_value")}
    assert scalars == {contract.HELD_OUT, contract.TRAINED_ON, contract.FORGETTING}
    record = read_file(path)
    assert {tag: record.curves[tag] for tag in costs} == {tag: ([1], [value]) for tag, value in costs.items()}
    assert ending_of(path) == (contract.FINISHED, 1.5)


def test_records_with_scalar_costs_load_as_before():
    """The logs of the demo were written when costs were scalars."""
    path = next(DEMO.rglob("report=0")) / contract.EVENT_FILE
    scalars = {v.tag for event in read_events(path) for v in event.summary.value if v.HasField("simple_value")}
    assert contract.SECONDS in scalars
    assert ending_of(path)[1] == read_file(path).curves[contract.SECONDS][1][0] > 0
