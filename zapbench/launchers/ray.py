"""A launcher that runs jobs as tasks of a Ray cluster: Ray places the tasks, this module keeps what they make.

If a node or a process dies, Ray starts its task again; if a job fails, the launcher tries it once more. The launcher's
machine needs neither torch nor the data, and nodes need no access to the output folder.
"""

import os
import secrets
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, redirect_stdout
from pathlib import Path
from typing import Any, TextIO

from filelock import FileLock, Timeout

from zapbench.atomic import FATAL, LOCK_FILE
from zapbench.launchers.base import Launcher
from zapbench.launchers.cpus import cores
from zapbench.launchers.gpus import check_share
from zapbench.launchers.job import CHECKING
from zapbench.launchers.local import outcome_of_dead_worker
from zapbench.launchers.progress import Display
from zapbench.launchers.ray_worker import JobResult, ProgressActor, WorkerSettings, check_on_node, run_on_node
from zapbench.launchers.run_files import Files, files_to_resume, record_heads, write_files
from zapbench.launchers.schedule import run_concurrently
from zapbench.launchers.worker_logs import LOGS, log_name
from zapbench.tasks import Job, Outcome, Progress, silent

RETRIES = 3
"""How often Ray starts a task again whose node or process died."""

OWN_CLUSTER = "local"
"""Ray's address for a cluster that it starts on this machine and that ends with the launcher."""

POLL_SECONDS = 0.3
LOCK_SECONDS = 60.0
FORWARDED = ("ZAPBENCH_DATA", "ZAPBENCH_OFFLINE")
"""Environment variables of the launcher that nodes get if they have none of their own."""


class RayLauncher(Launcher):
    """Runs jobs on a Ray cluster.

    Args:
        out: output folder.
        command: the command line, which descriptions record.
        cpus: cores per task, and its number of threads.
        gpus: GPUs per task: a fraction of one, or a whole number.
        jobs: number of tasks submitted at once; None for twice the number that fits into the cluster.
        address: address of the cluster; None for `RAY_ADDRESS`, and without it for a cluster that is started here and
            ends with this launcher.

    Raises:
        ValueError: Ray is not installed, no cluster answers, or no node will ever be large enough.
    """

    def __init__(
        self, out: Path, command: str, cpus: int, gpus: float = 0.0, jobs: int | None = None, address: str | None = None
    ) -> None:
        check_share(gpus)
        super().__init__(out, command)
        self._cpus, self._gpus, self._jobs = cpus, gpus, jobs
        environment = {name: os.environ[name] for name in FORWARDED if name in os.environ}
        token = f".zapbench-{secrets.token_hex(8)}"
        self._settings = WorkerSettings(out.absolute(), out, token, command, cpus, Path.cwd(), environment)
        self._nodes_need_files = False
        self._stopping = threading.Event()
        self._while_running, self._until_closed = ExitStack(), ExitStack()
        self._log: TextIO | None = None
        self._names: dict[int, str] = {}
        self._not_started: dict[int, int] = {}
        address = address or os.environ.get("RAY_ADDRESS") or OWN_CLUSTER
        self._ray = connect(address, max(cores(), (jobs or 1) * cpus))
        try:
            self._check_room(joined=address != OWN_CLUSTER)
        except ValueError:
            self.close()
            raise
        remote: Any = self._ray.remote
        needs: dict[str, Any] = {"num_cpus": cpus, "max_retries": RETRIES} | ({"num_gpus": gpus} if gpus else {})
        self._run, self._check = (remote(task).options(**needs) for task in (run_on_node, check_on_node))
        self._actor = remote(ProgressActor).options(num_cpus=0, scheduling_strategy=self._on_this_node()).remote()

    def check(self, jobs: list[Job], progress: Progress = silent) -> None:
        """See `Launcher.check`; a node runs the check, and does not say how far it is."""
        progress(f"{CHECKING} on a node", 0, len(jobs))
        heads = self._ray.put(record_heads(self.out, jobs))
        try:
            reason = self._ray.get(self._check.remote(self._settings, jobs, heads))
        except self._ray.exceptions.RayError as error:
            raise ValueError(f"a node of the Ray cluster cannot run this suite ({_first_line(error)})") from error
        if reason:
            raise ValueError(reason)

    def stop(self) -> None:
        """See `Launcher.stop`; the actor is asked later, as a signal may arrive in the middle of a call of Ray."""
        self._stopping.set()

    def close(self) -> None:
        """See `Launcher.close`; leaves the cluster, or ends the one that was started here, and with it its tasks."""
        self._while_running.close()
        with self._until_closed:  # Ray may report the death of a node after the run in which it died
            self._ray.shutdown()

    def run(self, jobs: list[Job], display: Display) -> Iterator[Outcome]:
        """See `Launcher.run`."""
        self._names, self._not_started = {}, {}
        try:
            self._prepare_run(display)
            yield from run_concurrently(self, jobs, display, self._stopping.is_set)
        finally:
            self._while_running.close()

    def capacity(self) -> int:
        """See `Workers.capacity`: twice what fits, so that no node waits for the launcher."""
        if self._jobs:
            return self._jobs
        resources = self._ray.cluster_resources()
        slots = resources.get("CPU", 0.0) // self._cpus
        if self._gpus:
            slots = min(slots, resources.get("GPU", 0.0) / self._gpus)
        return max(2, 2 * int(slots))

    def submit(self, number: int, job: Job) -> Future[JobResult | None]:
        """See `Workers.submit`."""
        files: Files | None = {}
        if (self.out / job.run.folder).exists():  # sending a run's files is useless where nodes share the disk
            files = self._ray.put(files_to_resume(self.out, job)) if self._nodes_need_files else None
        self._names[number] = job.name
        self._not_started[number] = self._not_started.get(number, 0) + 1
        task = self._run.remote(self._settings, number, job, files, self._actor)
        future: Future[JobResult | None] = task.future()
        return future

    def outcome_of(self, job: Job, number: int, future: Future[JobResult | None]) -> Outcome | None:
        """See `Workers.outcome_of`; writes the files that a node without the output folder made."""
        self._names.pop(number, None)
        try:
            result = future.result()
        except Exception as error:  # nodes died more often than Ray retries
            return outcome_of_dead_worker(self.out, job, error)
        if result is None:
            self._nodes_need_files = True
            return None
        return self._write(result, job)

    def recover(self) -> bool:
        """See `Workers.recover`: nothing to do, as Ray replaces its workers itself."""
        return False

    def _write(self, result: JobResult, job: Job) -> Outcome:
        folder = self.out / job.run.folder
        outcome = result.outcome
        try:
            if result.printed:
                (self.out / LOGS).mkdir(parents=True, exist_ok=True)
                with (self.out / LOGS / result.log).open("ab") as file:
                    file.write(result.printed)
            if result.files:
                folder.mkdir(parents=True, exist_ok=True)
                with FileLock(folder / LOCK_FILE, timeout=LOCK_SECONDS):
                    write_files(result.files, self.out)
        except Timeout:
            outcome.failed[str(folder)] = "another process holds its lock, so the files of a node were not written"
        except OSError as error:
            if error.errno not in FATAL:
                raise
            outcome.fatal = f"{error.strerror} ({error.filename or folder})"
        return outcome

    def _prepare_run(self, display: Display) -> None:
        """Writes the token, starts to poll the actor, and redirects what Ray prints about dead nodes to a log file."""
        stack = self._while_running
        token, logs = self.out / self._settings.token, self.out / LOGS
        stack.callback(token.unlink, missing_ok=True)
        token.write_text(token.name, encoding="utf-8")
        logs.mkdir(exist_ok=True)
        if self._log is None:
            self._log = self._until_closed.enter_context((logs / log_name()).open("a", 1, encoding="utf-8"))
            self._until_closed.enter_context(redirect_stdout(self._log))
        ended = threading.Event()
        poller = threading.Thread(target=self._poll, args=(display, ended), daemon=True)
        stack.callback(poller.join, timeout=10)
        stack.callback(ended.set)
        poller.start()

    def _poll(self, display: Display, ended: threading.Event) -> None:
        while not ended.wait(POLL_SECONDS):
            try:
                news, started = self._ray.get(self._actor.exchange.remote(self._stopping.is_set()), timeout=10)
            except self._ray.exceptions.RayError:
                continue
            for number, node in started:
                self._not_started[number] = self._not_started.get(number, 0) - 1
                if self._not_started[number] < 0:
                    display.say(f"{self._names.get(number, number)}: its process died; started again on node {node}")
            for message in news:
                if self._names.get(message[0]) == message[1]:
                    display.update(message)

    def _on_this_node(self) -> Any:
        """Keeps the actor on the launcher's node, so that it survives the death of every other node."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        return NodeAffinitySchedulingStrategy(self._ray.get_runtime_context().get_node_id(), soft=False)

    def _check_room(self, *, joined: bool) -> None:
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        if any(node.get("CPU", 0) >= self._cpus and node.get("GPU", 0) >= self._gpus for node in nodes):
            return
        reason = f"no node of the Ray cluster has cpus = {self._cpus} and gpus = {self._gpus:g}"
        if not joined:
            raise ValueError(f"suite: {reason}")
        print(f"zapbench: suite: {reason}; waiting until one joins", file=sys.stderr)


def connect(address: str, cpus: int) -> Any:
    """Joins a cluster, or starts one with `cpus` cores on this machine, and returns the module `ray`.

    Raises:
        ValueError: Ray is not installed, or no cluster answers.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # a suite without `gpus` may still bind a device
    try:
        import ray
    except ImportError:
        raise ValueError("Ray is not installed; install it with: pip install 'ray>=2.40'") from None
    own = {"num_cpus": cpus, "include_dashboard": False} if address == OWN_CLUSTER else {}
    try:
        _check_reachable(address)
        ray.init(address, logging_level="ERROR", log_to_driver=False, **own)
    except (Exception, SystemExit) as error:
        hint = "" if own else "; if the cluster requires a token, export RAY_AUTH_MODE=token"
        raise ValueError(f"no Ray cluster answers at {address} ({_first_line(error)}){hint}") from error
    return ray


def _check_reachable(address: str) -> None:
    """Opens a connection, because `ray.init` tries for more than a minute and then ends the process."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no reason given'}"
