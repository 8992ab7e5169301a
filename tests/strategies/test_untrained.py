"""No pre-training: the model stays as it was initialised, and has a record like any other run."""

import torch

from zapbench.experiment import checkpoints
from zapbench.experiment.context import Options
from zapbench.experiment.root import configured, execute
from zapbench.leaderboard import contract
from zapbench.leaderboard.read.parse import read_file
from zapbench.strategies.base import effort_of, updates_of
from zapbench.strategies.untrained import Untrained
from zapbench.tasks import Job, RunSpec


def test_nothing_is_trained_and_the_run_is_recorded(tmp_path):
    run = RunSpec("glyphs", "untrained", 0)
    assert not execute(Job(run), Options(tmp_path)).failed
    fresh = configured(Job(run), Options(tmp_path)).pretraining
    saved = checkpoints.load(tmp_path / run.folder / checkpoints.FILE)
    assert saved.finished
    assert all(torch.equal(value, saved.model[name]) for name, value in fresh.new_model().state_dict().items())
    strategy = fresh.new_strategy()
    assert isinstance(strategy, Untrained)
    assert updates_of(strategy, 100) == 0
    assert effort_of(strategy, 100) == (0, 0)
    found = read_file(tmp_path / run.folder / contract.EVENT_FILE)
    assert found.closing.status == contract.FINISHED
    assert found.curves[contract.GRADIENT_STEPS][1] == [0.0]
