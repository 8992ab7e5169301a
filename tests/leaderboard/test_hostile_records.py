"""Event files made to break their reader: damage is named in one line, names stay text, memory stays small."""

import dataclasses
import json
import os
import struct

import pytest
from support.hostile import in_a_process_of_its_own, one_line, rewrite
from support.made_logs import describe, write
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

from zapbench.experiment.record import EventWriter
from zapbench.leaderboard import contract
from zapbench.leaderboard.contract import Closing, Description
from zapbench.leaderboard.decide.tables import tables
from zapbench.leaderboard.read.events import Tail, read_events
from zapbench.leaderboard.read.load import load
from zapbench.leaderboard.read.parse import read_file
from zapbench.leaderboard.show.data import to_csv, to_json
from zapbench.leaderboard.show.latex import to_latex
from zapbench.leaderboard.show.markdown import to_markdown


def test_a_record_that_claims_a_billion_bytes_is_damage(tmp_path):
    (tmp_path / "tfevents").write_bytes(struct.pack("<QL", 10**9, 0) + b"x" * 100)
    one_line(load(tmp_path).problems, "holds a damaged record at byte 0")
    header = struct.pack("<Q", 10**9)
    (tmp_path / "tfevents").write_bytes(header + struct.pack("<L", masked_crc32c(header)) + b"x" * 100)
    one_line(load(tmp_path).problems, "ends in the middle of a record")


def test_a_sparse_file_of_ten_gigabytes_is_damage_at_once(tmp_path):
    with (tmp_path / "tfevents").open("wb") as file:
        file.truncate(10 << 30)
    tail = Tail()
    assert list(read_events(tmp_path / "tfevents", tail)) == []
    assert tail.whole == 0, "the first empty record ends it"
    one_line(load(tmp_path).problems, "holds a damaged record at byte 0")


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


@pytest.mark.parametrize(
    ("tag", "dimensions"), [(contract.CLASS_ACCURACY, [2]), (contract.CORRECT, [1, 2]), (contract.CLASS_LOSSES, [1, 2])]
)
def test_an_array_that_comes_twice_is_refused(tmp_path, tag, dimensions):
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in dimensions])
    made = [
        Summary.Value(tag=tag, tensor=TensorProto(dtype=1, tensor_shape=shape, float_val=numbers))
        for numbers in ([0.0, 1.0], [1.0, 1.0])
    ]
    once = events(tmp_path / "a" / "tfevents", [Event(step=1, summary=Summary(value=made[:1]))])
    assert "twice" not in read_file(once).problem
    twice = events(tmp_path / "b" / "tfevents", [Event(step=1, summary=Summary(value=[value])) for value in made])
    assert read_file(twice).problem == f"holds {tag} twice"


@pytest.mark.parametrize("wrong", [[-0.5, 1.0], [float("nan"), 1.0]])
def test_class_losses_that_no_cross_entropy_can_be_are_refused(tmp_path, wrong):
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in (1, 2)])
    value = Summary.Value(tag=contract.CLASS_LOSSES, tensor=TensorProto(dtype=1, tensor_shape=shape, float_val=wrong))
    found = read_file(events(tmp_path / "tfevents", [Event(step=1, summary=Summary(value=[value]))]))
    assert "a loss that is negative or not a number" in found.problem


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
    from zapbench.leaderboard.read.plausible import implausible

    assert implausible(found.description, found.closing, found.curves, []).endswith("has step 99999 twice")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_are_not_finite_are_named(tmp_path, value):
    write(tmp_path, [value])
    one_line(load(tmp_path).problems, "a value that is not a number")


def test_text_that_is_not_utf8_is_named(tmp_path):
    write(tmp_path, [0.5], method="mmmmmmmm")
    path = next(tmp_path.rglob("*tfevents*"))
    rewrite(path, b"mmmmmmmm", b"mmm\xff\xfemmm")
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
    "a|b | --- | ![i](http://elsewhere.example/i.png)",
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


def test_every_field_of_a_description_has_a_rule():
    assert set(contract.RULES) == {field.name for field in dataclasses.fields(Description)}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rate", 10**400), ("settings_tried", 10**400), ("pretrain_seed", 2**53), ("common_classes", 1.5),
        ("setting", {"a": 10**400}), ("fingerprint_fields", {"a": -(10**400)}), ("setting", {"a": float("nan")}),
        ("method", "m\nother: 3 trials failed"), ("scenario", "a\x1cb"), ("setting", {"a": "b\x85c"}),
    ],
)  # fmt: skip
def test_a_value_that_no_reader_takes_is_refused_by_the_writer_too(field, value):
    with pytest.raises(ValueError, match=field) as written:
        dataclasses.replace(describe(), **{field: value}).to_json()
    raw = json.loads(describe().to_json()) | {field: value}
    with pytest.raises(ValueError, match=field) as read:
        Description.from_json(json.dumps(raw))
    for raised in (written, read):
        assert len(str(raised.value).splitlines()) == 1


def test_a_path_that_nothing_can_show_is_written_so_that_it_can_be_read():
    about = dataclasses.replace(describe(), command="zapbench \x1b[2J \udcff", sources={"strategy": "\udcff.gin"})
    assert Description.from_json(about.to_json()).command == "zapbench \ufffd[2J \ufffd"
