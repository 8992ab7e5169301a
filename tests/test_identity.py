"""What makes two tasks one: configuration with includes, outside code, and the transfer's own configuration."""

import pytest

from zapbench.config import parse_bindings
from zapbench.config.outside import import_outside_code, outside_code
from zapbench.config.sources import read_text
from zapbench.identity import identity_of, method_hash
from zapbench.leaderboard.contract import Description
from zapbench.tasks import RunSpec, TrialSpec


def described(run, trial=None, **changed):
    identity = identity_of(run, trial)
    values = {
        "scenario": "glyphs",
        "strategy": run.strategy,
        "method": "iid",
        "pretrain_seed": 0,
        "config_hash": identity.config_hash,
        "transfer_hash": identity.transfer_hash,
        "configuration": identity.transfer if trial else identity.configuration,
        "code": identity.code,
    }
    return Description(**values | changed)


def trial(transfer, **more):
    return TrialSpec(transfer, 0.01, "report", 0, **more)


def test_a_task_agrees_with_its_own_record_and_with_one_that_knows_less():
    run = RunSpec("glyphs", "iid", 0)
    assert identity_of(run).difference(described(run)) == ""
    assert identity_of(run, trial("replay")).difference(described(run, trial("replay"))) == ""
    old = described(run, trial("replay"), transfer_hash="", configuration={}, code={})
    assert identity_of(run, trial("replay")).difference(old) == ""


def test_what_changed_is_named():
    run = RunSpec("glyphs", "iid", 0)
    other = RunSpec("glyphs", "iid", 0, bindings=parse_bindings(["IID.epochs = 7"]))
    assert "IID.epochs was" in identity_of(other).difference(described(run))
    assert "now 7" in identity_of(other).difference(described(run))
    sgd = identity_of(run, trial("sequential_sgd")).difference(described(run, trial("sequential")))
    assert "run.transfer_optimizer was @transfer/Adam, now @transfer/SGD" in sgd


def test_a_binding_of_a_transfer_is_part_of_the_trial_and_not_of_the_run():
    bound = parse_bindings(["transfer/ReplayPlugin.mem_size = 9"])
    run, plain = RunSpec("glyphs", "iid", 0, bindings=bound), RunSpec("glyphs", "iid", 0)
    assert identity_of(run).difference(described(plain)) == ""
    assert "mem_size" in identity_of(run, trial("replay")).difference(described(plain, trial("replay")))


def test_settings_that_are_tuned_make_no_other_method_and_undeclared_bindings_do():
    settings = [parse_bindings([f"IID.epochs = {epochs}"]) for epochs in (2, 3)]
    assert len({method_hash(RunSpec("glyphs", "iid", 0, setting=s)) for s in settings}) == 1
    assert len({method_hash(RunSpec("glyphs", "iid", 0, bindings=s)) for s in settings}) == 2
    run = RunSpec("glyphs", "iid", 0)
    strengths = [parse_bindings([f"transfer/EWCPlugin.ewc_lambda = {value}"]) for value in (1.0, 2.0)]
    assert len({method_hash(run, trial("ewc", setting=s)) for s in strengths}) == 1
    assert method_hash(run, trial("ewc")) != method_hash(run, trial("sequential"))


def test_where_curves_are_measured_makes_no_other_method():
    run = RunSpec("glyphs", "iid", 0)
    often = RunSpec("glyphs", "iid", 0, bindings=parse_bindings(["transfer/sequential_transfer.every = 7"]))
    assert method_hash(often, trial("sequential")) == method_hash(run, trial("sequential"))


def test_an_included_file_is_part_of_the_text_wherever_it_is_included_from(tmp_path):
    (tmp_path / "part.gin").write_text("IID_EPOCHS = 2\n")
    (tmp_path / "mine.gin").write_text('# mine\ninclude "part.gin"\nK = 3\n')
    assert "IID_EPOCHS = 2" in read_text(tmp_path / "mine.gin")
    assert read_text(tmp_path / "mine.gin").index("IID_EPOCHS") < read_text(tmp_path / "mine.gin").index("K = 3")


def test_a_shipped_configuration_is_included_by_its_kind_and_name_and_a_file_beside_goes_first(tmp_path):
    (tmp_path / "mine.gin").write_text('include "strategies/asb.gin"\nASB.inner_lr = 0.02\n')
    assert "run.strategy = @ASB" in read_text(tmp_path / "mine.gin")
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "asb.gin").write_text("run.strategy = @Mine\n")
    assert "run.strategy = @ASB" not in read_text(tmp_path / "mine.gin")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("bare.gin", b'include "asb.gin"\n', 'the shipped one is include "strategies/asb.gin"'),
        ("both.gin", b'include "iid.gin"\n', 'include "strategies/iid.gin" or include "transfers/iid.gin"'),
        ("above.gin", b'include "strategies/../suites/demo.gin"\n', "there is no such file beside it"),
        ("circle.gin", b'include "circle.gin"\n', "includes itself"),
        ("lost.gin", b'include "nowhere.gin"\n', "there is no such file beside it"),
        ("latin.gin", b"# \xe9\n", "not a text in UTF-8"),
        ("nul.gin", b"# a\0b\n", "holds a NUL character"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=words):
        read_text(tmp_path / name)


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    (tmp_path / "bom.gin").write_bytes(b"\xef\xbb\xbfK = 3\n")
    assert read_text(tmp_path / "bom.gin").strip() == "K = 3"


def idea(folder, value):
    folder.mkdir(exist_ok=True)
    (folder / "my_ideas.py").write_text(f"import my_values\nVALUE = {value} + my_values.MORE\n")
    (folder / "my_values.py").write_text("MORE = 0\n")
    (folder / "idea.gin").write_text("import my_ideas\n")
    return folder / "idea.gin"


def test_code_beside_a_file_has_a_digest_that_sees_what_it_imports_and_nothing_is_run(tmp_path):
    path = idea(tmp_path, "1 / 0")
    before = outside_code([path])
    assert set(before) == {"my_ideas"}
    (tmp_path / "my_values.py").write_text("MORE = 1\n")
    assert outside_code([path]) != before


def test_two_modules_of_one_name_are_two_and_an_edited_one_is_imported_again(tmp_path):
    import importlib

    first, second = idea(tmp_path / "a", 1), idea(tmp_path / "b", 2)
    for path, value in ((first, 1), (second, 2), (first, 1)):
        import_outside_code([path])
        assert value == importlib.import_module("my_ideas").VALUE
    idea(tmp_path / "a", 5)
    import_outside_code([first])
    assert importlib.import_module("my_ideas").VALUE == 5
    import_outside_code([])


def test_two_folders_that_are_needed_at_once_are_refused_and_so_is_the_name_of_another_module(tmp_path):
    first, second = idea(tmp_path / "a", 1), idea(tmp_path / "b", 2)
    with pytest.raises(ValueError, match="both hold a module 'my_ideas'"):
        import_outside_code([first, second])
    (tmp_path / "json.py").write_text("")
    (tmp_path / "clash.gin").write_text("import json\n")
    with pytest.raises(ValueError, match="has the name of a module that is imported already"):
        import_outside_code([tmp_path / "clash.gin"])
