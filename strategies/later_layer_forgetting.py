"""Later-layer forgetting (LLF): the last layers are re-initialised at the start of each generation.

Zhou, Vani, Larochelle, Courville, *Fortuitous Forgetting in Connectionist Networks* (ICLR 2022). In the authors' code
(`hlml/fortuitous_forgetting`, `llf_ke`) training consists of generations of 200 epochs. Before each generation but the
first, every convolutional and linear layer from a chosen one to the head is re-initialised, with new draws each time,
and training continues with a new optimiser. Normalisation layers keep their weights (`--reset_bn` is off).

This equals zapping all output nodes of the last n layers once per generation, so `ZapEvery` implements it. Two details
are zapping's: draws are Kaiming normal (the authors' are PyTorch's defaults: `distribution`), and biases become 0.

Unverified: how many layers of a small network correspond to their choice (ResNet-18 from its `layer4` on), and how long
a generation is in a short training. Theirs lasts until training has converged.
"""

import gin

from zapbench.strategies.zapping import Distribution, ZapEvery


@gin.register
def later_layer_forgetting(
    *, generation: int, layers: int, seed: int = 0, distribution: Distribution = "kaiming"
) -> ZapEvery:
    """Returns a plug-in that re-initialises the last layers and clears the optimiser's state of them.

    The generation and the number of layers are unverified.

    Args:
        generation: epochs between two re-initialisations; there is none before the first epoch.
        layers: number of last linear or convolutional layers, at least 1 (the head alone).
        seed: seed of the draws, usually `%PRETRAIN_SEED`.
        distribution: see `zapbench.strategies.zapping.zap`.
    """
    return ZapEvery(
        every=generation, unit="epochs", layers=layers, seed=seed, distribution=distribution, moments="clear"
    )
