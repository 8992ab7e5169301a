"""Reads pickles of plain data: numbers, texts, lists, tuples, dictionaries and NumPy arrays of numbers.

A pickle is a program, and untrusted. This reader admits few instructions and calls only the functions of
`pickled_arrays`, so that nothing else of a pickle is executed.
"""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, ClassVar

from zapbench.scenarios.pickled_arrays import ADMITTED, CALLED, PickledArray, PickledType, admitted_key
from zapbench.text import one_line

INSTRUCTIONS = [
    code[0]
    for code in (
        pickle.PROTO,
        pickle.FRAME,
        pickle.STOP,
        pickle.MARK,
        pickle.POP,
        pickle.POP_MARK,
        pickle.DUP,
        pickle.MEMOIZE,
        pickle.NONE,
        pickle.NEWTRUE,
        pickle.NEWFALSE,
        pickle.INT,
        pickle.BININT,
        pickle.BININT1,
        pickle.BININT2,
        pickle.LONG,
        pickle.LONG1,
        pickle.LONG4,
        pickle.FLOAT,
        pickle.BINFLOAT,
        pickle.STRING,
        pickle.BINSTRING,
        pickle.SHORT_BINSTRING,
        pickle.UNICODE,
        pickle.BINUNICODE,
        pickle.SHORT_BINUNICODE,
        pickle.BINUNICODE8,
        pickle.BINBYTES,
        pickle.SHORT_BINBYTES,
        pickle.BINBYTES8,
        pickle.TUPLE,
        pickle.TUPLE1,
        pickle.TUPLE2,
        pickle.TUPLE3,
        pickle.EMPTY_TUPLE,
        pickle.EMPTY_LIST,
        pickle.LIST,
        pickle.EMPTY_DICT,
        pickle.GLOBAL,
        pickle.STACK_GLOBAL,
        pickle.GET,
        pickle.BINGET,
        pickle.LONG_BINGET,
        pickle.PUT,
        pickle.BINPUT,
        pickle.LONG_BINPUT,
    )
]
"""Those that make numbers, texts and containers, and name a function; the reader has its own form of some others."""

DEEPEST = 20
LINE = 200
"""Characters of an error that are shown."""


class _Bounded:
    """A file that gives no more than it has: a pickle that asks for a terabyte gets none."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._size = file, size

    def read(self, count: int) -> bytes:
        """Returns `count` bytes.

        Raises:
            EOFError: there are fewer.
        """
        if not 0 <= count <= self._size - self._file.tell():
            raise EOFError("it ends in the middle")
        return self._file.read(count)

    def readline(self) -> bytes:
        """Returns a line, as the file has it."""
        return self._file.readline()

    def readinto(self, buffer: bytearray) -> int:
        """Is asked for only by instructions that are not admitted."""
        raise EOFError("it ends in the middle")


class _Reader(pickle._Unpickler):
    """The reader that is written in Python, restricted: the one in C allocates whatever a pickle asks for."""

    stack: list[Any]
    append: Callable[[Any], None]
    pop_mark: Callable[[], list[Any]]
    read: Callable[[int], bytes]

    def __init__(self, file: IO[bytes], size: int) -> None:
        super().__init__(_Bounded(file, size), encoding="latin1")
        self._left = 2 * size + 1024

    def find_class(self, module: str, name: str) -> Any:
        """Returns what replaces an admitted name."""
        if f"{module}.{name}" not in ADMITTED:
            raise ValueError(f"it needs {module}.{name}, and only NumPy arrays and plain containers are read")
        return ADMITTED[f"{module}.{name}"]

    def _refuse(self) -> None:
        raise ValueError("it is not a pickle of plain data")

    def _reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not any(function is called for called in CALLED) or not isinstance(arguments, tuple):
            raise ValueError("it calls something else than an admitted function")
        self._count(arguments)
        self.append(function(*arguments))

    def _build(self) -> None:
        state, made = self.stack.pop(), self.stack[-1]
        if not isinstance(made, PickledType | PickledArray):
            raise ValueError("it sets the state of something else than an array")
        self._count(state)
        made.set_state(state)

    def _count(self, arguments: object) -> None:
        """Refuses a small pickle that makes bytes from one long text again and again."""
        if isinstance(arguments, tuple):
            self._left -= max((len(item) for item in arguments if isinstance(item, str)), default=0)
        if self._left < 0:
            raise ValueError("it makes more bytes than it has")

    def _dictionary(self) -> None:
        items = self.pop_mark()
        self.append({})
        self._put(items[::2], items[1::2])

    def _set_items(self) -> None:
        items = self.pop_mark()
        self._put(items[::2], items[1::2])

    def _set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._put([key], [value])

    def _put(self, keys: list[Any], values: list[Any]) -> None:
        if not isinstance(self.stack[-1], dict):
            raise ValueError("it puts items into something else than a dictionary")
        self.stack[-1].update(zip(map(admitted_key, keys), values, strict=True))

    def _append(self) -> None:
        self._extend([self.stack.pop()])

    def _appends(self) -> None:
        self._extend(self.pop_mark())

    def _extend(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise ValueError("it appends to something else than a list")
        self.stack[-1].extend(items)

    def _bytes(self) -> None:
        self.append(self.read(int.from_bytes(self.read(8), "little")))

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
        **dict.fromkeys(range(256), _refuse),
        **{code: pickle._Unpickler.dispatch[code] for code in INSTRUCTIONS},
        pickle.REDUCE[0]: _reduce,
        pickle.BUILD[0]: _build,
        pickle.DICT[0]: _dictionary,
        pickle.SETITEMS[0]: _set_items,
        pickle.SETITEM[0]: _set_item,
        pickle.APPEND[0]: _append,
        pickle.APPENDS[0]: _appends,
        pickle.BYTEARRAY8[0]: _bytes,
    }


def load_plain(path: Path) -> Any:
    """Returns the content of a pickle, also of one that Python 2 wrote; a bytearray becomes bytes.

    Raises:
        ValueError: it is incomplete, not a pickle, or not plain data; nothing of it was executed.
        OSError: the file cannot be read.
    """
    if not path.is_file():
        raise ValueError(f"{path} is not a regular file")
    with path.open("rb") as file:
        try:
            return _plain(_Reader(file, path.stat().st_size).load(), DEEPEST, {})
        except OSError:
            raise
        except ValueError as error:
            raise ValueError(f"{path} is not read: {one_line(str(error))[:LINE]}") from None
        except Exception as error:  # whatever a made-up pickle leads to, MemoryError included
            raise ValueError(
                f"{path} is not a complete pickle ({one_line(str(error) or repr(error))[:LINE]})"
            ) from None


def _plain(value: Any, depth: int, done: dict[int, Any]) -> Any:
    """Returns a value in which every array is NumPy's; what occurs often is looked at once.

    Args:
        value: what the reader made.
        depth: containers in each other that are still admitted; a list in itself has no end.
        done: results by the identity of the value.
    """
    if isinstance(value, PickledArray):
        return value.array
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    if not isinstance(value, dict | list | tuple):
        raise ValueError("it has something else than plain data")
    if id(value) not in done:
        if not depth:
            raise ValueError(f"it has more than {DEEPEST} containers in each other")
        if isinstance(value, dict):
            done[id(value)] = {key: _plain(item, depth - 1, done) for key, item in value.items()}
        else:
            done[id(value)] = type(value)(_plain(item, depth - 1, done) for item in value)
    return done[id(value)]
