"""Composes, checks and locks the configuration of a task."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import gin

from zapbench.config import registry
from zapbench.config.bindings import Binding, read_text
from zapbench.config.errors import check_parameters, explain
from zapbench.config.registry import find


def compose(
    scenario: str, strategy: str, transfer: str | None, bindings: Sequence[Binding], *, pretrain_seed: int
) -> None:
    """Makes the configuration of a task the current one, checks and locks it.

    What the files name must be registered: see `zapbench.experiment.registry`.

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
    _let_import_from(path.resolve().parent for path in paths if path.parent.parent != registry.root())
    try:
        with gin.unlock_config():
            for path in paths:
                gin.parse_config(read_text(path))
            gin.parse_config([str(binding) for binding in bindings])
            check_parameters(bindings)
            gin.parse_config(f"PRETRAIN_SEED = {pretrain_seed}")
        gin.finalize()
    except (ValueError, SyntaxError, ImportError, TypeError) as error:
        raise ValueError(explain(error)) from None


def _let_import_from(folders: Iterable[Path]) -> None:
    """Lets a person's own file import what lies beside it, as Python does for a script."""
    for folder in folders:
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
