"""The sizes that every scenario's function takes, described once."""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from zapbench.scenarios.scenario import Augmentation, Scenario


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """A protocol's sizes; `Scenario` takes them as they are.

    Attributes:
        classes_per_trial: classes a reported trial.
        classes_per_selection_trial: classes a selection trial.
        pretrain_images: images a class to pre-train on.
        validation_images: images a class for validation accuracy.
        images_trained_on: images a class that transfer trains on.
        images_held_out: images a class that transfer is measured on.
        draws: `nested` or `crossed`; see `Scenario`.
        augmentation: changes the images that are pre-trained on, or None; see `Scenario`.
    """

    classes_per_trial: int
    classes_per_selection_trial: int
    pretrain_images: int
    validation_images: int
    images_trained_on: int
    images_held_out: int
    draws: Literal["nested", "crossed"] = "nested"
    augmentation: Augmentation | None = None


def sized(**defaults: Any) -> Callable[[Callable[..., Scenario]], Callable[..., Scenario]]:
    """Gives a function that returns a scenario the parameters of `Sizes`, with these defaults.

    The function gets them as one, `sizes`; gin and `help` see every one of them.
    """
    own = Sizes(**defaults)
    names = [field.name for field in dataclasses.fields(Sizes)]

    def decorate(function: Callable[..., Scenario]) -> Callable[..., Scenario]:
        @functools.wraps(function)
        def scenario(**given: Any) -> Scenario:
            bound = {name: given.pop(name) for name in names if name in given}
            return function(sizes=dataclasses.replace(own, **bound), **given)

        del scenario.__wrapped__  # gin would look through it, at the function's own
        signature = inspect.signature(function)
        kept = [parameter for parameter in signature.parameters.values() if parameter.name != "sizes"]
        added = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=getattr(own, name)) for name in names]
        scenario.__signature__ = signature.replace(parameters=[*kept, *added])  # type: ignore[attr-defined]
        return scenario

    return decorate
