"""How often does the check of submissions see that trials are of other draws than they say?

    python benchmarks/draws.py           # all published results, some minutes
    python benchmarks/draws.py --small   # one folder beside another

Each method of a folder of published results is checked beside another folder: as it is, and with trials renumbered. A
method counts where some method beside it has other pre-trained models on the same draws.
"""

import argparse
import json
import tarfile
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from zapbench.leaderboard.read.load import load
from zapbench.leaderboard.submissions.draws import Draw, wrong_draws
from zapbench.leaderboard.submissions.evidence import Trial, finished_trials

RESULTS = Path(__file__).parent.parent / "leaderboard" / "results"
BESIDE = {
    "omniglot_small_systems": "omniglot_small_claim",
    "omniglot_small_neighbours": "omniglot_small_claim",
    "omniglot_small_contenders_frozen": "omniglot_small_claim",
    "omniglot_small_contenders": "omniglot_small_neighbours",
}
SMALL = {"omniglot_small_contenders_frozen": "appendix_f_small"}
TRIALS = 30
"""Of a method, that it is looked at: three pre-training seeds of ten trials."""


def first_dropped(draw: Draw) -> Draw | None:
    """Drops the first trial of seed 0; those after it move up."""
    seed, trial = draw
    return draw if seed else (0, trial - 1) if trial else None


CHEATS: dict[str, Callable[[Draw], Draw | None]] = {
    "none": lambda draw: draw,
    "two pre-training seeds exchanged": lambda draw: ({0: 1, 1: 0}.get(draw[0], draw[0]), draw[1]),
    "first trial of a seed dropped, the rest renumbered": first_dropped,
    "two trials exchanged": lambda draw: {(0, 0): (0, 1), (0, 1): (0, 0)}.get(draw, draw),
}


def measure(own: Sequence[Trial], beside: Sequence[Trial]) -> dict[str, int]:
    """Returns cheat -> methods of a folder that are named for it, and how many there are."""
    methods: dict[tuple[str, str, str, float], list[Trial]] = defaultdict(list)
    for trial in own:
        if trial.role == "report":
            methods[trial.fingerprint, trial.method, trial.candidate, trial.rate].append(trial)
    found = dict.fromkeys(["methods", *CHEATS], 0)
    for (fingerprint, *_), trials in methods.items():
        models = {trial.model[:2] for trial in trials}
        witnesses = any(t.fingerprint == fingerprint and t.model[:2] not in models for t in beside)
        if len(trials) < TRIALS or not witnesses:
            continue
        found["methods"] += 1
        for name, renumbered in CHEATS.items():
            said = [replace(t, draw=draw) for t in trials if (draw := renumbered(t.draw)) is not None]
            found[name] += bool(list(wrong_draws(said, beside)))
    return found


def trials_of(name: str, folder: Path) -> list[Trial]:
    """Returns the trials of a folder of published results."""
    with tarfile.open(RESULTS / name / "logs.tar.xz") as archive:
        archive.extractall(folder / name, filter="data")
    return finished_trials(load(folder / name))


def main() -> None:
    """Prints the counts of every folder, and their sum, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="one folder beside another")
    pairs = SMALL if parser.parse_args().small else BESIDE
    with tempfile.TemporaryDirectory() as folder:
        trials = {name: trials_of(name, Path(folder)) for name in sorted({*pairs, *pairs.values()})}
    counts = {f"{own} beside {other}": measure(trials[own], trials[other]) for own, other in pairs.items()}
    total = {key: sum(count[key] for count in counts.values()) for key in ["methods", *CHEATS]}
    print(json.dumps({"total": total, **counts}, indent=1))


if __name__ == "__main__":
    main()
