"""Examines the installation, the data and the devices of this machine.

It needs only the standard library; other packages are imported only to see whether that works. An error in one part
does not keep the other parts from being reported.
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
"""The version of Python that runs the tests."""
LITTLE_SPACE = 1e9
"""Free bytes below which a folder is reported: a suite with its checkpoints takes some hundred megabytes."""
IMPORTED = {
    "torch": "torch",
    "torchvision": "torchvision",
    "avalanche-lib": "avalanche",
    "timm": "timm",
    "numba": "numba",
}
"""Package -> module to import, for packages that may be installed but broken because their binaries do not match."""
INSTALL = "python -m pip install"


@dataclass(frozen=True)
class Diagnosis:
    """The state of one part of the environment.

    Attributes:
        subject: the part, in a word or two.
        state: `ok`, `note` (zapbench works without it) or `BROKEN` (it does not).
        detail: what was found.
        remedy: the command or action that fixes it; empty if there is nothing to fix.
    """

    subject: str
    state: str
    detail: str
    remedy: str = ""


def examine(out: Path) -> Iterator[Diagnosis]:
    """Yields the state of each part as soon as it is known.

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
            yield Diagnosis(subject, BROKEN, f"could not be examined: {error}", f"{INSTALL} zapbench")
        except (OSError, RuntimeError, ValueError) as error:
            yield Diagnosis(subject, BROKEN, f"could not be examined: {error}")


def _python() -> Iterator[Diagnosis]:
    version = platform.python_version()
    if not version.startswith(f"{TESTED}."):
        yield Diagnosis("python", NOTE, f"{version}; the tests are run with {TESTED}")
    else:
        yield Diagnosis("python", OK, f"{version} ({sys.executable})")
    yield Diagnosis("zapbench", OK, f"{__version__} ({Path(zapbench.__file__).parent})")


def requirements() -> list[tuple[str, str, str]]:
    """Returns the requirements of the installed zapbench: name, version specifier, and extra (or nothing)."""
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
        yield Diagnosis(
            "installation", BROKEN, "zapbench is imported from a folder and is not installed", "make install"
        )
        asked = [(name, "") for name in IMPORTED]
    good = []
    for name, specifier in asked:
        finding = _package(name, specifier)
        if finding.state != OK or name in IMPORTED:
            yield finding
        else:
            good.append(f"{name} {finding.detail}")
    if good:
        yield Diagnosis("other packages", OK, ", ".join(good))


def _package(name: str, specifier: str) -> Diagnosis:
    remedy = f"{INSTALL} '{name}{specifier}'"
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Diagnosis(name, BROKEN, "is not installed", remedy)
    if not _satisfies(version, specifier):
        return Diagnosis(name, BROKEN, f"is {version}, but zapbench needs {specifier}", remedy)
    if name not in IMPORTED:
        return Diagnosis(name, OK, version)
    try:
        with warnings.catch_warnings(action="ignore"):
            importlib.import_module(IMPORTED[name])
    except Exception as error:  # whatever a broken binary raises
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        return Diagnosis(
            name, BROKEN, f"{version} is installed but cannot be imported: {reason}", f"{remedy} --force-reinstall"
        )
    return Diagnosis(name, OK, version)


def _satisfies(version: str, specifier: str) -> bool:
    try:
        from packaging.specifiers import InvalidSpecifier, SpecifierSet
    except ImportError:
        return True  # versions cannot be compared without `packaging`; the packages are still imported
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
        return  # already reported with the packages
    for extra, names in wanted.items():
        missing = [name for name in names if not _is_installed(name)]
        if missing:
            remedy = f"{INSTALL} 'zapbench[{extra}]'"
            yield Diagnosis(f"extra [{extra}]", NOTE, f"not installed: {', '.join(missing)}", remedy)
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
    yield Diagnosis("cores", OK, f"{cores()} available{memory}; a run uses one thread, or as many as --threads says")
    try:
        import torch

        seen = [torch.cuda.get_device_name(place) for place in range(torch.cuda.device_count())]
    except Exception:  # already reported with the packages
        return
    from zapbench.launchers.gpus import visible_devices

    if seen:
        yield Diagnosis("GPU", OK, f"{', '.join(seen)}; -p 'run.device = \"cuda\"' uses it")
    elif visible_devices():
        detail = f"torch {torch.__version__} does not find the GPU of this machine: its build does not match the driver"
        yield Diagnosis("GPU", NOTE, detail, "see https://pytorch.org/get-started/locally for the matching build")
    else:
        yield Diagnosis("GPU", OK, "none; zapbench runs on the CPU")


def _configurations() -> Iterator[Diagnosis]:
    from zapbench import config

    counts = {kind: len(config.names(kind)) for kind in config.KINDS}
    detail = f"{', '.join(f'{count} {kind}' for kind, count in counts.items())} in {config.root()}"
    if all(counts.values()):
        yield Diagnosis("configurations", OK, detail)
    else:
        yield Diagnosis("configurations", BROKEN, detail, f"{INSTALL} --force-reinstall zapbench")


def _folders(out: Path) -> Iterator[Diagnosis]:
    from zapbench.scenarios.roots import cache_root

    for subject, folder, remedy in (
        ("output folder", out, "choose another: --out FOLDER"),
        ("cache folder", cache_root(), "choose another: export XDG_CACHE_HOME=FOLDER"),
    ):
        reason, free = _writable(folder)
        if reason:
            yield Diagnosis(subject, BROKEN, f"{folder} cannot be written to: {reason}", remedy)
        elif free < LITTLE_SPACE:
            yield Diagnosis(subject, NOTE, f"{folder}, with {free / 1e6:,.0f} MB free", remedy)
        else:
            yield Diagnosis(subject, OK, f"{folder}, with {free / 1e9:,.0f} GB free")


def _writable(folder: Path) -> tuple[str, float]:
    """Returns the reason why a folder or its nearest existing parent cannot be written (or nothing), and free bytes."""
    try:
        existing = next(f for f in (folder.absolute(), *folder.absolute().parents) if f.exists())
        with tempfile.TemporaryFile(dir=existing):
            return "", shutil.disk_usage(existing).free
    except OSError as error:
        return error.strerror or type(error).__name__, 0.0


def _data() -> Iterator[Diagnosis]:
    from zapbench.scenarios.catalog import CATALOG

    folder = _data_folder()
    yield folder
    if folder.state != BROKEN:
        yield from map(_data_set, CATALOG)


def _data_folder() -> Diagnosis:
    from zapbench.scenarios.roots import data_root

    root = data_root()
    origin = "$ZAPBENCH_DATA" if os.environ.get("ZAPBENCH_DATA") else "the platform's cache folder"
    detail = f"{root} ({origin})"
    reason, _ = _writable(root)
    if root.exists() and not root.is_dir():
        detail += " is not a folder"
    elif root.is_dir() and not os.access(root, os.R_OK | os.X_OK):
        detail += " cannot be read"
    elif not root.is_dir() and reason:
        detail += f" does not exist and cannot be created: {reason}"
    elif not root.is_dir():
        return Diagnosis("data folder", NOTE, f"{detail} does not exist yet; the first download creates it")
    elif reason:
        return Diagnosis("data folder", NOTE, f"{detail} can be read, but nothing can be downloaded into it: {reason}")
    else:
        return Diagnosis("data folder", OK, detail)
    return Diagnosis("data folder", BROKEN, detail, "choose another: export ZAPBENCH_DATA=FOLDER")


def _data_set(name: str) -> Diagnosis:
    from zapbench.scenarios.catalog import CATALOG

    about = CATALOG[name]
    subject, purpose = f"data {name}", f"for {', '.join(about.scenarios)}"
    remedy = f"zapbench data fetch {name}" if about.archives else about.otherwise
    found = about.find()
    if not about.folder:
        return Diagnosis(subject, OK, f"drawn by the code, needs no download; {purpose}")
    if found is None:
        return Diagnosis(subject, NOTE, f"not found; {purpose}", remedy)
    if empty := [path for path in found if _is_empty(path)]:
        return Diagnosis(subject, BROKEN, f"{empty[0]} is empty", f"delete it, then: {remedy}")
    return Diagnosis(subject, OK, f"{', '.join(map(str, found))}; {purpose}")


def _is_empty(path: Path) -> bool:
    return not any(path.iterdir()) if path.is_dir() else path.stat().st_size == 0
