"""Reptile: mini-batches of a task, the steps on it, and the step towards where they led; numbers by hand."""

import pytest
import torch
from torch import nn

from zapbench.networks.classifier import Classifier
from zapbench.plugins import silent_evaluator
from zapbench.scenarios.streams import pretraining_experience
from zapbench.seeding import torch_generator
from zapbench.strategies.episodes import EpisodeSampler
from zapbench.strategies.reptile import Reptile, adapted, mini_batches
from zapbench.strategies.zapping import ZapEpisodeClass

DOUBLE = torch.float64
SIZES = {"inner_images": 4, "random_images": 5, "inner_steps": 3, "inner_batch": 6, "seed": 7}
INNER_LR, EPSILON = 0.05, 0.25


def test_a_tasks_images_are_shuffled_cut_and_shuffled_again():
    batches = mini_batches(5, steps=4, size=3, generator=torch_generator("test", 0))
    assert [len(batch) for batch in batches] == [3, 3, 3, 3]
    drawn = torch.cat(batches).tolist()
    assert sorted(drawn[:5]) == sorted(drawn[5:10]) == list(range(5))
    assert drawn[:5] != drawn[5:10]


class Square(nn.Module):
    """Loss w * x * y, whose gradient by w is the mean of x * y."""

    def forward(self, logits, labels):
        return (logits.squeeze(1) * labels).mean()


def test_a_step_is_made_a_batch_and_the_model_stays_where_it_was():
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 1.0)
    images, labels = torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([1.0, 1.0, -2.0])
    batches = [torch.tensor([0, 1]), torch.tensor([2])]
    found = adapted(model, images, labels, batches, criterion=Square(), lr=0.1)
    # gradients 1.5 and -6: 1 - 0.15 + 0.6
    assert found["weight"].item() == pytest.approx(1.45)
    assert model.weight.item() == 1.0


def linear():
    torch.manual_seed(3)
    return Classifier(nn.Flatten(), nn.Linear(784, 6), name="linear").double()


def train(tiny, model, optimizer, **settings):
    strategy = Reptile(
        model=model,
        optimizer=optimizer(model.parameters()),
        inner_lr=INNER_LR,
        evaluator=silent_evaluator(),
        **(SIZES | settings),
    )
    strategy.train(pretraining_experience(tiny.tensor(dtype=DOUBLE), tiny.pretraining(0).train), eval_streams=[])
    return strategy


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=EPSILON)


def softmax_gradient(weight, bias, images, labels):
    """Of mean cross-entropy, written out: (p - onehot) x / n."""
    logits = images @ weight.T + bias
    error = logits.softmax(dim=1)
    error[torch.arange(len(labels)), labels] -= 1
    return error.T @ images / len(labels), error.mean(dim=0)


@pytest.mark.parametrize("anneal", [True, False])
@pytest.mark.parametrize("zapped", [True, False])
def test_reptile_equals_the_algorithm_written_out(tiny, zapped, anneal):
    episodes = 3
    model = linear()
    weight, bias = (p.detach().clone() for p in model.head.parameters())
    plugins = [ZapEpisodeClass(seed=1)] if zapped else []
    train(tiny, model, sgd, episodes=episodes, plugins=plugins, anneal=anneal)

    index = torch.from_numpy(tiny.pretraining(0).train)
    labels = torch.arange(len(index)).repeat_interleave(index.shape[1])
    images = tiny.tensor(dtype=DOUBLE)(index.flatten()).flatten(1)
    sample = EpisodeSampler(labels, inner=4, random=5, seed=7)
    for number in range(episodes):
        episode = sample(number)
        if zapped:
            generator = torch_generator("zap", 1, number)
            weight[episode.label] = torch.empty(784, dtype=DOUBLE).normal_(0, (2 / 784) ** 0.5, generator=generator)
            bias[episode.label] = 0.0
        x, y = images[episode.outer], labels[episode.outer]
        w, b = weight.clone(), bias.clone()
        for batch in mini_batches(9, steps=3, size=6, generator=torch_generator("reptile", 7, number)):
            by_weight, by_bias = softmax_gradient(w, b, x[batch], y[batch])
            w, b = w - INNER_LR * by_weight, b - INNER_LR * by_bias
        epsilon = EPSILON * (1 - number / episodes if anneal else 1)
        weight, bias = weight + epsilon * (w - weight), bias + epsilon * (b - bias)
    torch.testing.assert_close(model.head.weight, weight, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(model.head.bias, bias, rtol=1e-10, atol=1e-12)


def test_at_a_step_of_1_the_weights_are_where_the_task_led_and_so_is_what_is_recorded(tiny):
    model = linear()
    strategy = Reptile(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=1.0),
        inner_lr=INNER_LR,
        episodes=1,
        evaluator=silent_evaluator(),
        plugins=[Last()],
        **SIZES,
    )
    strategy.train(pretraining_experience(tiny.tensor(dtype=DOUBLE), tiny.pretraining(0).train), eval_streams=[])
    torch.testing.assert_close(strategy.recorded, strategy.recomputed)


class Last(ZapEpisodeClass):
    """Keeps the logits that an episode recorded, and those of the model after it."""

    def before_inner_updates(self, strategy, *args, **kwargs):
        pass

    def after_training_iteration(self, strategy, *args, **kwargs):
        strategy.recorded = strategy.mb_output
        strategy.recomputed = strategy.model(strategy.mb_x).detach()


def test_its_effort_is_what_it_takes(tiny):
    assert train(tiny, linear(), sgd, episodes=2).effort(24) == (2 * 3 * 6, 2 * 3)


@pytest.mark.parametrize("wrong", ["inner_steps", "inner_batch"])
def test_impossible_sizes_are_refused_in_words(tiny, wrong):
    with pytest.raises(ValueError, match=f"Reptile: {wrong} must be at least 1, got 0"):
        train(tiny, linear(), sgd, episodes=1, **{wrong: 0})
