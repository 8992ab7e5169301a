"""How much faster unfrozen transfer is by manual gradients, where they are taken, than by autograd.

    python benchmarks/unfrozen.py                     # real Omniglot, 32 to 256 filters: some minutes
    python benchmarks/unfrozen.py --small             # drawn letters, two pairs, nothing kept

Both are `zapbench.transfer.reference.run_trial` (`fast` on and off) from the same untrained network, head and trial,
with `Adam(fused=True)` at 0.001, measured at the end alone unless the case says otherwise. A pair is the one and the
other, in turn first and second; beside the ratios (median, quartiles) stands the fast one against itself. Times are of
the processor, on one thread.
"""

import argparse
import json
import os
import platform
import statistics
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from transfer import quartiles, timed

from zapbench.launchers.job import prepare_process
from zapbench.networks.choices import processor
from zapbench.networks.classifier import convnet
from zapbench.scenarios.glyphs import glyphs
from zapbench.scenarios.omniglot import omniglot
from zapbench.transfer.plan import TrialPlan, learner_for, trial_generator
from zapbench.transfer.protocol import count_steps, iid_transfer, sequential_transfer
from zapbench.transfer.reference import run_trial

ADAM = partial(torch.optim.Adam, fused=True)
PROTOCOLS = {
    "single images": sequential_transfer(frozen=False, every=0),
    "five images a step": sequential_transfer(frozen=False, images_per_step=5, every=0),
    "batches of 64": iid_transfer(batch_size=64, epochs=2, every=0),
    "batches of 64, measured after each": iid_transfer(batch_size=64, epochs=2),
}


def learn(scenario, images, filters: int, protocol, classes: int, *, fast: bool):
    """Learns one trial; returns wall-clock seconds, processor seconds and the trajectory."""
    torch.manual_seed(0)
    model = convnet(outputs=2, channels=1, size=28, filters=filters)
    trial = scenario.trial(0, 0)
    trial = replace(trial, **{key: value[:classes] for key, value in vars(trial).items()})
    draws = trial_generator("head", scenario.name, 0, 0, "report")
    learner = learner_for(model, protocol, scenario.transfer_outputs, draws, images)
    points = protocol.points(count_steps(protocol, *trial.train.shape), "report")
    order = trial_generator("order", scenario.name, 0, 0, "report")
    plan = TrialPlan(trial, learner, protocol, ADAM, rate=0.001, points=points, order=order)
    return timed(lambda: run_trial(images, plan, fast=fast))


def compare(run, pairs: int) -> dict[str, object]:
    """Times `run(fast=...)` in interleaved pairs."""
    run(fast=True)  # compiles
    ratios, itself, times, accuracies = [], [], [], []
    for pair in range(pairs):
        kinds = [True, False, True] if pair % 2 else [False, True, True]
        found = [run(fast=kind) for kind in kinds]
        fast = [seconds for kind, (_, seconds, _) in zip(kinds, found) if kind]
        plain = found[kinds.index(False)][1]
        ratios.append(plain / fast[0])
        itself.append(fast[1] / fast[0])
        times.append((plain, fast[0]))
        accuracies.append([f"{learned.trained_on[-1]:.4f}" for _, _, learned in found])
    return {
        "ratio": quartiles(ratios),
        "fast_to_itself": quartiles(itself),
        "plain_s": statistics.median(plain for plain, _ in times),
        "fast_s": statistics.median(fast for _, fast in times),
        "final_accuracy_on_images_trained_on": accuracies[0],
    }


def main() -> None:
    """Compares and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="drawn letters, two pairs, nothing kept")
    parser.add_argument("--pairs", type=int, default=9)
    options = parser.parse_args()
    prepare_process(1)
    scenario = glyphs() if options.small else omniglot()
    images = scenario.tensor()
    result: dict[str, object] = {
        "what": f"unfrozen transfer of {scenario.name}, {scenario.transfer_outputs} outputs, one thread",
        "baseline": "zapbench.transfer.reference.run_trial(fast=False): autograd, Adam(fused=True)",
        "processor": processor(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "load_average": os.getloadavg(),
        "cases": {},
    }
    for filters, classes in ((8, 3),) if options.small else ((32, 20), (64, 20), (128, 10), (256, 5)):
        for name, protocol in PROTOCOLS.items():
            run = partial(learn, scenario, images, filters, protocol, classes)
            found = compare(run, 2 if options.small else options.pairs)
            result["cases"][f"{filters} filters, {name}, {classes} classes"] = found
    if not options.small:
        path = Path(__file__).parent / "results" / "unfrozen.json"
        path.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
