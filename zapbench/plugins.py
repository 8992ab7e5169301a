"""Which hooks an Avalanche strategy really fires, and which of its plug-ins wait for others in vain.

A template may declare a hook that it never calls (the meta-learning one inherits `before_backward` and calls its own
updates instead): a plug-in that needs it would silently do nothing. So a strategy is rehearsed for one update, and
what is inert is refused by name.
"""

import warnings
from collections.abc import Iterable
from typing import Any

from avalanche.training.plugins import EvaluationPlugin

from zapbench.text import nearest


class Listener:
    """A plug-in that has every hook there is, and keeps the names of those that were called.

    After the first training iteration it asks the strategy to stop.
    """

    def __init__(self) -> None:
        self.fired: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        if not name.startswith(("before_", "after_")):
            raise AttributeError(name)

        def hook(strategy: Any, *args: Any, **kwargs: Any) -> None:
            self.fired.add(name)
            if name == "after_training_iteration":
                strategy.stop_training()

        return hook


def own_plugins(strategy: Any) -> list[Any]:
    """Returns the plug-ins that a person gave a strategy (or that it gave itself), without Avalanche's own three."""
    return [p for p in strategy.plugins if not isinstance(p, EvaluationPlugin) and type(p).__module__ not in _TEMPLATES]


_TEMPLATES = ("avalanche.training.templates.base_sgd", "avalanche.training.plugins.clock")


def hooks_of(plugin: Any) -> set[str]:
    """Returns the training hooks that a plug-in overrides."""
    found = set()
    for name in dir(type(plugin)):
        if name.startswith(("before_", "after_")) and "eval" not in name:
            definer = next(c for c in type(plugin).__mro__ if name in vars(c))
            if definer.__module__ != "avalanche.core":
                found.add(name)
    return found


def refuse_inert(strategy: Any, experiences: Iterable[Any]) -> None:
    """Trains a strategy for one update an experience and refuses a plug-in that would do nothing.

    Args:
        strategy: to be thrown away afterwards.
        experiences: what to rehearse on.

    Raises:
        ValueError: training fails, or a plug-in overrides no hook, none that fires, or one that its template declares
            and never fires.
    """
    plugins = own_plugins(strategy)
    listener = Listener()
    strategy.plugins.append(listener)
    try:
        for experience in experiences:
            strategy.train(experience, eval_streams=[])
    except ValueError:
        raise
    except Exception as error:
        names = " with ".join(type(part).__name__ for part in (strategy, *plugins))
        raise ValueError(f"{names} fails at its first update: {type(error).__name__}: {error}") from error
    declared = set(dir(strategy.PLUGIN_CLASS))
    for plugin in plugins:
        name, template = type(plugin).__name__, type(strategy).__name__
        hooks = hooks_of(plugin)
        if not hooks:
            raise ValueError(f"{name} would do nothing: it overrides no hook")
        silent = hooks - listener.fired
        if silent & declared or silent == hooks:
            raise ValueError(
                f"{name} would do nothing in {template}, which never fires {_listed(silent)}"
                f"{nearest(min(silent), listener.fired)}; it fires {_listed(listener.fired)}"
            )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def silent_evaluator() -> EvaluationPlugin:
    """Returns an Avalanche evaluator without metrics and loggers: the record is ours."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="No loggers specified")
        return EvaluationPlugin()
