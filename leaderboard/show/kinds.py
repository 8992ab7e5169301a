"""The kinds of figures of a table, by name; `figures` draws them. Standard library only: commands list them."""

KINDS = {
    "trajectories": "accuracy over classes seen or updates",
    "bars": "validation accuracy in pre-training beside transfer accuracy",
    "paper": "bars as in the paper's figure 3: deviations over trials, and its test of each pair",
    "forest": "means and intervals, with floors and ceilings",
    "matrix": "who is significantly above whom, by how much",
    "cost": "accuracy against the cost of pre-training and of a trial",
    "classes": "accuracy of each class over time, in one trial of each method",
    "dynamics": "heat maps of how each class fares while others are learned",
    "heads": "pre-trainings by heads, and what zapping gains under each head",
}
"""Name -> what it shows."""

USUAL = tuple(kind for kind in KINDS if kind not in ("dynamics", "paper"))
"""Those that are drawn where none are asked for."""
