"""Log files of the worker processes: one file per process, below the output folder."""

import functools
import os
import socket
import sys
import time
from pathlib import Path

LOGS = "logs"
"""Folder below the output folder; each file in it is named after a worker's machine and process."""


@functools.cache
def log_output(folder: Path) -> None:
    """Redirects everything that this process prints, C libraries included, to its log file."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / log_name()).open("ab") as file:
        redirect_output(file.fileno())


def log_name() -> str:
    """Returns the name of this process's log file."""
    return f"{socket.gethostname()}-{os.getpid()}.log"


def redirect_output(descriptor: int) -> None:
    """Redirects everything that this process prints to an open file."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(descriptor, stream.fileno())


def print_with_time(text: str) -> None:
    """Prints a line that begins with the time, in UTC."""
    print(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), text, flush=True)
