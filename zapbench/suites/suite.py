"""A grid of runs: pure, and without torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import gin

from zapbench import config
from zapbench.suites import schema
from zapbench.suites.search import Search, Setting, is_draws, settings_of

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
        tune: strategy or transfer -> settings to try (see `zapbench.suites.search`), or scenario -> that. A setting of
            a transfer is combined with each of the strategy's. The key of a transfer that has the name of a strategy of
            the suite, as `iid` may have, is `transfer/NAME`.
        tried_before: strategy or transfer, with the same keys -> settings that were tried before this suite to fix
            its own; or scenario -> that.
        tune_seeds: the settings of a strategy are tried on so many of the first seeds, and the other seeds are
            pre-trained at the one that is selected there; 0 to try every setting on every seed.
        bindings: further bindings, of every run; they make other methods.
        full: whether every setting and rate is also run on the reported trials.
        name: what folders and tables call the one strategy; empty for its own name.
        weights: files of weights that replace the pre-training of the one strategy, one per seed; empty to pre-train.
        figures: what is drawn of each table when all is done, of `zapbench.leaderboard.show.kinds.KINDS`.
        cpus: cores that a process takes. This and the next say how and where, not what: they make no other method.
        gpus: GPUs that a process takes, or a fraction of one; above 0, `run.device` is `"cuda"` unless it is bound.
    """

    scenarios: Sequence[str]
    strategies: Sequence[str] | Mapping[str, Sequence[str]]
    transfers: Sequence[str] = ("sequential",)
    seeds: int | Sequence[int] = 5
    trials: int = 10
    select_trials: int = 3
    rates: Sequence[float] = RATES
    tune: Mapping[str, Search | Mapping[str, Search]] = field(default_factory=dict)
    tried_before: Mapping[str, int | Mapping[str, int]] = field(default_factory=dict)
    tune_seeds: int = 0
    bindings: Sequence[str] = ()
    full: bool = False
    name: str = ""
    weights: Sequence[str] = ()
    figures: Sequence[str] = ()
    cpus: int = 1
    gpus: float = 0.0

    def __post_init__(self) -> None:
        """Checks every value; files are looked for where they are read.

        Raises:
            ValueError: one is of the wrong type, out of range or there twice.
        """
        schema.check(self)

    @property
    def seed_list(self) -> tuple[int, ...]:
        """The pre-training seeds."""
        return tuple(range(self.seeds)) if isinstance(self.seeds, int) else tuple(self.seeds)

    def weights_of(self, seed: int) -> str:
        """Returns the file of weights of a pre-training seed; empty to pre-train."""
        return self.weights[self.seed_list.index(seed)] if self.weights else ""

    @property
    def tuning_seeds(self) -> tuple[int, ...]:
        """The pre-training seeds on which every setting of a strategy is tried."""
        return self.seed_list[: self.tune_seeds or None]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Every scenario with each of its strategies."""
        return [(scenario, strategy) for scenario in self.scenarios for strategy in self.strategies_of(scenario)]

    @property
    def strategy_names(self) -> list[str]:
        """The strategies of all scenarios, each once."""
        return list(dict.fromkeys(strategy for _, strategy in self.pairs))

    def settings_of(self, scenario: str, strategy: str) -> list[Setting]:
        """Returns the settings of a strategy on a scenario: at least the one that its file holds."""
        return _settings(self._own(self.tune, scenario), strategy)

    def transfer_settings_of(self, scenario: str, transfer: str) -> list[Setting]:
        """Returns the settings of a transfer on a scenario: at least the one that its file holds."""
        return _settings(self._own(self.tune, scenario), self.key_of(transfer))

    def tried_before_of(self, scenario: str, strategy: str) -> int:
        """Returns how many settings each of those of a strategy stands for."""
        return int(self._own(self.tried_before, scenario).get(strategy, 1))

    def transfer_tried_before_of(self, scenario: str, transfer: str) -> int:
        """Returns how many settings each of those of a transfer stands for."""
        return int(self._own(self.tried_before, scenario).get(self.key_of(transfer), 1))

    def key_of(self, transfer: str) -> str:
        """Returns what `tune` and `tried_before` call a transfer: `transfer/NAME` where a strategy has its name."""
        return f"transfer/{transfer}" if transfer in self.strategy_names else transfer

    def strategies_of(self, scenario: str) -> Sequence[str]:
        """Returns the strategies of a scenario; none where it is given none."""
        return self.strategies.get(scenario, ()) if isinstance(self.strategies, Mapping) else self.strategies

    @staticmethod
    def _own(given: Mapping[str, Any], scenario: str) -> Mapping[str, Any]:
        by_scenario = given.get(scenario)
        return by_scenario if isinstance(by_scenario, Mapping) and not is_draws(by_scenario) else given


def _settings(tune: Mapping[str, Any], key: str) -> list[Setting]:
    return list(settings_of(tune[key], f"suite: tune of {key!r}")) if key in tune else [{}]


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
    except config.GIN_ERRORS as error:
        raise ValueError(f"suite {name}: {config.explain(error)}") from None
    finally:
        gin.clear_config()
    return replace(suite, bindings=(*suite.bindings, *others))
