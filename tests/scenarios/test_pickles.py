"""Pickles: what people have is read, and whatever else a pickle may be ends in one line."""

import collections
import os
import pickle
import random
import resource
import struct
import subprocess
import sys

import numpy as np
import pytest

from zapbench.scenarios.pickles import load_plain

PLAIN = {
    "image_data": np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
    "class_dict": {"n01": [1, 2, np.int64(3)], "n02": np.array([1, 2], ">i4")},
    "columns first": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "ordered": collections.OrderedDict([("x", 1)]),
    "bytes": (bytearray(b"abc"), b"\xff\x00", b""),
    "numbers": (1, 2.5, None, True, -3, 10**30, "é"),
    "empty": np.zeros((0, 3), np.uint8),
}


@pytest.mark.parametrize("protocol", range(6))
def test_plain_data_of_every_protocol_are_read(tmp_path, protocol):
    path = tmp_path / "plain.pkl"
    path.write_bytes(pickle.dumps(PLAIN, protocol))
    found = load_plain(path)
    for name in ("image_data", "columns first", "empty"):
        assert np.array_equal(found[name], PLAIN[name])
        assert found[name].dtype == PLAIN[name].dtype
    assert found["class_dict"]["n01"] == [1, 2, 3]
    assert found["class_dict"]["n02"].tolist() == [1, 2]
    assert found["ordered"] == {"x": 1}
    assert found["bytes"] == (b"abc", b"\xff\x00", b"")
    assert found["numbers"] == PLAIN["numbers"]


def op(name, *arguments):
    return getattr(pickle, name) + b"".join(arguments)


def text(word):
    return op("BINUNICODE", struct.pack("<I", len(word)), word.encode())


def named(module, name):
    return op("GLOBAL", f"{module}\n{name}\n".encode())


U1 = named("numpy", "dtype") + text("u1") + op("NEWFALSE") + op("NEWTRUE") + op("TUPLE3") + op("REDUCE")
OBJECT = U1.replace(b"u1", b"O8").replace(struct.pack("<I", 2) + b"O8", struct.pack("<I", 2) + b"O8")
ARRAY = (
    named("numpy.core.multiarray", "_reconstruct") + named("numpy", "ndarray") + op("BININT1", b"\0") + op("TUPLE1")
    + text("b") + op("TUPLE3") + op("REDUCE")
)  # fmt: skip
POINTERS = op("SHORT_BINBYTES", b"\x08", b"A" * 8)
FORGED = op("MARK") + op("BININT1", b"\x03") + text("|") + op("NONE") * 3 + op("BININT1", b"\x40") * 3 + op("TUPLE")


def state(kind, shape=op("BININT1", b"\x01") + op("TUPLE1"), content=POINTERS):  # noqa: B008
    return op("MARK") + op("BININT1", b"\x01") + shape + kind + op("NEWFALSE") + content + op("TUPLE") + op("BUILD")


def nested(levels):
    """A tuple of a tuple twice, and so on: small to write, and endless to hash, compare or show."""
    return op("EMPTY_TUPLE") + (op("DUP") + op("TUPLE2")) * levels


CRAFTED = {
    "an array of objects over bytes": named("numpy", "ndarray")
    + op("MARK") + op("BININT1", b"\x01") + op("TUPLE1") + text("O") + POINTERS + op("TUPLE") + op("REDUCE"),
    "objects as the type of an array": ARRAY + state(OBJECT),
    "a forged type": U1 + FORGED + op("BUILD"),
    "a forged type of an array": ARRAY + state(U1 + FORGED + op("BUILD")),
    "fewer bytes than the shape": ARRAY + state(U1, op("BININT", b"\xff\xff\xff\x7f") + op("TUPLE1")),
    "a negative shape": ARRAY + state(U1, op("BININT", b"\xff\xff\xff\xff") + op("TUPLE1")),
    "a huge shape": ARRAY + state(U1, op("LONG1", b"\x10", b"\x7f" * 16) + op("TUPLE1")),
    "bytes that are a list": ARRAY + state(U1, content=op("EMPTY_LIST")),
    "the state of a function": named("_codecs", "encode") + op("EMPTY_DICT") + op("BUILD"),
    "the state of a class": named("numpy", "ndarray") + op("EMPTY_DICT") + op("BUILD"),
    "a call of a list": op("EMPTY_LIST") + op("EMPTY_TUPLE") + op("REDUCE"),
    "a call of nothing": op("REDUCE"),
    "a function": named("_codecs", "encode"),
    "eval": named("builtins", "eval") + text("1") + op("TUPLE1") + op("REDUCE"),
    "a dotted name": op("PROTO", b"\x04") + text("numpy") + text("ndarray.__class__") + op("STACK_GLOBAL"),
    "a class with a name as its module": text("numpy") + op("NONE") + op("STACK_GLOBAL"),
    "an instance": op("MARK") + op("INST", b"os\nsystem\n"),
    "a new object": named("numpy", "dtype") + op("EMPTY_TUPLE") + op("NEWOBJ"),
    "a registered class": op("EXT1", b"\x01"),
    "something outside": op("PERSID", b"x\n"),
    "an out-of-band buffer": op("NEXT_BUFFER"),
    "an endless key": op("EMPTY_DICT") + nested(60) + op("NONE") + op("SETITEM"),
    "an endless name of a type": named("numpy", "dtype") + nested(60) + op("TUPLE1") + op("REDUCE"),
    "an endless flag": named("numpy", "dtype") + text("u1") + nested(60) + op("TUPLE2") + op("REDUCE"),
    "a list in itself": op("EMPTY_LIST") + op("BINPUT", b"\0") + op("BINGET", b"\0") + op("APPEND"),
    "a thousand lists in each other": op("EMPTY_LIST") * 1000 + op("APPEND") * 999,
    "an odd dictionary": op("EMPTY_DICT") + op("MARK") + op("NONE") + op("SETITEMS"),
    "a place of the memo beyond memory": op("NONE") + op("LONG_BINPUT", b"\xff\xff\xff\xff") + op("BINGET", b"\x01"),
    "a terabyte of bytes": op("BINBYTES8", struct.pack("<Q", 1 << 40)),
    "a terabyte of text": op("BINUNICODE8", struct.pack("<Q", 1 << 40)),
    "a terabyte of a bytearray": op("BYTEARRAY8", struct.pack("<Q", 1 << 40)),
    "more bytes than there are numbers": op("BINBYTES8", b"\xff" * 8),
    "a frame of a terabyte": op("FRAME", struct.pack("<Q", 1 << 40)),
    "many bytes of one text": named("_codecs", "encode") + op("BINPUT", b"\0") + text("x" * 100_000)
    + op("BINPUT", b"\x01") + text("latin1") + op("BINPUT", b"\x02") + op("POP") * 3
    + (op("BINGET", b"\0") + op("BINGET", b"\x01") + op("BINGET", b"\x02") + op("TUPLE2") + op("REDUCE")) * 50_000,
    "many arrays of one text": U1 + op("BINPUT", b"\0") + text("x" * 100_000) + op("BINPUT", b"\x01")
    + (ARRAY + op("MARK") + op("BININT1", b"\x01") + op("BININT", struct.pack("<i", 100_000)) + op("TUPLE1")
       + op("BINGET", b"\0") + op("NEWFALSE") + op("BINGET", b"\x01") + op("TUPLE") + op("BUILD")) * 50_000,
    "keys whose hashes are equal": op("EMPTY_DICT") + op("MARK")
    + b"".join(op("LONG1", b"\x0a", (i * ((1 << 61) - 1)).to_bytes(10, "little")) + op("NONE") for i in range(60_000))
    + op("SETITEMS"),
    "an integer of many digits": op("INT", b"9" * 100_000 + b"\n"),
    "a protocol of the future": op("PROTO", b"\x63"),
    "a web page": b"<!DOCTYPE html>",
    "nothing": b"",
}  # fmt: skip


def limited():
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
    resource.setrlimit(resource.RLIMIT_CPU, (60, 60))


def test_whatever_a_pickle_is_it_ends_in_one_line(tmp_path):
    """In a process of its own, which may neither crash nor take memory or time."""
    for place, content in enumerate(CRAFTED.values()):
        (tmp_path / f"{place}.pkl").write_bytes(content + op("STOP"))
    code = (
        "import sys\nfrom pathlib import Path\nfrom zapbench.scenarios.pickles import load_plain\n"
        f"for place in range({len(CRAFTED)}):\n"
        "    try:\n"
        f"        print(place, 'was read', load_plain(Path({str(tmp_path)!r}) / f'{{place}}.pkl'))\n"
        "    except ValueError as error:\n"
        "        print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, preexec_fn=limited, timeout=120)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, (done.returncode, lines, done.stderr)
    assert len(lines) == len(CRAFTED)
    for place, (what, line) in enumerate(zip(CRAFTED, lines)):
        assert line.startswith(f"{tmp_path / f'{place}.pkl'} is not "), (what, line)
        assert len(line) < 400


def test_a_small_pickle_of_large_containers_is_read_once(tmp_path):
    """A list of a list twice, and so on: 2 ** 18 lists to who follows each of them."""
    (tmp_path / "twice.pkl").write_bytes(
        op("EMPTY_LIST") + b"".join(op("BINPUT", bytes([i])) + op("POP") + op("EMPTY_LIST") + op("MARK")
                                    + op("BINGET", bytes([i])) * 2 + op("APPENDS") for i in range(18)) + op("STOP")
    )  # fmt: skip
    found = load_plain(tmp_path / "twice.pkl")
    assert found[0] is found[1]


def test_flipped_and_cut_pickles_are_read_or_end_in_one_line(tmp_path):
    generator = random.Random(0)
    path = tmp_path / "damaged.pkl"
    read = 0
    for protocol in range(6):
        whole = pickle.dumps(PLAIN, protocol)
        for _ in range(100):
            content = bytearray(whole)
            for _ in range(generator.randint(1, 3)):
                content[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
            path.write_bytes(content[: generator.choice([len(content), generator.randrange(len(content))])])
            error = ""
            try:
                load_plain(path)
                read += 1
            except ValueError as caught:
                error = str(caught)
            assert "\n" not in error
    assert 0 < read < 600


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.pkl")
    with pytest.raises(ValueError, match=r"pipe\.pkl is not a regular file"):
        load_plain(tmp_path / "pipe.pkl")
