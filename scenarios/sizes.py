"""The protocol sizes, which are parameters of every function that returns a scenario."""

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from zapbench.scenarios.image_tensor import Augmentation
from zapbench.scenarios.scenario import Scenario


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Sizes of a protocol; `Scenario` has the same attributes.

    Attributes:
        classes_per_trial: classes of a reported trial.
        classes_per_selection_trial: classes of a selection trial.
        pretrain_images: images per class to pre-train on.
        validation_images: images per class for the validation accuracy of pre-training.
        images_trained_on: images per class that transfer trains on.
        images_held_out: images per class that transfer is evaluated on.
        draws: `nested` or `crossed`; see `Scenario`.
        augmentation: of pre-training images, or None; see `Scenario`.
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
    """Decorates a function that returns a scenario: each attribute of `Sizes` becomes a keyword parameter.

    The function itself receives them as one argument, `sizes`; gin and `help` see each parameter.

    Args:
        defaults: the default of each parameter.
    """
    own = Sizes(**defaults)
    names = [field.name for field in dataclasses.fields(Sizes)]

    def decorate(function: Callable[..., Scenario]) -> Callable[..., Scenario]:
        def scenario(**given: Any) -> Scenario:
            bound = {name: given.pop(name) for name in names if name in given}
            return function(sizes=dataclasses.replace(own, **bound), **given)

        for attribute in functools.WRAPPER_ASSIGNMENTS:  # not `wraps`: gin would read the signature of `__wrapped__`
            setattr(scenario, attribute, getattr(function, attribute))
        signature = inspect.signature(function)
        kept = [parameter for parameter in signature.parameters.values() if parameter.name != "sizes"]
        hints = typing.get_type_hints(Sizes)
        added = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=getattr(own, name), annotation=hints[name])
            for name in names
        ]
        scenario.__signature__ = signature.replace(parameters=[*kept, *added])  # type: ignore[attr-defined]
        return scenario

    return decorate
