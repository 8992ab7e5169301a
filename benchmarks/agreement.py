"""How many classifications differ by rounding alone, at the end of a trial at Omniglot's full size?

    python benchmarks/agreement.py                    # Omniglot, 600 classes: about twenty minutes on one core
    python benchmarks/agreement.py --classes 60       # fewer classes per trial
    python benchmarks/agreement.py --small            # rendered letters, results are not saved

One trial of frozen sequential transfer is computed six times per rate, from the same features and head: in float32 and
in float64, each by the fast transfer engine, by the plain loop (`zapbench.transfer.reference.run_trial`), and by the
plain loop with the features permuted, which changes only the order of summation. For each pair the benchmark counts the
held-out images that one classifies correctly and the other does not, at the end. For the images on which the engine and
the plain loop differ in float32, it reports the largest gap between the two highest logits (plain loop, float64).
"""

import argparse
import json
import tempfile
from copy import copy, deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from transfer import FUSED, Bench

from zapbench.transfer.fast import fast_engine_for
from zapbench.transfer.features import Features
from zapbench.transfer.metrics import Curve
from zapbench.transfer.plan import TrialPlan
from zapbench.transfer.protocol import sequential_transfer
from zapbench.transfer.reference import run_trial

PROTOCOL = sequential_transfer(every=0)
RATES = {"sgd": (0.01, 0.03, 0.1), "adam": (0.001, 0.003)}
OPTIMIZERS = {"sgd": torch.optim.SGD, "adam": FUSED}
PAIRS = {
    "engine and plain loop, float32": ("engine float32", "plain float32"),
    "plain loop and itself in another order of sums, float32": ("plain float32, other order", "plain float32"),
    "plain loop in float32 and in float64": ("plain float32", "plain float64"),
    "engine in float32 and plain loop in float64": ("engine float32", "plain float64"),
    "engine and plain loop, float64": ("engine float64", "plain float64"),
    "plain loop and itself in another order of sums, float64": ("plain float64, other order", "plain float64"),
}


@dataclass
class Side:
    """Features, and the initial head that is trained on them."""

    features: Features
    head: torch.nn.Linear

    def double(self) -> "Side":
        return self._like(self.features.table.double(), deepcopy(self.head).double())

    def shuffled(self) -> "Side":
        order = torch.randperm(self.features.width, generator=torch.Generator().manual_seed(0))
        head = deepcopy(self.head)
        head.weight.data = head.weight.data[:, order].contiguous()
        return self._like(self.features.table[:, order].contiguous(), head)

    def _like(self, table: torch.Tensor, head: torch.nn.Linear) -> "Side":
        features = copy(self.features)
        features.table = table
        return Side(features, head)


def right(learn) -> np.ndarray:
    """Returns which held-out images are classified correctly at the last point of the trajectory of `learn()`."""
    kept = []
    original = Curve.add
    with mock.patch.object(Curve, "add", lambda self, step, *r: (kept.append(r[0].copy()), original(self, step, *r))):
        learn()
    return kept[-1]


def compare(bench: Bench, optimizer, rate: float) -> dict[str, float]:
    """Computes a trial six times at one rate."""
    points = PROTOCOL.points(len(bench.trial.labels), "report")

    def plain(side: Side) -> tuple[np.ndarray, torch.nn.Linear]:
        head = deepcopy(side.head)
        plan = TrialPlan(bench.trial, head, PROTOCOL, optimizer, rate, points)
        learn = partial(run_trial, side.features, plan)
        return right(learn), head

    def engine(side: Side) -> np.ndarray:
        plan = TrialPlan(bench.trial, deepcopy(side.head), PROTOCOL, optimizer, rate, points)
        chosen = fast_engine_for(PROTOCOL, optimizer, side.features, (rate,))
        return right(lambda: chosen.transfer(side.features, [plan], lambda: None))

    single = Side(bench.features, bench.head())
    double = single.double()
    exact, head = plain(double)
    found = {
        "plain float64": exact,
        "plain float32": plain(single)[0],
        "plain float32, other order": plain(single.shuffled())[0],
        "plain float64, other order": plain(double.shuffled())[0],
        "engine float32": engine(single),
        "engine float64": engine(double),
    }
    differ = found["engine float32"] != found["plain float32"]
    with torch.no_grad():
        images = torch.from_numpy(bench.trial.held_out[differ])
        highest = head(double.features(images)).topk(2).values
    counts = {name: int((found[a] != found[b]).sum()) for name, (a, b) in PAIRS.items()}
    gap = float((highest[:, 0] - highest[:, 1]).max()) if len(images) else 0.0
    return {"images": exact.size, "right, plain loop in float64": int(exact.sum())} | counts | {"largest gap": gap}


def main() -> None:
    """Compares and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="rendered letters, results are not saved")
    parser.add_argument("--classes", type=int, default=600)
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmark"), help="where the model is pre-trained")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="zapbench-agreement-") as temporary:
        runs = Path(temporary) if options.small else options.runs
        bench = Bench(small=options.small, classes=5 if options.small else options.classes, runs=runs)
    result = {
        f"{kind}, {rate:g}": compare(bench, OPTIMIZERS[kind], rate) for kind, rates in RATES.items() for rate in rates
    }
    whole = {"classes": len(bench.trial.labels), "versions": {"torch": torch.__version__}, "rates": result}
    text = json.dumps(whole, indent=1)
    if not options.small:
        (Path(__file__).parent / "results" / f"agreement_{options.classes}_classes.json").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
