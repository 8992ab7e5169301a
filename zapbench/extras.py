"""What an installation may lack: the extras of the distribution, and which modules each of them brings.

The base installation ranks logs; it has neither torch nor Avalanche. Standard library only.
"""

from importlib.util import find_spec

DISTRIBUTION = "zapbench-cl"
"""What package indexes call it: PyPI's `zapbench` is another project, with an import package of the same name."""

TRAIN = "train"
FIGURES = "figures"
EXTRAS = {
    TRAIN: ("torch", "torchvision", "avalanche", "timm", "numba", "PIL", "safetensors", "matplotlib"),
    FIGURES: ("matplotlib",),
    "ray": ("ray",),
}
"""Extra -> top-level modules that commands import and the base installation may lack."""


def command_for(extra: str) -> str:
    """Returns the command that installs an extra; it takes what to install from the zapbench that is there.

    >>> command_for("train")
    "python -m pip install 'zapbench-cl[train]'"
    """
    return f"python -m pip install '{DISTRIBUTION}[{extra}]'"


def advice(error: ModuleNotFoundError) -> str:
    """Says which extra brings a module that was not found; empty where none does.

    >>> advice(ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib"))
    "this needs matplotlib; install it with: python -m pip install 'zapbench-cl[figures]'"
    """
    module = (error.name or "").partition(".")[0]
    smallest_first = sorted(EXTRAS, key=lambda extra: len(EXTRAS[extra]))
    extra = next((name for name in smallest_first if module in EXTRAS[name]), None)
    return _sentence([module], extra) if extra else ""


def require(extra: str) -> None:
    """Refuses to begin what needs an extra that is not installed.

    Raises:
        ValueError: a module of it cannot be found.
    """
    missing = [name for name in EXTRAS[extra] if find_spec(name) is None]
    if missing:
        raise ValueError(_sentence(missing, extra))


def _sentence(modules: list[str], extra: str) -> str:
    return (
        f"this needs {', '.join(modules)}; install {'it' if len(modules) == 1 else 'them'} with: {command_for(extra)}"
    )
