"""Logs from elsewhere are ranked by a small mapping."""

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
from zapbench.leaderboard.read.mapping import LogMapping, read_mapping
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
        ({"score": "acuracy"}, "there is no tag 'acuracy', did you mean accuracy?"),
        ({"step": 7}, "accuracy has no step 7"),
        ({"pattern": "{method}/s{pretrain_seed}/x"}, "its folder is not of the pattern"),
        ({"pattern": "{method}/s{pretrain_seed}"}, "pretrain_seed is 'eed0', and should be a whole number"),
    ],
)
def test_what_a_mapping_does_not_fit_is_named(tmp_path, change, words):
    plain_logs(tmp_path, {"mine": [0.5]})
    mapping = LogMapping(**{"pattern": MAPPING.pattern, "score": "accuracy", **change})
    found = load(tmp_path, mapping=mapping)
    assert found.trials.empty
    assert words in found.problems[0]


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("{method}", "must have {pretrain_seed}"),
        ("{method}/{seed}", "{seed} in the pattern; allowed: scenario"),
        ("{method}/{method}/{pretrain_seed}", "stands twice"),
    ],
)
def test_an_impossible_pattern_is_refused(pattern, words):
    with pytest.raises(ValueError, match=words):
        LogMapping(pattern=pattern, score="x")


def test_scores_out_of_range_are_named(tmp_path):
    plain_logs(tmp_path, {"mine": [80.0]})
    assert "accuracy holds 80; allowed: 0 to 1" in load(tmp_path, mapping=MAPPING).problems[0]
