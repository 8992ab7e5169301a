"""OML, ANML and nets with batch norm under Meta-ASB, against the algorithms written out in float64."""

import math

import pytest
import torch
import torch.nn.functional as F
from avalanche.core import SupervisedMetaLearningPlugin
from torch import nn

from zapbench.networks.anml import anml
from zapbench.networks.classifier import Classifier, convnet, last_layers, new_head
from zapbench.networks.oml import fitting_strides, oml
from zapbench.plugins import silent_evaluator
from zapbench.scenarios.streams import pretraining_experience
from zapbench.seeding import torch_generator
from zapbench.strategies.asb import ASB
from zapbench.strategies.episodes import EpisodeSampler
from zapbench.strategies.meta_asb import MetaASB
from zapbench.strategies.zapping import ZapEpisodeClass

DOUBLE = torch.float64
INNER, RANDOM, SEED, INNER_LR, OUTER_LR = 4, 5, 7, 0.05, 0.02


def narrow(**sizes):
    return convnet(filters=4, **sizes)


def oml_net():
    torch.manual_seed(3)
    return oml(outputs=6, channels=1, size=28, filters=3, hidden=5).double()


def anml_net():
    torch.manual_seed(3)
    return anml(outputs=6, channels=1, size=28, net=narrow, gate_filters=3).double()


def batch_norm_net():
    torch.manual_seed(3)
    convolution = nn.Conv2d(1, 3, 9, stride=6)
    encoder = nn.Sequential(nn.BatchNorm2d(1), convolution, nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten())
    return Classifier(encoder, new_head(48, 6), name="batch norm").double()


def oml_by_hand(weights, images):
    x = images
    for i, stride in enumerate((2, 1, 1, 1, 1, 1)):
        name = f"encoder.convolution{i}"
        x = F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], stride=stride).clamp(min=0)
    hidden = x.flatten(1) @ weights["encoder.hidden.weight"].T + weights["encoder.hidden.bias"]
    return hidden.clamp(min=0) @ weights["head.weight"].T + weights["head.bias"]


def blocks_by_hand(weights, prefix, images, *, pools):
    x = images
    for block in range(3):
        conv, norm = f"{prefix}.{4 * block}", f"{prefix}.{4 * block + 1}"
        x = F.conv2d(x, weights[f"{conv}.weight"], weights[f"{conv}.bias"])
        mean = x.mean(dim=(2, 3), keepdim=True)
        x = (x - mean) / (((x - mean) ** 2).mean(dim=(2, 3), keepdim=True) + 1e-5).sqrt()
        x = x * weights[f"{norm}.weight"].view(1, -1, 1, 1) + weights[f"{norm}.bias"].view(1, -1, 1, 1)
        x = x.clamp(min=0)
        x = F.max_pool2d(x, 2) if block < pools else x
    return x.flatten(1)


def anml_by_hand(weights, images):
    features = blocks_by_hand(weights, "encoder.net", images, pools=2)
    narrow_features = blocks_by_hand(weights, "encoder.gate.encoder", images, pools=3)
    before = narrow_features @ weights["encoder.gate.head.weight"].T + weights["encoder.gate.head.bias"]
    return (features / (1 + (-before).exp())) @ weights["head.weight"].T + weights["head.bias"]


def batch_norm_by_hand(weights, images):
    x = images
    for place, channels in ((0, 1), (2, 3)):
        mean, variance = x.mean(dim=(0, 2, 3)), x.var(dim=(0, 2, 3), unbiased=False)
        shape = (1, channels, 1, 1)
        x = (x - mean.view(shape)) / (variance.view(shape) + 1e-5).sqrt()
        name = f"encoder.{place}"
        x = x * weights[f"{name}.weight"].view(shape) + weights[f"{name}.bias"].view(shape)
        if place == 0:
            x = F.conv2d(x, weights["encoder.1.weight"], weights["encoder.1.bias"], stride=6)
    return x.clamp(min=0).flatten(1) @ weights["head.weight"].T + weights["head.bias"]


def mean_cross_entropy(logits, labels):
    return (logits.logsumexp(dim=1) - logits[torch.arange(len(labels)), labels]).mean()


def train(tiny, model, strategy=MetaASB, *, episodes=3, plugins=(), **settings):
    found = strategy(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=OUTER_LR),
        inner_lr=INNER_LR,
        episodes=episodes,
        inner_images=INNER,
        random_images=RANDOM,
        seed=SEED,
        plugins=[ZapEpisodeClass(seed=SEED), *plugins],
        evaluator=silent_evaluator(),
        **settings,
    )
    found.train(pretraining_experience(tiny.tensor(dtype=DOUBLE), tiny.pretraining(0).train), eval_streams=[])
    return {name: p.detach() for name, p in model.named_parameters()}


def by_hand(tiny, model, forward, *, inner, outer, episodes=3):
    """Algorithm 1 on a dictionary of weights; `inner` and `outer` say by name what each loop moves."""
    images, split = tiny.tensor(dtype=DOUBLE), tiny.pretraining(0).train
    flat, labels = torch.from_numpy(split.reshape(-1).copy()), torch.arange(4).repeat_interleave(6)
    weights = {name: p.detach().clone() for name, p in model.named_parameters()}
    sampler = EpisodeSampler(labels, inner=INNER, random=RANDOM, seed=SEED)
    for number in range(episodes):
        episode = sampler(number)
        row = torch.empty(1, weights["head.weight"].shape[1], dtype=DOUBLE)
        row.normal_(0, math.sqrt(2 / row.shape[1]), generator=torch_generator("zap", SEED, number))
        weights["head.weight"][episode.label], weights["head.bias"][episode.label] = row[0], 0.0

        def inner_loss(moved, rest, place, label):
            return mean_cross_entropy(
                forward({**rest, **moved}, images(flat[place : place + 1])), torch.tensor([label])
            )

        def outer_loss(start, rest, episode):
            now = {**rest, **start}
            for place in episode.inner.tolist():
                moved = {name: w for name, w in now.items() if inner(name)}
                gradients = torch.func.grad(inner_loss)(moved, now, place, episode.label)
                now = now | {name: w - INNER_LR * gradients[name] for name, w in moved.items()}
            return mean_cross_entropy(forward(now, images(flat[episode.outer])), labels[episode.outer])

        start = {name: w for name, w in weights.items() if outer(name)}
        gradients = torch.func.grad(outer_loss)(start, weights, episode)
        weights |= {name: w - OUTER_LR * gradients[name] for name, w in start.items()}
    return weights


def difference(found, expected):
    return max((found[name] - expected[name]).abs().max().item() for name in expected)


def everything(name):
    return True


CASES = {
    "oml": (oml_net, oml_by_hand, ["encoder.hidden.*", "head.*"], lambda n: n.startswith(("encoder.hidden", "head"))),
    "anml": (anml_net, anml_by_hand, ["encoder.net.*", "head.*"], lambda n: "gate" not in n),
    "batch norm": (batch_norm_net, batch_norm_by_hand, ["*"], everything),
}


@pytest.mark.parametrize("case", CASES)
def test_the_inner_loop_moves_what_it_is_told_to_and_the_outer_step_everything(tiny, case):
    net, forward, patterns, inner = CASES[case]
    found = train(tiny, net(), inner=patterns)
    expected = by_hand(tiny, net(), forward, inner=inner, outer=everything)
    assert difference(found, expected) < 1e-9
    start = dict(net().named_parameters())
    assert all((found[name] - start[name]).abs().max() > 0 for name in found if found[name].ndim > 1)


@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("case", ["oml", "anml"])
def test_what_is_computed_once_an_episode_changes_nothing(tiny, case, first_order):
    net, _, patterns, _ = CASES[case]
    once, plain = (train(tiny, net(), inner=patterns, first_order=first_order, fast=fast) for fast in (True, False))
    assert difference(once, plain) < 1e-9


@pytest.mark.parametrize(("case", "layer"), [("oml", "encoder.convolution0"), ("anml", "encoder.gate.encoder")])
def test_what_the_inner_loop_leaves_alone_is_computed_once_an_episode(tiny, case, layer):
    net, _, patterns, _ = CASES[case]
    calls = {}
    for fast in (True, False):
        model = net()
        convolution = next(m for m in model.get_submodule(layer).modules() if isinstance(m, nn.Conv2d))
        plain, seen = convolution._conv_forward, []
        convolution._conv_forward = lambda x, *rest, plain=plain, seen=seen: seen.append(len(x)) or plain(x, *rest)
        train(tiny, model, inner=patterns, fast=fast)
        calls[fast] = seen
    assert calls[True] == 3 * [INNER + RANDOM]
    assert calls[False] == 3 * ([1] * INNER + [INNER + RANDOM])


def dropout_net():
    torch.manual_seed(3)
    encoder = nn.Sequential(nn.Conv2d(1, 3, 9, stride=6), nn.Dropout(0.5), nn.ReLU(), nn.Flatten(), nn.Linear(48, 5))
    return Classifier(encoder, new_head(5, 6), name="dropout").double()


def anml_net_with_batch_norm_in_its_gate():
    model = anml_net()
    model.encoder.gate.encoder[1] = nn.BatchNorm2d(3).double()
    return model


@pytest.mark.parametrize(
    ("net", "inner"),
    [
        (batch_norm_net, ["encoder.1.*", "encoder.2.*", "head.*"]),
        (dropout_net, ["encoder.4.*", "head.*"]),
        (anml_net_with_batch_norm_in_its_gate, ["encoder.net.*", "head.*"]),
    ],
)
def test_layers_that_mix_the_images_of_a_batch_are_not_computed_once_an_episode(tiny, net, inner):
    """In the inner loop batch norm sees one image at a time, and dropout draws for one."""
    once, plain = (train(tiny, net(), inner=inner, fast=fast) for fast in (True, False))
    assert difference(once, plain) < 1e-9


class Mirrors(SupervisedMetaLearningPlugin):
    """Changes the inner images, which are then no part of the outer batch."""

    def before_inner_updates(self, strategy, *args, **kwargs):
        strategy.inner_x = strategy.inner_x.flip(-1)


@pytest.mark.parametrize("case", ["oml", "anml"])
def test_inner_images_that_a_plug_in_changes_are_those_that_are_learned(tiny, case):
    net, _, patterns, _ = CASES[case]
    once, plain = (train(tiny, net(), inner=patterns, fast=fast, plugins=[Mirrors()]) for fast in (True, False))
    assert difference(once, plain) < 1e-9
    assert difference(once, train(tiny, net(), inner=patterns)) > 1e-5


@pytest.mark.parametrize("case", ["oml", "anml"])
def test_an_inner_loop_that_moves_everything_is_another_algorithm(tiny, case):
    net, forward, patterns, _ = CASES[case]
    everywhere = by_hand(tiny, net(), forward, inner=everything, outer=everything)
    assert difference(train(tiny, net(), inner=patterns), everywhere) > 1e-5


def test_the_outer_step_moves_what_it_is_told_to_alone(tiny):
    found = train(tiny, oml_net(), inner=["encoder.hidden.*", "head.*"], outer=["head.*"])
    expected = by_hand(tiny, oml_net(), oml_by_hand, inner=CASES["oml"][3], outer=lambda n: n.startswith("head"))
    assert difference(found, expected) < 1e-9
    start = dict(oml_net().named_parameters())
    assert torch.equal(found["encoder.hidden.weight"], start["encoder.hidden.weight"])


def test_a_pattern_that_fits_no_parameter_is_refused_with_those_there_are(tiny):
    with pytest.raises(ValueError, match=r"no parameter is called 'encoder\.nett\.\*'; there are: encoder\.gate, enc"):
        train(tiny, anml_net(), inner=["encoder.nett.*", "head.*"])


@pytest.mark.parametrize("strategy", [ASB, MetaASB])
def test_batch_norm_fills_its_running_statistics_with_single_images_and_the_outer_batch(tiny, strategy):
    model = batch_norm_net()
    train(tiny, model, strategy, episodes=2)
    images, split = tiny.tensor(dtype=DOUBLE), tiny.pretraining(0).train
    flat = torch.from_numpy(split.reshape(-1).copy())
    sampler = EpisodeSampler(torch.arange(4).repeat_interleave(6), inner=INNER, random=RANDOM, seed=SEED)
    mean, variance = 0.0, 1.0
    for number in range(2):
        episode = sampler(number)
        for seen in (*episode.inner.split(1), episode.outer):
            pixels = images(flat[seen])
            mean = 0.9 * mean + 0.1 * pixels.mean().item()
            variance = 0.9 * variance + 0.1 * pixels.var(unbiased=True).item()
    first = model.encoder[0]
    assert first.running_mean.item() == pytest.approx(mean, abs=1e-12)
    assert first.running_var.item() == pytest.approx(variance, abs=1e-12)
    assert model.encoder[2].num_batches_tracked == 2 * (INNER + 1)


def test_the_mask_multiplies_feature_by_feature():
    images = torch.rand(3, 1, 28, 28, dtype=DOUBLE)
    model = anml_net()
    weights = dict(model.named_parameters())
    assert torch.allclose(model(images), anml_by_hand(weights, images), atol=1e-12)
    with torch.no_grad():
        weights["encoder.gate.head.weight"].zero_()
        weights["encoder.gate.head.bias"].zero_()
        weights["encoder.gate.head.bias"][1] = -1e3
    gated, plain = model.encoder(images), model.encoder.net(images)
    assert (gated[:, 1] == 0).all()
    assert torch.allclose(gated[:, [0, 2, 35]], plain[:, [0, 2, 35]] / 2)


def convolution(inputs, filters):
    return 9 * inputs * filters + filters


def test_the_networks_have_the_papers_number_of_parameters():
    six = convolution(1, 256) + 5 * convolution(256, 256)
    assert parameters(oml(outputs=1000, channels=1, size=84)) == six + 2304 * 1024 + 1024 + 1024 * 1000 + 1000
    assert parameters(oml(outputs=1000, channels=1, size=84)) == 6_338_280
    net = convolution(1, 256) + 2 * convolution(256, 256) + 3 * 2 * 256 + 2304 * 1000 + 1000
    gate = convolution(1, 112) + 2 * convolution(112, 112) + 3 * 2 * 112 + 112 * 2304 + 2304
    assert parameters(anml(outputs=1000, channels=1, size=28)) == net + gate == 3_977_416


def parameters(model):
    return sum(p.numel() for p in model.parameters())


def test_oml_ends_in_nine_pixels_and_says_which_images_are_too_small():
    assert fitting_strides(84) == (2, 1, 2, 1, 2, 2)
    for size in (15, 28, 64):
        assert oml(outputs=2, channels=1, size=size, filters=2, hidden=4).encoder.hidden.in_features == 2 * 9
    with pytest.raises(ValueError, match="images of 14x14 are too small; it takes 15x15 and larger"):
        oml(outputs=2, channels=1, size=14)


def test_the_gate_follows_the_net_to_larger_images():
    def wide(**sizes):
        return convnet(filters=2, blocks=4, padding=1, pool_last=True, **sizes)

    model = anml(outputs=2, channels=3, size=40, net=wide, gate_filters=3)
    assert model(torch.rand(2, 3, 40, 40)).shape == (2, 2)


def test_the_last_layers_end_with_the_head():
    model = oml_net()
    assert last_layers(model, 2) == [model.encoder.hidden, model.head]
    with pytest.raises(ValueError, match="the last 9 layers are asked for; allowed: 1 to 8"):
        last_layers(model, 9)
