"""A mapping is guessed from logs of another program, and reads all of them."""

import json
import time

import pytest
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from torch.utils.tensorboard import SummaryWriter

from zapbench.cli.main import main
from zapbench.leaderboard.decide.tables import tables
from zapbench.leaderboard.read.load import load
from zapbench.leaderboard.read.mapping import read_mapping
from zapbench.leaderboard.read.suggest import as_gin, suggest

SCORES = {"er": 0.6, "naive": 0.2, "ewc": 0.3}
WORDS = ("rome", "paris", "oslo")


def write(folder, value, *, tag="accuracy/test", given=None):
    with SummaryWriter(str(folder)) as writer:
        writer.add_scalar("loss/train", 2.3, 1)
        writer.add_scalar(tag, value / 2, 1)
        writer.add_scalar(tag, value, 2)
        if given:
            writer.add_hparams(given, {"hp_metric": 0.0})
    return folder


def logs_of(folder, place, **options):
    for method, score in SCORES.items():
        for seed in range(3):
            write(folder / place(method, seed), score + seed / 100, **options)


def check(folder, pattern, *, seeds=3):
    """Asserts that the guess has a pattern, and that the three methods are ranked by it, in the right order."""
    found = suggest(folder)
    assert found.pattern == pattern
    logs = load(folder, mapping=found)
    assert logs.problems == []
    (table,) = tables(logs)
    assert [row.method for row in table.rows] == ["er", "ewc", "naive"]
    assert [row.held_out.seeds for row in table.rows] == [seeds] * 3
    return found


@pytest.mark.parametrize(
    ("place", "pattern"),
    [
        (lambda method, seed: f"{method}/seed{seed}", "{method}/seed{pretrain_seed}"),
        (lambda method, seed: f"{method}/{WORDS[seed]}", "{method}/{pretrain_seed}"),
        (lambda method, seed: f"{method}_seed{seed}", "{method}_seed{pretrain_seed}"),
        (lambda method, seed: f"{method}-{seed}", "{method}-{pretrain_seed}"),
        (lambda method, seed: f"cifar/{method}/s{seed}", "cifar/{method}/s{pretrain_seed}"),
        (lambda method, seed: f"seed={seed}/{method}", "seed={pretrain_seed}/{method}"),
        (lambda method, seed: f"{method}/lr=0.01/{seed}", "{method}/lr={rate}/{pretrain_seed}"),
        (lambda method, seed: f"{method}/version_{seed}", "{method}/version_{pretrain_seed}"),
        (lambda method, seed: f"{method}/seed{seed}/version_{seed}", "{method}/seed{pretrain_seed}/*"),
        (lambda method, seed: f"{method}/Nov26_01-02-0{seed}_host", "{method}/{pretrain_seed}"),
    ],
)
def test_paths_give_method_and_seed(tmp_path, place, pattern):
    logs_of(tmp_path, place)
    check(tmp_path, pattern)


def test_several_scenarios_are_found(tmp_path):
    for scenario in ("cifar", "omniglot"):
        logs_of(tmp_path / scenario, lambda method, seed: f"{method}/seed{seed}")
    found = suggest(tmp_path)
    assert found.pattern == "{scenario}/{method}/seed{pretrain_seed}"
    assert {table.scenario for table in tables(load(tmp_path, mapping=found))} == {"cifar", "omniglot"}


def test_lightnings_folders_give_nothing_and_the_file_in_them_all(tmp_path):
    number = 0
    for method, score in SCORES.items():
        for seed in range(3):
            run = write(tmp_path / "lightning_logs" / f"version_{number}", score)
            (run / "hparams.yaml").write_text(f"seed: {seed}\noptimizer:\n  lr: 1e-3\nstrategy:\n  name: {method}\n")
            number += 1
    found = check(tmp_path, "lightning_logs/*")
    assert found.keys == {"pretrain_seed": "seed", "method": "strategy.name", "rate": "optimizer.lr"}
    assert found.file == "hparams.yaml"


def test_hyperparameters_of_tensorboard_and_a_loss(tmp_path):
    for method, score in SCORES.items():
        for seed in range(3):
            given = {"seed": seed, "algo": method}
            write(tmp_path / f"{method}_{seed}x", 3 - score, tag="test/loss", given=given)
    found = check(tmp_path, "*")
    assert found.keys == {"pretrain_seed": "seed", "method": "algo"}
    assert (found.score, found.lower_is_better, found.scale) == ("test/loss", True, 3.0)


@pytest.mark.parametrize("word", ["generated", "pretrain_seed"])
def test_a_folder_that_holds_the_word_of_a_name_is_not_that_name(tmp_path, word):
    """Else trials of two rates, or seeds, would be one."""
    for number in range(6):
        given = {"seed": number // 2, "algo": "er", "lr": (0.1, 0.01)[number % 2]}
        write(tmp_path / word / f"run{number}x", 0.5, given=given)
    found = suggest(tmp_path)
    assert found.keys == {"pretrain_seed": "seed", "method": "algo", "rate": "lr"}
    assert len(load(tmp_path, mapping=found).trials) == 6


def test_a_short_yaml_file_whose_aliases_stand_for_billions_of_keys_is_looked_at_in_part(tmp_path):
    for seed in range(2):
        run = write(tmp_path / "er" / f"seed{seed}", 0.5)
        keys = [f"k{number}" for number in range(1000)]
        inner = [
            f"{name}: &{name} {{{', '.join(f'{key}: {value}' for key in keys)}}}"
            for name, value in (("a", "1"), ("b", "*a"))
        ]
        lines = [*inner, *(f"{key}: *b" for key in keys), f"number: {seed}"]
        (run / "config.yaml").write_text("\n".join(lines))
    start = time.perf_counter()
    assert suggest(tmp_path).pattern == "{method}/seed{pretrain_seed}"
    assert time.perf_counter() - start < 30


def test_a_scalar_that_is_no_number_and_a_tag_of_a_million_letters_are_no_trouble(tmp_path):
    for method in ("er", "naive"):
        for seed in range(2):
            with SummaryWriter(str(tmp_path / method / f"seed{seed}")) as writer:
                tensor = TensorProto(dtype=21, tensor_shape=TensorShapeProto())
                value = Summary.Value(tag="test/acc", tensor=tensor)
                writer.file_writer.add_summary(Summary(value=[value]), 1)
                writer.add_scalar("test" * 250_000, 0.5, 1)
    found = suggest(tmp_path)
    assert (found.score, found.pattern) == ("test/acc", "{method}/seed{pretrain_seed}")


def test_percentages_are_seen(tmp_path):
    for method, score in SCORES.items():
        for seed in range(3):
            run = write(tmp_path / method / f"run{seed}", 100 * score)
            (run / "config.json").write_text(json.dumps({"lr": 0.1}))
    assert check(tmp_path, "{method}/run{pretrain_seed}").percent


def test_logs_without_a_seed_say_so(tmp_path):
    for method, score in SCORES.items():
        write(tmp_path / method, score)
    with pytest.raises(ValueError, match="nothing in the path or the hyper-parameters of er is a seed"):
        suggest(tmp_path)


def test_the_command_writes_a_mapping_that_works_and_never_overwrites(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    logs_of(tmp_path / "elsewhere", lambda method, seed: f"{method}/seed{seed}")
    assert main(["new", "mapping", "elsewhere"]) == 0
    said = capsys.readouterr().out
    assert "9 runs: 3 methods, 3 seeds; score: accuracy/test" in said
    assert "zapbench leaderboard elsewhere --mapping elsewhere.gin" in said
    assert read_mapping(tmp_path / "elsewhere.gin") == suggest(tmp_path / "elsewhere")
    assert main(["leaderboard", "elsewhere", "--mapping", "elsewhere.gin", "--no-cache", "--format", "md"]) == 0
    shown = capsys.readouterr().out
    assert "| 1 | er |" in shown
    assert "The score is accuracy/test, read from the logs of another program." in shown
    assert "selection trials" not in shown, "nothing was selected"
    assert "Chance" not in shown, "it is not known"
    assert main(["new", "mapping", "elsewhere"]) == 2
    assert "already exists" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a'b", 'quo"te', "back\\slash", "{brace}", "star*", "ünïcode", "%d"])
def test_names_of_any_kind_make_a_mapping_that_can_be_read(tmp_path, name):
    for method in (name, "other"):
        for seed in range(2):
            write(tmp_path / "logs" / "x" / method / f"seed{seed}", 0.5, tag=f"acc {name}")
    (tmp_path / "m.gin").write_text(as_gin(suggest(tmp_path / "logs")), encoding="utf-8")
    logs = load(tmp_path / "logs", mapping=read_mapping(tmp_path / "m.gin"))
    assert (logs.problems, len(logs.trials)) == ([], 4)
