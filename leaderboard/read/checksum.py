"""CRC-32C of many records at once, as TFRecord has it (Castagnoli polynomial, masked).

The checksum is linear over GF(2). So zeros before a record change nothing (once its first four bytes stand for the
initial value), and records are cut into rows of equal length that advance together, two bytes to a look-up. A record of
several rows is put together afterwards: its state, advanced by a row of zeros, XOR the next row.
"""

import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

ROW = 128
"""Bytes of a row: most records of a curve fit one."""

_POLYNOMIAL = 0x82F63B78  # reflected
_MASK = 0xA282EAD8
_ONES = 0xFFFFFFFF
_Words = npt.NDArray[np.uint32]


def masked_crcs(records: Sequence[bytes]) -> list[int]:
    """Returns the masked CRC-32C of each record; none may be empty."""
    padding = [bytes(-len(record) % ROW) for record in records]
    joined = b"".join(part for pair in zip(padding, records) for part in pair)
    rows = np.frombuffer(bytearray(joined), dtype=np.uint8)
    counts = np.array([len(record) for record in records])
    ends = np.cumsum([-(-len(record) // ROW) * ROW for record in records])
    for place in range(min(4, int(counts.max(initial=0)))):
        inside = counts > place
        rows[(ends - counts)[inside] + place] ^= 0xFF
    states = _advanced(rows.view("<u4").reshape(-1, ROW // 4)).tolist()
    low, high = _row_shift()
    found, place = [], 0
    for end, count in zip((ends // ROW).tolist(), counts.tolist()):
        state = 0
        for row in states[place:end]:
            state = low[state & 0xFFFF] ^ high[state >> 16] ^ row
        state ^= _ONES if count >= 4 else _ONES ^ _ONES >> 8 * count
        found.append(((state >> 15 | state << 17) + _MASK) & _ONES)
        place = end
    return found


def _advanced(words: _Words, states: _Words | None = None) -> _Words:
    """Returns the state of each row after its words, from zero or from `states`; the states are changed."""
    low, high = _word_tables()
    states = np.zeros(len(words), dtype=np.uint32) if states is None else states
    halves = states.view("<u2").reshape(-1, 2)
    for column in np.ascontiguousarray(words.T):
        states ^= column
        np.bitwise_xor(low.take(halves[:, 0]), high.take(halves[:, 1]), out=states)
    return states


@functools.cache
def _word_tables() -> tuple[_Words, _Words]:
    """Returns what four bytes make of the low and of the high half of a state."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ np.uint32(_POLYNOMIAL), table >> 1).astype(np.uint32)
    tables = [table]  # a byte that 0, 1, 2 and 3 bytes follow
    for _ in range(3):
        tables.append(table[tables[-1] & 0xFF] ^ tables[-1] >> 8)
    pairs = np.arange(1 << 16, dtype=np.uint32)
    return tables[3][pairs & 0xFF] ^ tables[2][pairs >> 8], tables[1][pairs & 0xFF] ^ tables[0][pairs >> 8]


@functools.cache
def _row_shift() -> tuple[list[int], list[int]]:
    """Returns what a row of zeros makes of the low and of the high half of a state."""
    pairs = np.arange(1 << 16, dtype=np.uint32)
    zeros = np.zeros((1, ROW // 4), dtype=np.uint32)
    return _advanced(zeros, pairs.copy()).tolist(), _advanced(zeros, pairs << np.uint32(16)).tolist()
