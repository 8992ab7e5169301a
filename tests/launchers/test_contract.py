"""Every launcher keeps the interface `zapbench.launchers.base.Launcher`; a new launcher is added to `LAUNCHERS`."""

import importlib
import io
import pkgutil
import shutil
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress
from support.records import records

import zapbench.launchers
from zapbench.config import parse_bindings
from zapbench.experiment import checkpoints
from zapbench.launchers.base import Launcher
from zapbench.launchers.local import InProcessLauncher, ProcessPoolLauncher
from zapbench.launchers.progress import Display
from zapbench.launchers.ray import RayLauncher
from zapbench.leaderboard import contract
from zapbench.leaderboard.read.parse import status_of
from zapbench.tasks import Job, Outcome, RunSpec, TrialSpec

LAUNCHERS = {
    InProcessLauncher: lambda out, request: InProcessLauncher(out, "", threads=1),
    ProcessPoolLauncher: lambda out, request: ProcessPoolLauncher(out, "", threads=1, workers=1),
    RayLauncher: lambda out, request: RayLauncher(
        out, "", cpus=1, jobs=1, address=request.getfixturevalue("cluster").address
    ),
}
"""Launcher -> a function that makes one which runs one job at a time."""

SHRUNK = (
    "convnet.filters = 4",
    "glyphs.classes_per_trial = 5",
    "glyphs.classes_per_selection_trial = 5",
    "ASB.inner_images = 3",
    "ASB.random_images = 16",
)
FEW = "ASB.episodes = 4"
MANY = "ASB.episodes = 1000"
"""Training takes several times longer than a stop takes to arrive."""


def job(seed, *bindings):
    run = RunSpec("glyphs", "asb", seed, bindings=parse_bindings([*SHRUNK, *bindings]))
    return Job(run, (TrialSpec("sequential", 0.01, "select", 0),))


@pytest.fixture(params=LAUNCHERS, ids=lambda launcher: launcher.__name__)
def new_launcher(request):
    """Makes launchers of one kind; they are closed after the test."""
    made = []

    def new(out):
        made.append(LAUNCHERS[request.param](out, request))
        return made[-1]

    yield new
    for launcher in made:
        launcher.close()


class RecordingDisplay(Display):
    """Keeps what it prints, and passes every message about progress on."""

    def __init__(self, on_message=lambda message: None):
        self.file = io.StringIO()
        console = Console(file=self.file, width=1000)
        super().__init__(Progress(console=console, disable=True), console, "test", 0)
        self.on_message = on_message

    def update(self, message):
        super().update(message)
        self.on_message(message)


def run(launcher, jobs, display=None):
    launcher.out.mkdir(exist_ok=True)
    return list(launcher.run(jobs, display or RecordingDisplay()))


def undisturbed(out, jobs):
    """Runs jobs one after another in this process; returns the output folder."""
    assert [str(outcome) for outcome in run(InProcessLauncher(out, "", threads=1), jobs)] == ["done"] * len(jobs)
    return out


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return undisturbed(tmp_path_factory.mktemp("few"), [job(0, FEW), job(1, FEW)])


@pytest.fixture(scope="module")
def expected_after_many(tmp_path_factory):
    return undisturbed(tmp_path_factory.mktemp("many"), [job(0, MANY), job(1, FEW)])


def test_every_launcher_of_the_package_is_tested_here():
    for module in pkgutil.iter_modules(zapbench.launchers.__path__):
        importlib.import_module(f"zapbench.launchers.{module.name}")
    shipped = {cls for cls in Launcher.__subclasses__() if cls.__module__.startswith("zapbench.")}
    assert shipped == set(LAUNCHERS)


def test_a_configuration_that_cannot_be_used_is_refused_before_anything_is_written(new_launcher, tmp_path):
    launcher = new_launcher(tmp_path / "out")
    launcher.check([job(0, FEW)])
    with pytest.raises(ValueError, match="inner_lr must be above 0, got -1"):
        launcher.check([job(0, FEW), job(0, FEW, "ASB.inner_lr = -1")])
    assert not (tmp_path / "out").exists()


def test_every_job_has_one_outcome_and_leaves_the_same_records(new_launcher, expected, tmp_path):
    outcomes = run(new_launcher(tmp_path / "out"), [job(0, FEW), job(1, FEW)])
    assert outcomes == [Outcome(), Outcome()]
    assert records(tmp_path / "out") == records(expected)


def test_a_failed_job_is_tried_once_more_and_reported_while_the_others_finish(new_launcher, expected, tmp_path):
    refused = job(0, FEW, "run.optimizer = @outer/SGD")
    folder = tmp_path / "out" / refused.run.folder
    shutil.copytree(expected / job(0, FEW).run.folder, folder)  # the job is refused, as its folder holds another run
    display = RecordingDisplay()
    outcomes = run(new_launcher(tmp_path / "out"), [job(0, FEW), refused, job(1, FEW)], display)
    assert sorted(map(str, outcomes))[:2] == ["done", "done"]
    (failed,) = [outcome for outcome in outcomes if outcome.failed]
    assert list(failed.failed) == [str(folder)]
    assert "holds another run" in failed.failed[str(folder)]
    assert display.file.getvalue().count("trying once more") == 1
    shutil.rmtree(folder.parent)
    assert records(tmp_path / "out") == records(expected)


def test_a_stop_ends_running_jobs_and_another_launcher_resumes_to_the_same_records(
    new_launcher, expected_after_many, tmp_path
):
    jobs = [job(0, MANY), job(1, FEW)]
    out = tmp_path / "out"
    launcher = new_launcher(out)
    stop_in_pretraining = RecordingDisplay(lambda message: message[2] == "pre-training" and launcher.stop())
    outcomes = run(launcher, jobs, stop_in_pretraining)
    assert outcomes[-1].stopped
    assert not any(outcome.failed or outcome.fatal for outcome in outcomes)
    assert status_of(out / jobs[0].run.folder / contract.EVENT_FILE) == contract.UNFINISHED
    checkpoint = checkpoints.load(out / jobs[0].run.folder / checkpoints.FILE)
    assert 0 < checkpoint.updates < 1000
    assert not (out / jobs[1].run.folder).exists()
    launcher.close()
    assert run(new_launcher(out), jobs) == [Outcome(), Outcome()]
    assert records(out) == records(expected_after_many)


def _refuses_folders(place):
    try:
        Path(place, "zapbench").mkdir()
    except OSError:
        return True
    Path(place, "zapbench").rmdir()
    return False


@pytest.mark.skipif(not _refuses_folders("/sys"), reason="needs a folder in which not even root can make another")
def test_a_fatal_outcome_ends_the_run(new_launcher, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "glyphs").symlink_to("/sys")
    outcomes = run(new_launcher(out), [job(seed, FEW) for seed in range(3)])
    assert len(outcomes) == 1
    assert outcomes[0].fatal


def test_a_launcher_may_be_closed_twice_after_a_run_or_without_one(new_launcher, tmp_path):
    for jobs in ([], [job(0, FEW)]):
        launcher = new_launcher(tmp_path)
        assert run(launcher, jobs) == [Outcome() for _ in jobs]
        launcher.close()
        launcher.close()
