"""The contract of a strategy: everything shipped keeps it, and what breaks it is told so in words."""

import pytest

from zapbench import config
from zapbench.checks import strategy as check
from zapbench.checks.strategy import check_strategy
from zapbench.cli.main import main

TRAINED_HERE = [name for name in config.names("strategies") if name != "pretrained"]


@pytest.mark.parametrize("name", TRAINED_HERE)
def test_every_shipped_strategy_keeps_the_contract(name):
    findings = list(check_strategy(name))
    assert [f.clause for f in findings if not f.holds] == []
    assert len(findings) >= (4 if name == "untrained" else 6)


PLUGINS = '''
import gin
import torch
from avalanche.core import SupervisedPlugin


@gin.register
class Idle(SupervisedPlugin):
    """Overrides a hook, which fires, and does nothing."""

    def before_training_iteration(self, strategy, *args, **kwargs):
        pass


@gin.register
class Moody(SupervisedPlugin):
    """Draws from a generator that no seed reaches."""

    generator = torch.Generator()

    def before_training_iteration(self, strategy, *args, **kwargs):
        weight = strategy.model.head.weight
        with torch.no_grad():
            weight.add_(0.01 * torch.randn(weight.shape, generator=self.generator))


@gin.register
class Counting(SupervisedPlugin):
    """Has a state of its own that a checkpoint knows nothing of."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def before_training_iteration(self, strategy, *args, **kwargs):
        self.count += 1
        with torch.no_grad():
            strategy.model.head.bias.add_(0.001 * self.count)


@gin.register
class Remembering(Counting):
    """The same, and its state goes into checkpoints."""

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.count = state["count"]


@gin.register
class Frozen(SupervisedPlugin):
    """Keeps the encoder still."""

    def after_backward(self, strategy, *args, **kwargs):
        for parameter in strategy.model.encoder.parameters():
            parameter.grad = None


@gin.register
class Wider(SupervisedPlugin):
    """Gives the head more outputs."""

    def after_training_exp(self, strategy, *args, **kwargs):
        strategy.model.head = torch.nn.Linear(strategy.model.head.in_features, 999)
'''

GIN = """# A plug-in of a person's own
import contract_plugins
import zapbench.strategies.iid

run.model = %MODEL
run.strategy = @IID
run.optimizer = @outer/Adam
outer/Adam.lr = %IID_LR
IID.epochs = %IID_EPOCHS
IID.batch_size = %IID_BATCH
IID.seed = %PRETRAIN_SEED
IID.plugins = [@PLUGIN()]
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("package")
    (folder / "contract_plugins.py").write_text(PLUGINS)
    return folder


def failures(package, plugin, monkeypatch):
    monkeypatch.syspath_prepend(package)
    path = package / f"{plugin}.gin"
    path.write_text(GIN.replace("PLUGIN()", f"{plugin}()"))
    return [f.clause for f in check_strategy(str(path)) if not f.holds]


@pytest.mark.parametrize(
    ("plugin", "broken"),
    [
        ("Idle", ["Idle changes what is learned"]),
        ("Moody", ["the same seed gives the same bits", "a run that was stopped goes on to the same bits"]),
        ("Counting", ["a run that was stopped goes on to the same bits"]),
        ("Remembering", []),
        ("Frozen", ["gradients reach the encoder"]),
    ],
)
def test_what_breaks_the_contract_is_told_by_name(plugin, broken, package, monkeypatch):
    assert failures(package, plugin, monkeypatch) == broken


def test_a_head_of_another_shape_breaks_the_contract(package, monkeypatch):
    assert "the head keeps its shape" in failures(package, "Wider", monkeypatch)


def test_the_command_says_what_fails_and_exits_with_1(package, monkeypatch, capsys):
    monkeypatch.syspath_prepend(package)
    (package / "idle.gin").write_text(GIN.replace("PLUGIN()", "Idle()"))
    assert main(["check", str(package / "idle.gin")]) == 1
    said = capsys.readouterr().out
    assert "FAILS" in said
    assert "Idle changes what is learned: without it training gives the same bits" in said
    assert main(["check", "asp_zap"]) == 2
    assert "did you mean asb_zap" in capsys.readouterr().err


def test_the_check_shrinks_what_there_is():
    """A renamed macro or network would make it slow in silence."""
    named = config.mentioned("scenarios", "glyphs").union(*(config.mentioned("strategies", n) for n in TRAINED_HERE))
    assert {b.selector for b in config.parse_bindings(check.SHRUNK)} <= named
