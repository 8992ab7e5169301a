"""How much faster are the fast engines of frozen sequential transfer than the plain loop on the same cached features?

    python benchmarks/transfer.py                       # Omniglot at full size: hours, mostly for the plain loop
    python benchmarks/transfer.py --classes 60          # fewer classes per trial
    python benchmarks/transfer.py --only "adam"         # some of the cases; results of the others are kept
    python benchmarks/transfer.py --small               # rendered letters, two pairs, results are not saved

The baseline is `zapbench.transfer.reference.run_trial`: `nn.Linear` with torch's optimiser on the same features. A pair
is one run of the plain loop and one of the engine, in alternating order. With several rates, the plain loop runs one of
them per pair, and its time is multiplied by the number of rates. Adam and momentum have two rates, as their engine
learns at most as many heads at a time as there are threads. The output is the median and the quartiles of the ratios,
in wall-clock time and in processor time (equal on an idle machine with one thread), and the ratio of the engine to
itself. The trajectories of each pair are compared.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from zapbench import config
from zapbench.experiment import checkpoints
from zapbench.experiment.context import Options
from zapbench.experiment.root import execute
from zapbench.launchers.job import prepare_process
from zapbench.networks.classifier import convnet
from zapbench.scenarios.glyphs import glyphs
from zapbench.scenarios.omniglot import omniglot
from zapbench.tasks import Job, RunSpec
from zapbench.transfer.fast import fast_engine_for
from zapbench.transfer.features import Features
from zapbench.transfer.plan import OptimizerFactory, TrialPlan, learner_for, trial_generator
from zapbench.transfer.protocol import sequential_transfer
from zapbench.transfer.reference import run_trial

RATES = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
TWO = (0.001, 0.003)


@dataclass(frozen=True)
class Case:
    """One comparison: an optimiser, evaluation points, number of rates, and the required ratio (0: none)."""

    name: str
    fast: Callable[..., torch.optim.Optimizer]
    plain: Callable[..., torch.optim.Optimizer]
    points: dict[str, int | bool]
    rates: tuple[float, ...]
    target: float = 0.0


FUSED = partial(torch.optim.Adam, fused=True)
CASES = (
    Case("sgd, every class", torch.optim.SGD, torch.optim.SGD, {"every": 1}, RATES, 30.0),
    Case("adam, the end alone", FUSED, FUSED, {"every": 0}, TWO, 2.0),
    Case("adam, official points", FUSED, FUSED, {"every": 50, "first": True}, TWO, 3.5),
    Case("adam, official points, default", FUSED, torch.optim.Adam, {"every": 50, "first": True}, TWO, 4.0),
    Case("adam, every class", FUSED, FUSED, {"every": 1}, TWO),
    Case(
        "momentum, the end alone",
        *[partial(torch.optim.SGD, momentum=0.9)] * 2,
        {"every": 0},
        TWO,
    ),
)


class Bench:
    """A pre-trained model's features of the transfer classes, and trials on them."""

    def __init__(self, *, small: bool, classes: int, runs: Path) -> None:
        self.scenario = glyphs() if small else omniglot()
        name, filters = ("glyphs", 16) if small else ("omniglot", 256)
        run = RunSpec(name, "iid", 0, (), config.parse_bindings(["IID.epochs = 1"]))
        execute(Job(run), Options(runs))
        found = checkpoints.load(runs / run.folder / checkpoints.FILE)
        self.model = convnet(outputs=found.outputs, channels=1, size=28, filters=filters)
        self.model.load_state_dict(found.model)
        trial = self.scenario.trial(0, 0)
        self.trial = replace(trial, **{key: value[:classes] for key, value in vars(trial).items()})
        index = np.concatenate([self.trial.train.flatten(), self.trial.held_out.flatten()])
        self.features = Features(self.model.encoder, self.scenario.tensor(), torch.from_numpy(index))

    def head(self):
        draws = trial_generator("head", self.scenario.name, 0, 0, "report")
        return learner_for(self.model, sequential_transfer(), self.scenario.transfer_outputs, draws, self.features)

    def plan(self, case: Case, rate: float, optimizer: OptimizerFactory) -> TrialPlan:
        points = sequential_transfer(**case.points).points(len(self.trial.labels), "report")
        return TrialPlan(self.trial, self.head(), sequential_transfer(**case.points), optimizer, rate, points, draw=0)

    def engine(self, case: Case):
        plans = [self.plan(case, rate, case.fast) for rate in case.rates]
        chosen = fast_engine_for(sequential_transfer(), case.fast, self.features, case.rates)
        return timed(lambda: chosen.transfer(self.features, plans, lambda: None))

    def plain(self, case: Case, rate: float):
        plan = self.plan(case, rate, case.plain)
        return timed(lambda: run_trial(self.features, plan))

    def compare(self, case: Case, pairs: int) -> dict[str, object]:
        self.engine(case)  # compiles
        wall, processor, itself, times = [], [], [], []
        largest = dict.fromkeys(map(str, case.rates[:pairs]), 0.0)
        for pair in range(pairs):
            which = pair % len(case.rates)
            first, second = self.engine(case), None
            if pair % 2:
                second = self.engine(case)
            slow = self.plain(case, case.rates[which])
            second = second or self.engine(case)
            wall.append(len(case.rates) * slow[0] / first[0])
            processor.append(len(case.rates) * slow[1] / first[1])
            itself.append(second[1] / first[1])
            times.append((slow[1], first[1] / len(case.rates)))
            curves = (slow[2].held_out, first[2][which].held_out)
            assert slow[2].diverged == first[2][which].diverged
            rate = str(case.rates[which])
            largest[rate] = max(largest[rate], float(np.abs(np.subtract(*curves)).max(initial=0.0)))
        return {
            "machine": rates_of_the_machine(),
            "load_average": os.getloadavg(),
            "target": case.target,
            "ratio": quartiles(wall),
            "ratio_processor_time": quartiles(processor),
            "engine_to_itself": quartiles(itself),
            "plain_s_a_trial": statistics.median(a for a, _ in times),
            "engine_s_a_trial": statistics.median(b for _, b in times),
            "largest_difference_of_held_out_accuracy_by_rate": largest,
        }

    def evaluation(self, runs: int, classes: int = 200) -> dict[str, object]:
        """Returns the rates of evaluating Adam's trajectory after every class and at the end, and the machine's rates.

        Only the first `classes` are used: the cost of evaluation is quadratic in their number.
        """
        end, every = (
            next(case for case in CASES if case.name == f"adam, {name}") for name in ("the end alone", "every class")
        )
        whole, self.trial = self.trial, replace(self.trial, **{k: v[:classes] for k, v in vars(self.trial).items()})
        flop = len(TWO) * self.work()["plain_evaluation_flop"]
        rates = []
        for _ in range(runs):
            seconds = self.engine(every)[0] - self.engine(end)[0]
            rates.append(flop / seconds / 1e9 / rates_of_the_machine()["matmul_gflop_a_s"])
        self.trial = whole
        return {"classes": len(self.trial.labels[:classes]), "target": 0.7, "of_the_matmul_rate": quartiles(rates)}

    def work(self) -> dict[str, float]:
        """Operations and bytes of one trial with an evaluation after every class, and those of the plain loop."""
        (classes, trained), held_out = self.trial.train.shape, self.trial.held_out.shape[1]
        steps, images = classes * trained, classes * (trained + held_out)
        width, outputs = self.features.width, self.scenario.transfer_outputs
        seen = images * (classes + 1) / 2
        return {
            "plain_evaluation_flop": 2 * seen * width * outputs,
            "gram_flop_shared_by_rates": 2 * images * width * (steps + outputs),
            "gram_flop_a_rate": 2 * images * steps * outputs,
            "adam_bytes_dense": 6 * 4 * steps * width * outputs,
            "zeros_among_features": float((self.features.table == 0).float().mean()),
        }


def timed(call):
    wall, processor = time.perf_counter(), time.process_time()
    found = call()
    return time.perf_counter() - wall, time.process_time() - processor, found


def quartiles(values: list[float]) -> dict[str, float]:
    low, middle, high = np.percentile(values, (25, 50, 75))
    return {"lower": float(low), "median": float(middle), "upper": float(high), "pairs": len(values)}


def rates_of_the_machine() -> dict[str, float]:
    """Matrix-multiply and copy rates, from the fastest of nine, by processor time."""
    a, b, o = torch.randn(2000, 2304), torch.randn(2304, 1000), torch.empty(2000, 1000)
    source, target = torch.randn(20_000_000), torch.empty(20_000_000)
    product = min(timed(lambda: torch.mm(a, b, out=o))[0] for _ in range(9))
    copy = min(timed(lambda: target.copy_(source))[0] for _ in range(9))
    return {"matmul_gflop_a_s": 2 * 2e6 * 2304 / product / 1e9, "copy_gb_a_s": 2 * 4 * 20e6 / copy / 1e9}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="rendered letters, two pairs, results are not saved")
    parser.add_argument("--classes", type=int, default=600)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="", help="cases whose name starts with this text")
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmark"), help="where the model is pre-trained")
    options = parser.parse_args()
    prepare_process(options.threads)
    with tempfile.TemporaryDirectory(prefix="zapbench-transfer-") as temporary:
        runs = Path(temporary) if options.small else options.runs
        bench = Bench(small=options.small, classes=5 if options.small else options.classes, runs=runs)
    result: dict[str, object] = {
        "what": f"{len(bench.trial.labels)} classes x {bench.trial.train.shape[1]} + {bench.trial.held_out.shape[1]} "
        f"images, {bench.features.width} features, {bench.scenario.transfer_outputs} outputs",
        "baseline": "zapbench.transfer.reference.run_trial on the same cached features",
        "threads": options.threads,
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "work": bench.work(),
        "cases": {},
    }
    path = Path(__file__).parent / "results" / f"transfer_{options.classes}_classes_{options.threads}_threads.json"
    if options.only and not options.small and path.exists():
        result["cases"] = json.loads(path.read_text())["cases"]
    pairs = 2 if options.small else options.pairs
    measures = {case.name: partial(bench.compare, case, pairs) for case in CASES}
    measures["adam, evaluation"] = partial(bench.evaluation, pairs)
    for name, measure in measures.items():
        if name.startswith(options.only):
            result["cases"][name] = measure()
            if not options.small:
                path.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
