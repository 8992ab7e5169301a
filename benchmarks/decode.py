"""How fast are images decoded, compared with PIL alone on all cores, and how fast is a second start?

    ZAPBENCH_DATA=... python benchmarks/decode.py            # Omniglot and Tiny-ImageNet, three times each, alternating
    ZAPBENCH_DATA=... python benchmarks/decode.py --times 1

The baseline is PIL alone: one process per core reads, decodes, converts and resizes the same images and discards them.
zapbench also writes the memory-mapped array and hashes the originals. Both times include starting the processes; the
time of zapbench's imports is excluded, since a run needs them anyway. The output is wall-clock time and the processor
time of all processes, which is comparable even if the machine runs other programs.
"""

import argparse
import io
import json
import multiprocessing
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from PIL import Image

CORES = len(os.sched_getaffinity(0))
OURS = """
import resource, time
from zapbench.scenarios import {name}
{quiet}
def used():
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in both)
before, start = used(), time.perf_counter()
images = {name}.load()
print(time.perf_counter() - start, used() - before, len(images.labels))
"""


def archives() -> dict[str, list[Path]]:
    root = Path(os.environ["ZAPBENCH_DATA"])
    return {
        "omniglot": sorted((root / "omniglot-py").glob("images_*.zip")),
        "tiny_imagenet": sorted((root / "tiny-imagenet").glob("*.zip"))[:1],
    }


def pil_alone(paths: list[Path], part: int, mode: str, size: int) -> int:
    done = 0
    for path in paths:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.lower().endswith((".png", ".jpeg"))]
            for name in names[part::CORES]:
                image = Image.open(io.BytesIO(archive.read(name))).convert(mode)
                if image.size != (size, size):
                    image.resize((size, size), Image.Resampling.LANCZOS)
                done += 1
    return done


def used() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


def time_pil(paths: list[Path], mode: str, size: int) -> tuple[float, float, int]:
    before, start = used(), time.perf_counter()
    with multiprocessing.get_context("spawn").Pool(CORES) as pool:
        counts = pool.starmap(pil_alone, [(paths, part, mode, size) for part in range(CORES)])
        pool.close()
        pool.join()
    return time.perf_counter() - start, used() - before, sum(counts)


def time_ours(name: str, cache: Path, *, decodes: bool) -> tuple[float, float, int]:
    quiet = "" if decodes else "from zapbench.scenarios import decode; decode.decoded_into = None"
    code = OURS.format(name=name, quiet=quiet)
    environment = os.environ | {"XDG_CACHE_HOME": str(cache)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    seconds, processor, count = done.stdout.split()
    return float(seconds), float(processor), int(count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=3)
    options = parser.parse_args()
    transforms = {"omniglot": ("L", 28), "tiny_imagenet": ("RGB", 64)}
    kinds = [f"{what}{unit}" for what in ("pil", "cold", "second") for unit in ("", "_processor")]
    found: dict[str, dict[str, list[float]]] = {name: {kind: [] for kind in kinds} for name in transforms}
    images = {}
    for _ in range(options.times):
        for name, (mode, size) in transforms.items():
            with tempfile.TemporaryDirectory(prefix="zapbench-decode-") as cache:
                runs = {"pil": time_pil(archives()[name], mode, size)}
                runs["cold"] = time_ours(name, Path(cache), decodes=True)
                runs["second"] = time_ours(name, Path(cache), decodes=False)
            assert len({count for *_, count in runs.values()}) == 1
            for what, (seconds, processor, count) in runs.items():
                images[name] = count
                found[name][what].append(seconds)
                found[name][f"{what}_processor"].append(processor)
    middle = {name: {kind: statistics.median(runs) for kind, runs in own.items()} for name, own in found.items()}
    whole = {kind: sum(own[kind] for own in middle.values()) for kind in kinds}
    result = {
        "what": "seconds, medians; pil: PIL alone on all cores; cold: first start; second: second start, no decoding",
        "images": images,
        "cores": CORES,
        "load": os.getloadavg()[0],
        "times": options.times,
        "python": platform.python_version(),
        "seconds": middle,
        "ratio": whole["cold"] / whole["pil"],
        "processor_ratio": whole["cold_processor"] / whole["pil_processor"],
        "runs": found,
    }
    text = json.dumps(result, indent=1)
    print(text)
    (Path(__file__).parent / "results" / "decode.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
