"""Handles Ctrl-C: the first one asks for a clean stop, the second one interrupts at once."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def clean_end(ask: Callable[[], None]) -> Iterator[None]:
    """Within the block, the first Ctrl-C (or SIGTERM, which clusters send) calls `ask`; the second one interrupts.

    Only the main thread may handle signals; in another one nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
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
