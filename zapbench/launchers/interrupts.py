"""Ctrl-C: once for a clean end, twice for an end at once."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def clean_end(ask: Callable[[], None]) -> Iterator[None]:
    """While it lasts, the first Ctrl-C (or SIGTERM, as a cluster sends it) calls `ask`, the second interrupts."""
    asked = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        ask()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
