"""What is installed and what is here: examined with the standard library alone; other packages are only tried.

No finding keeps another from being reported.
"""

import importlib
import os
import platform
import re
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import zapbench
from zapbench import __version__
from zapbench.launchers.cpus import cores

OK, NOTE, BROKEN = "ok", "note", "BROKEN"
TESTED = "3.11"
"""The Python that the tests are run with."""
LITTLE = 1e9
"""Free bytes below which a folder is worth a word: a suite with its checkpoints takes some hundred megabytes."""
IMPORTED = {
    "torch": "torch",
    "torchvision": "torchvision",
    "avalanche-lib": "avalanche",
    "timm": "timm",
    "numba": "numba",
}
"""Packages that may be installed and yet not work, as binaries that do not fit each other: these are imported."""
INSTALL = "python -m pip install"


@dataclass(frozen=True)
class Diagnosis:
    """One thing that was looked at.

    Attributes:
        subject: what, in a word or two.
        state: `ok`, `note` (works without) or `BROKEN` (does not).
        words: what was found.
        remedy: the command that fixes it, or what to do; empty where nothing is to be done.
    """

    subject: str
    state: str
    words: str
    remedy: str = ""


def examine(out: Path) -> Iterator[Diagnosis]:
    """Yields what is found, as it is found.

    Args:
        out: the output folder.
    """
    parts: tuple[tuple[str, Callable[[], Iterator[Diagnosis]]], ...] = (
        ("python", _python),
        ("packages", _packages),
        ("extras", _extras),
        ("devices", _devices),
        ("configurations", _configurations),
        ("folders", lambda: _folders(out)),
        ("data", _data),
    )
    for subject, part in parts:
        try:
            yield from part()
        except ImportError as error:
            yield Diagnosis(subject, BROKEN, f"could not be looked at: {error}", f"{INSTALL} zapbench")
        except (OSError, RuntimeError, ValueError) as error:
            yield Diagnosis(subject, BROKEN, f"could not be looked at: {error}")


def _python() -> Iterator[Diagnosis]:
    version = platform.python_version()
    if not version.startswith(f"{TESTED}."):
        yield Diagnosis("python", NOTE, f"{version}; the tests are run with {TESTED}")
    else:
        yield Diagnosis("python", OK, f"{version} ({sys.executable})")
    yield Diagnosis("zapbench", OK, f"{__version__} ({Path(zapbench.__file__).parent})")


def requirements() -> list[tuple[str, str, str]]:
    """Returns what the installed zapbench asks for: name, version specifier, and the extra (or nothing)."""
    found = []
    for line in metadata.requires("zapbench") or []:
        asked, _, marker = line.partition(";")
        name, specifier = re.fullmatch(r"([\w.-]+)\s*(?:\[[^]]*\])?\s*(.*)", asked.strip()).groups()  # type: ignore[union-attr]
        extra = re.search(r"extra\s*==\s*['\"]([\w-]+)", marker)
        found.append((name, specifier.strip("() "), extra.group(1) if extra else ""))
    return found


def _packages() -> Iterator[Diagnosis]:
    try:
        asked = [(name, specifier) for name, specifier, extra in requirements() if not extra]
    except metadata.PackageNotFoundError:
        yield Diagnosis("installation", BROKEN, "this zapbench is a folder that was not installed", "make install")
        asked = [(name, "") for name in IMPORTED]
    good = []
    for name, specifier in asked:
        finding = _package(name, specifier)
        if finding.state != OK or name in IMPORTED:
            yield finding
        else:
            good.append(f"{name} {finding.words}")
    if good:
        yield Diagnosis("other packages", OK, ", ".join(good))


def _package(name: str, specifier: str) -> Diagnosis:
    remedy = f"{INSTALL} '{name}{specifier}'"
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Diagnosis(name, BROKEN, "is not installed", remedy)
    if not _fits(version, specifier):
        return Diagnosis(name, BROKEN, f"is {version}, and zapbench asks for {specifier}", remedy)
    if name not in IMPORTED:
        return Diagnosis(name, OK, version)
    try:
        with warnings.catch_warnings(action="ignore"):
            importlib.import_module(IMPORTED[name])
    except Exception as error:  # whatever a broken binary raises
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        return Diagnosis(
            name, BROKEN, f"{version} is installed and cannot be imported: {reason}", f"{remedy} --force-reinstall"
        )
    return Diagnosis(name, OK, version)


def _fits(version: str, specifier: str) -> bool:
    try:
        from packaging.specifiers import InvalidSpecifier, SpecifierSet
    except ImportError:
        return True  # nobody here can say; imports are tried beside it
    try:
        return SpecifierSet(specifier).contains(version, prereleases=True)
    except InvalidSpecifier:
        return True


def _extras() -> Iterator[Diagnosis]:
    wanted: dict[str, list[str]] = {}
    try:
        for name, _, extra in requirements():
            if extra:
                wanted.setdefault(extra, []).append(name)
    except metadata.PackageNotFoundError:
        return  # said above
    for extra, names in wanted.items():
        lost = [name for name in names if not _is_installed(name)]
        if lost:
            remedy = f"{INSTALL} 'zapbench[{extra}]'"
            yield Diagnosis(f"extra [{extra}]", NOTE, f"not here: {', '.join(lost)}", remedy)
        else:
            yield Diagnosis(f"extra [{extra}]", OK, ", ".join(names))


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _devices() -> Iterator[Diagnosis]:
    memory = ""
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = f", {os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 1e9:.0f} GB of memory"
    yield Diagnosis("cores", OK, f"{cores()} for this process{memory}; a run takes one thread, or --threads")
    try:
        import torch

        seen = [torch.cuda.get_device_name(place) for place in range(torch.cuda.device_count())]
    except Exception:  # said with the packages
        return
    from zapbench.launchers.gpus import visible_devices

    if seen:
        yield Diagnosis("GPU", OK, f"{', '.join(seen)}; -p 'run.device = \"cuda\"' uses it")
    elif visible_devices():
        words = f"there is one, and torch {torch.__version__} does not see it: another build of torch or driver"
        yield Diagnosis("GPU", NOTE, words, "see https://pytorch.org/get-started/locally for the build that fits")
    else:
        yield Diagnosis("GPU", OK, "none; everything runs on the CPU, too")


def _configurations() -> Iterator[Diagnosis]:
    from zapbench import config

    counts = {kind: len(config.names(kind)) for kind in config.KINDS}
    words = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    if all(counts.values()):
        yield Diagnosis("configurations", OK, f"{words} ({config.root()})")
    else:
        yield Diagnosis(
            "configurations", BROKEN, f"{words} in {config.root()}", f"{INSTALL} --force-reinstall zapbench"
        )


def _folders(out: Path) -> Iterator[Diagnosis]:
    from zapbench.scenarios.roots import cache_root

    for subject, folder, remedy in (
        ("output folder", out, "give another: --out FOLDER"),
        ("cache folder", cache_root(), "set another: export XDG_CACHE_HOME=FOLDER"),
    ):
        reason, free = _writable(folder)
        if reason:
            yield Diagnosis(subject, BROKEN, f"{folder} cannot be written to: {reason}", remedy)
        elif free < LITTLE:
            yield Diagnosis(subject, NOTE, f"{folder}, with {free / 1e6:,.0f} MB free", remedy)
        else:
            yield Diagnosis(subject, OK, f"{folder}, with {free / 1e9:,.0f} GB free")


def _writable(folder: Path) -> tuple[str, float]:
    """Returns why a folder, or the one it would be made in, cannot be written to (or nothing), and its free bytes."""
    try:
        there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
        with tempfile.TemporaryFile(dir=there):
            return "", shutil.disk_usage(there).free
    except OSError as error:
        return error.strerror or type(error).__name__, 0.0


def _data() -> Iterator[Diagnosis]:
    from zapbench.scenarios.catalog import CATALOG
    from zapbench.scenarios.roots import data_root

    root = data_root()
    named = "$ZAPBENCH_DATA" if os.environ.get("ZAPBENCH_DATA") else "the platform's cache folder"
    reason, _ = _writable(root)
    elsewhere = "set another: export ZAPBENCH_DATA=FOLDER"
    if root.exists() and not root.is_dir():
        yield Diagnosis("data folder", BROKEN, f"{root} ({named}) is not a folder", elsewhere)
        return
    if root.is_dir() and not os.access(root, os.R_OK | os.X_OK):
        yield Diagnosis("data folder", BROKEN, f"{root} ({named}) cannot be read", elsewhere)
        return
    if not root.is_dir() and reason:
        yield Diagnosis("data folder", BROKEN, f"{root} ({named}) is not there and cannot be made: {reason}", elsewhere)
        return
    if not root.is_dir():
        yield Diagnosis("data folder", NOTE, f"{root} ({named}) is not there yet; a fetch makes it")
    elif reason:
        yield Diagnosis("data folder", NOTE, f"{root} ({named}) can be read, and nothing fetched into it: {reason}")
    else:
        yield Diagnosis("data folder", OK, f"{root} ({named})")
    for about in CATALOG.values():
        subject, serves = f"data {about.name}", f"for {', '.join(about.scenarios)}"
        get = f"zapbench data fetch {about.name}" if about.archives else about.otherwise
        found = about.find()
        if not about.folder:
            yield Diagnosis(subject, OK, f"drawn, nothing to fetch; {serves}")
        elif found is None:
            yield Diagnosis(subject, NOTE, f"not here; {serves}", get)
        elif empty := [path for path in found if _is_empty(path)]:
            yield Diagnosis(subject, BROKEN, f"{empty[0]} is empty", f"delete it, then: {get}")
        else:
            yield Diagnosis(subject, OK, f"{', '.join(map(str, found))}; {serves}")


def _is_empty(path: Path) -> bool:
    return not any(path.iterdir()) if path.is_dir() else path.stat().st_size == 0
