"""Every shipped strategy keeps the contract, and a plug-in that breaks it is reported."""

import pytest

from zapbench import config
from zapbench.checks.shrunk import SHRUNK
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
    """Overrides a hook that is called, and does nothing in it."""

    def before_training_iteration(self, strategy, *args, **kwargs):
        pass


@gin.register
class Unseeded(SupervisedPlugin):
    """Draws from a generator of its own that no seed sets."""

    generator = torch.Generator()

    def before_training_iteration(self, strategy, *args, **kwargs):
        weight = strategy.model.head.weight
        with torch.no_grad():
            weight.add_(0.01 * torch.randn(weight.shape, generator=self.generator))


@gin.register
class Counting(SupervisedPlugin):
    """Keeps a state that is not in the checkpoint."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def before_training_iteration(self, strategy, *args, **kwargs):
        self.count += 1
        with torch.no_grad():
            strategy.model.head.bias.add_(0.001 * self.count)


@gin.register
class Checkpointed(Counting):
    """Keeps the same state, and puts it into the checkpoint."""

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.count = state["count"]


@gin.register
class Frozen(SupervisedPlugin):
    """Removes the gradients of the encoder."""

    def after_backward(self, strategy, *args, **kwargs):
        for parameter in strategy.model.encoder.parameters():
            parameter.grad = None


@gin.register
class Wider(SupervisedPlugin):
    """Gives the head more outputs."""

    def after_training_exp(self, strategy, *args, **kwargs):
        strategy.model.head = torch.nn.Linear(strategy.model.head.in_features, 999)
'''

GIN = """# A plug-in from outside zapbench
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
        ("Unseeded", ["the same seed gives the same bits", "a stopped run resumes to the same bits"]),
        ("Counting", ["a stopped run resumes to the same bits"]),
        ("Checkpointed", []),
        ("Frozen", ["gradients reach the encoder"]),
    ],
)
def test_each_violation_of_the_contract_is_reported(plugin, broken, package, monkeypatch):
    assert failures(package, plugin, monkeypatch) == broken


def test_a_head_of_another_shape_breaks_the_contract(package, monkeypatch):
    assert "the head keeps its shape" in failures(package, "Wider", monkeypatch)


def test_the_command_prints_the_failed_clause_and_exits_1(package, monkeypatch, capsys):
    monkeypatch.syspath_prepend(package)
    (package / "idle.gin").write_text(GIN.replace("PLUGIN()", "Idle()"))
    assert main(["check", str(package / "idle.gin")]) == 1
    said = capsys.readouterr().out
    assert "FAILS" in said
    assert "Idle changes what is learned: without it training gives the same bits" in said
    assert main(["check", "asp_zap"]) == 2
    assert "did you mean asb_zap" in capsys.readouterr().err


def test_every_shrunken_size_exists():
    """Otherwise a macro or a network that was renamed would keep its size, and make the check slow."""
    named = config.mentioned("scenarios", "glyphs").union(*(config.mentioned("strategies", n) for n in TRAINED_HERE))
    assert {b.selector for b in config.parse_bindings(SHRUNK)} <= named
