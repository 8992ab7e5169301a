"""Manual gradients against autograd's: the same weights, the same bits for the same seed, other networks refused."""

import copy
import functools

import pytest
import torch
import torch.nn.functional as F
from support.trained import pretrained
from torch import nn
from torch.func import functional_call

from zapbench.networks.classifier import convnet
from zapbench.networks.convolutions import WAYS
from zapbench.networks.manual_gradients import ManualGradients, is_mean_cross_entropy, reason_against
from zapbench.networks.second_order import through
from zapbench.plugins import silent_evaluator
from zapbench.scenarios.streams import pretraining_experience
from zapbench.strategies.asb import ASB
from zapbench.strategies.iid import IID
from zapbench.strategies.meta_asb import MetaASB
from zapbench.strategies.zapping import ZapEvery

NETS = {
    "the paper's Omniglot net": (1, 28, {}),
    "the 4-block net": (3, 44, {"blocks": 4, "padding": 1, "pool_last": True}),
}


def net(kind, *, dtype=torch.float64):
    """A small net whose norms have positive, negative and zero scales."""
    channels, size, sizes = NETS[kind]
    torch.manual_seed(3)
    model = convnet(outputs=6, channels=channels, size=size, filters=5, **sizes).to(dtype)
    with torch.no_grad():
        for layer in model.encoder:
            if isinstance(layer, nn.GroupNorm):
                layer.weight.copy_(torch.tensor([1.0, -1.0, 0.0, 0.5, -0.2]))
                layer.bias.normal_()
    return model


def batch(kind, images=7):
    """Noise beside flat regions, where all pixels of a window are equal."""
    channels, size, _ = NETS[kind]
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(images, channels, size, size, generator=generator, dtype=torch.float64)
    x[:, :, 5:20, : size // 2] = 1.0
    return x, torch.randint(6, (images,), generator=generator)


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    """Every convolution goes this way, in pieces of a few images."""
    monkeypatch.setattr("zapbench.networks.blocks.convolution", lambda *_: WAYS[request.param])
    monkeypatch.setattr("zapbench.networks.convolutions.PATCHES_BYTES", 500_000)
    monkeypatch.setattr("zapbench.networks.convolutions.TILES_BYTES", 300_000)


@pytest.mark.parametrize("kind", NETS)
def test_the_gradient_equals_autograds(kind, way):
    x, y = batch(kind)
    model, twin = net(kind), net(kind)
    manual = ManualGradients(model)
    for _ in range(2):  # a second time: nothing of the first is left in the gradient
        logits = manual.backpropagate(x, y)
    manual.assign_gradients()
    F.cross_entropy(twin(x), y).backward()
    assert torch.allclose(logits, twin(x), atol=1e-12)
    for (name, p), q in zip(model.named_parameters(), twin.parameters()):
        assert torch.allclose(p.grad, q.grad, rtol=1e-9, atol=1e-12), name


def test_any_loss_of_the_logits_is_differentiated():
    x, y = batch("the paper's Omniglot net")
    model, twin = (net("the paper's Omniglot net") for _ in range(2))
    manual = ManualGradients(model)
    for logits in (manual(x), twin(x)):
        (F.cross_entropy(logits, y, label_smoothing=0.2) + logits.square().mean()).backward()
    for (name, p), q in zip(model.named_parameters(), twin.named_parameters()):
        assert torch.allclose(p.grad, q[1].grad, rtol=1e-9, atol=1e-12), name


def test_a_gradient_of_an_earlier_forward_pass_is_refused():
    x, y = batch("the paper's Omniglot net")
    manual = ManualGradients(net("the paper's Omniglot net"))
    first = F.cross_entropy(manual(x), y)
    manual(x)
    with pytest.raises(RuntimeError, match="earlier forward pass"):
        first.backward()


def test_the_model_keeps_its_weights_and_their_layout():
    x, y = batch("the paper's Omniglot net")
    model, twin = (net("the paper's Omniglot net") for _ in range(2))
    manual, steps = ManualGradients(model), []
    manual.descend(x, y, lr=0.05, steps=steps)
    through(manual, steps, lr=0.05)
    manual.release()
    for p, q in zip(model.parameters(), twin.parameters()):
        assert torch.equal(p, q)
        assert p.stride() == q.stride()


@pytest.mark.parametrize("kind", NETS)
def test_steps_on_single_images_equal_autograds(kind, way):
    x, y = batch(kind)
    model, twin = net(kind), net(kind)
    manual = ManualGradients(model)
    manual.descend(x, y, lr=0.05)
    manual.store()
    parameters = list(twin.parameters())
    for image, label in zip(x, y):
        gradients = torch.autograd.grad(F.cross_entropy(twin(image[None]), label[None]), parameters)
        with torch.no_grad():
            torch._foreach_add_(parameters, gradients, alpha=-0.05)
    assert max((p - q).abs().max() for p, q in zip(model.parameters(), net(kind).parameters())) > 1e-3
    for p, q in zip(model.parameters(), parameters):
        assert torch.allclose(p, q, rtol=1e-10, atol=1e-12)


def test_iid_epochs_equal_those_of_autograd_with_plugins_and_a_loss_of_their_own(tiny):
    def trained(*, fast):
        torch.manual_seed(3)
        model = convnet(outputs=6, channels=1, size=28, filters=4).double()
        strategy = IID(
            model=model,
            optimizer=torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
            criterion=nn.CrossEntropyLoss(label_smoothing=0.1),
            epochs=3,
            batch_size=10,  # the last batch is smaller
            fast=fast,
            plugins=[ZapEvery(every=4, seed=5)],
            evaluator=silent_evaluator(),
        )
        state = torch.get_rng_state()
        experience = pretraining_experience(tiny.tensor(dtype=torch.float64), tiny.pretraining(0).train)
        strategy.train(experience, eval_streams=[])
        assert torch.equal(torch.get_rng_state(), state)
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    fast, plain = trained(fast=True), trained(fast=False)
    assert torch.allclose(fast, plain, rtol=1e-9, atol=1e-9)
    assert not torch.equal(fast, plain), "both ways were the same way"


FIRST_ORDER = functools.partial(MetaASB, first_order=True)


@pytest.mark.parametrize("method", [ASB, MetaASB, FIRST_ORDER], ids=["ASB", "MetaASB", "first order"])
def test_twenty_episodes_equal_those_of_autograd(tiny, method):
    fast, fast_losses, _ = pretrained(tiny, method, fast=True)
    plain, plain_losses, _ = pretrained(tiny, method, fast=False)
    assert torch.allclose(fast, plain, rtol=1e-9, atol=1e-9)
    assert torch.allclose(fast_losses, plain_losses, rtol=1e-9)
    assert not torch.equal(fast, plain), "both ways were the same way"


@pytest.mark.parametrize("method", [ASB, MetaASB])
def test_eight_threads_give_the_same_episodes(tiny, method):
    threads = torch.get_num_threads()
    torch.set_num_threads(8)
    try:
        fast, _, _ = pretrained(tiny, method, fast=True, episodes=5)
    finally:
        torch.set_num_threads(threads)
    plain, _, _ = pretrained(tiny, method, fast=False, episodes=5)
    assert torch.allclose(fast, plain, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", NETS)
def test_the_gradient_through_the_steps_equals_autograds(kind, way):
    x, y = batch(kind)
    model, twin = net(kind), net(kind)
    manual, steps = ManualGradients(model), []
    manual.descend(x[:3], y[:3], lr=0.05, steps=steps)
    manual.backpropagate(x, y)
    through(manual, steps, lr=0.05)
    assert steps == []
    manual.assign_gradients()
    start = dict(twin.named_parameters())
    moved = start
    for image, label in zip(x[:3], y[:3]):
        loss = F.cross_entropy(functional_call(twin, moved, (image[None],)), label[None])
        gradients = torch.autograd.grad(loss, list(moved.values()), create_graph=True)
        moved = {name: w - 0.05 * g for (name, w), g in zip(moved.items(), gradients)}
    expected = torch.autograd.grad(F.cross_entropy(functional_call(twin, moved, (x,)), y), list(start.values()))
    for (name, p), q in zip(model.named_parameters(), expected):
        assert torch.allclose(p.grad, q, rtol=1e-9, atol=1e-11), name
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), twin.parameters())), "the model itself has moved"


@pytest.mark.parametrize("method", [ASB, MetaASB])
def test_the_same_seed_gives_the_same_bits(tiny, method):
    first, second = (pretrained(tiny, method, fast=True, episodes=5, dtype=torch.float32)[0] for _ in range(2))
    assert torch.equal(first, second)


def test_a_loss_that_is_not_finite_stays_so(tiny):
    _, losses, _ = pretrained(tiny, ASB, fast=True, episodes=3, dtype=torch.float32, inner_lr=1e38)
    assert not losses[-1].isfinite()


def hooked(model):
    model.encoder[0].register_forward_hook(lambda *_: None)


def frozen(model):
    model.encoder[0].weight.requires_grad_(False)


def other_activation(model):
    model.encoder[2] = nn.ELU()


def group_norm(model):
    model.encoder[1] = nn.GroupNorm(1, 5)


def wider_pool(model):
    model.encoder[3] = nn.MaxPool2d(3)


def biasless_norm(model):
    model.encoder[1] = nn.GroupNorm(5, 5, affine=False)


def strided(model):
    model.encoder[0].stride = (2, 2)


def other_head(model):
    model.head = nn.Sequential(model.head)


@pytest.mark.parametrize(
    "change", [hooked, frozen, other_activation, group_norm, biasless_norm, wider_pool, strided, other_head]
)
def test_any_other_model_is_left_to_autograd(change):
    model = net("the paper's Omniglot net")
    assert not reason_against(model)
    other = copy.deepcopy(model)
    change(other)
    assert reason_against(other)


def test_only_the_plain_mean_cross_entropy_is_recognised():
    assert is_mean_cross_entropy(nn.CrossEntropyLoss())
    assert not is_mean_cross_entropy(nn.CrossEntropyLoss(label_smoothing=0.1))
    assert not is_mean_cross_entropy(nn.CrossEntropyLoss(reduction="sum"))
    assert not is_mean_cross_entropy(nn.MSELoss())


def test_every_net_of_the_family_is_recognised():
    for kind in NETS:
        assert not reason_against(net(kind)), kind
        assert not reason_against(net(kind, dtype=torch.float32)), kind
