"""What replaces NumPy's functions in a pickle: each checks all its arguments, and takes numbers alone.

A pickle may hand anything to the functions that it names, and NumPy's own trust what they are given: an array of
objects over a pickle's bytes is a pointer of its choice. Here NumPy sees only bytes whose number fits a shape.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

TYPES = {"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"}
LONGEST = 1 << 40


class PickledType:
    """Replaces `numpy.dtype`."""

    def __init__(self, name: object, *flags: object) -> None:
        text = name.decode("latin1") if isinstance(name, bytes) else name
        if not isinstance(text, str) or text.lstrip("<>|=") not in TYPES:
            raise ValueError("it has an array of something else than numbers")
        if not all(type(flag) in (bool, int) for flag in flags):
            raise ValueError("an array's type is not of the known form")
        self.dtype: np.dtype[Any] = np.dtype(text)

    def set_state(self, state: object) -> None:
        """Takes the byte order, and refuses everything that a type of numbers does not have."""
        if not isinstance(state, tuple) or not 5 <= len(state) <= 9:
            raise ValueError("the state of an array's type is not of the known form")
        version, order, *rest = state
        order = order.decode("latin1") if isinstance(order, bytes) else order
        plain = all(item is None or (isinstance(item, int) and item in (-1, 0)) for item in rest)
        if not isinstance(version, int) or order not in ("<", ">", "|", "=") or not plain:
            raise ValueError("the state of an array's type is not that of numbers")
        self.dtype = self.dtype.newbyteorder(order)  # type: ignore[arg-type]


class PickledArray:
    """Replaces an instance of `numpy.ndarray`: empty until its state is set.

    Attributes:
        array: the array.
    """

    def __init__(self) -> None:
        self.array: npt.NDArray[Any] = np.empty(0, np.uint8)

    def set_state(self, state: object) -> None:
        """Takes shape, type, order and bytes."""
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise ValueError("the state of an array is not of the known form")
        shape, kind, columns_first, content = state[-4:]
        self.array = _array(content, kind, shape, "F" if columns_first is True or columns_first == 1 else "C")


def _array(content: object, kind: object, shape: object, order: object) -> npt.NDArray[Any]:
    """Returns a read-only array of some bytes, which are not copied."""
    content = content.encode("latin1") if isinstance(content, str) else content
    if not isinstance(content, bytes) or not isinstance(kind, PickledType) or order not in ("C", "F"):
        raise ValueError("an array is not of the known form")
    sizes = (shape,) if isinstance(shape, int) else shape
    if not isinstance(sizes, tuple) or len(sizes) > 8 or not all(type(n) is int and 0 <= n < LONGEST for n in sizes):
        raise ValueError("the shape of an array is not of the known form")
    if math.prod(sizes) * kind.dtype.itemsize != len(content):
        raise ValueError(f"an array of shape {sizes} has {len(content)} bytes")
    flat = np.frombuffer(content, kind.dtype) if content else np.empty(0, kind.dtype)
    return flat.reshape(sizes, order="F" if order == "F" else "C")


def _reconstruct(*arguments: object) -> PickledArray:
    return PickledArray()


def _from_buffer(content: object, kind: object, shape: object, order: object) -> PickledArray:
    made = PickledArray()
    made.array = _array(content, kind, shape, order)
    return made


def _scalar(kind: object, content: object) -> Any:
    return _array(content, kind, (), "C").item()


def _encode(text: object, encoding: object) -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise ValueError("a text is encoded in an unknown way")
    return text.encode("latin1")


def _bytes(*arguments: object) -> bytes:
    if len(arguments) == 2:
        return _encode(*arguments)
    content = arguments[0] if arguments else b""
    if len(arguments) > 1 or not isinstance(content, bytes):
        raise ValueError("a bytearray is not of the known form")
    return content


def _ordered(*arguments: object) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    if len(arguments) > 1 or not all(isinstance(pairs, list) for pairs in arguments):
        raise ValueError("an OrderedDict is not of the known form")
    for pair in arguments[0] if arguments else ():  # type: ignore[attr-defined]
        key, value = pair
        found[admitted_key(key)] = value
    return found


class _NdArray:
    """Replaces the class `numpy.ndarray`, which a pickle hands to `_reconstruct`; nothing calls it."""


def admitted_key(key: object) -> object:
    """Returns a key of a dictionary; keys of other types, whose hashes a pickle can choose, could take for ever."""
    if not isinstance(key, str | bytes):
        raise ValueError(f"it has a dictionary with keys of type {type(key).__name__}")
    return key


ADMITTED: dict[str, Any] = {
    "numpy.ndarray": _NdArray,
    "numpy.dtype": PickledType,
    "numpy.core.multiarray._reconstruct": _reconstruct,
    "numpy._core.multiarray._reconstruct": _reconstruct,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy._core.multiarray.scalar": _scalar,
    "numpy.core.numeric._frombuffer": _from_buffer,
    "numpy._core.numeric._frombuffer": _from_buffer,
    "_codecs.encode": _encode,  # how Python 3 writes bytes in the older protocols
    "builtins.bytes": _bytes,
    "builtins.bytearray": _bytes,
    "__builtin__.bytes": _bytes,
    "__builtin__.bytearray": _bytes,
    "collections.OrderedDict": _ordered,
}
CALLED = (PickledType, _reconstruct, _scalar, _from_buffer, _encode, _bytes, _ordered)
