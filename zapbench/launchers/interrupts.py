"""Handles Ctrl-C: the first one asks for a clean stop, the second one interrupts at once."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def clean_end(ask: Callable[[], None]) -> Iterator[None]:
    """Within the block, the first Ctrl-C (or SIGTERM, which clusters send) calls `ask`; the second one interrupts."""
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
