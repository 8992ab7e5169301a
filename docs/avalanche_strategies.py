"""Tries every training strategy of Avalanche as a transfer, and writes what it found as a table.

    python docs/avalanche_strategies.py

Each is made by the general transfer engine and learns four classes of random images, the head alone and all layers. The
table stands in `docs/contenders.md` between two marks; a test compares it with what it finds.
"""

import contextlib
import functools
import inspect
import io
import random
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import avalanche.training.supervised
import numpy as np
import torch
from avalanche.training.templates.base import BaseTemplate

from zapbench.networks.classifier import convnet
from zapbench.scenarios.images import Images
from zapbench.scenarios.scenario import Scenario
from zapbench.text import one_line
from zapbench.transfer.avalanche import run_strategy
from zapbench.transfer.features import Features
from zapbench.transfer.plan import TrialPlan, learner_for
from zapbench.transfer.protocol import sequential_transfer

DOCUMENT = Path(__file__).parent / "contenders.md"
MARKED = re.compile(r"(<!-- strategies of Avalanche -->\n)(.*?)(<!-- end of strategies -->)", re.DOTALL)

BINDINGS: Mapping[str, Mapping[str, Any]] = {
    "AGEM": {"patterns_per_exp": 5},
    "CWRStar": {"cwr_layer_name": None},
    "EWC": {"ewc_lambda": 1.0},
    "GEM": {"patterns_per_exp": 5},
    "LFL": {"lambda_e": 1.0},
    "LwF": {"alpha": 1.0, "temperature": 2.0},
    "MIR": {"mem_size": 20, "subsample": 10},
    "PackNet": {"post_prune_epochs": 1, "prune_proportion": 0.5},
    "SynapticIntelligence": {"si_lambda": 1.0},
}
"""Values of the arguments that a strategy has no default for: what a .gin file binds."""


def strategies() -> dict[str, type]:
    """Returns the strategies that `avalanche.training.supervised` exports."""
    found = vars(avalanche.training.supervised).items()
    return {name: one for name, one in sorted(found) if isinstance(one, type) and issubclass(one, BaseTemplate)}


def attempt(name: str, *, frozen: bool) -> str:
    """Returns why a strategy cannot learn a trial, in one line; nothing where it can."""
    strategy = strategies()[name]
    known = inspect.signature(strategy).parameters
    if "model" not in known:
        own = [key for key, one in known.items() if one.default is one.empty and key not in ("criterion", "optimizer")]
        named = [f"`{key}`" for key in own if key != "base_kwargs" and key != "kwargs"]
        return f"takes no model, but {', '.join(named)}" if named else "takes no model: it makes its own"
    torch.manual_seed(0)
    random.seed(0)
    scenario = _scenario()
    trial, images = scenario.trial(0, 0), scenario.tensor()
    model = convnet(outputs=6, channels=1, size=28, filters=4)
    used = torch.from_numpy(np.concatenate([trial.train.reshape(-1), trial.held_out.reshape(-1)]))
    inputs = Features(model.encoder, images, used) if frozen else images
    protocol = sequential_transfer(learner="tried", frozen=frozen)
    learner = learner_for(model, protocol, 10, torch.Generator(), inputs)
    plan = TrialPlan(trial, learner, protocol, optimizer=torch.optim.Adam, rate=0.01, points=[1, 2, 3, 4])
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()), quiet():
            found = run_strategy(functools.partial(strategy, **BINDINGS.get(name, {})), inputs, plan)
    except Exception as error:
        return f"{type(error).__name__}: {one_line(str(error)).split('; ')[0].split('. ')[0][:110]}"
    return found.diverged


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Ignores warnings, which a test would make errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _scenario() -> Scenario:
    pixels = np.random.default_rng(0).integers(0, 256, (96, 28, 28), dtype=np.uint8)
    images = Images(pixels, np.repeat(np.arange(12), 8), tuple(f"class {i}" for i in range(12)), "0" * 64)
    return Scenario(
        name="tiny",
        version=1,
        images=images,
        pretrain_classes=(0, 1, 2, 3),
        report_pool=(4, 5, 6, 7, 8),
        select_pool=(9, 10, 11),
        classes_per_trial=4,
        classes_per_selection_trial=3,
        pretrain_images=6,
        validation_images=2,
        images_trained_on=5,
        images_held_out=3,
        pretrain_outputs=6,
        transfer_outputs=10,
    )


def table() -> str:
    """Returns the table, a row a strategy."""
    lines = ["| strategy | frozen | unfrozen | bindings it needs | why not |", "| --- | --- | --- | --- | --- |"]
    for name in strategies():
        reasons = [attempt(name, frozen=frozen) for frozen in (True, False)]
        fits = ["no" if reason else "yes" for reason in reasons]
        needed = ", ".join(f"`{key}`" for key in BINDINGS.get(name, {}))
        why = next((reason for reason in reasons if reason), "").replace("|", "\\|").replace("<", "&lt;")
        lines.append(f"| `{name}` | {fits[0]} | {fits[1]} | {needed} | {why} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    text = DOCUMENT.read_text(encoding="utf-8")
    made = table()
    DOCUMENT.write_text(MARKED.sub(lambda found: found[1] + made + found[3], text), encoding="utf-8")
