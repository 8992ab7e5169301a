"""Hyper-parameters of runs from elsewhere: TensorBoard's, a JSON or YAML file beside the logs, hostile ones too."""

import json
import os

import pytest
from torch.utils.tensorboard import SummaryWriter

from zapbench.leaderboard.decide.tables import tables
from zapbench.leaderboard.read import hyperparameters
from zapbench.leaderboard.read.load import load
from zapbench.leaderboard.read.mapping import LogMapping

SCORES = {"mine": [0.8, 0.81, 0.79], "theirs": [0.3, 0.31, 0.32]}


def write(folder, value, *, tag="accuracy", given=None):
    with SummaryWriter(str(folder)) as writer:
        writer.add_scalar(tag, value, 1)
        if given:
            writer.add_hparams(given, {"hp_metric": 0.0})
    return folder


def every():
    return [(method, seed, score) for method, scores in SCORES.items() for seed, score in enumerate(scores)]


def assert_ranked(logs):
    assert logs.problems == []
    (table,) = tables(logs)
    assert [(row.method, row.rank, row.trials, row.rate) for row in table.rows] == [
        ("mine", 1, 3, 0.1),
        ("theirs", 2, 3, 0.1),
    ]
    assert set(logs.trials["pretrain_seed"]) == {0, 1, 2}


def test_those_of_tensorboard_give_method_seed_and_rate(tmp_path):
    """`add_hparams` writes them into a folder below the run's, which is no run of its own."""
    for number, (method, seed, score) in enumerate(every()):
        write(tmp_path / f"run{number}", score, given={"name": method, "seed": seed, "lr": 0.1})
    keys = {"method": "name", "pretrain_seed": "seed", "rate": "lr"}
    assert_ranked(load(tmp_path, mapping=LogMapping(pattern="*", score="accuracy", keys=keys)))


@pytest.mark.parametrize("file", ["hparams.yaml", "config.json"])
def test_a_file_beside_the_logs_gives_them_as_in_lightnings_folders(tmp_path, file):
    for number, (method, seed, score) in enumerate(every()):
        run = write(tmp_path / "lightning_logs" / f"version_{number}", score)
        given = {"model": {"name": method}, "seed": seed, "optimizer": {"lr": "1e-1"}}
        (run / file).write_text(json.dumps(given))  # which is YAML, too
    keys = {"method": "model.name", "pretrain_seed": "seed", "rate": "optimizer.lr"}
    mapping = LogMapping(pattern="**/version_*", score="accuracy", keys=keys, file=file)
    assert_ranked(load(tmp_path, mapping=mapping))


def test_the_nearest_file_above_a_run_counts(tmp_path):
    for method, seed, score in every():
        write(tmp_path / method / f"seed{seed}", score)
        (tmp_path / method / "about.json").write_text(json.dumps({"lr": 0.1}))
    (tmp_path / "about.json").write_text(json.dumps({"lr": 0.5}))
    mapping = LogMapping(
        pattern="{method}/seed{pretrain_seed}", score="accuracy", keys={"rate": "lr"}, file="about.json"
    )
    assert_ranked(load(tmp_path, mapping=mapping))


def test_a_changed_file_is_read_again(tmp_path):
    run = write(tmp_path / "logs" / "mine" / "seed0", 0.5)
    mapping = LogMapping(pattern="{method}/seed{pretrain_seed}", score="accuracy", keys={"rate": "lr"}, file="a.json")
    for rate in (0.25, 0.125):
        (run / "a.json").write_text(json.dumps({"lr": rate}))
        found = load(tmp_path / "logs", mapping=mapping, cache=tmp_path / "cache")
        assert list(found.trials["rate"]) == [rate]


def problem_of(tmp_path, content, *, file="a.yaml", key="seed"):
    run = write(tmp_path / "mine", 0.5)
    if content is not None:
        (run / file).write_bytes(content)
    mapping = LogMapping(pattern="{method}", score="accuracy", keys={"pretrain_seed": key}, file=file)
    logs = load(tmp_path, mapping=mapping)
    assert logs.trials.empty
    (problem,) = logs.problems
    assert "\n" not in problem
    return problem


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no a.yaml in its folder or above it"),
        (b"sed: 3", "there is no 'seed' in a.yaml, did you mean sed?"),
        (b"seed: [1, 2]", "seed in a.yaml is a list"),
        (b"seed: {a: 1}", "seed in a.yaml is a group of keys"),
        (b"seed:", "seed in a.yaml is empty"),
        (b"- seed", "a.yaml holds no keys with values"),
        (b"seed: 1\n  b: 2\n :", "a.yaml cannot be read"),
        (b"seed: \xff", "a.yaml cannot be read"),
        (b"seed: " + b"9" * 5000, "a.yaml cannot be read"),
        (b"seed: " + b"x" * 5000, "seed in a.yaml has 5000 characters"),
        (b"seed: 0x" + b"f" * 5000, "seed in a.yaml is a number of 20000 bits"),
        (b"seed: " + b"[" * 100_000, "a.yaml cannot be read"),
        (b"seed: 1\n#" + b"x" * hyperparameters.LONGEST_FILE, "it is longer than 262,144 bytes"),
    ],
)
def test_what_a_file_lacks_is_named(tmp_path, content, words):
    assert words in problem_of(tmp_path, content)


def test_a_yaml_file_runs_nothing(tmp_path):
    made = tmp_path / "made"
    problem = problem_of(tmp_path, f"seed: !!python/object/apply:os.mkdir ['{made}']".encode())
    assert "a.yaml cannot be read (could not determine a constructor" in problem
    assert not made.exists()


def test_a_short_yaml_file_does_not_become_a_large_one(tmp_path):
    lines = ["a0: &a0 {k: 1}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 12)]
    assert "a merge key, `<<`, is not read" in problem_of(tmp_path, "\n".join([*lines, "seed: 1"]).encode())


def test_a_pipe_is_no_file(tmp_path):
    run = write(tmp_path / "mine", 0.5)
    os.mkfifo(run / "a.yaml")
    assert "there is no a.yaml" in problem_of(tmp_path, None)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"keys": {"seed": "seed"}}, "{seed} in keys; allowed: scenario"),
        ({"keys": {"pretrain_seed": 3}}, "keys must be names and keys"),
        ({"keys": {"pretrain_seed": "s"}, "file": "../a.json"}, "allowed: a name without a folder"),
        ({"keys": {"method": "s"}}, "method stands twice in the pattern and keys"),
        ({"scale": 0.0}, "scale is 0"),
        ({"scale": 100.0, "percent": True}, "without percent"),
    ],
)
def test_an_impossible_mapping_is_refused(change, words):
    with pytest.raises(ValueError, match=words.replace("{", r"\{")):
        LogMapping(**{"pattern": "{method}", "score": "x", "keys": {"pretrain_seed": "s"}} | change)
