"""Pickles of plain data. A pickle is code: only NumPy arrays and plain containers are let in."""

import pickle
from pathlib import Path
from typing import Any

ADMITTED = {
    "builtins": {"set", "frozenset", "bytearray", "complex", "slice", "range"},
    "__builtin__": {"set", "frozenset", "bytearray", "complex", "slice", "xrange"},
    "collections": {"OrderedDict"},
    "numpy": {"ndarray", "dtype"},
    "numpy.core.multiarray": {"_reconstruct", "scalar"},
    "numpy._core.multiarray": {"_reconstruct", "scalar"},
    "numpy.core.numeric": {"_frombuffer"},
    "numpy._core.numeric": {"_frombuffer"},
    "_codecs": {"encode"},  # how Python 3 writes bytes in the older protocols
}


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Admits what stands in `ADMITTED`, and nothing with a dot in its name."""
        if name not in ADMITTED.get(module, ()):
            raise ValueError(f"it wants {module}.{name}, and only NumPy arrays and plain containers are read")
        return super().find_class(module, name)


def load_plain(path: Path) -> Any:
    """Returns a pickle's content, also one that Python 2 wrote.

    Raises:
        ValueError: it is torn, no pickle, or wants a class that is not plain data; nothing of it was run.
    """
    try:
        with path.open("rb") as file:
            return _PlainUnpickler(file, encoding="latin1").load()
    except ValueError as error:
        raise ValueError(f"{path} is not read: {error}") from None
    except (pickle.UnpicklingError, EOFError, AttributeError, IndexError, KeyError, TypeError, ImportError) as error:
        raise ValueError(f"{path} is no whole pickle ({error})") from None
