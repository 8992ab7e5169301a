"""Later-layer forgetting: which layers are re-initialised, and when."""

import torch
from torch import nn

from zapbench.networks.classifier import convnet
from zapbench.plugins import silent_evaluator
from zapbench.scenarios.streams import pretraining_experience
from zapbench.strategies.iid import IID
from zapbench.strategies.later_layer_forgetting import later_layer_forgetting


class Record:
    """Wraps a plug-in: keeps which tensors it changed, whether all of each, and whether moments were left."""

    def __init__(self, plugin):
        self.plugin, self.seen = plugin, []

    def __call__(self, strategy, *args, **kwargs):
        named = dict(strategy.model.named_parameters())
        before = {name: p.detach().clone() for name, p in named.items()}
        type(self.plugin).before_training_iteration(self.plugin, strategy)
        changed = {name for name, p in named.items() if not torch.equal(p, before[name])}
        whole = {name for name in changed if (named[name] != before[name]).all()}
        states = strategy.optimizer.state
        forgotten = {name for name, p in named.items() if p in states and not states[p]["exp_avg"].any()}
        self.seen.append((changed, whole, forgotten))


def test_every_generation_the_last_layers_and_their_moments_are_reset_and_no_others(tiny):
    torch.manual_seed(0)
    model = convnet(outputs=6, channels=1, size=28, filters=4)
    plugin = later_layer_forgetting(generation=2, layers=2)
    record = Record(plugin)
    plugin.before_training_iteration = record
    strategy = IID(
        model=model,
        optimizer=torch.optim.Adam(model.parameters()),
        epochs=5,
        batch_size=8,
        fast=False,  # autograd: its rounding moves the convolutions' biases, too
        plugins=[plugin],
        evaluator=silent_evaluator(),
    )
    strategy.train(pretraining_experience(tiny.tensor(), tiny.pretraining(0).train), eval_streams=[])
    layers = [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    late = {f"{name}.{kind}" for name in layers[-2:] for kind in ("weight", "bias")}
    assert len(record.seen) == 15, "three updates an epoch"
    for update, (changed, whole, forgotten) in enumerate(record.seen):
        due = update in (6, 12)
        assert changed == (late if due else set()), update
        assert whole == changed
        assert (late <= forgotten) == due or update == 0
    assert all("encoder.0.weight" not in forgotten for _, _, forgotten in record.seen)
