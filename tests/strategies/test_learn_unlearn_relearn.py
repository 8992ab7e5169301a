"""LURE: the least salient weights over all tensors together, and what becomes of them."""

import pytest
import torch
from support.trained import SGD, changed, narrow, train

from zapbench.strategies.learn_unlearn_relearn import LearnUnlearnRelearn, least_salient
from zapbench.strategies.training_gradients import gradients_by_batch


def test_the_least_salient_share_is_taken_over_all_tensors_together():
    saliencies = {"a": torch.tensor([[0.1, 5.0], [0.2, 6.0]]), "b": torch.tensor([7.0, 0.3, 8.0, 9.0])}
    masks = least_salient(saliencies, share=0.4)
    assert masks["a"].tolist() == [[True, False], [True, False]]
    assert masks["b"].tolist() == [False, True, False, False]
    assert sum(int(mask.sum()) for mask in least_salient(saliencies, share=0.01).values()) == 1


@pytest.mark.parametrize("optimizer", ["adam", SGD])
def test_weights_are_unlearned_at_the_interval_and_biases_are_not(tiny, optimizer):
    plugin = LearnUnlearnRelearn(model=narrow, every=2, share=0.3, batches=2, batch_size=8)
    strategy = train(tiny, plugin, optimizer=optimizer)
    assert [update for update, names in enumerate(changed(strategy)) if names] == [6], "before the third epoch"
    assert not [name for name in changed(strategy)[6] if name.endswith("bias")]
    before, after = strategy.before.weights[6], strategy.after.weights[6]
    new = sum(int((before[name] != after[name]).sum()) for name in before)
    assert new <= 0.3 * sum(w.numel() for w in before.values())
    assert new > 0.2 * sum(w.numel() for w in before.values())
    assert strategy.after.states[6] == strategy.before.states[6], "the optimiser's state is kept"


def test_saliency_is_weight_times_gradient_summed_over_the_batches(tiny):
    class Watch(LearnUnlearnRelearn):
        def before_training_iteration(self, strategy, *args, **kwargs):
            if strategy.clock.train_iterations == 6:
                strategy.gradients = list(gradients_by_batch(strategy, batch_size=8, most=2))
            super().before_training_iteration(strategy)

    strategy = train(tiny, Watch(model=narrow, every=2, share=0.3, batches=2, batch_size=8))
    before, after = strategy.before.weights[6], strategy.after.weights[6]
    first, second = strategy.gradients
    saliencies = {name: w.abs() * (first[name].abs() + second[name].abs()) for name, w in before.items()}
    ordered = torch.cat([saliency.flatten() for saliency in saliencies.values()]).sort().values
    limit = ordered[int(0.3 * len(ordered)) - 1]
    assert limit > 0
    for name, saliency in saliencies.items():
        if name.endswith("weight"):
            assert torch.equal(before[name] != after[name], saliency <= limit), name


@pytest.mark.parametrize("wrong", [{"share": 0.0}, {"share": 1.0}, {"batches": 0}, {"batch_size": 0}, {"every": 0}])
def test_impossible_settings_are_refused_in_words(wrong):
    with pytest.raises(ValueError, match=r"^LURE: .* allowed: [^\n]*$"):
        LearnUnlearnRelearn(**({"model": narrow, "every": 1} | wrong))
