"""Finds configurations by name, in the folder `gin/` and in installed packages, or a person's own by path."""

import functools
import tokenize
from pathlib import Path

from gin import config_parser

from zapbench.config.bindings import Binding, bindings_in, names_in, statements_of
from zapbench.config.errors import explain
from zapbench.config.installed import offers
from zapbench.config.sources import KINDS, read_text, root, text_without_included
from zapbench.text import nearest

FEW = 12
"""Names are listed in an error where they are no more than this."""


def shipped_names(kind: str) -> list[str]:
    """Returns the shipped configurations of a kind, sorted."""
    return sorted(path.stem for path in (root() / kind).glob("*.gin"))


def names(kind: str) -> list[str]:
    """Returns the configurations of a kind, shipped and of installed packages, sorted."""
    return sorted({*shipped_names(kind), *offers(kind)})


def origin(kind: str, name: str) -> str:
    """Returns the installed package that a configuration is of; empty for a shipped one."""
    return "" if name in shipped_names(kind) else " and ".join(offer.package for offer in offers(kind).get(name, ()))


def refuse_clash(kind: str, name: str) -> None:
    """Refuses a name that two packages offer, or that one offers while it is shipped.

    Raises:
        ValueError: says which packages.
    """
    own = ["zapbench"] if name in shipped_names(kind) else []
    packages = [*own, *(offer.package for offer in offers(kind).get(name, ()))]
    if len(packages) > 1:
        raise ValueError(
            f"{_one_of(kind)} {name!r} is offered by {' and by '.join(packages)}; give the path of a .gin file instead"
        )


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
    refuse_clash(kind, name)
    if name in shipped_names(kind):
        return root() / kind / f"{name}.gin"
    if name in offers(kind):
        return offers(kind)[name][0].path
    others = [_one_of(other) for other in KINDS if other != kind and name in names(other)]
    hint = f"; {name} is a {others[0]}" if others else nearest(name, names(kind))
    raise ValueError(f"no {_one_of(kind)} {name!r}{hint}; {_which(kind)}")


def _which(*kinds: str) -> str:
    """Says which names there are, or where to see them if they are many."""
    every = sorted({name for kind in kinds for name in names(kind)})
    if len(every) <= FEW:
        return f"there are: {', '.join(every)}"
    return f"{' and '.join(f'`zapbench list {kind}`' for kind in kinds)} {'show' if len(kinds) > 1 else 'shows'} all"


def _one_of(kind: str) -> str:
    return {"strategies": "strategy"}.get(kind, kind[:-1])


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
    raise ValueError(f"no strategy or transfer {name!r}{nearest(name, both)}; {_which('strategies', 'transfers')}")


def name_of(name: str) -> str:
    """Returns what a configuration is called in folders and tables: its own name, or its file's."""
    return Path(name).stem if name.endswith(".gin") else name


def summary(kind: str, name: str) -> str:
    """Returns the first comment line of a configuration."""
    first = find(kind, name).read_text(encoding="utf-8").split("\n", 1)[0]
    return first.lstrip("# ").strip() if first.startswith("#") else ""


@functools.lru_cache(maxsize=256)
def bindings_of(kind: str, name: str) -> dict[str, str]:
    """Returns the bindings of a configuration file, key -> value as text, importing nothing."""
    return bindings_in(read_text(find(kind, name)))


@functools.lru_cache(maxsize=256)
def written_in(name: str) -> tuple[Binding, ...]:
    """Returns the bindings of a person's own .gin file without those of what it includes; none of another name."""
    if not name.endswith(".gin"):
        return ()
    return tuple(Binding(key, value) for key, value in bindings_in(text_without_included(Path(name))).items())


@functools.lru_cache(maxsize=256)
def mentioned(kind: str, name: str) -> frozenset[str]:
    """Returns the configurables and macros that a configuration file names, importing nothing."""
    found = {"run"}
    for statement in statements_of(read_text(find(kind, name))):
        if isinstance(statement, config_parser.BindingStatement):
            found |= {statement.selector.rsplit(".", 1)[-1], *names_in(repr(statement.value))}
    return frozenset(found)
