"""A launcher that runs jobs as tasks of a Ray cluster. Ray says where and when; this module says what, and keeps it.

A task that Ray loses (its node or its process died) is retried by Ray; a run that failed is tried once more, as
everywhere. The launcher's machine needs neither torch nor the data, and its nodes need not see the output folder.
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
from zapbench.launchers.local import lost
from zapbench.launchers.progress import Display
from zapbench.launchers.ray_worker import Answer, ProgressActor, WorkerSettings, check_on_node, run_on_node
from zapbench.launchers.run_files import files_to_resume, record_heads, write_files
from zapbench.launchers.schedule import run_concurrently
from zapbench.launchers.worker_logs import LOGS, log_name
from zapbench.tasks import Job, Outcome

RETRIES = 3
"""Times that Ray begins a task anew whose node or process died."""

OWN = "local"
"""What Ray calls a cluster that it begins here, and ends with its launcher."""

LISTEN_SECONDS = 0.3
LOCK_SECONDS = 60.0
PASSED_ON = ("ZAPBENCH_DATA", "ZAPBENCH_OFFLINE")


class RayLauncher(Launcher):
    """Runs jobs on a Ray cluster.

    Args:
        out: output folder.
        command: the command line, kept in descriptions.
        cpus: cores of each task, and its threads.
        gpus: GPUs of each task: a fraction of one, or a whole number.
        jobs: tasks side by side; None for what the cluster has room for.
        address: of the cluster; None for `RAY_ADDRESS`, or else a cluster that lives as long as this engine.

    Raises:
        ValueError: Ray is not installed, no cluster answers, or it can never have room.
    """

    def __init__(
        self, out: Path, command: str, cpus: int, gpus: float = 0.0, jobs: int | None = None, address: str | None = None
    ) -> None:
        check_share(gpus)
        super().__init__(out, command)
        self._cpus, self._gpus, self._jobs = cpus, gpus, jobs
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        token = f".zapbench-{secrets.token_hex(8)}"
        self._settings = WorkerSettings(out.absolute(), out, token, command, cpus, Path.cwd(), environment)
        self._carry = False
        self._stopping = threading.Event()
        self._while_running, self._until_closed = ExitStack(), ExitStack()
        self._log: TextIO | None = None
        self._names: dict[int, str] = {}
        self._submitted: dict[int, int] = {}
        address = address or os.environ.get("RAY_ADDRESS") or OWN
        self._ray = connect(address, max(cores(), (jobs or 1) * cpus))
        try:
            self._check_room(joined=address != OWN)
        except ValueError:
            self.close()
            raise
        remote: Any = self._ray.remote
        needs: dict[str, Any] = {"num_cpus": cpus, "max_retries": RETRIES} | ({"num_gpus": gpus} if gpus else {})
        self._run, self._check = (remote(task).options(**needs) for task in (run_on_node, check_on_node))
        self._actor = remote(ProgressActor).options(num_cpus=0, scheduling_strategy=self._beside()).remote()

    def check(self, jobs: list[Job]) -> None:
        """See `Launcher.check`; a node does it."""
        try:
            reason = self._ray.get(
                self._check.remote(self._settings, jobs, self._ray.put(record_heads(self.out, jobs)))
            )
        except self._ray.exceptions.RayError as error:
            raise ValueError(f"a node of the Ray cluster cannot work for this suite ({_in_a_line(error)})") from error
        if reason:
            raise ValueError(reason)

    def stop(self) -> None:
        """See `Launcher.stop`; the actor hears of it soon (this may be called by a signal, in the middle of Ray)."""
        self._stopping.set()

    def close(self) -> None:
        """Leaves the cluster, or ends the one that was begun here; Ray ends the tasks that still run."""
        self._while_running.close()
        with self._until_closed:  # a node may be mourned after the run that it was lost in
            self._ray.shutdown()

    def run(self, jobs: list[Job], display: Display) -> Iterator[Outcome]:
        """See `Launcher.run`; the order in which runs end is theirs."""
        self._names, self._submitted = {}, {}
        try:
            self._begin(display)
            yield from run_concurrently(self, jobs, display, self._stopping.is_set)
        finally:
            self._while_running.close()

    def capacity(self) -> int:
        """See `Workers.capacity`: twice what runs at once, so that no node waits for the launcher."""
        if self._jobs:
            return self._jobs
        held = self._ray.cluster_resources()
        slots = held.get("CPU", 0.0) // self._cpus
        if self._gpus:
            slots = min(slots, held.get("GPU", 0.0) / self._gpus)
        return max(2, 2 * int(slots))

    def submit(self, number: int, job: Job) -> Future[Answer | None]:
        """See `Workers.submit`; files go along where there are any and a node was seen to need them."""
        begun = (self.out / job.run.folder).exists()
        files: Any = self._ray.put(files_to_resume(self.out, job)) if begun and self._carry else None if begun else {}
        self._names[number] = job.name
        self._submitted[number] = self._submitted.get(number, 0) + 1
        future: Future[Answer | None] = self._run.remote(self._settings, number, job, files, self._actor).future()
        return future

    def outcome_of(self, job: Job, number: int, future: Future[Answer | None]) -> Outcome | None:
        """See `Workers.outcome_of`; what was made elsewhere is written here."""
        self._names.pop(number, None)
        try:
            answer = future.result()
        except Exception as error:  # nodes were lost more often than Ray retries
            return lost(self.out, job, error)
        if answer is None:
            self._carry = True
            return None
        return self._kept(answer, job)

    def recover(self) -> bool:
        """See `Workers.recover`: Ray has done so."""
        return False

    def _kept(self, answer: Answer, job: Job) -> Outcome:
        folder = self.out / job.run.folder
        outcome = answer.outcome
        try:
            if answer.printed:
                (self.out / LOGS).mkdir(parents=True, exist_ok=True)
                with (self.out / LOGS / answer.log).open("ab") as file:
                    file.write(answer.printed)
            if answer.files:
                folder.mkdir(parents=True, exist_ok=True)
                with FileLock(folder / LOCK_FILE, timeout=LOCK_SECONDS):
                    write_files(answer.files, self.out)
        except Timeout:
            outcome.failed[str(folder)] = "another process works in it, so what a node made was not written"
        except OSError as error:
            if error.errno not in FATAL:
                raise
            outcome.fatal = f"{error.strerror} ({error.filename or folder})"
        return outcome

    def _begin(self, display: Display) -> None:
        """Lays the token out, listens to the actor, and keeps what Ray prints of nodes that died with the logs."""
        held = self._while_running
        token, logs = self.out / self._settings.token, self.out / LOGS
        held.callback(token.unlink, missing_ok=True)
        token.write_text(token.name, encoding="utf-8")
        logs.mkdir(exist_ok=True)
        if self._log is None:
            self._log = self._until_closed.enter_context((logs / log_name()).open("a", 1, encoding="utf-8"))
            self._until_closed.enter_context(redirect_stdout(self._log))
        ended = threading.Event()
        listener = threading.Thread(target=self._listen, args=(display, ended), daemon=True)
        held.callback(listener.join, timeout=10)
        held.callback(ended.set)
        listener.start()

    def _listen(self, display: Display, ended: threading.Event) -> None:
        while not ended.wait(LISTEN_SECONDS):
            try:
                news, begun = self._ray.get(self._actor.exchange.remote(self._stopping.is_set()), timeout=10)
            except self._ray.exceptions.RayError:
                continue
            for number, node in begun:
                self._submitted[number] = self._submitted.get(number, 0) - 1
                if self._submitted[number] < 0:
                    display.say(f"{self._names.get(number, number)}: its process was lost; begun again on node {node}")
            for message in news:
                if self._names.get(message[0]) == message[1]:
                    display.update(message)

    def _beside(self) -> Any:
        """Keeps the actor on the launcher's node: no other node's end can then take it away."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        return NodeAffinitySchedulingStrategy(self._ray.get_runtime_context().get_node_id(), soft=False)

    def _check_room(self, *, joined: bool) -> None:
        held = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        if any(node.get("CPU", 0) >= self._cpus and node.get("GPU", 0) >= self._gpus for node in held):
            return
        wanted = f"cpus is {self._cpus} and gpus is {self._gpus:g}, and no node of the Ray cluster has as much"
        if not joined:
            raise ValueError(f"suite: {wanted}")
        print(f"zapbench: suite: {wanted}; waiting for one that joins", file=sys.stderr)


def connect(address: str, cpus: int) -> Any:
    """Joins a cluster, or begins one of so many cores here, and returns Ray.

    Raises:
        ValueError: Ray is not installed, or no cluster answers.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # a suite without `gpus` may still bind a device
    try:
        import ray
    except ImportError:
        raise ValueError("Ray is not installed; install it with: pip install 'zapbench[ray]'") from None
    own = {"num_cpus": cpus, "include_dashboard": False} if address == OWN else {}
    try:
        _try_address(address)
        ray.init(address, logging_level="ERROR", log_to_driver=False, **own)
    except (Exception, SystemExit) as error:
        hint = "" if own else "; where a cluster asks for a token, export RAY_AUTH_MODE=token"
        raise ValueError(f"no Ray cluster answers at {address} ({_in_a_line(error)}){hint}") from error
    return ray


def _try_address(address: str) -> None:
    """Asks whether anybody is there: Ray itself tries for more than a minute, and then ends the process."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


def _in_a_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no reason given'}"
