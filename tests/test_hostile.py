"""What a stranger may send: nothing runs, nothing leaves its folder, memory stays bounded, one line each."""

import json
import os
import pickle
import stat
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from made_logs import describe, write, write_submission
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto

from zapbench.leaderboard import contract
from zapbench.leaderboard.archives import LARGEST_FILE, unpack
from zapbench.leaderboard.contract import Closing, Description
from zapbench.leaderboard.events import Tail, read_events
from zapbench.leaderboard.load import load
from zapbench.leaderboard.parse import read_file
from zapbench.leaderboard.render import to_csv, to_json, to_latex, to_markdown
from zapbench.leaderboard.submissions import check
from zapbench.leaderboard.tables import tables
from zapbench.record import EventWriter

NAME = "run/events.out.tfevents.zapbench"


def zipped(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def good_bytes(tmp_path):
    write(tmp_path / "good", [0.5, 0.4])
    return next((tmp_path / "good").rglob("*tfevents*")).read_bytes()


def one_line(problems, words):
    assert len(problems) == 1, problems
    assert words in problems[0]
    assert len(problems[0].splitlines()) == 1


def everything_below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize(
    "name",
    ["../tfevents", "a/../../tfevents", "/tmp/tfevents", "..\\tfevents", "C:/tfevents", "a//tfevents", "./tfevents"],
)
def test_a_path_that_leaves_its_folder_is_refused_and_nothing_is_written(tmp_path, name):
    inside = tmp_path / "a" / "inside"
    inside.mkdir(parents=True)
    path = zipped(tmp_path / "s.zip", [(zipfile.ZipInfo(name), good_bytes(tmp_path))])
    before = everything_below(tmp_path)
    one_line(unpack(path, inside), "a path that leaves its folder")
    assert everything_below(tmp_path) == before


def test_a_symlink_in_a_zip_is_refused(tmp_path):
    link = zipfile.ZipInfo("run/tfevents")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    path = zipped(tmp_path / "s.zip", [(link, b"/etc/passwd"), ("run/tfevents/x.tfevents", b"x")])
    (tmp_path / "in").mkdir()
    assert "a link, or another thing that is not a file" in unpack(path, tmp_path / "in")[0]
    assert not any(found.is_symlink() for found in (tmp_path / "in").rglob("*"))


def test_a_file_where_another_member_wants_a_folder_is_one_line(tmp_path):
    path = zipped(tmp_path / "s.zip", [("tfevents", b"x"), ("tfevents/tfevents", b"x")])
    with pytest.raises(ValueError, match="damaged zip"):
        check(path)


PROBE = """
import resource, sys
from pathlib import Path
from zapbench.leaderboard.load import load
from zapbench.leaderboard.submissions import check
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    path = Path(sys.argv[1])
    found = load(path).problems if path.is_dir() else check(path).problems
    print("; ".join(found))
except ValueError as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def in_a_process_of_its_own(path):
    """Returns what was said of a zip or a folder, and by how many MB the process grew."""
    done = subprocess.run([sys.executable, "-c", PROBE, str(path)], capture_output=True, text=True, check=True)
    said, grown = done.stdout.strip().splitlines()
    return said, int(grown)


def deflated_zeros(length):
    """Raw deflate of zeros: the stream of a mebibyte, again and again (each part ends at a byte, as none is last)."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = deflate.compress(bytes(1 << 20)) + deflate.flush(zlib.Z_FULL_FLUSH)
    return first * (length >> 20) + b"\x03\x00"


def test_a_zip_bomb_of_ten_gigabytes_is_refused_at_its_first_megabytes(tmp_path):
    length = 10 << 30
    stream = deflated_zeros(length)
    assert len(stream) < 20 << 20
    name = NAME.encode()
    sizes = (0, len(stream), 100)  # the header claims a hundred bytes: it is not believed, and the truth neither
    local = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 8, 0, 33, *sizes, len(name), 0) + name
    central = struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 8, 0, 33, *sizes, len(name), 0, 0, 0, 0, 0, 0) + name
    for claimed, words in ((100, "damaged zip"), (0xFFFFFFFE, f"more than {LARGEST_FILE:,} bytes")):
        body = bytearray(local + stream)
        directory = bytearray(central)
        struct.pack_into("<L", body, 22, claimed)
        struct.pack_into("<L", directory, 24, claimed)
        end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(directory), len(body), 0)
        (tmp_path / "bomb.zip").write_bytes(bytes(body + directory) + end)
        said, grown = in_a_process_of_its_own(tmp_path / "bomb.zip")
        assert words in said
        assert grown < 150
    (tmp_path / "in").mkdir()
    with pytest.raises(ValueError, match="more than"):
        unpack(tmp_path / "bomb.zip", tmp_path / "in")
    assert sum(found.stat().st_size for found in (tmp_path / "in").rglob("*tfevents*")) <= LARGEST_FILE


def test_many_files_that_are_large_together_are_refused(tmp_path, monkeypatch):
    from zapbench.leaderboard import archives

    monkeypatch.setattr(archives, "LARGEST_WHOLE", 2500)
    path = zipped(tmp_path / "s.zip", [(f"{i}/tfevents", bytes(1000)) for i in range(4)])
    with pytest.raises(ValueError, match="have 3,000 bytes or more; a submission has 2,500 at most"):
        check(path)


def test_a_directory_of_millions_of_files_is_refused_before_it_is_read(tmp_path):
    (tmp_path / "s.zip").write_bytes(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 200_000_000, 0, 0))
    with pytest.raises(ValueError, match="holds 20,000 at most"):
        check(tmp_path / "s.zip")
    locator = b"PK\6\7" + bytes(16)
    (tmp_path / "t.zip").write_bytes(locator + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 46, 0, 0))
    with pytest.raises(ValueError, match="zip64"):
        check(tmp_path / "t.zip")


class Runs:
    def __reduce__(self):
        return (os.system, ("touch ran",))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("run/checkpoint.pt", pickle.dumps(Runs())),
        ("run/tfevents.pkl", pickle.dumps(Runs())),
        ("run/config.gin", b"import antigravity_of_ours\n"),
        ("run/tfevents.gin", b"import antigravity_of_ours\n"),
        ("nested.zip", b"PK"),
        ("run/.tfevents", b""),
    ],
)
def test_what_is_no_event_file_is_refused_by_its_name_and_never_loaded(tmp_path, monkeypatch, name, content):
    monkeypatch.chdir(tmp_path)
    write_submission(tmp_path / "logs", ("x",))
    members = [(path.relative_to(tmp_path / "logs").as_posix(), path.read_bytes()) for path in
               sorted((tmp_path / "logs").rglob("*tfevents*"))]  # fmt: skip
    one_line(
        check(zipped(tmp_path / "s.zip", [*members, (name, content)])).problems, "not an event file; it was not read"
    )
    assert not (tmp_path / "ran").exists()


def test_a_pickle_and_a_configuration_under_an_event_files_name_are_damage(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, content in (("a", pickle.dumps(Runs())), ("b", b"import antigravity_of_ours\n" * 9)):
        (tmp_path / "logs" / name).mkdir(parents=True)
        (tmp_path / "logs" / name / "events.out.tfevents.x").write_bytes(content)
    assert len(load(tmp_path / "logs").problems) == 2
    assert not (tmp_path / "ran").exists()


def test_a_configuration_that_imports_is_kept_as_text(tmp_path):
    from zapbench.leaderboard.parse import config_of

    with (tmp_path / "tfevents").open("wb") as file:
        EventWriter(file).start(describe(), "import antigravity_of_ours")
    assert load(tmp_path).problems == []
    assert config_of(tmp_path / "tfevents") == "import antigravity_of_ours"


def test_a_record_that_claims_a_billion_bytes_is_damage(tmp_path):
    (tmp_path / "tfevents").write_bytes(struct.pack("<QL", 10**9, 0) + b"x" * 100)
    one_line(load(tmp_path).problems, "claims a record of 1000000000 bytes")


def test_a_sparse_file_of_ten_gigabytes_is_damage_at_once(tmp_path):
    with (tmp_path / "tfevents").open("wb") as file:
        file.truncate(10 << 30)
    tail = Tail()
    assert list(read_events(tmp_path / "tfevents", tail)) == []
    assert tail.whole == 0, "the first empty record ends it"
    one_line(load(tmp_path).problems, "claims a record of 0 bytes")


def test_a_pipe_is_nobodys_record(tmp_path):
    os.mkfifo(tmp_path / "tfevents")
    with pytest.raises(ValueError, match="no event files"):
        load(tmp_path)


def events(path, made):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        writer = EventWriter(file)
        writer.start(describe(), "")
        for event in made:
            writer._write(event)
        writer.close_with(Closing(contract.FINISHED), step=1)
    return path


def test_a_million_tags_are_refused_in_many_records_and_in_one(tmp_path):
    many = (Event(step=1, summary=Summary(value=[Summary.Value(tag=f"t{i}", simple_value=1)])) for i in range(2000))
    events(tmp_path / "a" / "tfevents", many)
    record = Summary.Value(simple_value=1).SerializeToString()
    values = (b"\x0a" + bytes([len(record)]) + record) * 1_000_000
    events(tmp_path / "b" / "tfevents", [Event(step=1, summary=Summary.FromString(values))])
    said, grown = in_a_process_of_its_own(tmp_path)
    assert said.count("holds more than 1000 tags") == 2
    assert grown < 500


@pytest.mark.parametrize("dimensions", [[10**12], [10**9, 10**9], [-1]])
def test_one_number_that_stands_for_a_huge_tensor_is_not_unfolded(tmp_path, dimensions):
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in dimensions])
    tensor = TensorProto(dtype=1, tensor_shape=shape, float_val=[0.5])
    value = Summary.Value(tag=contract.CLASS_ACCURACY, tensor=tensor)
    found = read_file(events(tmp_path / "tfevents", [Event(step=1, summary=Summary(value=[value]))]))
    assert "holds a tensor of" in found.problem


def test_a_tensor_that_is_not_of_numbers_is_refused(tmp_path):
    for dtype in (7, 21, 99):
        tensor = TensorProto(dtype=dtype, tensor_shape=TensorShapeProto(), string_val=[b"x"])
        value = Summary.Value(tag=contract.CLASS_ACCURACY, tensor=tensor)
        found = read_file(events(tmp_path / "tfevents", [Event(step=1, summary=Summary(value=[value]))]))
        assert found.problem == "holds a tensor that is not of numbers"


def test_a_step_that_comes_twice_among_a_hundred_thousand_is_found_at_once(tmp_path):
    class Steps(list):
        def count(self, step):
            raise AssertionError("a search through all steps for each of them")

    steps = Steps([*range(100_000), 99_999])
    found = read_file(events(tmp_path / "tfevents", []))
    found.curves[contract.HELD_OUT] = (steps, [0.5] * len(steps))
    from zapbench.leaderboard.parse import implausible

    assert implausible(found).endswith("has step 99999 twice")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_are_not_finite_are_named(tmp_path, value):
    write(tmp_path, [value])
    one_line(load(tmp_path).problems, "a value that is not a number")


def test_text_that_is_not_utf8_is_named(tmp_path):
    write(tmp_path, [0.5], method="mmmmmmmm")
    path = next(tmp_path.rglob("*tfevents*"))
    path.write_bytes(path.read_bytes().replace(b"mmmmmmmm", b"mmm\xff\xfemmm"))
    one_line(load(tmp_path).problems, "holds a text that is not UTF-8")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rate", float("nan")), ("rate", float("inf")), ("common_classes", "x"), ("outputs", 10**400),
        ("transfer", {"a": 1}), ("transfer_seed", [1]), ("protocol", ["x"]), ("setting", {"a": {"b": 1}}),
        ("fingerprint_fields", {"a": [[[1]]]}), ("bindings", "abc"), ("bindings", [1]), ("method", "a\x1b[2J"),
        ("method", "\ud800"), ("scenario", "a\u202eb"), ("setting", {"a": "\ud800"}), ("draws", 3),
        ("input_size", {}), ("method", "x" * 3000), ("threads", "x"),
    ],
)  # fmt: skip
def test_a_description_of_wrong_types_or_letters_is_refused_in_one_line(field, value):
    raw = json.loads(describe().to_json()) | {field: value}
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        Description.from_json(json.dumps(raw))
    assert len(str(raised.value).splitlines()) == 1
    str(raised.value).encode()


def test_texts_that_are_nested_or_long_without_end_are_refused():
    for read in (Description.from_json, Closing.from_json):
        with pytest.raises(ValueError, match="nested too deeply"):
            read("[" * 100_000)
        with pytest.raises(ValueError, match="longer than"):
            read(" " * (2 << 20))
        with pytest.raises(ValueError, match="is not JSON"):
            read("{")


NAMES = (
    "<script>document.title='x'</script>",
    "<img src=x onerror=alert(1)>",
    r"\input{/etc/passwd} $x^2$ %",
    "a|b\n| --- |\n![i](http://elsewhere.example/i.png)",
    "=HYPERLINK(1)",
)


def test_names_are_text_in_every_renderer(tmp_path):
    for place, name in enumerate(NAMES):
        for seed in range(3):
            write(tmp_path, [0.5, 0.1 * place], method=name, seed=seed)
    made = tables(load(tmp_path))
    markdown = to_markdown(made)
    assert r"\<script>" in markdown
    assert "](http" not in markdown
    (header,) = [line for line in markdown.splitlines() if line.startswith("| rank")]
    assert all(
        line.replace(r"\|", "").count("|") == header.count("|") for line in markdown.splitlines() if line[:2] == "| "
    )
    latex = to_latex(made)
    assert r"\input" not in latex
    assert r"\textbackslash{}input\{/etc/passwd\} \$x\textasciicircum{}2\$ \%" in latex
    assert "'=HYPERLINK(1)" in to_csv(made)
    assert {row["method"] for row in json.loads(to_json(made))["tables"][0]["rows"]} == set(NAMES)


def test_what_a_file_is_called_and_why_it_failed_stay_in_one_line(tmp_path):
    folder = tmp_path / "a\nb\x1b[2J"
    folder.mkdir()
    (folder / "tfevents").write_bytes(b"x")
    (tmp_path / os.fsdecode(b"\xff-tfevents")).write_bytes(b"x")
    write(tmp_path, [0.5], status=contract.FAILED, reason="line\nline\x1b[2J")
    logs = load(tmp_path)
    assert all(len(problem.splitlines()) == 1 for problem in logs.problems)
    to_markdown(tables(logs), logs.problems).encode()
    assert any("line line" in note for note in tables(logs)[0].notes)


def test_curves_of_zeros_or_chance_are_no_copies(tmp_path):
    facts = {name: 1 for name in contract.FINGERPRINT_FIELDS} | {"classes_a_trial": 6, "protocol": "sequential"}
    for seed in range(3):
        write(tmp_path / "logs", list(np.zeros(6)), seed=seed, facts=facts)
    from zapbench.leaderboard.archives import pack

    pack(tmp_path / "logs", Path(tmp_path / "s.zip"))
    assert check(tmp_path / "s.zip").problems == []
