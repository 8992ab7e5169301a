"""Layer-wise re-initialisation: which layers, when, and the norms of those below."""

import pytest
import torch
from support.trained import SGD, changed, narrow, train

from zapbench.strategies.layerwise import LayerwiseReinitialisation, block_of_round, blocks_of, rescale


def test_a_weight_is_scaled_to_a_norm():
    weight = torch.tensor([[3.0, 4.0]])
    rescale(weight, 10.0)
    assert weight.tolist() == [[6.0, 8.0]]
    zero = torch.zeros(2)
    rescale(zero, 1.0)
    assert zero.tolist() == [0.0, 0.0]


def test_blocks_are_visited_from_the_bottom_several_rounds_each():
    assert [block_of_round(number, 3) for number in range(1, 8)] == [1, 1, 1, 2, 2, 2, 3]


def test_a_block_is_a_layer_with_the_norm_after_it():
    blocks = blocks_of(narrow(outputs=6, channels=1, size=28))
    assert blocks[1] == ["encoder.4.weight", "encoder.4.bias", "encoder.5.weight", "encoder.5.bias"]
    assert blocks[-1] == ["head.weight", "head.bias"]
    assert len(blocks) == 4


@pytest.mark.parametrize("optimizer", ["adam", SGD])
def test_layers_above_the_block_are_new_and_those_below_have_their_first_norm(tiny, optimizer):
    strategy = train(tiny, LayerwiseReinitialisation(model=narrow, every=2), optimizer=optimizer)
    first = strategy.before.weights[0]
    for update, block in ((2, 1), (4, 2), (6, 3)):
        before, after = strategy.before.weights[update], strategy.after.weights[update]
        for number, name in enumerate(["encoder.0.weight", "encoder.4.weight", "encoder.8.weight", "head.weight"]):
            if number < block:
                torch.testing.assert_close(after[name].norm(), first[name].norm())
                torch.testing.assert_close(after[name] / after[name].norm(), before[name] / before[name].norm())
            else:
                assert not torch.equal(after[name], before[name])
    assert not changed(strategy)[8], "all blocks have had their rounds"


@pytest.mark.parametrize("wrong", [{"rounds": 0}, {"every": 0}])
def test_impossible_settings_are_refused_in_words(wrong):
    with pytest.raises(ValueError, match=r"^layer-wise re-initialisation: .* allowed: [^\n]*$"):
        LayerwiseReinitialisation(**({"model": narrow, "every": 1} | wrong))
