"""The class x time matrix as a picture: which classes a method still knows, while it learns others."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from zapbench.leaderboard.decide.class_tables import ClassMatrix
from zapbench.leaderboard.decide.curves import step_name
from zapbench.leaderboard.decide.tables import Table
from zapbench.leaderboard.show.drawing import short, without_shared

MOST_PANELS = 12
"""Methods that are drawn, the best of a table."""
ACROSS = 3


def draw(table: Table, found: Sequence[ClassMatrix]) -> Figure | None:
    """Draws, of one trial a method, the held-out accuracy of each class (down, first learned at the top) over time.

    White is a class that was not learned yet. None where no trial recorded its classes.

    Args:
        table: the table.
        found: matrices of its methods, in its order.
    """
    drawn = list(found[:MOST_PANELS])
    if not drawn:
        return None
    across = min(ACROSS, len(drawn))
    down = -(-len(drawn) // across)
    figure = Figure(figsize=(2.6 * across + 1.2, 2.5 * down + 0.7), layout="constrained")
    panels = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    names, _ = without_shared([row.method for row in table.rows])
    plain = dict(zip((row.method for row in table.rows), names))
    for place, axes in enumerate(panels.ravel()):
        if place >= len(drawn):
            axes.axis("off")
            continue
        matrix = drawn[place]
        steps = np.asarray(matrix.steps, dtype=float)
        edges = np.concatenate([[min(0.0, steps[0]) if steps[0] > 0 else steps[0] - 1], steps])
        rows = np.arange(matrix.table.shape[1] + 1)
        image = axes.pcolormesh(edges, rows, 100 * matrix.table.T, cmap="viridis", vmin=0, vmax=100, rasterized=True)
        end = 100 * float(np.nanmean(matrix.table[-1]))
        axes.set_title(f"{short(plain[matrix.method], 26)}: {end:.1f}%", fontsize=9, parse_math=False)
    panels[0, 0].set_ylim(max(matrix.table.shape[1] for matrix in drawn), 0)
    for axes in panels[:, 0]:
        axes.set_ylabel("class, in order learned", fontsize=8)
    for axes in panels[-1]:
        axes.set_xlabel(step_name(table.protocol), fontsize=8)
    bar = figure.colorbar(image, ax=panels, shrink=0.8, aspect=30)
    bar.set_label("held-out accuracy of the class (%)", fontsize=8)
    first = drawn[0]
    same = len({(matrix.pretrain_seed, matrix.transfer_seed) for matrix in drawn}) == 1
    which = f"pre-training seed {first.pretrain_seed}, trial {first.transfer_seed}" if same else "its first"
    of = f"one trial of each method ({which})"
    left = f"; {len(found) - len(drawn)} methods are not drawn" if len(found) > len(drawn) else ""
    figure.suptitle(f"{short(table.title)}\n{of}{left}", fontsize=10, parse_math=False)
    return figure
