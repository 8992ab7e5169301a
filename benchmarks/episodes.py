"""How long pre-training and unfrozen transfer take: the plain loop of autograd, and ours.

    python benchmarks/episodes.py                       # 32 to 256 filters, everything, one thread: half an hour
    python benchmarks/episodes.py --filters 32 --methods asb
    python benchmarks/episodes.py --small               # checks agreement, times a little, keeps nothing

Images are 28x28 (100 classes of 15), K = 20, R = 64, 1,000 outputs, Adam at the outer step. The plain ASB is
`loss.backward(); optimizer.step()` 20 + 1 times (SGD, then Adam), the plain Meta-ASB a loop over
`higher.innerloop_ctx`; the plain i.i.d. pre-training and unfrozen transfer (single images, fused Adam) are
`loss.backward(); optimizer.step()`. Pairs are interleaved; a pair's ratio is plain time over ours, and the A/A ratio
is the plain loop's over its own second run. Seconds are those of the processor, and beside them of the wall clock.
Results are kept in `results/episodes.json` by processor, filters and threads. Peak memory is that of a process of its
own.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

warnings.filterwarnings("ignore")

import numpy as np  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402

from zapbench.experiment.resources import ResourceMeter  # noqa: E402
from zapbench.launchers.job import prepare_process  # noqa: E402
from zapbench.networks.choices import choices, processor  # noqa: E402
from zapbench.networks.classifier import convnet  # noqa: E402
from zapbench.networks.gradients import gradients_of, manual_gradients  # noqa: E402
from zapbench.plugins import silent_evaluator  # noqa: E402
from zapbench.scenarios.streams import pretraining_experience  # noqa: E402
from zapbench.strategies.asb import ASB  # noqa: E402
from zapbench.strategies.episodes import EpisodeSampler  # noqa: E402
from zapbench.strategies.meta_asb import MetaASB  # noqa: E402

INNER, RANDOM, CLASSES, IMAGES, OUTPUTS = 20, 64, 100, 15, 1000
INNER_LR, OUTER_LR, BATCH = 0.01, 0.001, 256
STRATEGIES = {"asb": ASB, "meta_asb": MetaASB}
RESULTS = Path(__file__).parent / "results" / "episodes.json"

Loop = Callable[[int, int], None]
"""Runs the episodes, or updates, from the first number up to the second."""


class Setting:
    """Images, labels and a new model; everything from fixed seeds."""

    def __init__(self, filters: int, dtype: torch.dtype = torch.float32) -> None:
        torch.manual_seed(0)
        pixels = torch.randint(0, 256, (CLASSES * IMAGES, 1, 28, 28), dtype=torch.uint8)
        self.images = lambda index: pixels[index].to(dtype) / 255
        self.split = np.arange(CLASSES * IMAGES).reshape(CLASSES, IMAGES)
        self.labels = torch.arange(CLASSES).repeat_interleave(IMAGES)
        self.model = convnet(outputs=OUTPUTS, channels=1, size=28, filters=filters).to(dtype)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=OUTER_LR)

    def episodes(self, first: int, last: int) -> Any:
        sampler = EpisodeSampler(self.labels, inner=INNER, random=RANDOM, seed=0)
        for number in range(first, last):
            index = sampler(number).outer
            yield self.images(index), self.labels[index]


def plain_asb(setting: Setting) -> Loop:
    inner = torch.optim.SGD(setting.model.parameters(), lr=INNER_LR)

    def run(first: int, last: int) -> None:
        for x, y in setting.episodes(first, last):
            for i in range(INNER):
                inner.zero_grad()
                F.cross_entropy(setting.model(x[i : i + 1]), y[i : i + 1]).backward()
                inner.step()
            setting.optimizer.zero_grad()
            F.cross_entropy(setting.model(x), y).backward()
            setting.optimizer.step()

    return run


def plain_meta_asb(setting: Setting) -> Loop:
    import higher

    inner = torch.optim.SGD(setting.model.parameters(), lr=INNER_LR)

    def run(first: int, last: int) -> None:
        for x, y in setting.episodes(first, last):
            setting.optimizer.zero_grad()
            with higher.innerloop_ctx(setting.model, inner, copy_initial_weights=False) as (moved, step):
                for i in range(INNER):
                    step.step(F.cross_entropy(moved(x[i : i + 1]), y[i : i + 1]))
                F.cross_entropy(moved(x), y).backward()
            setting.optimizer.step()

    return run


def ours(method: str, setting: Setting) -> Loop:
    """Returns the strategy's own loop over episodes, hooks and all."""
    strategy = STRATEGIES[method](
        model=setting.model, optimizer=setting.optimizer, inner_lr=INNER_LR, episodes=1, inner_images=INNER,
        random_images=RANDOM, evaluator=silent_evaluator(),
    )  # fmt: skip
    started = []

    def run(first: int, last: int) -> None:
        strategy.first_update, strategy.episodes = first, last
        if started:
            strategy.training_epoch()
        else:
            strategy.train(pretraining_experience(setting.images, setting.split), eval_streams=[])
            started.append(True)

    return run


def iid(setting: Setting, *, fast: bool) -> Loop:
    net = manual_gradients(setting.model, BATCH, fast=fast) or setting.model

    def run(first: int, last: int) -> None:
        for number in range(first, last):
            index = torch.arange(number, number + BATCH) % len(setting.labels)
            setting.optimizer.zero_grad()
            F.cross_entropy(net(setting.images(index)), setting.labels[index]).backward()
            setting.optimizer.step()

    return run


def unfrozen(setting: Setting, *, fast: bool) -> Loop:
    gradients = gradients_of(setting.model, 1, fast=fast)
    optimizer = torch.optim.Adam(setting.model.parameters(), lr=OUTER_LR, fused=True)

    def run(first: int, last: int) -> None:
        for number in range(20 * first, 20 * last):
            index = torch.tensor([number % len(setting.labels)])
            gradients(setting.images(index), setting.labels[index])
            optimizer.step()

    return run


METHODS: dict[str, dict[str, Callable[[Setting], Loop]]] = {
    "asb": {"plain": plain_asb, "ours": lambda setting: ours("asb", setting)},
    "meta_asb": {"plain": plain_meta_asb, "ours": lambda setting: ours("meta_asb", setting)},
    "iid": {"plain": lambda setting: iid(setting, fast=False), "ours": lambda setting: iid(setting, fast=True)},
    "unfrozen": {
        "plain": lambda setting: unfrozen(setting, fast=False),
        "ours": lambda setting: unfrozen(setting, fast=True),
    },
}


def agreement(method: str) -> float:
    """Returns the largest relative difference of two episodes' weights in float64, 4 filters."""
    found = []
    for loop in METHODS[method].values():
        setting = Setting(4, torch.float64)
        loop(setting)(0, 2)
        found.append(torch.cat([p.detach().flatten() for p in setting.model.parameters()]))
    return float((found[0] - found[1]).norm() / found[0].norm())


def seconds(run: Loop, first: int, episodes: int) -> tuple[float, float]:
    """Returns an episode's seconds of the processor and of the wall clock."""
    processor_start, start = time.process_time(), time.perf_counter()
    run(first, first + episodes)
    return (time.process_time() - processor_start) / episodes, (time.perf_counter() - start) / episodes


def quartiles(values: list[float]) -> dict[str, float]:
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return {"median": round(middle, 5), "lower": round(low, 5), "upper": round(high, 5)}


def measure(method: str, filters: int, *, pairs: int, episodes: int) -> dict[str, Any]:
    plain, own = METHODS[method]["plain"], METHODS[method]["ours"]
    loops = [make(Setting(filters)) for make in (plain, own, plain)]
    for loop in loops:
        loop(0, 1)
    times: list[list[tuple[float, float]]] = [[], [], []]
    for pair in range(pairs):
        order = (0, 1, 2) if pair % 2 else (2, 1, 0)
        for which in order:
            times[which].append(seconds(loops[which], 1 + pair * episodes, episodes))
    found: dict[str, Any] = {"pairs": pairs}
    for place, clock in enumerate(("processor", "wall")):
        plain_s, own_s, again_s = ([both[place] for both in which] for which in times)
        found[clock] = {
            "plain_s": quartiles(plain_s),
            "ours_s": quartiles(own_s),
            "ratio": quartiles([p / o for p, o in zip(plain_s, own_s)]),
            "a_a": quartiles([p / a for p, a in zip(plain_s, again_s)]),
        }
    return found


def memory(method: str, filters: int) -> dict[str, float]:
    """Returns how much higher than before training the resident memory's peak is, in MB, a process each."""
    found = {}
    for name in ("plain", "ours"):
        command = [sys.executable, __file__, "--rise", method, name, str(filters)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found[f"{name}_mb"] = float(done.stdout)
    return found


def rise(method: str, name: str, filters: int) -> float:
    make = METHODS[method][name]
    make(Setting(4))(0, 1)  # libraries, compiled loops
    run = make(Setting(filters))
    cost = ResourceMeter()  # the peak starts again: a child's maximum of getrusage may be its parent's
    before = cost.peak_memory()
    run(0, 3)
    return (cost.peak_memory() - before) / 2**20


def shown(found: dict[str, Any]) -> str:
    ratio, itself = found["processor"]["ratio"], found["processor"]["a_a"]
    plain, own = (found["processor"][key]["median"] for key in ("plain_s", "ours_s"))
    return (
        f"{plain:.4f} s plain, {own:.4f} s ours, ratio {ratio['median']:.2f} ({ratio['lower']:.2f}, "
        f"{ratio['upper']:.2f}); wall clock {found['wall']['ratio']['median']:.2f}; plain to itself "
        f"{itself['median']:.2f} ({itself['lower']:.2f}, {itself['upper']:.2f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--filters", type=int, nargs="+", default=[32, 64, 128, 256])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--rise", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    prepare_process(options.threads)
    if options.rise:
        print(rise(options.rise[0], options.rise[1], int(options.rise[2])))
        return
    print(f"{processor()}, {options.threads} threads, load {os.getloadavg()[0]:.1f}")
    for method in set(options.methods) & set(STRATEGIES):
        difference = agreement(method)
        print(f"{method}: two episodes in float64 differ by {difference:.1e} of the weights' norm")
        assert difference < 1e-9
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    of_processor = results.setdefault(processor(), {})
    for filters in [4] if options.small else options.filters:
        found = of_processor.setdefault(f"{filters} filters, {options.threads} threads", {})
        found |= {"python": platform.python_version(), "torch": torch.__version__}
        for method in options.methods:
            pairs, episodes = (2, 1) if options.small else (options.pairs, 5 if filters < 100 else 2)
            found[method] = measure(method, filters, pairs=pairs, episodes=episodes)
            found[method]["load_average"] = os.getloadavg()[0]
            if method == "meta_asb" and not options.small:
                found[method]["memory"] = memory(method, filters)
            print(f"{filters} filters, {method}: {shown(found[method])}", flush=True)
        found["ways"] = {question: way for question, way in choices().items() if not question.startswith("product")}
        if not options.small:
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
