"""How much faster is a training step if the process keeps freed memory (`zapbench.launchers.allocator`)?

    python benchmarks/allocator.py                    # Omniglot, 32 and 256 filters: a few minutes
    python benchmarks/allocator.py --small            # rendered letters, two pairs, results are not saved

Steps use autograd and fused Adam. A pair is the same steps in two alternating processes, one of them with the
unchanged allocator. Times are processor times on one thread. The output is the median and the quartiles of the ratios,
and page faults per step.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from transfer import quartiles

from zapbench.launchers.allocator import keep_freed_memory
from zapbench.networks.classifier import convnet
from zapbench.networks.gradients import gradients_of
from zapbench.scenarios.glyphs import glyphs
from zapbench.scenarios.omniglot import omniglot


def serve(*, small: bool, filters: int, images_per_step: int, steps: int) -> None:
    """Makes steps for each line of standard input; prints seconds and page faults per step."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    scenario = glyphs() if small else omniglot()
    images, index = scenario.tensor(), torch.from_numpy(scenario.trial(0, 0).train.flatten().copy())
    model = convnet(outputs=scenario.transfer_outputs, channels=1, size=28, filters=filters).eval()
    gradients = gradients_of(model, images_per_step, fast=False)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001, fused=True)
    batches = [images(index[torch.randperm(len(index))[:images_per_step]]) for _ in range(steps)]
    labels = torch.arange(images_per_step)
    for _ in sys.stdin:
        seconds, faults = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for batch in batches:
            gradients(batch, labels)
            optimizer.step()
        seconds, faults = time.process_time() - seconds, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
        print(json.dumps([seconds / steps, faults / steps]), flush=True)


def compare(words: list[str], pairs: int) -> dict[str, object]:
    """Runs two processes alternately."""
    command = [sys.executable, __file__, *words, "--serve"]
    servers = [
        subprocess.Popen([*command, *more], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for more in (["--as-it-comes"], [])
    ]

    def ask(server: subprocess.Popen[str]) -> list[float]:
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write("\n")
        server.stdin.flush()
        return json.loads(server.stdout.readline())

    for server in servers:
        ask(server)
    found = []
    for pair in range(pairs):
        turns = {index: ask(servers[index]) for index in ((0, 1), (1, 0))[pair % 2]}
        found.append((turns[0], turns[1], ask(servers[1])))
    for server in servers:
        server.communicate()
    return {
        "ratio": quartiles([before[0] / kept[0] for before, kept, _ in found]),
        "kept_to_itself": quartiles([again[0] / kept[0] for _, kept, again in found]),
        "as_it_comes_ms_a_step": 1000 * statistics.median(before[0] for before, _, _ in found),
        "kept_ms_a_step": 1000 * statistics.median(kept[0] for _, kept, _ in found),
        "page_faults_a_step": [statistics.median(side[1] for side in sides) for sides in list(zip(*found))[:2]],
    }


def main() -> None:
    """Compares and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="rendered letters, two pairs, results are not saved")
    parser.add_argument("--pairs", type=int, default=9)
    for hidden in ("--serve", "--as-it-comes"):
        parser.add_argument(hidden, action="store_true", help=argparse.SUPPRESS)
    for hidden in ("--filters", "--images", "--steps"):
        parser.add_argument(hidden, type=int, default=1, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        if not options.as_it_comes:
            keep_freed_memory()
        serve(small=options.small, filters=options.filters, images_per_step=options.images, steps=options.steps)
        return
    result: dict[str, object] = {
        "what": "a step of autograd and Adam(fused=True), one thread, processor time",
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "libc": platform.libc_ver()},
        "load_average": os.getloadavg(),
        "cases": {},
    }
    for filters, images, steps in ((8, 16, 2),) if options.small else (
        (32, 1, 100), (32, 16, 20), (32, 64, 10), (256, 1, 10), (256, 16, 2), (256, 64, 1)
    ):  # fmt: skip
        words = ["--filters", str(filters), "--images", str(images), "--steps", str(steps)]
        found = compare([*words, *["--small"] * options.small], 2 if options.small else options.pairs)
        result["cases"][f"{filters} filters, {images} images a step"] = found
    if not options.small:
        path = Path(__file__).parent / "results" / "allocator.json"
        path.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
