"""Finds, composes, checks and locks gin configurations. Importing it imports neither torch nor Avalanche.

The folder `gin/` is the registry: `gin/scenarios/X.gin`, `gin/strategies/Y.gin`, `gin/transfers/Z.gin` and
`gin/suites/S.gin` are named X, Y, Z and S; a path to a person's own file serves as well. The order of composition is
code default < scenario < strategy < transfer < suite < `-p`.
"""

import functools
import hashlib
import inspect
import re
import sys
import tokenize
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import gin
from gin import config_parser

from zapbench.text import nearest

DEVICE = "run.device"
OPERATIONAL = (DEVICE, "run.checkpoint_seconds", "run.transfer_memory", "ASB.fast", "MetaASB.fast")
"""How and where, not what: these bindings make no other method, folder or configuration."""

RENAMED = {
    "classes_a_trial": "classes_per_trial",
    "classes_a_selection_trial": "classes_per_selection_trial",
    "images_a_step": "images_per_step",
    "images_a_class": "images_per_class",
}
"""Parameters that older files and logs spell otherwise: they are read under both names, and hashed under the first."""

KINDS = ("scenarios", "strategies", "transfers", "suites")
TRANSFER_SCOPE = "transfer/"
"""A binding in this scope reaches transfer alone; any other reaches pre-training."""


@dataclass(frozen=True)
class Binding:
    """One parsed binding: `key` (say `outer/Adam.lr`) and `value` as text."""

    key: str
    value: str

    @property
    def selector(self) -> str:
        """The configurable or macro that is bound: `Adam` of `outer/Adam.lr`."""
        return _selector(self.key)

    def __str__(self) -> str:
        return f"{self.key} = {self.value}"


def _selector(key: str) -> str:
    return key.rsplit("/", 1)[-1].split(".", 1)[0]


class _Text(config_parser.ParserDelegate):
    """Keeps references and macros as text, so that parsing imports nothing."""

    def configurable_reference(self, scoped_configurable_name: str, evaluate: bool) -> Any:
        return _Reference(f"@{scoped_configurable_name}{'()' if evaluate else ''}")

    def macro(self, macro_name: str) -> Any:
        return _Reference(f"%{macro_name}")


class _Reference(str):
    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def root() -> Path:
    """Returns the folder of shipped configurations."""
    inside = Path(str(files("zapbench"))) / "gin"
    return inside if inside.is_dir() else inside.parent.parent / "gin"


def names(kind: str) -> list[str]:
    """Returns the shipped configurations of a kind, sorted."""
    return sorted(path.stem for path in (root() / kind).glob("*.gin"))


def find(kind: str, name: str) -> Path:
    """Returns the file of a configuration: shipped under a name, or a person's own by its path.

    Raises:
        ValueError: there is none; says which there are and which is nearest.
    """
    if name.endswith(".gin"):
        path = Path(name)
        if not path.is_file():
            raise ValueError(f"no file {name}")
        return path
    path = root() / kind / f"{name}.gin"
    if name in names(kind):
        return path
    one = {"strategies": "strategy"}.get(kind, kind[:-1])
    raise ValueError(f"no {one} {name!r}{nearest(name, names(kind))}; there are: {', '.join(names(kind))}")


def kind_of(name: str) -> str:
    """Returns whether a configuration is of `strategies` or of `transfers`; of a shipped name in both, the former.

    Raises:
        ValueError: it is neither; says which there are and which is nearest.
    """
    if name.endswith(".gin"):
        try:
            bound = bindings_of("strategies", name)
        except (SyntaxError, UnicodeDecodeError, tokenize.TokenError) as error:
            raise ValueError(f"cannot read {name} ({explain(error)})") from None
        for kind, key in (("strategies", "run.strategy"), ("transfers", "run.transfer")):
            if key in bound:
                return kind
        raise ValueError(f"{name} binds neither run.strategy nor run.transfer")
    for kind in ("strategies", "transfers"):
        if name in names(kind):
            return kind
    both = sorted({*names("strategies"), *names("transfers")})
    raise ValueError(f"no strategy or transfer {name!r}{nearest(name, both)}; there are: {', '.join(both)}")


def name_of(name: str) -> str:
    """Returns what a configuration is called in folders and tables: its own name, or its file's."""
    return Path(name).stem if name.endswith(".gin") else name


def summary(kind: str, name: str) -> str:
    """Returns the first comment line of a configuration."""
    first = find(kind, name).read_text(encoding="utf-8").split("\n", 1)[0]
    return first.lstrip("# ").strip() if first.startswith("#") else ""


def read_text(path: Path) -> str:
    """Returns the text of a .gin file, with parameters that were renamed since it was written under their new names."""
    return _with_new_names(path.read_text(encoding="utf-8"))


def _with_new_names(text: str) -> str:
    return re.sub(rf"(?<=\.)(?:{'|'.join(RENAMED)})\b", lambda match: RENAMED[match.group()], text)


def _with_first_names(key: str) -> str:
    """Returns the key of a binding as configurations were first hashed: hashes of published runs do not move."""
    first = {new: old for old, new in RENAMED.items()}
    name, dot, parameter = key.rpartition(".")
    return f"{name}{dot}{first.get(parameter, parameter)}"


def parse_bindings(lines: Sequence[str]) -> tuple[Binding, ...]:
    """Parses `-p` bindings without importing anything; the last one of a key wins.

    Raises:
        ValueError: one is not of the form `Name.parameter = value`.
    """
    parsed: dict[str, Binding] = {}
    for line in lines:
        try:
            statements = list(config_parser.ConfigParser(_with_new_names(line), _Text()))
        except (SyntaxError, ValueError, tokenize.TokenError) as error:
            reason = str(error).strip().split("\n")[0]
            raise ValueError(f"cannot read the binding {line!r} ({reason}); write 'Name.parameter = value'") from None
        for statement in statements:
            if not isinstance(statement, config_parser.BindingStatement):
                raise ValueError(f"{line!r} is not a binding; write 'Name.parameter = value'")
            scope = f"{statement.scope}/" if statement.scope else ""
            argument = f".{statement.arg_name}" if statement.arg_name else ""
            selector = statement.selector.rsplit(".", 1)[-1]
            binding = Binding(f"{scope}{selector}{argument}", repr(statement.value))
            parsed.pop(binding.key, None)
            parsed[binding.key] = binding
    return tuple(parsed.values())


@functools.lru_cache(maxsize=256)
def bindings_of(kind: str, name: str) -> dict[str, str]:
    """Returns the bindings of a configuration file, key -> value as text, importing nothing."""
    text = read_text(find(kind, name))
    found = {}
    for statement in config_parser.ConfigParser(text, _Text()):
        if isinstance(statement, config_parser.BindingStatement):
            scope = f"{statement.scope}/" if statement.scope else ""
            argument = f".{statement.arg_name}" if statement.arg_name else ""
            found[f"{scope}{statement.selector.rsplit('.', 1)[-1]}{argument}"] = repr(statement.value)
    return found


@functools.lru_cache(maxsize=256)
def mentioned(kind: str, name: str) -> frozenset[str]:
    """Returns the configurables and macros that a configuration file names, importing nothing."""
    statements = config_parser.ConfigParser(read_text(find(kind, name)), _Text())
    found = {"run"}
    for statement in statements:
        if isinstance(statement, config_parser.BindingStatement):
            found |= {statement.selector.rsplit(".", 1)[-1], *_named_in(repr(statement.value))}
    return frozenset(found)


def _named_in(value: str) -> set[str]:
    """Returns the configurables and macros that a value refers to."""
    return {name.rsplit("/", 1)[-1].rsplit(".", 1)[-1] for name in re.findall(r"[@%]([\w./]+)", value)}


def names_in_reach(scenario: str, strategy: str, transfers: Sequence[str]) -> set[str]:
    """Returns the configurables and macros that the files of a run name."""
    named = mentioned("scenarios", scenario) | mentioned("strategies", strategy)
    return set(named.union(*(mentioned("transfers", transfer) for transfer in transfers)))


def concerning(
    scenario: str, strategy: str, transfers: Sequence[str], bindings: Sequence[Binding]
) -> tuple[Binding, ...]:
    """Returns the bindings whose configurable or macro some file of a run names (or another such binding's value)."""
    named = names_in_reach(scenario, strategy, transfers)
    kept: list[Binding] = []
    left = list(bindings)
    while reached := [b for b in left if b.selector in named]:
        kept += reached
        left = [b for b in left if b not in reached]
        named.update(*(_named_in(b.value) for b in reached))
    return tuple(b for b in bindings if b in kept)


def reachable(scenario: str, strategy: str, bindings: Sequence[Binding]) -> dict[str, str]:
    """Returns the configuration that reaches pre-training from `run`, macros put in, importing nothing.

    What nothing refers to (say, a macro for another strategy) is left out, and so is what is merely operational.
    """
    whole = bindings_of("scenarios", scenario) | bindings_of("strategies", strategy)
    whole |= {b.key: b.value for b in bindings if reaches_pretraining(b)}
    return {key: value for key, value in follow(whole).items() if key not in OPERATIONAL}


def follow(whole: Mapping[str, str]) -> dict[str, str]:
    """Returns the bindings that `run` refers to, directly or through others, macros put in, sorted by key."""
    named = {"run"}
    found: dict[str, str] = {}
    while reached := {key: value for key, value in whole.items() if key not in found and _selector(key) in named}:
        found |= reached
        named.update(*(_named_in(value) for value in reached.values()))

    def put_in(value: str) -> str:
        return re.sub(r"%(\w+)", lambda match: put_in(whole.get(match.group(1), f"<{match.group(1)}>")), value)

    return {key: put_in(value) for key, value in sorted(found.items()) if "." in key}


def hash_of(scenario: str, strategy: str, bindings: Sequence[Binding]) -> str:
    """Returns a hash of the configuration that reaches pre-training: another one makes another model."""
    reached = {_with_first_names(key): value for key, value in reachable(scenario, strategy, bindings).items()}
    text = "\n".join(f"{key} = {value}" for key, value in sorted(reached.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def reaches_pretraining(binding: Binding) -> bool:
    """Returns whether a binding reaches pre-training (else transfer alone)."""
    return not binding.key.startswith(TRANSFER_SCOPE)


def changed(scenario: str, strategy: str, bindings: Sequence[Binding]) -> tuple[Binding, ...]:
    """Returns the bindings that differ from the shipped files, sorted by key."""
    shipped = bindings_of("scenarios", scenario) | bindings_of("strategies", strategy)
    differing = [b for b in bindings if shipped.get(b.key) != b.value and b.key not in OPERATIONAL]
    return tuple(sorted(differing, key=lambda b: b.key))


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
    _let_import_from(path.resolve().parent for path in paths if path.parent.parent != root())
    try:
        with gin.unlock_config():
            for path in paths:
                gin.parse_config(read_text(path))
            gin.parse_config([str(binding) for binding in bindings])
            _check_parameters(bindings)
            gin.parse_config(f"PRETRAIN_SEED = {pretrain_seed}")
        gin.finalize()
    except (ValueError, SyntaxError, ImportError, TypeError) as error:
        raise ValueError(explain(error)) from None


def _let_import_from(folders: Iterable[Path]) -> None:
    """Lets a person's own file import what lies beside it, as Python does for a script."""
    for folder in folders:
        if str(folder) not in sys.path:
            sys.path.append(str(folder))


def explain(error: BaseException) -> str:
    """Returns an error of gin's in one line, with the nearest names where a name is unknown."""
    lines = [line.strip() for line in str(error).strip().split("\n") if line.strip()]
    message = lines[0] if lines else type(error).__name__
    if match := re.search(r"No configurable matching '([^']+)'", str(error)):
        name = match.group(1).rsplit("/", 1)[-1]
        return f"no configurable {name!r}{nearest(name, configurables())}"
    if match := re.search(r"Configurable '([^']+)' doesn't have a parameter named '([^']+)'", str(error)):
        name, parameter = match.groups()
        return _no_parameter(name, parameter, parameters(name))
    if isinstance(error, TypeError) and (match := re.search(r"In call to configurable '([^']+)'", str(error))):
        return f"{match.group(1)}: {message}; is a value of the wrong type?"
    return message


def configurables() -> list[str]:
    """Returns the names of everything registered with gin so far."""
    registry = gin.config._REGISTRY  # gin has no public list of its configurables
    return sorted({str(selector).rsplit(".", 1)[-1] for selector, _ in registry.items()})


def parameters(name: str) -> list[str]:
    """Returns the parameters of a configurable; for a class those of every constructor that it inherits."""
    wrapped = gin.config._REGISTRY.get_match(name).wrapped  # not gin's wrapper, which takes anything
    makers = (
        [vars(c)["__init__"] for c in wrapped.__mro__[:-1] if "__init__" in vars(c)]
        if inspect.isclass(wrapped)
        else [wrapped]
    )
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    found = [p.name for maker in makers for p in inspect.signature(maker).parameters.values() if p.kind in named]
    return [name for name in dict.fromkeys(found) if name != "self"]


def _check_parameters(bindings: Iterable[Binding]) -> None:
    """Refuses unknown parameters of classes that pass keywords on (Avalanche's do): gin lets them through."""
    for binding in bindings:
        _, _, argument = binding.key.rsplit("/", 1)[-1].partition(".")
        if argument and binding.selector in configurables() and argument not in (known := parameters(binding.selector)):
            raise ValueError(_no_parameter(binding.selector, argument, known))


def _no_parameter(name: str, parameter: str, known: list[str]) -> str:
    return f"{name} has no parameter {parameter!r}{nearest(parameter, known)}; it has: {', '.join(known)}"
