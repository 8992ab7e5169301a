"""Logs from elsewhere are ranked by a small mapping."""

import itertools
import re
import time

import pytest
import torch
from avalanche.benchmarks import class_incremental_benchmark
from avalanche.benchmarks.utils import as_classification_dataset
from avalanche.evaluation.metrics import accuracy_metrics
from avalanche.logging import TensorboardLogger
from avalanche.training.plugins import EvaluationPlugin
from avalanche.training.supervised import Cumulative, Naive
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from zapbench.cli.main import main
from zapbench.leaderboard.decide.tables import tables
from zapbench.leaderboard.read.load import load
from zapbench.leaderboard.read.mapping import LogMapping, fits, read_mapping
from zapbench.leaderboard.show.columns import columns_of
from zapbench.scenarios.streams import Gathered


def plain_logs(folder, scores, *, tag="accuracy"):
    for method, seeds in scores.items():
        for seed, score in enumerate(seeds):
            with SummaryWriter(str(folder / method / f"seed{seed}")) as writer:
                writer.add_scalar(tag, 0.1, 1)
                writer.add_scalar(tag, score, 2)


SCORES = {"mine": [0.8, 0.81, 0.79], "theirs": [0.3, 0.31, 0.32]}
MAPPING = LogMapping(pattern="{method}/seed{pretrain_seed}", score="accuracy", scenario="cifar", outputs=10)


def test_logs_of_a_plain_summary_writer_are_ranked(tmp_path, capsys):
    plain_logs(tmp_path / "logs", SCORES)
    (tmp_path / "mine.gin").write_text(
        "LogMapping.pattern = '{method}/seed{pretrain_seed}'\nLogMapping.score = 'accuracy'\n"
        "LogMapping.scenario = 'cifar'\nLogMapping.outputs = 10\n"
    )
    assert read_mapping(tmp_path / "mine.gin") == MAPPING
    (table,) = tables(load(tmp_path / "logs", mapping=MAPPING))
    assert [(row.method, row.rank) for row in table.rows] == [("mine", 1), ("theirs", 2)]
    assert table.rows[0].held_out.mean == pytest.approx(0.8)
    assert table.chance == 0.1
    mapped = ["leaderboard", str(tmp_path / "logs"), "--mapping", str(tmp_path / "mine.gin"), "--no-cache"]
    assert main([*mapped, "--format", "md"]) == 0
    assert "| 1 | mine |" in capsys.readouterr().out


def test_logs_of_stock_avalanche_are_ranked(tiny, tmp_path):
    split = tiny.pretraining(0)
    labels = torch.arange(4).numpy()

    def dataset(index):
        return as_classification_dataset(Gathered(tiny.tensor(), index.reshape(-1), labels.repeat(index.shape[1])))

    sets = {"train": dataset(split.train), "test": dataset(split.validation)}
    for seed in range(3):
        for strategy in (Naive, Cumulative):
            torch.manual_seed(seed)
            benchmark = class_incremental_benchmark(sets, num_experiences=2, seed=seed)
            model = nn.Sequential(nn.Flatten(), nn.Linear(784, 4))
            logger = TensorboardLogger(tmp_path / strategy.__name__ / f"seed{seed}")
            evaluator = EvaluationPlugin(accuracy_metrics(stream=True), loggers=[logger])
            learner = strategy(
                model=model, optimizer=torch.optim.SGD(model.parameters(), lr=0.01), criterion=nn.CrossEntropyLoss(),
                train_mb_size=4, train_epochs=2, eval_mb_size=8, evaluator=evaluator,
            )  # fmt: skip
            for experience in benchmark.train_stream:
                learner.train(experience)
                learner.eval(benchmark.test_stream)
            logger.writer.close()
    score = "Top1_Acc_Stream/eval_phase/test_stream"
    (table,) = tables(load(tmp_path, mapping=LogMapping(pattern="{method}/seed{pretrain_seed}", score=score)))
    assert {row.method for row in table.rows} == {"Naive", "Cumulative"}
    assert all(row.trials == 3 and row.rank is not None for row in table.rows)


def test_a_step_may_be_named(tmp_path):
    plain_logs(tmp_path, SCORES)
    mapping = LogMapping(pattern="{method}/seed{pretrain_seed}", score="accuracy", step=1)
    assert set(load(tmp_path, mapping=mapping).trials["held_out"].round(3)) == {0.1}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"score": "acuracy"}, "there is no tag 'acuracy', did you mean accuracy"),
        ({"step": 7}, "accuracy has no step 7"),
        ({"pattern": "{method}/s{pretrain_seed}/x"}, "its folder is not of the pattern"),
        ({"pattern": "{method}/seed{rate}", "keys": {"pretrain_seed": "s"}}, "its logs hold no hyper-parameters"),
        ({"score": "acc*"}, "2 tags fit 'acc*': accuracy, accuracy/train; name one"),
    ],
)
def test_what_a_mapping_does_not_fit_is_named(tmp_path, change, words):
    plain_logs(tmp_path, {"mine": [0.5]})
    scalars(tmp_path / "mine" / "seed0", [(1, 0.5)], tag="accuracy/train")
    mapping = LogMapping(**{"pattern": MAPPING.pattern, "score": "accuracy", **change})
    found = load(tmp_path, mapping=mapping)
    assert found.trials.empty
    assert words in found.problems[0]


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("{method}", "must have {pretrain_seed}"),
        ("{method}/{seed}", "{seed} in the pattern; allowed: scenario"),
        ("{method}/{method}/{pretrain_seed}", "method stands twice"),
    ],
)
def test_an_impossible_pattern_is_refused(pattern, words):
    with pytest.raises(ValueError, match=words):
        LogMapping(pattern=pattern, score="x")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("LogMapping.score = 3", "score is 3; allowed: a text"),
        ("LogMapping.score = 'x'\nLogMapping.percent = 1", "percent is 1; allowed: True or False"),
        ("LogMapping.score = 'x'\nLogMapping.step = '3'", "step is '3'; allowed: a whole number or None"),
        ("LogMapping.keys = {'rate': 'lr'", "is a bracket or a quotation mark missing?"),
        ("LogMapping.scor = 'x'", "scor"),
    ],
)
def test_a_slip_in_a_mapping_is_one_line(line, words, tmp_path, capsys):
    (tmp_path / "mine.gin").write_text(f"LogMapping.pattern = '{{method}}/seed{{pretrain_seed}}'\n{line}\n")
    plain_logs(tmp_path / "logs", {"mine": [0.5]})
    assert main(["leaderboard", str(tmp_path / "logs"), "--mapping", str(tmp_path / "mine.gin")]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert len(error.splitlines()) == 1


def test_scores_out_of_range_are_named(tmp_path):
    plain_logs(tmp_path, {"mine": [80.0]})
    problem = load(tmp_path, mapping=MAPPING).problems[0]
    assert problem.endswith("accuracy holds 80; allowed: 0 to 1; in percent? LogMapping.percent = True")
    mapped = LogMapping(pattern=MAPPING.pattern, score="accuracy", percent=True)
    assert list(load(tmp_path, mapping=mapped).trials["held_out"]) == [pytest.approx(0.8)]


def scalars(folder, points, *, tag="accuracy", **more):
    with SummaryWriter(str(folder), filename_suffix=f".{len(list(folder.glob('*')))}", **more) as writer:
        for step, value in points:
            writer.add_scalar(tag, value, step)
    return max(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)


def only_trial(folder, mapping=MAPPING):
    logs = load(folder, mapping=mapping)
    assert logs.problems == []
    (trial,) = logs.trials.to_dict("records")
    return trial, logs.curves


def test_a_restarted_run_is_one_run_and_the_later_writing_wins_a_step(tmp_path):
    run = tmp_path / "mine" / "seed0"
    scalars(run, [(1, 0.1), (2, 0.2), (3, 0.9)])
    scalars(run, [(3, 0.3), (4, 0.4)])
    trial, curves = only_trial(tmp_path)
    assert list(curves["step"]) == [1, 2, 3, 4]
    assert list(curves["held_out"]) == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert (trial["held_out"], trial["status"]) == (pytest.approx(0.4), "finished")


def test_a_restart_from_a_step_drops_what_a_lost_process_wrote_beyond_it(tmp_path):
    run = tmp_path / "mine" / "seed0"
    scalars(run, [(1, 0.1), (2, 0.2), (9, 0.9)])
    scalars(run, [(2, 0.3), (3, 0.35)], purge_step=2)
    assert only_trial(tmp_path)[0]["held_out"] == pytest.approx(0.35)


def test_the_last_step_is_the_largest_and_not_the_last_written(tmp_path):
    scalars(tmp_path / "mine" / "seed0", [(5, 0.5), (10, 0.6), (1, 0.1)])
    assert only_trial(tmp_path)[0]["held_out"] == pytest.approx(0.6)


def test_a_torn_end_is_unfinished_in_the_last_file_and_a_restart_in_an_earlier_one(tmp_path):
    run = tmp_path / "mine" / "seed0"
    torn = scalars(run, [(1, 0.1), (2, 0.2)])
    torn.write_bytes(torn.read_bytes()[:-3])
    trial, _ = only_trial(tmp_path)
    assert (trial["status"], trial["reason"]) == ("unfinished", f"{torn.name} ends in the middle of a record")
    scalars(run, [(2, 0.25), (3, 0.3)])
    assert only_trial(tmp_path)[0]["status"] == "finished"
    content = torn.read_bytes()
    torn.write_bytes(content[:80] + bytes([content[80] ^ 4]) + content[81:])
    assert f"{torn.name} holds a damaged record" in load(tmp_path, mapping=MAPPING).problems[0]


def test_a_record_too_long_to_read_is_ignored_and_said(tmp_path, monkeypatch):
    from zapbench.leaderboard.read import events

    monkeypatch.setattr(events, "LONGEST_RECORD", 400)
    for seed in range(3):
        with SummaryWriter(str(tmp_path / "mine" / f"seed{seed}")) as writer:
            writer.add_scalar("accuracy", 0.1, 1)
            writer.add_text("note", "x" * 1000, 1)
            writer.add_scalar("accuracy", 0.5, 2)
    (table,) = tables(load(tmp_path, mapping=MAPPING))
    assert table.rows[0].held_out.mean == 0.5
    assert any("reported trials finished: mine (3: 1 of its records, longer than" in note for note in table.notes)


def test_more_than_a_thousand_other_tags_are_no_problem(tmp_path):
    run = tmp_path / "mine" / "seed0"
    with SummaryWriter(str(run)) as writer:
        for experience in range(1100):
            writer.add_scalar(f"Top1_Acc_Exp/Exp{experience:04}", 0.5, 1)
        writer.add_scalar("accuracy", 0.6, 1)
    assert only_trial(tmp_path)[0]["held_out"] == pytest.approx(0.6)


def test_other_tags_and_version_folders_may_be_mapped(tmp_path):
    run = tmp_path / "mine" / "seed0" / "version_3"
    scalars(run, [(1, 50.0), (2, 40.0)])
    scalars(run, [(1, 0.0), (2, 12.5)], tag="forget")
    mapping = LogMapping(pattern="{method}/seed{pretrain_seed}/*", score="accuracy", forgetting="forget", percent=True)
    trial, _ = only_trial(tmp_path, mapping)
    assert (trial["held_out"], trial["forgetting"]) == (0.4, 0.125)


def test_runs_that_end_at_different_steps_are_said_and_empty_columns_are_not_shown(tmp_path):
    for seed in range(3):
        scalars(tmp_path / "mine" / f"seed{seed}", [(1, 0.1), (2 + seed // 2, 0.5)])
    (table,) = tables(load(tmp_path, mapping=MAPPING))
    assert "Runs end at different steps: 2 at 2, 1 at 3." in table.notes
    labels = [column.label for column in columns_of(table)]
    assert not {"rate", "forgetting %", "parameters", "memory (MB)"} & set(labels)


def test_two_scenarios_share_no_fingerprint(tmp_path):
    for scenario in ("a", "b"):
        scalars(tmp_path / scenario / "mine" / "seed0", [(1, 0.5)])
    logs = load(tmp_path, mapping=LogMapping(pattern="{scenario}/{method}/seed{pretrain_seed}", score="accuracy"))
    assert logs.trials["fingerprint"].nunique() == 2


def test_without_a_mapping_one_to_start_from_is_printed_and_it_works(tmp_path, capsys):
    plain_logs(tmp_path / "logs", SCORES)
    assert main(["leaderboard", str(tmp_path / "logs"), "--no-cache"]) == 1
    said = capsys.readouterr().err
    assert said.count("need --mapping FILE.gin") == 1
    assert said.count("holds no description of a run") == 1, "one line for all files"
    (tmp_path / "m.gin").write_text("".join(f"{line}\n" for line in said.splitlines() if line.startswith("LogMapping")))
    assert read_mapping(tmp_path / "m.gin").pattern == "{method}/seed{pretrain_seed}"
    assert main(["leaderboard", str(tmp_path / "logs"), "--no-cache", "--mapping", str(tmp_path / "m.gin")]) == 0


def test_seeds_may_be_words(tmp_path):
    for method, scores in SCORES.items():
        for word, score in zip(("rome", "paris", "7"), scores):
            scalars(tmp_path / method / word, [(1, score)])
    logs = load(tmp_path, mapping=LogMapping(pattern="{method}/{pretrain_seed}", score="accuracy"))
    assert logs.trials["pretrain_seed"].nunique() == 3
    assert 7 in set(logs.trials["pretrain_seed"])
    (table,) = tables(logs)
    assert [(row.method, row.rank, row.held_out.seeds) for row in table.rows] == [("mine", 1, 3), ("theirs", 2, 3)]


def test_a_loss_is_a_score_of_which_less_is_better(tmp_path):
    for method, loss in {"mine": 1.0, "theirs": 2.0}.items():
        for seed in range(3):
            scalars(tmp_path / method / f"seed{seed}", [(1, 4.0), (2, loss + seed / 10)], tag="test/loss")
            scalars(tmp_path / method / f"seed{seed}", [(1, 4.0), (2, 0.5)], tag="train/loss")
            scalars(tmp_path / method / f"seed{seed}", [(1, 0.0), (2, 1.0)], tag="forgetting")
    options = {"pattern": MAPPING.pattern, "score": "test/loss", "trained_on": "train/loss", "forgetting": "forgetting"}
    (table,) = tables(load(tmp_path, mapping=LogMapping(**options, lower_is_better=True, scale=4.0)))
    assert [row.method for row in table.rows] == ["mine", "theirs"]
    best = table.rows[0]
    assert best.held_out.mean == pytest.approx(1 - 1.1 / 4)
    assert (best.trained_on, best.forgetting) == (pytest.approx(1 - 0.5 / 4), pytest.approx(1 / 4))
    assert "The score is 1 - test/loss / 4, read from the logs of another program." in table.notes
    problem = load(tmp_path, mapping=LogMapping(**options, lower_is_better=True)).problems[0]
    assert problem.endswith("test/loss holds 4; allowed: 0 to 1; LogMapping.scale says what counts as 1")


def test_other_tags_out_of_range_are_named_and_missing_ones_said(tmp_path):
    for seed in range(3):
        scalars(tmp_path / "mine" / f"seed{seed}", [(1, 0.5)])
        scalars(tmp_path / "mine" / f"seed{seed}", [(1, 55.0)], tag="train")
    mapping = LogMapping(pattern=MAPPING.pattern, score="accuracy", trained_on="train")
    assert "train holds 55; allowed: 0 to 1; in percent?" in load(tmp_path, mapping=mapping).problems[0]
    (table,) = tables(load(tmp_path, mapping=LogMapping(pattern=MAPPING.pattern, score="accuracy", trained_on="tran")))
    assert any("there is no tag 'tran', did you mean train?" in note for note in table.notes)


def test_a_star_in_a_tag_stands_for_what_differs_between_runs(tmp_path):
    scalars(tmp_path / "mine" / "seed0", [(1, 0.5)], tag="mine/eval/acc")
    scalars(tmp_path / "theirs" / "seed0", [(1, 0.4)], tag="theirs/eval/acc")
    logs = load(tmp_path, mapping=LogMapping(pattern=MAPPING.pattern, score="*/eval/acc"))
    assert dict(zip(logs.trials["method"], logs.trials["held_out"].round(3))) == {"mine": 0.5, "theirs": 0.4}


def test_stars_in_tags_mean_what_they_mean_in_a_regex():
    patterns = ["".join(parts) for length in range(5) for parts in itertools.product("ab*", repeat=length)]
    tags = ["".join(parts) for length in range(5) for parts in itertools.product("ab", repeat=length)]
    for pattern, tag in itertools.product(patterns, tags):
        assert fits(pattern, tag) == bool(re.fullmatch(pattern.replace("*", ".*"), tag)), (pattern, tag)


def test_a_long_tag_that_almost_fits_many_stars_takes_no_time():
    start = time.perf_counter()
    assert not fits("a*" * 20 + "b", "a" * 1_000_000)
    assert time.perf_counter() - start < 1


def losses(folder, ends, **options):
    for seed, end in enumerate(ends):
        scalars(folder / "mine" / f"seed{seed}", [(1, 3.0), *end], tag="test/loss")
    mapping = LogMapping(pattern=MAPPING.pattern, score="test/loss", lower_is_better=True, scale=4.0, **options)
    return load(folder, mapping=mapping)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_to_the_end_is_a_diverged_run_which_counts_as_chance(tmp_path, value):
    logs = losses(tmp_path, [[(2, 2.0)], [(2, value), (3, value)], [(2, 1.0)]], outputs=10)
    assert logs.problems == []
    assert list(logs.trials["status"]) == ["finished", "diverged", "finished"]
    assert logs.trials["reason"][1] == f"test/loss is {value} from step 2 on"
    assert list(logs.curves[logs.curves["trial"] == 1]["step"]) == [1]
    (row,) = tables(logs)[0].rows
    assert (row.trials, row.diverged) == (3, 1)
    assert row.held_out.mean == pytest.approx((1 - 2 / 4 + 0.1 + 1 - 1 / 4) / 3)


def test_a_diverged_run_may_end_before_the_step_to_score_at_or_diverge_after_it(tmp_path):
    nan = float("nan")
    logs = losses(tmp_path, [[(2, 2.0), (3, 1.5)], [(2, nan)], [(2, 2.0), (3, 1.0), (4, nan)]], step=3)
    assert logs.problems == []
    assert list(logs.trials["status"]) == ["finished", "diverged", "finished"]
    assert logs.trials["held_out"][2] == pytest.approx(1 - 1 / 4)


def test_a_training_loss_that_is_not_finite_is_divergence_and_one_value_that_is_none_is_out_of_range(tmp_path):
    nan = float("nan")
    scalars(tmp_path / "mine" / "seed0", [(1, 0.5), (2, nan)], tag="train/loss")
    scalars(tmp_path / "mine" / "seed1", [(1, nan), (2, 0.5)], tag="train/loss")
    logs = losses(tmp_path, [[(2, 3.0)], [(2, 1.0)]], trained_on="train/loss")
    assert list(logs.trials["reason"]) == ["train/loss is nan from step 2 on"]
    assert logs.problems == ["mine/seed1/: train/loss holds nan; allowed: 0 to 4"]


def test_a_tag_whose_points_a_restart_dropped_is_no_tag(tmp_path):
    run = tmp_path / "mine" / "seed0"
    scalars(run, [(1, 0.1), (2, 0.2)], tag="accuracy/old")
    scalars(run, [(1, 0.3)], tag="accuracy/new", purge_step=1)
    mapping = LogMapping(pattern=MAPPING.pattern, score="accuracy/*")
    assert only_trial(tmp_path, mapping)[0]["held_out"] == pytest.approx(0.3)
    problem = load(tmp_path, mapping=LogMapping(pattern=MAPPING.pattern, score="accuracy/old")).problems[0]
    assert "there is no tag 'accuracy/old'" in problem


@pytest.mark.parametrize("rate", ["fast", "nan", "inf", "-0.1"])
def test_a_rate_that_is_no_number_is_named(tmp_path, rate):
    scalars(tmp_path / "mine" / f"lr{rate}" / "seed0", [(1, 0.5)])
    logs = load(tmp_path, mapping=LogMapping(pattern="{method}/lr{rate}/seed{pretrain_seed}", score="accuracy"))
    assert f"rate is {rate!r}, and should be a number of at least 0" in logs.problems[0]


def test_folders_of_another_pattern_share_a_line(tmp_path):
    for name in ("a", "b", "c", "mine/seed0"):
        scalars(tmp_path / name, [(1, 0.5)])
    logs = load(tmp_path, mapping=MAPPING)
    assert logs.problems == ["a/ and 2 others: its folder is not of the pattern {method}/seed{pretrain_seed}"]
