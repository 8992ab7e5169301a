"""What re-drawing a layer costs: by hand, on a network that is known, and of a run as the command shows it."""

import copy
import dataclasses
import math
import re
import shutil

import pytest
import torch
from support.made_logs import describe, write_run
from support.trained import narrow

from zapbench.checks.resilience import Layer, recover, redraw, resilience, runs_by_method
from zapbench.checks.shrunk import SHRUNK
from zapbench.cli.main import main
from zapbench.experiment.record import write_trial
from zapbench.leaderboard.contract import Closing
from zapbench.networks.plasticity import co_adaptation
from zapbench.seeding import torch_generator
from zapbench.transfer.metrics import Trajectory


def test_shock_lasting_loss_and_what_is_regained_by_hand():
    assert co_adaptation(0.75, 0.25, 0.625) == (0.5, 0.125, 0.75)
    assert co_adaptation(0.5, 0.25, 0.75) == (0.25, -0.25, 2.0), "better than before"
    assert math.isnan(co_adaptation(0.5, 0.5, 0.5).regained)
    assert math.isnan(co_adaptation(0.5, 0.75, 0.75).regained), "nothing was lost"
    with pytest.raises(ValueError, match=r"co-adaptation: recovered is 1\.5; allowed: 0 to 1"):
        co_adaptation(0.5, 0.5, 1.5)


def test_one_layer_is_re_drawn_and_trained_and_the_others_stay():
    torch.manual_seed(0)
    model = narrow(outputs=3, channels=1, size=28).eval()
    images, labels = torch.randn(30, 1, 28, 28), torch.arange(30) % 3
    changed, generator = copy.deepcopy(model), torch_generator("test", 0)
    redraw(changed, "encoder.4", generator)
    drawn = {name: value.clone() for name, value in changed.state_dict().items()}
    loss = torch.nn.functional.cross_entropy(changed(images), labels).item()
    index = torch.arange(30)
    recover(changed, "encoder.4", images.__getitem__, index, labels, steps=30, rate=0.01, generator=generator)
    own = {"encoder.4.weight", "encoder.4.bias"}
    for name, value in changed.state_dict().items():
        assert torch.equal(drawn[name], model.state_dict()[name]) == (name not in own), name
        assert torch.equal(value, drawn[name]) or name in own, name
    assert torch.nn.functional.cross_entropy(changed(images), labels).item() < 0.9 * loss


def test_the_command_shows_every_layer_of_a_run_and_refuses_what_is_none(tmp_path, capsys):
    wanted = ("glyphs.", "IID_EPOCHS", "IID_BATCH", "convnet.filters")
    bindings = [word for binding in SHRUNK if binding.startswith(wanted) for word in ("-p", binding)]
    out = ["--out", str(tmp_path), "--rates", "0.001", "--trials", "1", "--select-trials", "1"]
    assert main(["run", "glyphs", "iid", *out, *bindings]) == 0
    (checkpoint,) = tmp_path.rglob("checkpoint.pt")
    capsys.readouterr()
    assert main(["resilience", str(checkpoint.parent), "--steps", "2"]) == 0
    shown = capsys.readouterr().out
    assert [name for name in ("encoder.0", "encoder.4", "encoder.8", "head") if name in shown] == re.findall(
        r"^ (encoder\.\d|head) ", shown, re.M
    )
    assert len(re.findall(r"^ (?:encoder\.\d|head) ", shown, re.M)) == 4
    assert "Accuracy on validation images" in shown
    assert main(["resilience", str(checkpoint.parent), "--steps", "2"]) == 0
    assert capsys.readouterr().out == shown, "the draws depend on the run's seed and the layer's name alone"
    assert main(["resilience", str(tmp_path), "--steps", "2"]) == 0
    assert capsys.readouterr().out == shown, "a folder that holds the run"
    trial = next(path.parent for path in tmp_path.rglob("events*") if path.parent != checkpoint.parent)
    assert main(["resilience", str(trial)]) == 2
    assert main(["resilience", str(checkpoint.parent), "--rate", "0"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if line.startswith("zapbench: ")][-1] == (
        "zapbench: --rate is 0.0; allowed: above 0 and below 1000"
    )
    assert any("holds no pre-trained model" in line for line in lines)


def test_a_file_that_the_record_of_a_run_names_is_not_run(tmp_path):
    (tmp_path / "theirs.gin").write_text("import theirs")
    description = describe("iid", scenario="glyphs", sources={"strategy": str(tmp_path / "theirs.gin")})
    own = dataclasses.replace(description, transfer=None, rate=None, role=None, transfer_seed=None)
    write_trial(tmp_path / "run", own, "", Trajectory(), {}, Closing("finished"))
    (tmp_path / "run" / "checkpoint.pt").touch()
    with pytest.raises(ValueError, match=r"not a shipped strategy; a \.gin file runs code: .* --allow-files"):
        resilience(tmp_path / "run", steps=1, rate=0.001)


def put_run(folder, place, **about):
    write_run(folder / "new", **about)
    (written,) = (folder / "new").rglob("events*")
    written.parent.rename(folder / place)
    (folder / place / "checkpoint.pt").touch()


def test_runs_of_a_method_differ_in_their_seed_alone(tmp_path):
    for seed in (0, 1):
        put_run(tmp_path, f"low {seed}", method="asb", seed=seed, setting={"ASB.inner_lr": "0.01"})
    put_run(tmp_path, "high", method="asb", setting={"ASB.inner_lr": "0.1"})
    found = runs_by_method([tmp_path / "high", tmp_path])
    assert found == {
        "asb (ASB.inner_lr=0.1) on s": [tmp_path / "high"],
        "asb (ASB.inner_lr=0.01) on s": [tmp_path / "low 0", tmp_path / "low 1"],
    }
    shutil.copytree(tmp_path / "high", tmp_path / "again")
    with pytest.raises(ValueError, match=r"again and .*high are both asb \(ASB\.inner_lr=0\.1\) on s, seed 0"):
        runs_by_method([tmp_path])
    with pytest.raises(ValueError, match="none holds no pre-trained model"):
        runs_by_method([tmp_path / "high", tmp_path / "none"])


def test_runs_of_one_name_and_two_configurations_are_not_averaged(tmp_path):
    for seed in (0, 1):
        put_run(tmp_path, f"seed {seed}", method="asb", seed=seed, method_hash=f"{seed}")
    with pytest.raises(ValueError, match=r"seed 1 has another configuration than .*seed 0: both are asb on s"):
        runs_by_method([tmp_path])


def test_means_over_seeds_by_hand(monkeypatch, tmp_path, capsys):
    recovered = iter([0.40, 0.42, 0.44])
    monkeypatch.setattr(
        "zapbench.checks.resilience.resilience",
        lambda run, **_: ("validation", [Layer("head", 0.5, 0.0, next(recovered))]),
    )
    for seed in range(3):
        put_run(tmp_path, f"seed {seed}", method="asb", seed=seed)
    assert main(["resilience", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "asb on s, 3 seeds" in shown
    # The half-width of the three is 5.0 (Student's t of two degrees of freedom, 4.303, times 2 / sqrt(3)).
    (row,) = re.findall(r"^ head .*", shown, re.M)
    assert re.findall(r"[\d.±]+", row) == ["50.0", "±", "0.0", "0.0", "±", "0.0", "42.0", "±", "5.0", "8.0", "±", "5.0"]
