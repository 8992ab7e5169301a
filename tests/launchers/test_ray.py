"""A Ray cluster on this machine: real nodes, one of them killed; a disk that nodes do not share; errors in words."""

import errno
import fcntl
import importlib.util
import io
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock
from rich.console import Console
from support.paths import ROOT

from zapbench import config
from zapbench.atomic import LOCK_FILE
from zapbench.cli.main import main
from zapbench.experiment import checkpoints
from zapbench.launchers.base import Launcher
from zapbench.launchers.progress import Display, display
from zapbench.launchers.ray import RayLauncher
from zapbench.launchers.ray_worker import sees
from zapbench.launchers.run_files import changed_files, files_to_resume, record_heads, write_files
from zapbench.leaderboard import contract
from zapbench.leaderboard.read.parse import read_file
from zapbench.suites.plan import plan
from zapbench.suites.run import run_suite
from zapbench.suites.suite import Suite
from zapbench.tasks import Job, RunSpec, TrialSpec

_torture = importlib.util.spec_from_file_location("torture", ROOT / "benchmarks" / "torture.py")
torture = importlib.util.module_from_spec(_torture)
_torture.loader.exec_module(torture)

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
RAY = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AUTH_MODE": "token",  # else Ray writes a token of its own into the home folder
    "RAY_AUTH_TOKEN": secrets.token_hex(16),
}
SECONDS = 120


@pytest.fixture(scope="module", autouse=True)
def _environment():
    """Tokens and folders of Ray for these tests alone."""
    folder = Path(tempfile.mkdtemp(prefix="zap-ray-", dir="/tmp"))  # Ray's sockets bear no long path
    (folder / "ray").mkdir()  # a `Cluster` notes its address there, and makes no folder for it
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (RAY | {"RAY_TMPDIR": str(folder)}).items():
            patch.setenv(name, value)
        patch.delenv("RAY_ADDRESS", raising=False)
        yield
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def cluster():
    """A head without cores, and what adds nodes of one core; each has a session folder of its own."""
    from ray.cluster_utils import Cluster

    folder = Path(tempfile.mkdtemp(prefix="zap-ray-", dir="/tmp"))  # Ray's sockets bear no long path
    found = Cluster()
    try:
        found.add_node(num_cpus=0, include_dashboard=False, temp_dir=str(folder / "head"))

        def add():
            own = folder / f"node{len(list(folder.iterdir()))}"
            return found.add_node(num_cpus=1, temp_dir=str(own), env_vars={"TMPDIR": str(folder)})

        found.add = add
        found.folder = folder
        add()
        yield found
    finally:
        found.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """The suite by the local launcher."""
    out = tmp_path_factory.mktemp("local")
    (out / "small.gin").write_text(FILE)
    assert start(out).wait(timeout=SECONDS) == 0
    return out


def start(out, *more, **environment):
    """Starts the suite in a process group of its own; what it says of progress goes to a file."""
    (out.parent / "small.gin").write_text(FILE)
    words = [sys.executable, "-m", "zapbench", "suite", str(out.parent / "small.gin"), "--out", str(out), *more]
    with (out.parent / "said.txt").open("w") as said:
        return subprocess.Popen(words, stdout=said, stderr=said, start_new_session=True, env=os.environ | environment)


def said(out):
    return (out.parent / "said.txt").read_text()


def wait_for(condition):
    end = time.monotonic() + SECONDS
    while not (found := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return found


def table(out):
    """The table as it was written, but for its columns of times and memory."""
    lines = (out / "results" / "small" / "table.md").read_text().splitlines()
    heading = next(line for line in lines if line.startswith("| rank")).split("|")
    volatile = [i for i, name in enumerate(heading) if name.strip() in ("pre-training s", "transfer s", "memory MB")]
    assert len(volatile) == 3

    def stable(line):
        cells = line.split("|")
        return [cell for i, cell in enumerate(cells) if len(cells) != len(heading) or i not in volatile]

    return [stable(line) for line in lines]


def test_a_node_that_is_killed_in_the_middle_of_a_run_costs_nothing_but_time(cluster, local, tmp_path):
    nodes = {node.node_id: node for node in (cluster.add(), cluster.add())}
    out = tmp_path / "out"
    process = start(out, "--launcher", "ray", "--address", cluster.address)

    def under_way():
        """A node, and a run on it that is pre-training: it began, has a checkpoint, and has not ended."""
        text = "".join(path.read_text() for path in out.glob("logs/*.log"))
        for run, node in re.findall(r"(\S+/seed=\d+) begins on node (\w+)", text):
            half = (out / run / checkpoints.FILE).exists() and f"{run}: " not in text
            if half and node in nodes:
                return node, run
        return None

    node, run = wait_for(under_way)
    cluster.remove_node(nodes.pop(node), allow_graceful=False)
    assert read_file(out / run / contract.EVENT_FILE).closing.status == contract.UNFINISHED
    assert process.wait(timeout=SECONDS) == 0, said(out)
    assert f"{run}: its process was lost; begun again on node" in said(out)
    assert "failed" not in said(out)
    assert "Raylet" not in said(out)
    assert torture.logs_of(out) == torture.logs_of(local)
    assert table(out) == table(local)
    for path in out.rglob(LOCK_FILE):
        with FileLock(path, timeout=0):
            pass
    assert not list(out.glob(".zapbench-*"))
    for left in nodes.values():
        cluster.remove_node(left)


def test_what_a_cluster_says_between_the_runs_and_its_end_is_kept_with_the_logs(cluster, tmp_path, capsys):
    from ray._private.utils import publish_error_to_driver
    from ray._raylet import GcsClient

    launcher = RayLauncher(tmp_path, "", 1, address=cluster.address)
    try:
        for _ in range(2):
            with display(Console(file=io.StringIO()), "nothing", 0) as show:
                assert list(launcher.run([], show)) == []
        publish_error_to_driver("raylet_died", "A page about a node", GcsClient(address=cluster.address))
        wait_for(lambda: [path for path in tmp_path.glob("logs/*.log") if "A page about" in path.read_text()])
    finally:
        launcher.close()
    print("after")
    assert capsys.readouterr().out == "after\n"


class Unmounted(RayLauncher):
    """A cluster whose nodes see no output folder, as without a shared disk; stops itself when it is told to."""

    stops = False

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self._settings = replace(self._settings, out=Path("/proc/unmounted") / self._settings.out.relative_to("/"))


def run(out, address, *, cls=Unmounted, suite=SUITE, on_launcher=lambda launcher: None):
    def new_launcher():
        launcher = cls(out, "", 1, address=address)
        on_launcher(launcher)
        return launcher

    return run_suite(plan(suite), out, new_launcher, Console(file=io.StringIO()))


def test_without_a_shared_disk_runs_stop_cleanly_go_on_and_come_back_whole(cluster, local, tmp_path):
    out = tmp_path / "out"

    def stop_soon(launcher):
        def watch():
            wait_for(lambda: any(done for _, _, phase, done, _ in seen if phase == "pre-training"))
            launcher.stop()

        threading.Thread(target=watch, daemon=True).start()

    seen = []
    original = Display.update
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Display, "update", lambda self, message: (seen.append(message), original(self, message)))
        summary = run(out, cluster.address, on_launcher=stop_soon)
    assert summary.outcome.stopped
    assert not summary.outcome.failed
    folder = next(path.parent for path in out.rglob(checkpoints.FILE))
    kept = (folder / contract.EVENT_FILE).read_bytes()
    saved = checkpoints.load(folder / checkpoints.FILE)
    assert not saved.finished
    assert saved.updates > 0
    summary = run(out, cluster.address)
    assert not summary.outcome.failed
    assert not summary.outcome.stopped
    assert (folder / contract.EVENT_FILE).read_bytes().startswith(kept)
    assert torture.logs_of(out) == torture.logs_of(local)
    assert [path for path in cluster.folder.glob("zapbench-*")] == []
    assert "starts on node" in "".join(path.read_text() for path in out.glob("logs/*.log"))
    assert not [path for path in out.rglob(".*") if path.name != LOCK_FILE]


def test_what_does_not_fit_is_said_by_a_node_before_anything_is_written(cluster, tmp_path):
    with pytest.raises(ValueError, match=r"ASB has no parameter 'episodez'|no parameter named"):
        run(tmp_path / "a", cluster.address, suite=replace(SUITE, bindings=("ASB.episodez = 1",)))
    assert not (tmp_path / "a").exists()


def test_another_run_in_the_folder_is_refused_by_a_node_that_does_not_see_it(cluster, local, tmp_path):
    run_spec = RunSpec("glyphs", "asb", 0, (), config.parse_bindings(BINDINGS))
    trial = TrialSpec("sequential", 0.01, "report", 0)
    other = RunSpec("glyphs", "asb", 0, (), config.parse_bindings([*BINDINGS, "run.optimizer = @outer/SGD"]))
    out = tmp_path / "out"
    shutil.copytree(local / run_spec.folder, out / other.folder)
    launcher = Unmounted(out, "", 1, address=cluster.address)
    try:
        with pytest.raises(ValueError, match=f"{re.escape(str(out / other.folder))} holds another run"):
            launcher.check([Job(other, (trial,))])
        file = io.StringIO()
        with display(Console(file=file, width=1000), "", 1) as show:
            outcome = next(launcher.run([Job(other, (trial,))], show))
        (folder, reason), *rest = outcome.failed.items()
        assert not rest
        assert folder == str(out / other.folder)
        assert reason.startswith(f"ValueError: {out / other.folder} holds another run")
        assert file.getvalue().count("trying once more") == 1
        assert "Traceback" in "".join(path.read_text() for path in out.glob("logs/*.log"))
    finally:
        launcher.close()


def test_a_cluster_that_is_begun_here_ends_with_its_launcher_on_ctrl_c(tmp_path):
    out = tmp_path / "out"
    process = start(out, "--launcher", "ray", "--jobs", "1", RAY_ADDRESS="", ZAPBENCH_TEST=str(tmp_path))
    wait_for(lambda: list(out.rglob(checkpoints.FILE)) or process.poll() is not None)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the whole group hears of it
    assert process.wait(timeout=SECONDS) == 130, said(out)
    assert "stopping at the next point" in said(out)
    assert "stopped; the same command resumes here" in said(out)
    assert "Traceback" not in said(out)
    assert checkpoints.load(next(out.rglob(checkpoints.FILE))).updates > 0
    wait_for(lambda: not left_of(str(tmp_path)))


def left_of(mark):
    """Processes that bear a mark in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            found += [path.parent.name] if f"ZAPBENCH_TEST={mark}" in path.read_text(errors="replace") else []
        except OSError:
            continue
    return found


def words(capsys, *more):
    assert main(["suite", "demo", "--launcher", "ray", *more]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    return lines[0]


def test_without_ray_the_command_that_installs_it_is_said(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert "pip install 'zapbench[ray]'" in words(capsys, "--out", str(tmp_path))


def test_an_address_where_nobody_answers_is_one_line(monkeypatch, capsys, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{free.getsockname()[1]}"
    for address in (nobody, f"ray://{nobody}", "nonsense"):
        assert f"no Ray cluster answers at {address} (" in words(capsys, "--out", str(tmp_path), "--address", address)
    monkeypatch.setenv("RAY_ADDRESS", nobody)
    assert f"no Ray cluster answers at {nobody} (" in words(capsys, "--out", str(tmp_path))


def test_an_address_is_refused_where_no_ray_is_asked_for(capsys):
    assert main(["suite", "demo", "--address", "head:6379"]) == 2
    assert "add --launcher ray" in capsys.readouterr().err


def test_a_share_of_gpus_that_nobody_can_give_is_refused_before_ray_is_asked(tmp_path):
    with pytest.raises(ValueError, match=r"gpus is 1\.5; allowed: a fraction of one, or a whole number"):
        RayLauncher(tmp_path, "", 1, gpus=1.5, address="nonsense")


def test_tasks_take_the_cores_and_gpus_that_a_suite_asks_for(cluster, tmp_path, capsys):
    node = cluster.add_node(num_cpus=4, num_gpus=1, temp_dir=str(cluster.folder / "gpu"))
    launcher = RayLauncher(tmp_path, "", 2, gpus=0.5, address=cluster.address)
    try:
        assert capsys.readouterr().err == ""
        assert launcher.room() == 4  # twice the two halves of the GPU; its cores have room for two as well
        ray = launcher._ray
        out = (tmp_path / "out").absolute()
        out.mkdir()
        launcher._orders = replace(launcher._orders, out=out)
        spec = RunSpec("glyphs", "asb", 0, (), config.parse_bindings(BINDINGS))
        (out / launcher._orders.token).write_text(launcher._orders.token)
        task = launcher._run.remote(launcher._orders, 0, [(spec, ())], {}, launcher._board)
        wait_for(lambda: ray.available_resources().get("GPU", 0.0) == 0.5)
        assert ray.available_resources()["CPU"] == ray.cluster_resources()["CPU"] - 2
        launcher.stop()
        ray.get(launcher._board.exchange.remote(True))
        assert ray.get(task, timeout=SECONDS).outcome.stopped
    finally:
        launcher.close()
        cluster.remove_node(node)
    launcher = RayLauncher(tmp_path, "", 64, address=cluster.address)
    launcher.close()
    assert "no node of the Ray cluster has as much; waiting for one that joins" in capsys.readouterr().err


def test_a_machine_sees_the_output_folder_by_a_token_that_it_can_lock(tmp_path, monkeypatch):
    (tmp_path / "token").write_text("token")
    (tmp_path / "other").write_text("another launcher's")
    assert sees(tmp_path, "token")
    assert not sees(tmp_path, "other")
    assert not sees(tmp_path / "elsewhere", "token")

    def missing(file, kind):
        raise OSError(errno.ENOSYS, "no such call")

    monkeypatch.setattr(fcntl, "flock", missing)
    assert not sees(tmp_path, "token")


def test_a_parcel_holds_what_a_job_goes_on_from_and_what_it_made(local, tmp_path):
    spec = RunSpec("glyphs", "asb", 0, (), config.parse_bindings(BINDINGS))
    trial = TrialSpec("sequential", 0.01, "select", 0)
    sent = files_to_resume(local, Job(spec, (trial,)))
    run, record = spec.folder.as_posix(), f"{trial.folder.as_posix()}/{contract.EVENT_FILE}"
    assert sorted(sent) == sorted(f"{run}/{name}" for name in (checkpoints.FILE, contract.EVENT_FILE, record))
    (tmp_path / spec.folder).mkdir(parents=True)
    (tmp_path / spec.folder / ".part-1").write_bytes(b"what a crash left")
    write_files(sent, tmp_path)
    assert changed_files(tmp_path, Job(spec, (trial,)), sent) == {}
    (tmp_path / spec.folder / checkpoints.FILE).write_bytes(b"new")
    assert changed_files(tmp_path, Job(spec, (trial,)), sent) == {f"{run}/{checkpoints.FILE}": b"new"}
    begun = record_heads(local, [Job(spec, (trial,))])
    assert sorted(begun) == sorted(f"{run}/{name}" for name in (contract.EVENT_FILE, record))
    assert all(sent[name].startswith(content) for name, content in begun.items())


def test_files_are_written_in_the_order_in_which_a_run_makes_them(tmp_path, monkeypatch):
    order = []
    monkeypatch.setattr("zapbench.launchers.run_files.write_atomically", lambda path, content: order.append(path.name))
    run = "a/b/c/seed=0"
    write_files(
        {f"{run}/t/lr=1/report=0/x": b"", f"{run}/{checkpoints.FILE}": b"", f"{run}/{contract.EVENT_FILE}": b""},
        tmp_path,
    )
    assert order == [contract.EVENT_FILE, checkpoints.FILE, "x"]


def test_an_engine_of_ray_has_all_that_an_engine_has():
    public = {name for name in vars(Launcher) if not name.startswith("_")}
    assert public <= {name for name in vars(RayLauncher) if not name.startswith("_")}
