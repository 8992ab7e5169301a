"""Writes a .gin file for a new suite."""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from zapbench import config
from zapbench.cli.new_package import check_name

SCENARIO = "glyphs"
GIN = """# {title}: {count} ways to pre-train, on equal tuning budgets; 3 seeds x 5 trials
Suite.scenarios = ["{scenario}"]
# Yours too: its name after `pip install -e my_idea`, or the path of its file, "my_idea/my_idea/my_idea.gin".
Suite.strategies = {strategies}
Suite.transfers = ["sequential"]
Suite.seeds = 3
Suite.trials = 5
Suite.select_trials = 2
Suite.rates = [0.0003, 0.001, 0.003]
Suite.figures = ["trajectories"]

# Settings to try for each strategy, the middle one that of its file; the best on the selection trials is reported.
Suite.tune = {{
{settings}
}}
"""


def new_suite(name: str, folder: Path, strategies: Sequence[str] = ("iid", "iid_zap")) -> Path:
    """Writes `folder / NAME.gin` and returns it.

    Args:
        name: of the suite.
        folder: where the file is written.
        strategies: names or .gin files of what it compares.

    Raises:
        ValueError: the name is none for a file or is taken, the file exists, or a strategy is unknown or named twice.
    """
    check_name("suites", name)
    path = folder / f"{name}.gin"
    if path.exists():
        raise ValueError(f"{path} already exists")
    if twice := [one for one in strategies if list(strategies).count(one) > 1]:
        raise ValueError(f"strategy {twice[0]!r} is named twice")
    tuned = {strategy: _settings(strategy) for strategy in strategies}
    text = GIN.format(
        title=name.replace("_", " ").capitalize(),
        count=len(strategies),
        scenario=SCENARIO,
        strategies=json.dumps(list(strategies)),
        settings="\n".join(f"    {json.dumps(one)}: {json.dumps(found)}," for one, found in tuned.items() if found),
    )
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _settings(strategy: str) -> list[dict[str, float]]:
    """Returns three values of a strategy's inner rate or, without one, of its optimiser's rate, if any."""
    bound = config.reachable(SCENARIO, strategy, [])
    if bound.get("run.strategy") == "@Untrained":
        return []
    for ending in (".inner_lr", ".lr"):
        for key, value in bound.items():
            with suppress(ValueError):  # a schedule, say: not a number to vary
                if key.endswith(ending):
                    middle = float(value)
                    return [{key: rate} for rate in (float(f"{middle / 3:.1g}"), middle, float(f"{middle * 3:.1g}"))]
    return []
