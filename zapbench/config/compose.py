"""Composes, checks and locks the configuration of a task."""

from collections.abc import Sequence

import gin

from zapbench.config.bindings import Binding
from zapbench.config.errors import check_parameters, explain
from zapbench.config.outside import import_outside_code
from zapbench.config.reach import operational, reachable, transfer_configuration
from zapbench.config.registry import find
from zapbench.config.sources import read_text
from zapbench.config.types import check_types


def compose(
    scenario: str, strategy: str, transfer: str | None, bindings: Sequence[Binding], *, pretrain_seed: int
) -> None:
    """Makes the configuration of a task the current one, checks and locks it.

    What the files name must be registered: see `zapbench.experiment.root`.

    Args:
        scenario: name or path.
        strategy: name or path.
        transfer: name or path, or None for pre-training alone.
        bindings: of a suite and of `-p`, the later the stronger.
        pretrain_seed: becomes the macro `PRETRAIN_SEED`.

    Raises:
        ValueError: an unknown name or parameter, or a value that gin cannot read, in one line.
    """
    gin.clear_config()
    paths = [find("scenarios", scenario), find("strategies", strategy)]
    if transfer is not None:
        paths.append(find("transfers", transfer))
    try:
        import_outside_code(paths)
        with gin.unlock_config():
            for path in paths:
                gin.parse_config(read_text(path))
            gin.parse_config([str(binding) for binding in bindings])
            check_parameters(bindings)
            check_types(_in_reach(scenario, strategy, transfer, bindings))
            gin.parse_config(f"PRETRAIN_SEED = {pretrain_seed}")
        gin.finalize()
    except Exception as error:  # what a person's own modules raise while they are imported, too
        kind = "" if isinstance(error, ValueError | TypeError) else f"{type(error).__name__}: "
        raise ValueError(f"{kind}{explain(error)}") from None


def _in_reach(scenario: str, strategy: str, transfer: str | None, bindings: Sequence[Binding]) -> dict[str, str]:
    found = reachable(scenario, strategy, bindings) | operational(scenario, strategy, bindings)
    return found if transfer is None else found | transfer_configuration(scenario, strategy, transfer, bindings)
