"""Pre-training algorithms against independent computations in float64."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from zapbench.experiment.pretraining import plasticity_of
from zapbench.leaderboard import contract
from zapbench.networks.classifier import convnet, new_head
from zapbench.plugins import silent_evaluator
from zapbench.scenarios.streams import pretraining_experience
from zapbench.seeding import torch_generator
from zapbench.strategies.asb import ASB
from zapbench.strategies.episodes import EpisodeSampler
from zapbench.strategies.iid import IID
from zapbench.strategies.meta_asb import MetaASB
from zapbench.strategies.zapping import ZapEpisodeClass, ZapEvery

DOUBLE = torch.float64


def small_net():
    torch.manual_seed(3)
    return convnet(outputs=6, channels=1, size=28, filters=4).double()


def by_hand(weights, images):
    """The network written out: convolution, instance norm, ReLU, pooling after blocks 1 and 2, head."""
    x = images
    for block in range(3):
        conv, conv_bias, scale, shift = weights[4 * block : 4 * block + 4]
        x = F.conv2d(x, conv, conv_bias)
        mean = x.mean(dim=(2, 3), keepdim=True)
        variance = ((x - mean) ** 2).mean(dim=(2, 3), keepdim=True)
        x = (x - mean) / (variance + 1e-5).sqrt() * scale.view(1, -1, 1, 1) + shift.view(1, -1, 1, 1)
        x = x.clamp(min=0)
        if block < 2:
            n, c, h, w = x.shape
            x = x[:, :, : h // 2 * 2, : w // 2 * 2].reshape(n, c, h // 2, 2, w // 2, 2).amax(dim=(3, 5))
    return x.reshape(len(x), -1) @ weights[12].T + weights[13]


def mean_cross_entropy(logits, labels):
    return (logits.logsumexp(dim=1) - logits[torch.arange(len(labels)), labels]).mean()


class Adam:
    """Kingma and Ba (2015), algorithm 1, as written."""

    def __init__(self, lr):
        self.lr, self.t, self.m, self.v = lr, 0, None, None

    def step(self, weights, gradients):
        self.t += 1
        self.m = [0.1 * g + 0.9 * m for g, m in zip(gradients, self.m or [0.0] * len(weights))]
        self.v = [0.001 * g * g + 0.999 * v for g, v in zip(gradients, self.v or [0.0] * len(weights))]
        corrected = [(m / (1 - 0.9**self.t), v / (1 - 0.999**self.t)) for m, v in zip(self.m, self.v)]
        return [w - self.lr * m / (v.sqrt() + 1e-8) for w, (m, v) in zip(weights, corrected)]


def gradients_of(weights, images, labels):
    leaves = [w.detach().clone().requires_grad_(True) for w in weights]
    loss = mean_cross_entropy(by_hand(leaves, images), labels)
    return torch.autograd.grad(loss, leaves)


@pytest.mark.parametrize("zapped", [True, False])
def test_asb_equals_an_independent_computation(tiny, zapped):
    episodes, inner_lr, outer_lr, seed = 3, 0.05, 0.001, 7
    split = tiny.pretraining(0).train
    images = tiny.tensor(dtype=DOUBLE)
    model = small_net()
    weights = [p.detach().clone() for p in model.parameters()]
    strategy = ASB(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=outer_lr),
        inner_lr=inner_lr,
        episodes=episodes,
        inner_images=5,
        random_images=7,
        seed=seed,
        plugins=[ZapEpisodeClass(seed=seed)] if zapped else [],
        evaluator=silent_evaluator(),
    )
    strategy.train(pretraining_experience(images, split), eval_streams=[])

    flat = torch.from_numpy(split.reshape(-1).copy())
    labels = torch.arange(4).repeat_interleave(6)
    sampler = EpisodeSampler(labels, inner=5, random=7, seed=seed)
    adam = Adam(outer_lr)
    for number in range(episodes):
        episode = sampler(number)
        if zapped:
            draws = torch.empty(1, weights[12].shape[1], dtype=DOUBLE)
            draws.normal_(0, math.sqrt(2 / weights[12].shape[1]), generator=torch_generator("zap", seed, number))
            weights[12][episode.label], weights[13][episode.label] = draws[0], 0.0
        for place in episode.inner:
            gradients = gradients_of(weights, images(flat[place : place + 1]), torch.tensor([episode.label]))
            weights = [w - inner_lr * g for w, g in zip(weights, gradients)]
        outer = gradients_of(weights, images(flat[episode.outer]), labels[episode.outer])
        weights = adam.step(weights, outer)
    difference = max((p - w).abs().max().item() for p, w in zip(model.parameters(), weights))
    assert difference < 1e-9
    assert max((p - w).abs().max().item() for p, w in zip(small_net().parameters(), weights)) > 1e-3


def meta_asb(tiny, *, episodes, first_order=False, zapped=True):
    model = small_net()
    strategy = MetaASB(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=0.001),
        inner_lr=0.05,
        episodes=episodes,
        inner_images=5,
        random_images=7,
        seed=7,
        first_order=first_order,
        plugins=[ZapEpisodeClass(seed=7)] if zapped else [],
        evaluator=silent_evaluator(),
    )
    strategy.train(pretraining_experience(tiny.tensor(dtype=DOUBLE), tiny.pretraining(0).train), eval_streams=[])
    return [p.detach() for p in model.parameters()]


def meta_asb_by_hand(tiny, *, episodes):
    """Algorithm 1 with torch.func.grad of a function of the weights."""
    images, split = tiny.tensor(dtype=DOUBLE), tiny.pretraining(0).train
    flat, labels = torch.from_numpy(split.reshape(-1).copy()), torch.arange(4).repeat_interleave(6)
    weights = [p.detach().clone() for p in small_net().parameters()]
    adam, sampler = Adam(0.001), EpisodeSampler(labels, inner=5, random=7, seed=7)
    for number in range(episodes):
        episode = sampler(number)
        draws = torch.empty(1, 36, dtype=DOUBLE)
        draws.normal_(0, math.sqrt(2 / 36), generator=torch_generator("zap", 7, number))
        weights[12][episode.label], weights[13][episode.label] = draws[0], 0.0

        def inner(moved, place, label):
            return mean_cross_entropy(by_hand(moved, images(flat[place : place + 1])), torch.tensor([label]))

        def outer(start, episode):
            for place in episode.inner.tolist():
                gradients = torch.func.grad(inner)(start, place, episode.label)
                start = [w - 0.05 * g for w, g in zip(start, gradients)]
            return mean_cross_entropy(by_hand(start, images(flat[episode.outer])), labels[episode.outer])

        weights = adam.step(weights, torch.func.grad(outer)(weights, episode))
    return weights


@pytest.mark.parametrize(("episodes", "within"), [(1, 1e-9), (20, 1e-7)])
def test_meta_asb_equals_an_independent_computation(tiny, episodes, within):
    found, expected = meta_asb(tiny, episodes=episodes), meta_asb_by_hand(tiny, episodes=episodes)
    assert max((p - w).abs().max().item() for p, w in zip(found, expected)) < within


def test_first_order_meta_asb_is_another_algorithm(tiny):
    second, first = meta_asb(tiny, episodes=3), meta_asb(tiny, episodes=3, first_order=True)
    assert max((p - w).abs().max().item() for p, w in zip(second, first)) > 1e-4


def test_first_and_second_order_agree_without_an_inner_step(tiny):
    """The meta-gradient through a single inner step at rate 0 is the plain gradient."""
    one = {"inner_lr": 1e-300, "episodes": 1, "inner_images": 1, "random_images": 7, "seed": 7}
    found = []
    for first_order in (False, True):
        model = small_net()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        strategy = MetaASB(
            model=model, optimizer=optimizer, first_order=first_order, evaluator=silent_evaluator(), **one
        )
        strategy.train(pretraining_experience(tiny.tensor(dtype=DOUBLE), tiny.pretraining(0).train), eval_streams=[])
        found.append([p.detach() for p in model.parameters()])
    assert max((p - q).abs().max().item() for p, q in zip(*found)) < 1e-12


def test_iid_equals_ten_lines_of_torch(tiny):
    split = tiny.pretraining(0).train
    images = tiny.tensor(dtype=DOUBLE)
    model, twin = small_net(), small_net()
    strategy = IID(
        model=model,
        optimizer=torch.optim.Adam(model.parameters(), lr=0.001),
        epochs=3,
        batch_size=10,
        seed=5,
        fast=False,
        plugins=[ZapEvery(every=4, seed=5)],
        evaluator=silent_evaluator(),
    )
    strategy.train(pretraining_experience(images, split), eval_streams=[])

    flat, labels = torch.from_numpy(split.reshape(-1).copy()), torch.arange(4).repeat_interleave(6)
    optimizer, update = torch.optim.Adam(twin.parameters(), lr=0.001), 0
    for epoch in range(3):
        for batch in torch.randperm(24, generator=torch_generator("epoch", 5, epoch)).split(10):
            if update in (4, 8):
                generator = torch_generator("zap", 5, update)
                order = torch.randperm(6, generator=generator)
                with torch.no_grad():
                    drawn = torch.empty(6, 36, dtype=DOUBLE).normal_(0, math.sqrt(2 / 36), generator=generator)
                    twin.head.weight[order], twin.head.bias[order] = drawn, torch.zeros(6, dtype=DOUBLE)
            optimizer.zero_grad()
            F.cross_entropy(twin(images(flat[batch])), labels[batch]).backward()
            optimizer.step()
            update += 1
    assert update == strategy.clock.train_iterations == 9
    for p, q in zip(model.parameters(), twin.parameters()):
        assert (p - q).abs().max().item() < 1e-12


def test_the_network_has_the_size_of_the_paper():
    model = convnet(outputs=1000, channels=1, size=28)
    assert sum(p.numel() for p in model.parameters()) == 3_489_256
    assert model.head.in_features == 2304
    wide = convnet(outputs=64, channels=3, size=84, blocks=4, padding=1, pool_last=True)
    assert sum(p.numel() for p in wide.parameters()) == 2_189_120
    assert wide.head.in_features == 6400
    images = torch.rand(5, 1, 28, 28, dtype=DOUBLE)
    net = small_net()
    assert torch.allclose(net(images), by_hand(list(net.parameters()), images), atol=1e-12)


def test_a_new_head_is_kaiming_normal_or_pytorchs_default():
    head = new_head(2304, 1000, generator=torch_generator("head", 0))
    assert head.weight.std().item() == pytest.approx(math.sqrt(2 / 2304), rel=0.01)
    assert (head.bias == 0).all()
    torch.manual_seed(0)
    assert new_head(2304, 1000, init="pytorch").weight.std().item() == pytest.approx(0.0120, rel=0.01)


def test_images_too_small_for_the_blocks_are_refused():
    with pytest.raises(ValueError, match="too small"):
        convnet(outputs=2, channels=1, size=12)


def test_k_images_are_drawn_with_replacement_only_if_the_class_has_fewer():
    labels = torch.arange(10).repeat_interleave(15)
    distinct = [len(EpisodeSampler(labels, inner=20, random=0, seed=s)(0).inner.unique()) for s in range(400)]
    # 20 draws of 15: 15 * (1 - (14 / 15) ** 20) = 11.23 distinct ones
    assert sum(distinct) / len(distinct) == pytest.approx(11.23, abs=0.3)
    assert len(EpisodeSampler(labels, inner=15, random=0, seed=0)(0).inner.unique()) == 15


def test_the_outer_batch_has_the_inner_images_and_r_distinct_images_of_all_classes():
    labels = torch.arange(10).repeat_interleave(15)
    episode = EpisodeSampler(labels, inner=20, random=64, seed=1)(3)
    assert len(episode.outer) == 84
    assert torch.equal(episode.outer[:20], episode.inner)
    assert len(episode.outer[20:].unique()) == 64
    assert (labels[episode.inner] == episode.label).all()
    assert len(labels[episode.outer[20:]].unique()) > 5


def test_classes_are_uniform_over_episodes():
    sampler = EpisodeSampler(torch.arange(4).repeat_interleave(3), inner=2, random=0, seed=2)
    counts = torch.bincount(torch.tensor([sampler(i).label for i in range(2000)]), minlength=4)
    # 500 each, standard deviation 19.4
    assert (counts - 500).abs().max() < 80


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"inner_lr": 0.0}, "inner_lr must be above 0"),
        ({"inner_lr": float("nan")}, "inner_lr must be above 0"),
        ({"inner_images": 0}, "K"),
        ({"random_images": -1}, "R"),
        ({"episodes": 0}, "episodes"),
    ],
)
def test_invalid_episodes_are_refused(wrong, words):
    model = small_net()
    with pytest.raises(ValueError, match=words):
        ASB(
            model=model,
            optimizer=torch.optim.Adam(model.parameters()),
            **({"inner_lr": 0.1, "episodes": 1} | wrong),
        )


def test_plasticity_is_that_of_features_of_images_spread_over_all():
    net = small_net()
    images = torch.rand(30, 1, 28, 28, dtype=DOUBLE)
    index = torch.arange(30).flip(0)
    found = plasticity_of(net, lambda part: images[part], index, most=10)
    with torch.no_grad():
        features = net.encoder(images[index[::3]]).numpy()
    shares = np.linalg.svd(features, compute_uv=False)
    shares /= shares.sum()
    activity = np.abs(features).mean(axis=0)
    squares = np.concatenate([p.detach().numpy().ravel() ** 2 for p in net.encoder.parameters()])
    assert found == {
        contract.EFFECTIVE_RANK: pytest.approx(np.exp(-(shares * np.log(shares)).sum())),
        contract.DORMANT_UNITS: pytest.approx((activity <= 0.025 * activity.mean()).mean()),
        contract.WEIGHT_NORM: pytest.approx(np.sqrt(squares.mean())),
    }
    images[0] = math.nan
    assert plasticity_of(net, lambda part: images[part], index, most=30) == {}
