"""Progress of long steps on standard error: one line, overwritten, and only on a terminal."""

import sys


def show_progress(what: str, done: int, total: int) -> None:
    """Shows how much of a step is done; clears the line at the end.

    Args:
        what: the step, say `decoding omniglot`.
        done: how much is done, in any unit.
        total: how much there is, in the same unit; 0 where it is not known.
    """
    if not sys.stderr.isatty():
        return
    of_total = f" of {total:,}" if total else ""
    line = f"{what}: {done:,}{of_total}" if done < total or not total else ""
    sys.stderr.write(f"\r\x1b[K{line}")
    sys.stderr.flush()
