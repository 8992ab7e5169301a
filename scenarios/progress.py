"""Progress of what takes a while, on standard error: one line that is written over, and only on a terminal."""

import sys


def tell(what: str, done: int, total: int) -> None:
    """Says how far `what` is; wipes the line where it is done.

    Args:
        what: say, `decoding omniglot`.
        done: what is done, in any unit.
        total: what there is to do; 0 where that is not known.
    """
    if not sys.stderr.isatty():
        return
    whole = f" of {total:,}" if total else ""
    line = f"{what}: {done:,}{whole}" if done < total or not total else ""
    sys.stderr.write(f"\r\x1b[K{line}")
    sys.stderr.flush()
