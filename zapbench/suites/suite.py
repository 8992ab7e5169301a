"""A grid of runs, and what it is made of: pure, and without torch.

A **run** is one pre-trained model, a **trial** one transfer of it, a **task** a run's pre-training or one trial.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import gin

from zapbench import config

Setting = Mapping[str, Any]
FIGURES = ("trajectories", "bars")

RATES = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03)


@gin.register
@dataclass(frozen=True, kw_only=True)
class Suite:
    """A grid of runs.

    Attributes:
        scenarios: names or paths.
        strategies: names or paths; the same for every scenario, or scenario -> its own.
        transfers: names or paths.
        seeds: pre-training seeds: how many (`0..seeds-1`), or which.
        trials: reported trials of each run.
        select_trials: selection trials of each run.
        rates: transfer learning rates.
        tune: strategy -> settings to try, each a dictionary of bindings: `{"asb": [{"ASB.inner_lr": 0.03}, ...]}`; or
            scenario -> that.
        tried_before: strategy -> pre-training settings that were tried before this suite to fix its own; or
            scenario -> that.
        bindings: further bindings, of every run; they make other methods.
        full: whether every setting and rate is also run on the reported trials.
        name: what folders and tables call the one strategy; empty for its own name.
        weights: a file of weights that stands for the pre-training of the one strategy and seed; empty to pre-train.
        figures: what is drawn of each table when all is done: `trajectories`, `bars`.
        cpus: cores a process takes. This and the next say how and where, not what: they make no other method.
        gpus: GPUs a process takes, or a fraction of one; above 0, `run.device` is `"cuda"` unless it is bound.
    """

    scenarios: Sequence[str]
    strategies: Sequence[str] | Mapping[str, Sequence[str]]
    transfers: Sequence[str] = ("sequential",)
    seeds: int | Sequence[int] = 5
    trials: int = 10
    select_trials: int = 3
    rates: Sequence[float] = RATES
    tune: Mapping[str, Sequence[Setting] | Mapping[str, Sequence[Setting]]] = field(default_factory=dict)
    tried_before: Mapping[str, int | Mapping[str, int]] = field(default_factory=dict)
    bindings: Sequence[str] = ()
    full: bool = False
    name: str = ""
    weights: str = ""
    figures: Sequence[str] = ()
    cpus: int = 1
    gpus: float = 0.0

    def __post_init__(self) -> None:
        """Checks the grid's own numbers; names are checked where files are read."""
        for name in ("scenarios", "strategies", "rates"):
            if not getattr(self, name):
                raise ValueError(f"suite: {name} is empty; it must hold at least 1")
        for scenario in self.scenarios:
            if not self.strategies_of(scenario):
                raise ValueError(f"suite: strategies are given a scenario, and {scenario!r} has none")
        if not self.seed_list:
            raise ValueError(f"suite: seeds must be at least 1, got {self.seeds}")
        for name, least in (("trials", 0), ("select_trials", 0), ("cpus", 1), ("gpus", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"suite: {name} must be at least {least}, got {getattr(self, name)}")
        for rate in self.rates:
            if not 0 < rate < float("inf"):
                raise ValueError(f"suite: a learning rate must be above 0, got {rate}")
        for figure in self.figures:
            if figure not in FIGURES:
                raise ValueError(f"suite: no figure {figure!r}; allowed: {', '.join(FIGURES)}")
        strategies = list(dict.fromkeys(strategy for _, strategy in self.pairs))
        if self.name and len(strategies) != 1:
            raise ValueError(f"suite: one name, {self.name!r}, and {len(strategies)} strategies")
        if self.weights and (len(strategies), len(self.seed_list)) != (1, 1):
            raise ValueError(f"suite: one file of weights, {self.weights!r}, is one strategy's under one seed")
        for given in (self.tune, self.tried_before):
            named = [(scenario, own) for scenario, own in given.items() if isinstance(own, Mapping)]
            for name in {*given} - {scenario for scenario, _ in named} - {*strategies}:
                raise ValueError(f"suite: {name!r} is tuned, and its strategies are {', '.join(strategies)}")
            for scenario, own in named:
                for name in {*own} - {*self.strategies_of(scenario)}:
                    raise ValueError(f"suite: {name!r} is tuned on {scenario!r}, and is none of its strategies")

    @property
    def seed_list(self) -> tuple[int, ...]:
        """The pre-training seeds."""
        return tuple(range(self.seeds)) if isinstance(self.seeds, int) else tuple(self.seeds)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Every scenario with each of its strategies."""
        return [(scenario, strategy) for scenario in self.scenarios for strategy in self.strategies_of(scenario)]

    def settings_of(self, scenario: str, strategy: str) -> Sequence[Setting]:
        """Returns the settings of a strategy on a scenario: at least the one that its file holds."""
        found = self.tune.get(scenario, self.tune)
        own = found.get(strategy) if isinstance(found, Mapping) else None
        return own if isinstance(own, Sequence) else [{}]

    def tried_before_of(self, scenario: str, strategy: str) -> int:
        """Returns how many settings each of them stands for."""
        found = self.tried_before.get(scenario, self.tried_before)
        own = found.get(strategy) if isinstance(found, Mapping) else None
        return own if isinstance(own, int) else 1

    def strategies_of(self, scenario: str) -> Sequence[str]:
        """Returns the strategies of a scenario; none where it is given none."""
        return self.strategies.get(scenario, ()) if isinstance(self.strategies, Mapping) else self.strategies


def load_suite(name: str, bindings: Sequence[str] = ()) -> Suite:
    """Reads a suite by name or path; bindings such as `Suite.seeds = 2` change the suite itself, others its runs.

    Raises:
        ValueError: an unknown suite, or a binding that cannot be read.
    """
    path = config.find("suites", name)
    parsed = config.parse_bindings(bindings)
    own = [str(b) for b in parsed if b.key.startswith("Suite.")]
    others = [str(b) for b in parsed if not b.key.startswith("Suite.")]
    gin.clear_config()
    try:
        with gin.unlock_config():
            gin.parse_config([config.read_text(path), *own])
        suite: Suite = gin.get_configurable("Suite")()
    except (ValueError, TypeError, SyntaxError, ImportError) as error:
        raise ValueError(f"suite {name}: {config.explain(error)}") from None
    finally:
        gin.clear_config()
    return replace(suite, bindings=(*suite.bindings, *others))
