"""Knowledge evolution: the split of each layer, and what is kept of a generation."""

import pytest
import torch
from support.trained import SGD, changed, narrow, train

from zapbench.strategies.knowledge_evolution import KnowledgeEvolution, kernel_split


def test_the_split_by_kernels_keeps_the_first_outputs_at_the_first_inputs():
    kept = kernel_split((3, 5, 1, 1), rate=0.5, first=False, last=False).flatten(1)
    assert kept.tolist() == [[1, 1, 1, 0, 0]] * 2 + [[0] * 5]
    assert kernel_split((3, 1, 1, 1), rate=0.5, first=True, last=False).flatten().tolist() == [1, 1, 0]
    assert kernel_split((2, 4), rate=0.25, first=False, last=True).tolist() == [[1, 0, 0, 0]] * 2


@pytest.mark.parametrize("optimizer", ["adam", SGD])
@pytest.mark.parametrize("split", ["kernels", "weights"])
def test_generations_begin_with_the_same_part_kept_and_the_rest_new(tiny, optimizer, split):
    plugin = KnowledgeEvolution(model=narrow, every=1, split=split, seed=5)
    strategy = train(tiny, plugin, optimizer=optimizer)
    assert [update for update, names in enumerate(changed(strategy)) if names] == [3, 6], "three updates per epoch"
    masks = [
        strategy.before.weights[update]["encoder.4.weight"] != strategy.after.weights[update]["encoder.4.weight"]
        for update in (3, 6)
    ]
    assert torch.equal(*masks), "the split is drawn once"
    if split == "kernels":
        assert torch.equal(~masks[0], kernel_split((4, 4, 3, 3), rate=0.5, first=False, last=False))
    else:
        assert 0.3 < masks[0].float().mean() < 0.7
    assert not {name for names in changed(strategy) for name in names} & {"encoder.1.weight", "encoder.5.bias"}
    assert strategy.after.states[3] == 0, "a new optimiser"


@pytest.mark.parametrize("wrong", [{"rate": 0.0}, {"rate": 1.0}, {"split": "x"}, {"every": 0}])
def test_impossible_settings_are_refused_in_words(wrong):
    with pytest.raises(ValueError, match=r"^knowledge evolution: .* allowed: [^\n]*$"):
        KnowledgeEvolution(**({"model": narrow, "every": 1} | wrong))
