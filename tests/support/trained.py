"""Trains a small network with a plug-in on a tiny scenario, and keeps what happens to its weights."""

import torch
from avalanche.core import SupervisedPlugin

from zapbench.networks.classifier import convnet
from zapbench.plugins import silent_evaluator
from zapbench.scenarios.streams import pretraining_experience
from zapbench.strategies.iid import IID
from zapbench.strategies.zapping import ZapEpisodeClass

SGD = "sgd"
"""An optimiser without state."""


class Before(SupervisedPlugin):
    """Keeps the weights and the optimiser's moments before each update, before other plug-ins act."""

    def __init__(self):
        super().__init__()
        self.weights = []
        self.states = []

    def before_training_iteration(self, strategy, *args, **kwargs):
        self.weights.append({name: w.detach().clone() for name, w in strategy.model.named_parameters()})
        self.states.append(len(strategy.optimizer.state))


class After(Before):
    """The same, after them."""


def narrow(*, filters=4, **sizes):
    return convnet(filters=filters, **sizes)


def train(tiny, plugin, *, model=None, optimizer="adam", kind=IID, **settings):
    """Returns the strategy after its training, with `before` and `after`."""
    torch.manual_seed(3)
    model = model or narrow(outputs=6, channels=1, size=28)
    made = torch.optim.SGD(model.parameters(), lr=0.01) if optimizer == SGD else torch.optim.Adam(model.parameters())
    before, after = Before(), After()
    settings = settings or {"epochs": 3, "batch_size": 8}
    plugins = [before, plugin, after] if plugin else [before, after]
    strategy = kind(model=model, optimizer=made, plugins=plugins, evaluator=silent_evaluator(), **settings)
    strategy.before, strategy.after = before, after
    strategy.train(pretraining_experience(tiny.tensor(), tiny.pretraining(0).train), eval_streams=[])
    return strategy


def pretrained(tiny, method, *, device="cpu", dtype=torch.float64, episodes=20, inner_lr=0.05, **settings):
    """Returns the weights in one tensor, the loss of each episode and the strategy, after episodes with zapping."""
    torch.manual_seed(3)
    model = convnet(outputs=6, channels=1, size=28, filters=4).to(device, dtype)
    losses = []

    class Watch(ZapEpisodeClass):
        def after_outer_update(self, strategy, *args, **kwargs):
            losses.append(strategy.loss.detach().clone())

    strategy = method(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=0.001),
        inner_lr=inner_lr,
        episodes=episodes,
        inner_images=5,
        random_images=7,
        seed=7,
        plugins=[Watch(seed=7)],
        evaluator=silent_evaluator(),
        device=device,
        **settings,
    )
    images = tiny.tensor(dtype=dtype, device=device)
    strategy.train(pretraining_experience(images, tiny.pretraining(0).train), eval_streams=[])
    weights = torch.cat([p.detach().flatten() for p in model.parameters()])
    return weights.cpu(), torch.stack(losses).cpu(), strategy


def changed(strategy):
    """Returns, of each update, the names of the weights that the plug-in changed before it."""
    pairs = zip(strategy.before.weights, strategy.after.weights, strict=True)
    return [{name for name in one if not torch.equal(one[name], other[name])} for one, other in pairs]
