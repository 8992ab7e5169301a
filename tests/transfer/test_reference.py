"""Transfer against plain loops."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from zapbench.networks.classifier import convnet, new_head
from zapbench.networks.oml import oml
from zapbench.transfer.features import Features
from zapbench.transfer.plan import TrialPlan, learner_for, trial_generator
from zapbench.transfer.protocol import count_steps, iid_transfer, sequential_transfer
from zapbench.transfer.reference import run_trial


@pytest.fixture
def model():
    torch.manual_seed(1)
    return convnet(outputs=6, channels=1, size=28, filters=4)


def run(tiny, model, protocol, *, rate, optimizer=torch.optim.Adam, role="report"):
    images = tiny.tensor()
    trial = tiny.trial(0, 0, role=role)
    inputs = Features(model.encoder, images, torch.arange(96)) if protocol.frozen else images
    learner = learner_for(model, protocol, 10, trial_generator("head", "tiny", 0, 0, role), inputs)
    points = protocol.points(count_steps(protocol, *trial.train.shape), role)
    order = trial_generator("order", "tiny", 0, 0, role)
    return trial, run_trial(
        inputs, TrialPlan(trial, learner, protocol, optimizer=optimizer, rate=rate, points=points, order=order)
    )


@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.SGD])
def test_sequential_frozen_transfer_equals_a_plain_loop_over_a_linear_layer(tiny, model, optimizer):
    trial, found = run(tiny, model, sequential_transfer(class_losses=True), rate=0.02, optimizer=optimizer)

    model.eval()
    with torch.no_grad():
        features = model.encoder(tiny.tensor()(torch.arange(96)))
    head = nn.Linear(36, 10)
    drawn = new_head(36, 10, generator=trial_generator("head", "tiny", 0, 0, "report"))
    head.load_state_dict(drawn.state_dict())
    stepper = optimizer(head.parameters(), lr=0.02)
    held_out, trained_on, best = [], [], {}
    among_seen, losses, correct, class_losses = [], [], [], []
    for seen, label in enumerate(trial.labels, start=1):
        for image in trial.train[seen - 1]:
            stepper.zero_grad()
            nn.functional.cross_entropy(head(features[image][None]), torch.tensor([label])).backward()
            stepper.step()
        accuracies = []
        for place in range(seen):
            right = head(features[trial.held_out[place]]).argmax(1) == trial.labels[place]
            accuracies.append(right.float().mean().item())
            best[place] = max(best.get(place, 0.0), accuracies[-1])
        held_out.append(np.mean(accuracies))
        correct.append([round(3 * accuracy) for accuracy in accuracies])
        with torch.no_grad():
            scores = head(features[trial.held_out[:seen].reshape(-1)])
            targets = torch.from_numpy(trial.labels[:seen].repeat(3))
            losses.append(float(nn.functional.cross_entropy(scores, targets)))
            unseen = [output for output in range(10) if output not in trial.labels[:seen]]
            scores[:, unseen] = -np.inf
            among_seen.append(float((scores.argmax(1) == targets).double().mean()))
            own = [head(features[trial.held_out[place]]).log_softmax(1)[:, trial.labels[place]] for place in range(4)]
            class_losses.append([-float(of_one.mean()) for of_one in own])
        each = [(head(features[trial.train[p]]).argmax(1) == trial.labels[p]).float().mean() for p in range(seen)]
        trained_on.append(np.mean(each))
        forgotten = np.mean([best[place] - accuracies[place] for place in range(seen)])
    assert found.steps == [1, 2, 3, 4]
    assert found.held_out == pytest.approx(held_out)
    assert found.trained_on == pytest.approx(trained_on)
    assert found.forgetting[-1] == pytest.approx(forgotten)
    assert found.class_accuracy == pytest.approx(accuracies)
    assert found.held_out_seen == pytest.approx(among_seen)
    assert found.held_out_loss == pytest.approx(losses, rel=1e-5)
    assert found.correct == correct
    assert found.loss_steps == found.steps
    assert found.class_losses == [pytest.approx(row, rel=1e-5) for row in class_losses], "classes to come included"
    assert max(trained_on) > 0
    assert among_seen != held_out, "the two ways of choosing differ in this trial"


def test_after_the_first_class_every_prediction_among_the_classes_seen_is_right(tiny, model):
    _, found = run(tiny, model, sequential_transfer(), rate=0.0)
    assert found.held_out_seen[0] == 1.0
    assert all(among >= every for among, every in zip(found.held_out_seen, found.held_out))


def test_a_loss_that_is_not_finite_where_it_is_measured_is_no_point_of_a_curve(tiny, model):
    _, found = run(tiny, model, sequential_transfer(every=0), rate=1e30, optimizer=torch.optim.SGD)
    assert np.isfinite([*found.held_out_loss, *found.trained_on_loss]).all()


def test_unfrozen_transfer_moves_the_encoder_of_a_copy_and_leaves_the_model_alone(tiny, model):
    before = [p.detach().clone() for p in model.parameters()]
    protocol = sequential_transfer(frozen=False)
    learner = learner_for(model, protocol, 10, trial_generator("head", "tiny", 0, 0, "report"), tiny.tensor())
    start = learner.encoder[0].weight.detach().clone()
    images, trial = tiny.tensor(), tiny.trial(0, 0)
    run_trial(images, TrialPlan(trial, learner, protocol, torch.optim.Adam, rate=0.01, points=[4]))
    assert not torch.equal(learner.encoder[0].weight, start)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), before))


def test_of_the_last_two_layers_both_learn_and_the_last_alone_is_redrawn(tiny):
    torch.manual_seed(1)
    model = oml(outputs=6, channels=1, size=28, filters=3, hidden=5)
    protocol, trial, images = sequential_transfer(frozen=False, layers=2), tiny.trial(0, 0), tiny.tensor()
    learner = learner_for(model, protocol, 10, trial_generator("head", "tiny", 0, 0, "report"), images)
    head = new_head(5, 10, generator=trial_generator("head", "tiny", 0, 0, "report"))
    hidden = copy.deepcopy(model.encoder.hidden)
    assert torch.equal(learner.encoder.hidden.weight, hidden.weight)
    run_trial(images, TrialPlan(trial, learner, protocol, torch.optim.SGD, rate=0.1, points=[4]))

    with torch.no_grad():
        before = model.encoder[:-2](images(torch.arange(96)))
    stepper = torch.optim.SGD([*hidden.parameters(), *head.parameters()], lr=0.1)
    for label, train in zip(trial.labels, trial.train):
        for image in train:
            stepper.zero_grad()
            logits = head(hidden(before[image][None]).clamp(min=0))
            nn.functional.cross_entropy(logits, torch.tensor([label])).backward()
            stepper.step()
    assert torch.allclose(learner.encoder.hidden.weight, hidden.weight, atol=1e-5)
    assert torch.allclose(learner.head.weight, head.weight, atol=1e-5)
    assert not torch.equal(hidden.weight, model.encoder.hidden.weight)
    for layer, start in list(zip(learner.encoder, model.encoder))[:-2]:
        assert all(torch.equal(p, q) for p, q in zip(layer.parameters(), start.parameters()))


def test_iid_transfer_sees_every_image_once_an_epoch_and_measures_after_each_update(tiny, model):
    protocol = iid_transfer(frozen=True, epochs=3, batch_size=8)
    _, found = run(tiny, model, protocol, rate=0.02)
    assert count_steps(protocol, 4, 5) == 9  # 20 images in batches of 8: 3 an epoch
    assert found.steps == list(range(1, 10))
    assert found.trained_on[-1] > found.trained_on[0]


def test_a_loss_that_is_not_finite_ends_the_trial_as_diverged(tiny, model):
    _, found = run(tiny, model, sequential_transfer(), rate=1e38, optimizer=torch.optim.SGD)
    assert found.diverged.startswith("the loss is not finite at class ")
    assert len(found.held_out) < 4


def test_selection_trials_are_measured_at_the_end_alone(tiny, model):
    _, found = run(tiny, model, sequential_transfer(), rate=0.01, role="select")
    assert found.steps == [3]


def test_every_rate_starts_from_the_same_head(tiny):
    heads = [new_head(4, 3, generator=trial_generator("head", "tiny", 0, 1, "report")) for _ in range(2)]
    assert torch.equal(heads[0].weight, heads[1].weight)
    other = new_head(4, 3, generator=trial_generator("head", "tiny", 1, 1, "report"))
    assert not torch.equal(heads[0].weight, other.weight)


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"batch_size": 0}, {"every": -1}])
def test_impossible_protocols_are_refused(wrong):
    with pytest.raises(ValueError, match="must be at least"):
        iid_transfer(**wrong)
