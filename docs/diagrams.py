"""Draws the diagrams of the documentation, our own, of what figure 1 and appendix E of the paper explain.

    python docs/diagrams.py

writes `docs/pictures/episode.svg` (zapping, an episode, transfer) and `docs/pictures/asb_and_meta_asb.svg` (the weights
that each algorithm keeps, and where its gradient is taken).
"""

import itertools
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Rectangle

from zapbench.leaderboard.show.drawing import save

PICTURES = Path(__file__).parent / "pictures"
INK, SOFT, LINE = "#1c1f23", "#5b636d", "#9aa3ad"
ENCODER, HEAD, ZAPPED, INNER, OUTER = "#dce6f0", "#56B4E9", "#ffffff", "#D55E00", "#0072B2"


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    """Returns a figure whose axes are as large as it, in units of an inch."""
    figure = Figure(figsize=(width, height), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    axes.axis("off")
    return figure, axes


def _text(axes: Axes, x: float, y: float, text: str, *, size: float = 9, colour: str = INK, bold: bool = False) -> None:
    axes.text(
        x, y, text, ha="center", va="center", fontsize=size, color=colour, fontweight="bold" if bold else "normal"
    )


def _arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], *, colour: str = INK, bend: float = 0.0,
    dashed: bool = False,
) -> None:  # fmt: skip
    axes.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle="-|>", mutation_scale=11, color=colour, linewidth=1.3,
            linestyle="--" if dashed else "-", connectionstyle=f"arc3,rad={bend}", shrinkA=0, shrinkB=0,
        )
    )  # fmt: skip


def _network(axes: Axes, x: float, y: float, rows: str) -> None:
    """Draws an encoder and the rows of its head: `k` known, `z` re-drawn, `n` new, `l` being learned."""
    axes.add_patch(
        FancyBboxPatch((x, y), 0.75, 1.0, boxstyle="round,pad=0.02", facecolor=ENCODER, edgecolor=LINE, linewidth=1)
    )
    _text(axes, x + 0.375, y + 0.5, "encoder", size=8)
    colours = {"k": HEAD, "z": ZAPPED, "n": ZAPPED, "l": INNER}
    for place, kind in enumerate(rows):
        axes.add_patch(
            Rectangle(
                (x + 0.9, y + 0.86 - 0.19 * place), 0.4, 0.14, facecolor=colours[kind],
                edgecolor=INNER if kind in "zl" else LINE, linewidth=1.4 if kind in "zl" else 0.8,
                hatch="////" if kind == "z" else None,
            )
        )  # fmt: skip


def episode() -> Figure:
    """Draws zapping in an episode of pre-training, and transfer."""
    figure, axes = _axes(9.6, 4.9)
    _text(axes, 4.8, 4.7, "Pre-training: one episode, for a random class C", size=11, bold=True)
    steps = [
        ("1  zap", "re-draw the row of class C", "kkzkk"),
        ("2  inner loop", "K images of C,\none SGD step each", "kklkk"),
        ("3  outer step", "K images of C and R random\nimages, one Adam step", "kkkkk"),
    ]
    for place, (title, what, rows) in enumerate(steps):
        x = 0.75 + 3.15 * place
        _text(axes, x + 0.65, 4.3, title, bold=True)
        _network(axes, x, 3.0, rows)
        _text(axes, x + 0.65, 2.68, what, size=8.5, colour=SOFT)
        if place:
            _arrow(axes, (x - 1.7, 3.5), (x - 0.2, 3.5))
    _arrow(axes, (7.7, 2.42), (1.4, 2.42), colour=SOFT, bend=-0.05)
    _text(axes, 4.55, 2.4, "next episode, another class", size=8.5, colour=SOFT)
    axes.plot([0.3, 9.3], [2.02, 2.02], color=LINE, linewidth=0.8)
    _text(axes, 4.8, 1.8, "Transfer: new classes, one after another", size=11, bold=True)
    for place, (what, rows) in enumerate(
        (("new head", "nnnnn"), ("class 1, image by image", "lnnnn"), ("class 2", "klnnn"), ("last class", "kkkkl"))
    ):
        x = 0.45 + 2.4 * place
        _network(axes, x, 0.48, rows)
        _text(axes, x + 0.65, 0.24, what, size=8.5, colour=SOFT)
        if place:
            _arrow(axes, (x - 0.9, 0.98), (x - 0.15, 0.98))
            if place == 3:
                _text(axes, x - 0.52, 1.15, "...", size=10)
    return figure


def asb_and_meta_asb() -> Figure:
    """Draws the weights along an episode of ASB and of Meta-ASB, and where the outer gradient is taken."""
    figure, axes = _axes(9.6, 4.8)
    for top, name, meta in ((3.7, "ASB", False), (1.4, "Meta-ASB", True)):
        _text(axes, 0.75, top, name, size=11, bold=True)
        places = [1.9, 3.3, 4.7, 6.1, 7.5]
        names = ["$\\theta_0$", "$\\theta_1$", "$\\theta_2$", "...", "$\\theta_K$"]
        for x, label in zip(places, names):
            if label != "...":
                axes.add_patch(Circle((x, top), 0.27, facecolor="white", edgecolor=INNER, linewidth=1.3))
            _text(axes, x, top, label, size=10)
        for start, end in itertools.pairwise(places):
            _arrow(axes, (start + 0.3, top), (end - 0.3, top), colour=INNER, dashed=meta)
        _text(axes, 4.7, top + 0.62, "inner loop: one SGD step for each image of class C", size=8.5, colour=INNER)
        new = (8.9, top) if not meta else (1.9, top - 0.95)
        axes.add_patch(Circle(new, 0.27, facecolor="white", edgecolor=OUTER, linewidth=1.8))
        _text(axes, *new, "$\\theta$", size=10)
        if meta:
            _arrow(axes, (7.45, top - 0.3), (2.2, top - 0.92), colour=OUTER, bend=-0.1)
            _text(axes, 5.2, top - 1.1, "outer gradient, taken back through all K steps", size=8.5, colour=OUTER)
            _text(axes, 8.7, top + 0.1, "the outer step starts", size=8, colour=SOFT)
            _text(axes, 8.7, top - 0.1, "from $\\theta_0$ again", size=8, colour=SOFT)
        else:
            _arrow(axes, (7.8, top), (8.6, top), colour=OUTER)
            _text(
                axes,
                8.2,
                top - 0.62,
                "outer step on the K images\nand R random images,\nfrom $\\theta_K$",
                size=8.5,
                colour=OUTER,
            )
        _text(axes, 1.9, top + 0.42, "zapped", size=8, colour=SOFT)
    axes.plot([0.3, 9.3], [2.5, 2.5], color=LINE, linewidth=0.8)
    return figure


DIAGRAMS = {"episode": episode, "asb_and_meta_asb": asb_and_meta_asb}
"""Name of the picture -> what draws it."""


def main() -> None:
    """Writes all diagrams."""
    for name, draw in DIAGRAMS.items():
        save(draw(), PICTURES / f"{name}.svg")


if __name__ == "__main__":
    main()
