"""Finds the hooks that an Avalanche strategy calls, and refuses plug-ins whose hooks it never calls.

A template may declare a hook that it never calls: the meta-learning template inherits `before_backward` but calls its
own updates instead. A plug-in that overrides such a hook would have no effect, and no error would say so. Therefore a
strategy is rehearsed for one update, and a plug-in without effect is refused by name.
"""

import inspect
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import gin
from avalanche.training.plugins import EvaluationPlugin

from zapbench.text import nearest


class Listener:
    """A plug-in that has every hook and records the names of those that are called.

    It stops the strategy after the first training iteration.

    Attributes:
        called: names of the hooks that were called.
    """

    def __init__(self) -> None:
        self.called: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        if not name.startswith(("before_", "after_")):
            raise AttributeError(name)

        def hook(strategy: Any, *args: Any, **kwargs: Any) -> None:
            self.called.add(name)
            if name == "after_training_iteration":
                strategy.stop_training()

        return hook


def make_strategy(factory: Callable[..., Any], *, scope: str = "", **given: Any) -> Any:
    """Returns a strategy of what zapbench gives every strategy, and of what its .gin file binds.

    Args:
        factory: the strategy's class, as gin has it.
        scope: the scope of its bindings, with a slash at its end.
        given: model, optimiser, loss function and so on.

    Raises:
        ValueError: it needs further arguments, or does not take the model.
    """
    try:
        return factory(**given)
    except TypeError as error:
        name = getattr(factory, "func", factory).__name__
        known = _parameters(factory)
        needed = [
            key
            for key, one in known.items()
            if one.default is one.empty and key not in given and not _is_bound(scope, name, key)
        ]
        if needed:
            bindings = ", ".join(f"`{scope}{name}.{key}`" for key in needed)
            own = "" if "model" in known else "; it takes no model, so it would not learn with the pre-trained one"
            raise ValueError(f"{name} needs the bindings {bindings}{own}") from error
        if "model" not in known:
            raise ValueError(f"{name} takes no model, so it cannot learn with the pre-trained one") from error
        raise


def _parameters(factory: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Returns the named parameters of a constructor; gin's subclass of a class hides them, so its bases are asked."""
    for maker in factory.__mro__ if isinstance(factory, type) else [factory]:
        named = {
            key: one
            for key, one in inspect.signature(maker).parameters.items()
            if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
        }
        if named:
            return named
    return {}


def _is_bound(scope: str, name: str, key: str) -> bool:
    try:
        gin.query_parameter(f"{scope}{name}.{key}")
    except ValueError:
        return False
    return True


def own_plugins(strategy: Any) -> list[Any]:
    """Returns the plug-ins of a strategy except those that Avalanche's templates add (evaluation, clock, and so on)."""
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
    """Trains a strategy for one update per experience and refuses a plug-in that has no effect.

    Args:
        strategy: changed by the rehearsal, so not usable afterwards.
        experiences: the experiences to train on.

    Raises:
        ValueError: training fails; or a plug-in overrides no hook, only hooks that are never called, or a hook that the
            template declares but never calls.
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
        raise ValueError(f"{names} fails in the first update: {type(error).__name__}: {error}") from error
    declared = set(dir(strategy.PLUGIN_CLASS))
    for plugin in plugins:
        name, template = type(plugin).__name__, type(strategy).__name__
        hooks = hooks_of(plugin)
        if not hooks:
            raise ValueError(f"{name} would do nothing: it overrides no hook")
        uncalled = hooks - listener.called
        if uncalled & declared or uncalled == hooks:
            raise ValueError(
                f"{name} would do nothing in {template}, which never calls {_listed(uncalled)}"
                f"{nearest(min(uncalled), listener.called)}; it calls {_listed(listener.called)}"
            )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def silent_evaluator() -> EvaluationPlugin:
    """Returns an Avalanche evaluator without metrics and loggers, as zapbench records curves itself."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="No loggers specified")
        return EvaluationPlugin()
