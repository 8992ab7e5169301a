"""A plug-in that breaks the contract of a transfer is reported."""

import pytest

from zapbench import config
from zapbench.checks.transfer import check_transfer
from zapbench.cli.main import main

PLUGINS = '''
import gin
import torch
from avalanche.core import SupervisedPlugin


class Once(SupervisedPlugin):
    """Acts once, after the second class."""

    def after_training_exp(self, strategy, *args, **kwargs):
        if strategy.clock.train_exp_counter == 1:
            with torch.no_grad():
                self.do(strategy)


@gin.register
class IdleLearner(SupervisedPlugin):
    """Overrides a hook that is called, and does nothing in it."""

    def before_training_iteration(self, strategy, *args, **kwargs):
        pass


@gin.register
class UnseededLearner(SupervisedPlugin):
    """Draws from a generator of its own that no seed sets."""

    generator = torch.Generator()

    def before_training_iteration(self, strategy, *args, **kwargs):
        with torch.no_grad():
            bias = strategy.model.head.bias
            bias.add_(0.001 * torch.randn(bias.shape, generator=self.generator))


@gin.register
class WiderHead(Once):
    """Gives the head more outputs."""

    def do(self, strategy):
        strategy.model.head = torch.nn.Linear(strategy.model.head.in_features, 999)


@gin.register
class ChangesFrozenEncoder(Once):
    """Changes a weight of a frozen encoder."""

    def do(self, strategy):
        next(strategy.model.encoder.parameters()).add_(1.0)


@gin.register
class ChangesFeatures(Once):
    """Changes the features of a frozen encoder in place."""

    def do(self, strategy):
        strategy.experience.images.__self__._images.table.mul_(1.5)


@gin.register
class StopsEncoder(SupervisedPlugin):
    """Removes the gradients of an encoder that is not frozen."""

    def after_backward(self, strategy, *args, **kwargs):
        for parameter in strategy.model.encoder.parameters():
            parameter.grad = None


@gin.register
class FailsLate(SupervisedPlugin):
    """Fails at the third class, which the rehearsal does not reach."""

    def after_training_exp(self, strategy, *args, **kwargs):
        if strategy.clock.train_exp_counter == 2:
            raise RuntimeError("no more")
'''

GIN = """# A plug-in from outside zapbench
import transfer_plugins
import zapbench.transfer.avalanche
import zapbench.transfer.protocol

run.transfer = @transfer/sequential_transfer()
run.transfer_optimizer = @transfer/Adam
run.transfer_strategy = @transfer/Naive
transfer/sequential_transfer.learner = "mine"
"""
UNFROZEN = "transfer/sequential_transfer.frozen = False\n"
TWICE, STOPPED = "two runs leave the same curves", "stopped trials resume to the same curves"
LAST = "transfer/sequential_transfer.layers = 1\n"


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("package")
    (folder / "transfer_plugins.py").write_text(PLUGINS)
    return folder


def written(package, plugin, more, monkeypatch):
    monkeypatch.syspath_prepend(package)
    path = package / f"{plugin}.gin"
    path.write_text(f"{GIN}{more}" + (f"transfer/Naive.plugins = [@transfer/{plugin}()]\n" if plugin else ""))
    return str(path)


@pytest.mark.parametrize(
    ("plugin", "more", "broken"),
    [
        ("", "", ["Naive differs from plain fine-tuning"]),
        ("IdleLearner", "", ["IdleLearner changes what is learned", "Naive differs from plain fine-tuning"]),
        ("UnseededLearner", UNFROZEN, ["the same seed gives the same bits", TWICE, STOPPED]),
        ("ChangesFrozenEncoder", UNFROZEN + LAST, ["frozen parts stay unchanged"]),
        ("ChangesFeatures", "", ["frozen parts stay unchanged", STOPPED]),  # a resumed trial has features of its own
        ("StopsEncoder", UNFROZEN, ["the unfrozen encoder learns"]),
        ("FailsLate", UNFROZEN, ["learns a trial"]),
    ],
)  # fmt: skip
def test_each_violation_of_the_contract_is_reported(plugin, more, broken, package, monkeypatch):
    path = written(package, plugin, more, monkeypatch)
    assert [finding.clause for finding in check_transfer(path) if not finding.holds] == broken


def test_a_head_of_another_shape_breaks_the_contract(package, monkeypatch):
    found = {
        f.clause: f.detail for f in check_transfer(written(package, "WiderHead", UNFROZEN, monkeypatch)) if not f.holds
    }
    assert found["the head keeps its shape"] == "(300, 36) before and (999, 36) after"


def test_the_command_recognises_a_transfer_by_its_bindings_prints_failed_clauses_and_exits_1(
    package, monkeypatch, capsys
):
    path = written(package, "IdleLearner", "", monkeypatch)
    assert config.kind_of(path) == "transfers"
    assert main(["check", path]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "FAILS IdleLearner changes what is learned: without it the trial gives the same bits" in said
    assert "2 clauses of the contract failed" in said


def test_a_name_or_file_that_is_neither_a_strategy_nor_a_transfer_is_refused_in_one_line(tmp_path, capsys):
    assert [config.kind_of(name) for name in ("asb_zap", "iid", "er_ace")] == ["strategies", "strategies", "transfers"]
    broken, empty = tmp_path / "broken.gin", tmp_path / "empty.gin"
    broken.write_text("run.transfer = [")
    empty.write_text("convnet.filters = 4\n")
    for name, words in (
        ("er_ach", "no strategy or transfer 'er_ach', did you mean er_ace"),
        (str(broken), "cannot read"),
        (str(empty), "binds neither run.strategy nor run.transfer"),
        (str(tmp_path / "no.gin"), "no file"),
    ):
        assert main(["check", name]) == 2
        said = capsys.readouterr().err
        assert words in said
        assert said.count("\n") == 1
