"""A Ray cluster on this machine: real nodes, one of them killed; nodes that share no disk; errors in one line.

Tests wait for a condition or for the end of a process. The timeout of pytest ends a test that waits forever.
"""

import errno
import fcntl
import io
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock
from rich.console import Console
from support.records import records

from zapbench import config
from zapbench.atomic import LOCK_FILE
from zapbench.cli.main import main
from zapbench.experiment import checkpoints
from zapbench.launchers.progress import Display, display
from zapbench.launchers.ray import RayLauncher
from zapbench.launchers.ray_worker import can_work_in
from zapbench.leaderboard import contract
from zapbench.leaderboard.read.parse import read_file
from zapbench.suites.plan import plan
from zapbench.suites.run import run_suite
from zapbench.suites.suite import Suite
from zapbench.tasks import Job, RunSpec, TrialSpec

BINDINGS = (
    "convnet.filters = 4",
    "glyphs.classes_per_trial = 5",
    "glyphs.classes_per_selection_trial = 5",
    "ASB.episodes = 600",
    "ASB.inner_images = 3",
    "ASB.random_images = 16",
    "run.checkpoint_seconds = 0.1",
)
SUITE = Suite(
    scenarios=("glyphs",),
    strategies=("asb",),
    seeds=3,
    trials=2,
    select_trials=1,
    rates=(0.001, 0.01),
    bindings=BINDINGS,
)
FILE = f"""
Suite.scenarios = ["glyphs"]
Suite.strategies = ["asb"]
Suite.seeds = 3
Suite.trials = 2
Suite.select_trials = 1
Suite.rates = [0.001, 0.01]
Suite.bindings = {list(BINDINGS)!r}
"""


class SuiteProcess:
    """A suite that runs in a process group of its own; what it prints goes to a file."""

    def __init__(self, out, *more, **environment):
        self.printed_to = out.parent / "printed.txt"
        (out.parent / "small.gin").write_text(FILE)
        words = [sys.executable, "-m", "zapbench", "suite", str(out.parent / "small.gin"), "--out", str(out), *more]
        with self.printed_to.open("w") as file:
            self.process = subprocess.Popen(
                words, stdout=file, stderr=file, start_new_session=True, env=os.environ | environment
            )

    def printed(self):
        return self.printed_to.read_text()

    def wait_until(self, condition):
        """Waits for a condition, which must come before the suite ends."""
        while not (found := condition()):
            assert self.process.poll() is None, f"the suite ended before that:\n{self.printed()}"
            time.sleep(0.02)
        return found

    def kill(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@pytest.fixture
def start():
    """Starts suites, which are killed after the test if they still run."""
    started = []

    def start_one(out, *more, **environment):
        started.append(SuiteProcess(out, *more, **environment))
        return started[-1]

    yield start_one
    for suite in started:
        suite.kill()


@pytest.fixture(scope="module")
def local(ray_environment, tmp_path_factory):
    """The output folder of the suite as the local launcher runs it."""
    out = tmp_path_factory.mktemp("local")
    suite = SuiteProcess(out)
    assert suite.process.wait() == 0, suite.printed()
    return out


def wait_for(condition):
    while not (found := condition()):
        time.sleep(0.02)
    return found


def logs(out):
    return "".join(path.read_text() for path in out.glob("logs/*.log"))


def table(out):
    """The suite's table without its columns of times and memory."""
    lines = (out / "results" / "small" / "table.md").read_text().splitlines()
    heading = next(line for line in lines if line.startswith("| rank")).split("|")
    volatile = [
        i for i, name in enumerate(heading) if name.strip() in ("pre-training (s)", "transfer (s)", "memory (MB)")
    ]
    assert len(volatile) == 3

    def stable(line):
        cells = line.split("|")
        return [cell for i, cell in enumerate(cells) if len(cells) != len(heading) or i not in volatile]

    return [stable(line) for line in lines]


def test_a_node_that_is_killed_in_the_middle_of_a_run_costs_nothing_but_time(cluster, local, start, tmp_path):
    nodes = {node.node_id: node for node in (cluster.add(), cluster.add())}
    out = tmp_path / "out"
    suite = start(out, "--launcher", "ray", "--address", cluster.address)

    def in_pretraining():
        """A node and its run that started, has a checkpoint, and has not ended."""
        text = logs(out)
        for run, node in re.findall(r"(\S+/seed=\d+) starts on node (\w+)", text):
            if node in nodes and f"{run}: " not in text and (out / run / checkpoints.FILE).exists():
                return node, run
        return None

    node, run = suite.wait_until(in_pretraining)
    cluster.remove_node(nodes.pop(node), allow_graceful=False)
    assert read_file(out / run / contract.EVENT_FILE).closing.status == contract.UNFINISHED
    assert suite.process.wait() == 0, suite.printed()
    assert f"{run}: its process died; started again on node" in suite.printed()
    assert "failed" not in suite.printed()
    assert "Raylet" not in suite.printed()
    assert records(out) == records(local)
    assert table(out) == table(local)
    for path in out.rglob(LOCK_FILE):
        with FileLock(path, timeout=0):
            pass
    assert not list(out.glob(".zapbench-*"))
    for left in nodes.values():
        cluster.remove_node(left)


def test_what_ray_prints_between_the_runs_and_the_end_goes_to_a_log_file(cluster, tmp_path, capsys):
    from ray._private.utils import publish_error_to_driver
    from ray._raylet import GcsClient

    launcher = RayLauncher(tmp_path, "", 1, address=cluster.address)
    try:
        for _ in range(2):
            with display(Console(file=io.StringIO()), "nothing", 0) as show:
                assert list(launcher.run([], show)) == []
        publish_error_to_driver("raylet_died", "A page about a node", GcsClient(address=cluster.address))
        wait_for(lambda: "A page about" in logs(tmp_path))
    finally:
        launcher.close()
    print("after")
    assert capsys.readouterr().out == "after\n"


class UnsharedDisk(RayLauncher):
    """A launcher whose nodes cannot see its output folder."""

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self._settings = replace(self._settings, out=Path("/proc/unmounted") / self._settings.out.relative_to("/"))


def run_unshared(out, cluster, *, suite=SUITE, on_launcher=lambda launcher: None):
    def new_launcher():
        launcher = UnsharedDisk(out, "", 1, address=cluster.address)
        on_launcher(launcher)
        return launcher

    return run_suite(plan(suite), out, new_launcher, Console(file=io.StringIO()))


def test_without_a_shared_disk_a_stopped_suite_resumes_to_the_same_records(cluster, local, tmp_path, monkeypatch):
    out = tmp_path / "out"
    pretraining = threading.Event()
    launchers = []

    def update(self, message, original=Display.update):
        original(self, message)
        if message[2] == "pre-training" and not pretraining.is_set():
            pretraining.set()
            launchers[0].stop()

    monkeypatch.setattr(Display, "update", update)
    summary = run_unshared(out, cluster, on_launcher=launchers.append)
    assert summary.outcome.stopped
    assert not summary.outcome.failed
    folder = next(path.parent for path in out.rglob(checkpoints.FILE))
    kept = (folder / contract.EVENT_FILE).read_bytes()
    saved = checkpoints.load(folder / checkpoints.FILE)
    assert not saved.finished
    assert saved.updates > 0
    summary = run_unshared(out, cluster)
    assert not summary.outcome.failed
    assert not summary.outcome.stopped
    assert (folder / contract.EVENT_FILE).read_bytes().startswith(kept)
    assert records(out) == records(local)
    assert list(cluster.folder.glob("zapbench-*")) == []
    assert "starts on node" in logs(out)
    assert not [path for path in out.rglob(".*") if path.name != LOCK_FILE]


def test_a_node_refuses_an_unknown_parameter_before_anything_is_written(cluster, tmp_path):
    with pytest.raises(ValueError, match=r"ASB has no parameter 'episodez'|no parameter named"):
        run_unshared(tmp_path / "a", cluster, suite=replace(SUITE, bindings=("ASB.episodez = 1",)))
    assert not (tmp_path / "a").exists()


def test_a_node_that_cannot_see_the_output_folder_refuses_a_folder_that_holds_another_run(cluster, local, tmp_path):
    spec = RunSpec("glyphs", "asb", 0, (), config.parse_bindings(BINDINGS))
    trial = TrialSpec("sequential", 0.01, "report", 0)
    other = RunSpec("glyphs", "asb", 0, (), config.parse_bindings([*BINDINGS, "run.optimizer = @outer/SGD"]))
    out = tmp_path / "out"
    shutil.copytree(local / spec.folder, out / other.folder)
    launcher = UnsharedDisk(out, "", 1, address=cluster.address)
    try:
        with pytest.raises(ValueError, match=f"{re.escape(str(out / other.folder))} holds another run"):
            launcher.check([Job(other, (trial,))])
        with display(Console(file=io.StringIO()), "", 1) as show:
            outcome = next(launcher.run([Job(other, (trial,))], show))
        ((folder, reason),) = outcome.failed.items()
        assert folder == str(out / other.folder)
        assert reason.startswith(f"ValueError: {out / other.folder} holds another run")
        assert "Traceback" in logs(out)
    finally:
        launcher.close()


def test_a_cluster_that_the_launcher_started_ends_with_it_on_ctrl_c(ray_environment, start, tmp_path):
    out = tmp_path / "out"
    suite = start(out, "--launcher", "ray", "--jobs", "1", RAY_ADDRESS="", ZAPBENCH_TEST=str(tmp_path))
    suite.wait_until(lambda: list(out.rglob(checkpoints.FILE)))
    os.killpg(suite.process.pid, signal.SIGINT)  # a terminal sends it to the process group
    assert suite.process.wait() == 130, suite.printed()
    assert "stopping at the next point" in suite.printed()
    assert "zapbench: stopped" in suite.printed()
    assert "Traceback" not in suite.printed()
    assert checkpoints.load(next(out.rglob(checkpoints.FILE))).updates > 0
    wait_for(lambda: not processes_with(f"ZAPBENCH_TEST={tmp_path}"))


def processes_with(variable):
    """Processes with a variable in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            found += [path.parent.name] if variable in path.read_text(errors="replace") else []
        except OSError:
            continue
    return found


def error_line(capsys, *more):
    assert main(["suite", "demo", "--launcher", "ray", *more]) == 2
    said = capsys.readouterr().err.splitlines()
    (line,) = [line for line in said if line.startswith("zapbench:")]
    assert said[-1] == line
    return line


def test_without_ray_the_error_names_the_command_that_installs_it(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert "pip install 'ray>=2.40'" in error_line(capsys, "--out", str(tmp_path))


def test_an_address_where_no_cluster_answers_is_one_line(ray_environment, monkeypatch, capsys, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        unused = f"127.0.0.1:{free.getsockname()[1]}"
    for address in (unused, f"ray://{unused}", "nonsense"):
        line = error_line(capsys, "--out", str(tmp_path), "--address", address)
        assert f"no Ray cluster answers at {address} (" in line
    monkeypatch.setenv("RAY_ADDRESS", unused)
    assert f"no Ray cluster answers at {unused} (" in error_line(capsys, "--out", str(tmp_path))


def test_an_address_without_the_ray_launcher_is_refused(capsys):
    assert main(["suite", "demo", "--address", "head:6379"]) == 2
    assert "--launcher ray" in capsys.readouterr().err


def test_a_share_of_gpus_that_cannot_be_assigned_is_refused_before_ray_is_asked(tmp_path):
    with pytest.raises(ValueError, match=r"gpus is 1\.5; allowed: a fraction of one GPU, or a whole number"):
        RayLauncher(tmp_path, "", 1, gpus=1.5, address="nonsense")


def test_a_task_takes_the_cores_and_gpus_that_the_suite_asks_for(cluster, tmp_path, capsys):
    node = cluster.add_node(num_cpus=4, num_gpus=1, temp_dir=str(cluster.folder / "gpu"))
    launcher = RayLauncher(tmp_path, "", 2, gpus=0.5, address=cluster.address)
    try:
        assert capsys.readouterr().err == ""
        assert launcher.capacity() == 4  # twice the two halves of the GPU; its cores have room for two as well
        ray = launcher._ray
        future = launcher.submit(0, Job(RunSpec("glyphs", "asb", 0, (), config.parse_bindings(BINDINGS))))
        wait_for(lambda: ray.available_resources().get("GPU", 0.0) == 0.5)
        assert ray.available_resources()["CPU"] == ray.cluster_resources()["CPU"] - 2
        ray.get(launcher._actor.exchange.remote(True))
        assert future.result().outcome.stopped
    finally:
        launcher.close()
        cluster.remove_node(node)


def test_a_suite_waits_with_a_message_until_a_node_that_is_large_enough_joins(cluster, tmp_path, capsys):
    launcher = RayLauncher(tmp_path, "", 64, address=cluster.address)
    launcher.close()
    said = capsys.readouterr().err
    assert "no node of the Ray cluster has cpus = 64 and gpus = 0; waiting until one joins" in said


def test_a_machine_works_in_a_folder_whose_token_it_can_read_and_lock(tmp_path, monkeypatch):
    (tmp_path / "token").write_text("token")
    (tmp_path / "other").write_text("another launcher's")
    assert can_work_in(tmp_path, "token")
    assert not can_work_in(tmp_path, "other")
    assert not can_work_in(tmp_path / "elsewhere", "token")

    def missing(file, kind):
        raise OSError(errno.ENOSYS, "no such call")

    monkeypatch.setattr(fcntl, "flock", missing)
    assert not can_work_in(tmp_path, "token")
