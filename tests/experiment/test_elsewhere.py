"""Weights that were pre-trained elsewhere, and a strategy from a package outside zapbench."""

import json
import os
import pickle
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from zapbench.checks.reproduce import command_of, read_task
from zapbench.cli.main import main
from zapbench.experiment import checkpoints
from zapbench.experiment.checkpoints import Checkpoint
from zapbench.experiment.context import Context
from zapbench.experiment.trials import Trials
from zapbench.leaderboard.decide.tables import tables
from zapbench.leaderboard.read.load import load
from zapbench.networks.classifier import convnet

SHRUNK = ["-p", "glyphs.classes_per_trial = 5", "-p", "glyphs.classes_per_selection_trial = 5"]
FEW = ["--rates", "0.01", "--trials", "2", "--select-trials", "1"]


def transfer(out, weights, *more, scenario="glyphs"):
    return main(["transfer", str(weights), "--scenario", scenario, "--out", str(out), *SHRUNK, *FEW, *more])


@pytest.fixture
def model():
    torch.manual_seed(5)
    return convnet(outputs=283, channels=1, size=28, filters=16)


@pytest.mark.parametrize("form", ["bare", "nested", "encoder", "encoder's own names", "data parallel", "another head"])
def test_a_model_pretrained_elsewhere_is_transferred_from_every_form_of_state_dict(form, model, tmp_path):
    states = {
        "bare": lambda: model.state_dict(),
        "nested": lambda: {"epoch": 3, "state_dict": model.state_dict()},
        "encoder": lambda: {k: v for k, v in model.state_dict().items() if k.startswith("encoder.")},
        "encoder's own names": lambda: model.encoder.state_dict(),
        "data parallel": lambda: {f"module.{k}": v for k, v in model.state_dict().items()},
        "another head": lambda: (
            model.state_dict() | {"head.weight": torch.zeros(7, model.head.in_features), "head.bias": torch.zeros(7)}
        ),
    }
    torch.save(states[form](), tmp_path / "mine.pt")
    assert transfer(tmp_path / "out", tmp_path / "mine.pt") == 0
    trials = load(tmp_path / "out").trials
    assert set(trials["method"]) == {"mine"}
    assert list(trials["status"].unique()) == ["finished"]
    kept = torch.load(next((tmp_path / "out").rglob("checkpoint.pt")), weights_only=True)["model"]
    assert torch.equal(kept["encoder.4.weight"], model.state_dict()["encoder.4.weight"])


def test_each_seed_has_its_own_weights_and_other_weights_for_that_seed_are_refused(model, tmp_path, capsys):
    for seed in (0, 1):
        with torch.no_grad():
            model.encoder[0].weight.add_(0.01)
        torch.save(model.state_dict(), tmp_path / f"seed{seed}.pt")
        assert transfer(tmp_path / "out", tmp_path / f"seed{seed}.pt", "--name", "theirs", "--seed", str(seed)) == 0
    trials = load(tmp_path / "out").trials
    assert set(zip(trials["method"], trials["pretrain_seed"])) == {("theirs", 0), ("theirs", 1)}
    capsys.readouterr()
    assert transfer(tmp_path / "out", tmp_path / "seed1.pt", "--name", "theirs", "--seed", "0") == 2
    assert "its weights are" in capsys.readouterr().err


def test_several_files_are_one_row_at_one_rate_selected_over_all_of_them(model, tmp_path, capsys):
    files = [tmp_path / f"seed{seed}.pt" for seed in (3, 4)]
    for file in files:
        with torch.no_grad():
            model.encoder[0].weight.add_(0.01)
        torch.save(model.state_dict(), file)
    few = [*SHRUNK, "--rates", "0.1", "0.01", "--trials", "2", "--select-trials", "1"]
    command = ["transfer", *map(str, files), "--scenario", "glyphs", "--out", str(tmp_path / "out")]
    assert main([*command, *few, "--name", "theirs", "--seed", "3", "4"]) == 0
    logs = load(tmp_path / "out")
    trials = logs.trials
    assert set(zip(trials["method"], trials["pretrain_seed"])) == {("theirs", 3), ("theirs", 4)}
    assert set(trials[trials["role"] == "select"]["rate"]) == {0.1, 0.01}
    assert trials[trials["role"] == "report"]["rate"].nunique() == 1
    (table,) = tables(logs)
    assert [(row.method, row.held_out.seeds) for row in table.rows] == [("theirs", 2)]
    assert main([*command, *few, "--seed", "3"]) == 2
    assert "--seed names 1 seeds for 2 files of weights; name one for each" in capsys.readouterr().err


def test_models_that_are_transferred_at_once_end_as_one_after_another(model, tmp_path):
    files = [tmp_path / "a.pt", tmp_path / "b.pt"]
    for file in files:
        model.encoder[0].weight.data.add_(0.01)
        torch.save(model.state_dict(), file)
    for name, jobs in (("one", "1"), ("two", "2")):
        command = ["transfer", *map(str, files), "--scenario", "glyphs", "--out", str(tmp_path / name)]
        assert main([*command, *SHRUNK, *FEW, "--jobs", jobs]) == 0
    one, two = (load(tmp_path / name).trials for name in ("one", "two"))
    keys = ["pretrain_seed", "role", "transfer_seed", "rate"]
    scores = [trials.set_index(keys)["held_out"].sort_index().to_dict() for trials in (one, two)]
    assert scores[0] == scores[1]
    assert len(scores[0]) > 2
    in_workers = [any((tmp_path / name).glob("logs/*.log")) for name in ("one", "two")]
    assert in_workers == [False, True]


def test_an_unfinished_or_damaged_checkpoint_is_no_pretrained_model(model, tmp_path, capsys):
    rest = {"config_hash": "x", "updates": 7, "model": model.state_dict(), "outputs": 283}
    checkpoints.save(tmp_path / "whole.pt", Checkpoint(finished=True, **rest))
    checkpoints.save(tmp_path / "half.pt", Checkpoint(finished=False, **rest))
    raw = torch.load(tmp_path / "whole.pt", weights_only=True)
    raw["model"]["encoder.0.weight"] += 1
    torch.save(raw, tmp_path / "changed.pt")
    for name, words in (("half.pt", "is not finished (update 7)"), ("changed.pt", "is damaged")):
        assert transfer(tmp_path / "out", tmp_path / name) == 2
        assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").rglob("*tfevents*"))
    assert transfer(tmp_path / "out", tmp_path / "whole.pt") == 0


def test_one_file_twice_is_not_two_seeds_and_without_selection_trials_the_only_rate_is_reported(
    model, tmp_path, capsys
):
    torch.save(model.state_dict(), tmp_path / "one.pt")
    (tmp_path / "copy.pt").write_bytes((tmp_path / "one.pt").read_bytes())
    command = ["transfer", *(str(tmp_path / name) for name in ("one.pt", "copy.pt")), "--scenario", "glyphs"]
    few = [*SHRUNK, "--trials", "1", "--select-trials", "0", "--out", str(tmp_path / "out")]
    assert main([*command, *few, "--rates", "0.01"]) == 2
    assert "hold the same weights: one model is not two pre-training seeds" in capsys.readouterr().err
    model.encoder[0].weight.data.add_(0.01)
    torch.save(model.state_dict(), tmp_path / "copy.pt")
    assert main([*command, *few, "--rates", "0.01", "0.1"]) == 2
    assert "there are no selection trials" in capsys.readouterr().err
    assert main([*command, *few, "--rates", "0.01"]) == 0
    assert len(load(tmp_path / "out").trials) == 2


def test_a_folder_that_another_process_fills_meanwhile_is_refused(model, tmp_path, monkeypatch, capsys):
    """Both have found the folder empty; the second one waits for the lock, and finds another model in it."""
    for name in ("first.pt", "second.pt"):
        model.encoder[0].weight.data.add_(0.01)
        torch.save(model.state_dict(), tmp_path / name)
    plain = Context.locked
    calls = []

    def after_the_other(self):
        if not calls:
            calls.append("second")
            assert transfer(tmp_path / "out", tmp_path / "first.pt", "--name", "same") == 0
        return plain(self)

    monkeypatch.setattr(Context, "locked", after_the_other)
    assert transfer(tmp_path / "out", tmp_path / "second.pt", "--name", "same") == 1
    assert "holds another run: its weights are" in capsys.readouterr().err


def test_each_trial_takes_its_share_of_the_seconds_in_which_features_are_computed(model, tmp_path, monkeypatch):
    plain = Trials.features

    def slow(self, *given):
        time.sleep(0.9)
        return plain(self, *given)

    monkeypatch.setattr(Trials, "features", slow)
    torch.save(model.state_dict(), tmp_path / "mine.pt")
    assert transfer(tmp_path / "out", tmp_path / "mine.pt") == 0
    seconds = load(tmp_path / "out").trials["seconds"]
    assert len(seconds) == 3
    assert seconds.min() >= 0.3


def test_a_transfer_of_given_weights_can_be_repeated_by_the_command_that_is_shown(model, tmp_path):
    torch.save(model.state_dict(), tmp_path / "mine.pt")
    assert transfer(tmp_path / "out", tmp_path / "mine.pt") == 0
    folder = next((tmp_path / "out").rglob("report=1"))
    words = command_of(read_task(folder)[1])
    assert words.startswith(f"zapbench transfer {tmp_path / 'mine.pt'} --scenario glyphs --seed 0")
    assert "--name mine" in words
    assert main(["repeat", str(folder)]) == 0


class Evil:
    def __reduce__(self):
        return (os.system, ("touch owned",))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot read"),
        (b"not a checkpoint", "holds no readable weights"),
        (pickle.dumps(Evil()), "holds no readable weights"),
        ({"epoch": 3}, "holds no state dict"),
        ({"encoder.0.weight": torch.zeros(32, 1, 3, 3)}, r"encoder.0.weight is \(32, 1, 3, 3\) there and \(16, 1,"),
        ({"encoder.0.weigth": torch.zeros(16, 1, 3, 3)}, "it holds encoder.0.weigth, did you mean encoder.0.weight"),
        ({"encoder.0.bias": torch.zeros(16)}, "it lacks encoder.0.weight and 10 more"),
        ({"encoder.0.bias": torch.full((16,), torch.nan)}, "encoder.0.bias is not finite everywhere"),
    ],
)
def test_weights_that_do_not_fit_are_refused_in_one_line_before_training(content, words, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mine.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    assert transfer(tmp_path / "out", path) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert re.search(words, said), said
    assert not list((tmp_path / "out").rglob("*tfevents*"))
    assert not (tmp_path / "owned").exists()


def test_weights_for_other_images_are_refused(model, tmp_path, capsys):
    torch.save(convnet(outputs=9, channels=3, size=28, filters=16).state_dict(), tmp_path / "colour.pt")
    assert transfer(tmp_path / "out", tmp_path / "colour.pt") == 2
    assert "encoder.0.weight is (16, 3, 3, 3) there and (16, 1, 3, 3) in the model" in capsys.readouterr().err


STRATEGY = '''
import gin
from avalanche.training.templates import SupervisedTemplate

from zapbench.plugins import silent_evaluator


@gin.register
class Mine(SupervisedTemplate):
    """A plain Avalanche strategy with a few batches."""

    def __init__(self, *, epochs, **kwargs):
        super().__init__(train_epochs=epochs, train_mb_size=512, **kwargs)
'''

GIN = """# A strategy from a package outside zapbench
import their_package.mine

run.model = %MODEL
run.strategy = @Mine
run.optimizer = @outer/Adam
outer/Adam.lr = 0.001
Mine.epochs = 1
"""


def test_a_strategy_from_a_package_outside_zapbench_appears_in_the_table(tmp_path):
    package = tmp_path / "site" / "their_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "mine.py").write_text(STRATEGY)
    (tmp_path / "mine.gin").write_text(GIN)
    path = os.pathsep.join([str(tmp_path / "site"), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "zapbench", "run", "glyphs", str(tmp_path / "mine.gin"), *SHRUNK, *FEW]
    small = ["-p", "glyphs.pretrain_images = 2", "-p", "glyphs.validation_images = 1", "-p", "convnet.filters = 4"]
    done = subprocess.run(
        [*command, *small, "--name", "mine"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "mine" in done.stdout
    table = subprocess.run(
        [sys.executable, "-m", "zapbench", "leaderboard", "runs", "--format", "json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    rows = json.loads(table.stdout)["tables"][0]["rows"]
    assert [row["method"] for row in rows] == ["mine"]
    assert Path(tmp_path / "runs" / "glyphs" / "mine").is_dir()
