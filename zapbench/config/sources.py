"""The text of a .gin file with what it includes, and the modules that it imports."""

import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from gin import config_parser

KINDS = ("scenarios", "strategies", "transfers", "suites")

RENAMED = {
    "classes_a_trial": "classes_per_trial",
    "classes_a_selection_trial": "classes_per_selection_trial",
    "images_a_step": "images_per_step",
    "images_a_class": "images_per_class",
}
"""Parameters that older files and logs spell otherwise: they are read under both names, and hashed under the first."""

_INCLUDE = re.compile(r"^include\s+(?P<quote>['\"])(?P<name>.+?)(?P=quote)\s*(?:#.*)?$", re.MULTILINE)


def root() -> Path:
    """Returns the folder of shipped configurations, which has a folder for each of `KINDS`."""
    inside = Path(str(files("zapbench"))) / "gin"
    return inside if inside.is_dir() else inside.parent.parent / "gin"


def read_text(path: Path) -> str:
    """Returns the text of a .gin file, included files put in.

    An included file is looked for beside the file that includes it, then in the working directory, then among the
    shipped configurations, where it is named with its kind: `include "strategies/asb.gin"`. Parameters that were
    renamed since the file was written have their new names.

    Raises:
        ValueError: a file cannot be read, is no text, or includes itself.
    """
    return "\n".join(with_new_names(text) for _, text in _parts(path, ()))


def text_without_included(path: Path) -> str:
    """Returns the text of a .gin file itself, renamed parameters under their new names.

    Raises:
        ValueError: it cannot be read, or is no text.
    """
    return with_new_names(_read(path))


def imports_of(path: Path) -> list[tuple[str, Path]]:
    """Returns the modules that a .gin file and what it includes import, each with the folder of the file that does."""
    found = []
    for folder, text in _parts(path, ()):
        for statement in config_parser.ConfigParser(text, _NoReferences()):
            if isinstance(statement, config_parser.ImportStatement):
                found.append((statement.module, folder))
    return found


class _NoReferences(config_parser.ParserDelegate):
    def configurable_reference(self, scoped_configurable_name: str, evaluate: bool) -> str:
        return scoped_configurable_name

    def macro(self, macro_name: str) -> str:
        return macro_name


def _parts(path: Path, above: tuple[Path, ...]) -> Iterator[tuple[Path, str]]:
    """Yields a file's text between its includes and that of what it includes, in order, with the folder of each."""
    if path.resolve() in above:
        raise ValueError(f"{path} includes itself, by way of {', '.join(str(p) for p in above)}")
    text = _read(path)
    end = 0
    for match in _INCLUDE.finditer(text):
        yield path.parent, text[end : match.start()]
        yield from _parts(_find(match["name"], path), (*above, path.resolve()))
        end = match.end()
    yield path.parent, text[end:]


def _find(name: str, includer: Path) -> Path:
    for folder in (includer.parent, Path()):
        if (folder / name).is_file():
            return folder / name
    if name in (shipped := [f"{kind}/{path.name}" for kind in KINDS for path in (root() / kind).glob("*.gin")]):
        return root() / name
    meant = " or ".join(f'include "{other}"' for other in shipped if other.endswith(f"/{name}"))
    raise ValueError(
        f"{includer} includes {name!r}, and there is no such file beside it or in the working directory"
        + (f"; the shipped one is {meant}" if meant else "")
    )


def _read(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not a text in UTF-8") from None
    except OSError as error:
        raise ValueError(f"cannot read {path} ({error.strerror})") from None
    if "\0" in text:
        raise ValueError(f"{path} is not a text: it holds a NUL character")
    return text


def with_new_names(text: str) -> str:
    """Returns a text with renamed parameters under their new names."""
    return re.sub(rf"(?<=\.)(?:{'|'.join(RENAMED)})\b", lambda match: RENAMED[match.group()], text)


def with_first_names(key: str) -> str:
    """Returns the key of a binding as configurations were first hashed: hashes of published runs do not move."""
    first = {new: old for old, new in RENAMED.items()}
    name, dot, parameter = key.rpartition(".")
    return f"{name}{dot}{first.get(parameter, parameter)}"
