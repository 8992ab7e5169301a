"""Which images' labels have the largest score: a compiled pass over the scores, for the fast engines.

Its plain twin is `zapbench.transfer.metrics.judge`. An engine asks after every class, of few images at a time: there,
each of torch's operators takes longer to be called than to run.
"""

import numpy as np

from zapbench.networks.kernels import Array, compiled

PIECE = 128
"""Outputs that are compared before it is asked whether any was larger."""


@compiled
def predictions(scores: Array, labels: Array, seen: Array, right: Array, right_seen: Array) -> None:
    """Writes whether each image's label has the largest score, of all outputs and of the classes seen.

    The lowest output wins a tie. Where a score is not a number, the label's has not the largest.

    Args:
        scores: `(images, outputs)`.
        labels: the output of each image's class, `(images,)`; one of those seen.
        seen: 1 for the outputs of the classes seen, 0 for the others, `(outputs,)`, int32.
        right: `(images,)`, bool.
        right_seen: the same.
    """
    outputs = scores.shape[1]
    for n in range(len(scores)):
        row, label = scores[n], labels[n]
        own = row[label]
        ahead, ahead_seen = np.int32(0), np.int32(0)
        for first in range(0, outputs, PIECE):  # most images have a larger score among the first
            for c in range(first, min(first + PIECE, outputs)):
                larger = np.int32(0) if row[c] <= own else np.int32(1)
                ahead += larger
                ahead_seen += larger * seen[c]
            if ahead_seen > 0:
                break
        if ahead_seen == 0:  # ties below the label
            for c in range(label):
                equal = np.int32(1) if row[c] == own else np.int32(0)
                ahead += equal
                ahead_seen += equal * seen[c]
        right[n] = ahead == 0
        right_seen[n] = ahead_seen == 0
