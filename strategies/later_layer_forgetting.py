"""Later-layer forgetting (LLF): the last layers are drawn anew at the start of each generation.

Zhou, Vani, Larochelle, Courville, *Fortuitous Forgetting in Connectionist Networks* (ICLR 2022). In the authors' code
(`hlml/fortuitous_forgetting`, `llf_ke`) training goes through generations of 200 epochs; before each but the first,
every convolutional and linear layer from a chosen one to the head is drawn anew, other draws each time, and a new
optimiser goes on. Norms keep their weights (`--reset_bn` is off).

It is zapping of all nodes of the last n layers, once a generation: `zap` and `ZapEvery` do it. Two details are
zapping's: draws are Kaiming normal (theirs are PyTorch's defaults: `distribution`), and biases become 0.

Unverified: how many layers of a small network stand for their choice (ResNet-18 from its `layer4` on), and how long a
generation is in a short training; theirs lasts until training has converged.
"""

import gin

from zapbench.strategies.zapping import Distribution, ZapEvery


@gin.register
def later_layer_forgetting(
    *, generation: int, layers: int, seed: int = 0, distribution: Distribution = "kaiming"
) -> ZapEvery:
    """Returns a plug-in that forgets the last layers; the optimiser forgets them, too.

    The generation and the number of layers are unverified.

    Args:
        generation: epochs between two times; the first epoch has none.
        layers: how many of the last linear or convolutional layers, at least 1, which is the head alone.
        seed: seed of the draws, usually `%PRETRAIN_SEED`.
        distribution: see `zapbench.strategies.zapping.zap`.
    """
    return ZapEvery(
        every=generation, unit="epochs", layers=layers, seed=seed, distribution=distribution, moments="clear"
    )
