"""How long an episode takes: the plain loop, ours, and the floor that torch's operators add up to.

    python benchmarks/episodes.py                       # 32 and 256 filters, all methods, on all cores
    python benchmarks/episodes.py --filters 32 --threads 1
    python benchmarks/episodes.py --small               # checks agreement, times a little, keeps nothing

Images are 28x28 (100 classes of 15), K = 20, R = 64, 1,000 outputs. The plain ASB is `loss.backward();
optimizer.step()` 20 + 1 times (SGD, then Adam), the plain Meta-ASB a loop over `higher.innerloop_ctx`. Pairs are
interleaved; a pair's ratio is plain time over ours, and the A/A ratio is the plain loop's over its own second run.
The floor sums torch's operators, each measured alone at its batch size in the faster of two memory layouts. Seconds
are of the wall clock, or with `--cpu-time` of the processor. Results are kept in `results/episodes.json` by filters,
threads and clock. Peak memory is that of a process of its own.
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
from zapbench.networks.classifier import convnet  # noqa: E402
from zapbench.plugins import silent_evaluator  # noqa: E402
from zapbench.scenarios.streams import pretraining_experience  # noqa: E402
from zapbench.strategies.asb import ASB  # noqa: E402
from zapbench.strategies.episodes import EpisodeSampler  # noqa: E402
from zapbench.strategies.meta_asb import MetaASB  # noqa: E402

INNER, RANDOM, CLASSES, IMAGES, OUTPUTS = 20, 64, 100, 15, 1000
INNER_LR, OUTER_LR = 0.01, 0.001
METHODS = {"asb": ASB, "meta_asb": MetaASB}
RESULTS = Path(__file__).parent / "results" / "episodes.json"


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


def plain_asb(setting: Setting) -> Callable[[int, int], None]:
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


def plain_meta_asb(setting: Setting) -> Callable[[int, int], None]:
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


CLOCK: list[Callable[[], float]] = [time.perf_counter]
PLAIN = {"asb": plain_asb, "meta_asb": plain_meta_asb}


def ours(method: str, setting: Setting) -> Callable[[int, int], None]:
    """Returns the strategy's own loop over episodes, hooks and all."""
    strategy = METHODS[method](
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
        assert strategy._net is not None

    return run


def agreement(method: str) -> float:
    """Returns the largest relative difference of two episodes' weights in float64, 4 filters."""
    found = []
    for loop in (PLAIN[method], lambda setting: ours(method, setting)):
        setting = Setting(4, torch.float64)
        loop(setting)(0, 2)
        found.append(torch.cat([p.detach().flatten() for p in setting.model.parameters()]))
    return float((found[0] - found[1]).norm() / found[0].norm())


def seconds(run: Callable[[int, int], None], first: int, episodes: int) -> float:
    start = CLOCK[0]()
    run(first, first + episodes)
    return (CLOCK[0]() - start) / episodes


def quartiles(values: list[float]) -> dict[str, float]:
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return {"median": round(middle, 5), "lower": round(low, 5), "upper": round(high, 5)}


def measure(method: str, filters: int, *, pairs: int, episodes: int) -> dict[str, Any]:
    loops = [PLAIN[method](Setting(filters)), ours(method, Setting(filters)), PLAIN[method](Setting(filters))]
    for loop in loops:
        loop(0, 1)
    times: list[list[float]] = [[], [], []]
    for pair in range(pairs):
        order = (0, 1, 2) if pair % 2 else (2, 1, 0)
        for which in order:
            times[which].append(seconds(loops[which], 1 + pair * episodes, episodes))
    plain, own, again = times
    return {
        "pairs": pairs,
        "plain_s": quartiles(plain),
        "ours_s": quartiles(own),
        "ratio": quartiles([p / o for p, o in zip(plain, own)]),
        "a_a": quartiles([p / a for p, a in zip(plain, again)]),
    }


def memory(method: str, filters: int) -> dict[str, float]:
    """Returns how much higher than before training the resident memory's peak is, in MB, a process each."""
    found = {}
    for name in ("plain", "ours"):
        command = [sys.executable, __file__, "--rise", method, name, str(filters)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found[f"{name}_mb"] = float(done.stdout)
    return found


def rise(method: str, name: str, filters: int) -> float:
    make = PLAIN[method] if name == "plain" else lambda setting: ours(method, setting)
    make(Setting(2))(0, 1)  # libraries, compiled loops
    run = make(Setting(filters))
    cost = ResourceMeter()  # the peak starts again: a child's maximum of getrusage may be its parent's
    before = cost.peak_memory()
    run(0, 3)
    return (cost.peak_memory() - before) / 2**20


def alone(run: Callable[[], Any], *, least: float = 0.05) -> float:
    """Returns the median seconds of an operator."""
    run()
    times: list[float] = []
    while len(times) < 5 or (sum(times) < least and len(times) < 200):
        start = CLOCK[0]()
        run()
        times.append(CLOCK[0]() - start)
    return statistics.median(times)


def operators(filters: int, images: int) -> dict[str, float]:
    """Returns the seconds of each operator of a step on so many images, blocks added up."""
    aten = torch.ops.aten
    total: dict[str, float] = {}

    def add(name: str, *runs: Callable[[], Any]) -> None:
        total[name] = total.get(name, 0.0) + min(alone(run) for run in runs)

    for inputs, size, pooled in ((1, 28, True), (filters, 13, True), (filters, 5, False)):
        variants: dict[str, list[Callable[[], Any]]] = {}
        for layout in (torch.contiguous_format, torch.channels_last):
            x = torch.randn(images, inputs, size, size).to(memory_format=layout)
            w = torch.randn(filters, inputs, 3, 3).to(memory_format=layout)
            y, one = F.conv2d(x, w), torch.ones(filters)
            g = torch.randn_like(y)
            pixels = y.shape[2] * y.shape[3]

            def back(mask: list[bool], g=g, x=x, w=w) -> Any:
                return aten.convolution_backward(g, x, w, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1, mask)

            def norm(y=y, one=one, pixels=pixels) -> Any:
                return aten.native_group_norm(y, one, one, images, filters, pixels, filters, 1e-5)

            _, mean, rstd = norm()
            sizes = (images, filters, pixels, filters, [True, True, True])

            def norm_back(g=g, y=y, mean=mean, rstd=rstd, one=one, sizes=sizes) -> Any:
                return aten.native_group_norm_backward(g, y, mean, rstd, one, *sizes)

            runs: dict[str, Callable[[], Any]] = {
                "convolution": lambda x=x, w=w: F.conv2d(x, w),
                "convolution, by weights": lambda back=back: back([False, True, False]),
                "norm": norm,
                "norm, back": norm_back,
                "relu": lambda y=y: torch.relu_(y),
                "relu, back": lambda g=g, y=y: aten.threshold_backward(g, y, 0),
            }
            if inputs > 1:
                runs["convolution, by images"] = lambda back=back: back([True, False, False])
            if pooled:
                p, place = aten.max_pool2d_with_indices(y, [2, 2], [2, 2])
                gp = torch.randn_like(p)
                runs["pool"] = lambda y=y: aten.max_pool2d_with_indices(y, [2, 2], [2, 2])
                runs["pool, back"] = lambda gp=gp, y=y, place=place: aten.max_pool2d_with_indices_backward(
                    gp, y, [2, 2], [2, 2], [0, 0], [1, 1], False, place
                )
            for name, run in runs.items():
                variants.setdefault(name, []).append(run)
        for name, both in variants.items():
            add(name, *both)
    weight, features = torch.randn(OUTPUTS, 9 * filters), torch.randn(images, 9 * filters)
    error, out = torch.randn(images, OUTPUTS) * 1e-9, torch.empty(OUTPUTS, 9 * filters)
    add("head", lambda: features @ weight.t())
    add("head, by features", lambda: error @ weight)
    if images == 1:
        add("head, rank-one step", lambda: weight.addmm_(error.t(), features, alpha=-0.01))
    else:
        add("head, by weights", lambda: torch.mm(error.t(), features, out=out))
    add("softmax", lambda: error.softmax(1))
    return total


def floor(filters: int) -> dict[str, Any]:
    """Returns operators' milliseconds at both batch sizes, and the floors of an episode in seconds.

    A product with a step's Hessian takes forward and images' backward three times, by weights twice, the rest twice.
    """
    one, batch = operators(filters, 1), operators(filters, INNER + RANDOM)
    setting = Setting(filters)
    for parameter in setting.model.parameters():
        parameter.grad = torch.randn_like(parameter)
    adam = alone(setting.optimizer.step)
    asb = INNER * sum(one.values()) + sum(batch.values()) + adam
    often = {"convolution": 3, "convolution, by images": 3, "head": 3, "head, by features": 3}
    hessian = sum(often.get(name, 2) * value for name, value in one.items())
    return {
        "one_image_ms": {name: round(1e3 * value, 4) for name, value in one.items()},
        "outer_batch_ms": {name: round(1e3 * value, 3) for name, value in batch.items()},
        "adam_ms": round(1e3 * adam, 3),
        "asb_s": round(asb, 4),
        "meta_asb_s": round(asb + INNER * hessian, 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--filters", type=int, nargs="+", default=[32, 256])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--cpu-time", action="store_true", help="processor seconds, for a machine that others use")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--rise", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    prepare_process(options.threads)
    CLOCK[0] = time.process_time if options.cpu_time else time.perf_counter
    if options.rise:
        print(rise(options.rise[0], options.rise[1], int(options.rise[2])))
        return
    for method in options.methods:
        difference = agreement(method)
        print(f"{method}: two episodes in float64 differ by {difference:.1e} of the weights' norm")
        assert difference < 1e-9
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for filters in [4] if options.small else options.filters:
        name = f"{filters} filters, {options.threads} threads" + (", processor seconds" if options.cpu_time else "")
        found = results.setdefault(name, {})
        found |= {"python": platform.python_version(), "torch": torch.__version__, "floor": floor(filters)}
        for method in options.methods:
            pairs, episodes = (2, 1) if options.small else (options.pairs, 5 if filters < 100 else 2)
            found[method] = measure(method, filters, pairs=pairs, episodes=episodes)
            plain, own = (found[method][key]["median"] for key in ("plain_s", "ours_s"))
            bottom = found["floor"][f"{method}_s"]
            found[method]["gap_closed"] = round((plain - own) / (plain - bottom), 3) if plain > bottom else None
            if method == "meta_asb" and not options.small:
                found[method]["memory"] = memory(method, filters)
            print(f"{name}, {method}: floor {bottom} s, {json.dumps(found[method])}", flush=True)
        if not options.small:
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
