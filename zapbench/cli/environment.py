"""Examines the installation and the devices of this machine, and with `storage` its folders and data.

It needs only the standard library; other packages are imported only to see whether that works. An error in one part
does not keep the other parts from being reported.
"""

import importlib
import os
import platform
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import zapbench
from zapbench import __version__
from zapbench.cli.diagnosis import BROKEN, NOTE, OK, Diagnosis
from zapbench.cli.storage import examine_data, examine_folders
from zapbench.extras import DISTRIBUTION, TRAIN, command_for
from zapbench.launchers.cpus import cores
from zapbench.launchers.home import import_with_writable_home

TESTED = ("3.11", "3.13")
"""The version of Python that runs the tests."""
IMPORTED = {
    "torch": "torch",
    "torchvision": "torchvision",
    "avalanche-lib": "avalanche",
    "timm": "timm",
    "numba": "numba",
}
"""Package -> module to import, for packages that may be installed but broken because their binaries do not match."""
BASE = ("gin-config", "numpy", "pandas", "rich", "scipy", "tensorboard")
"""Packages to look for where zapbench is not installed, so that its requirements are not known."""
INSTALL = "python -m pip install"
CLONE = f"{INSTALL} -e . (in a clone: PyPI's zapbench is another project)"


def examine(out: Path, say: Callable[[str], None] = lambda now: None) -> Iterator[Diagnosis]:
    """Yields the state of each part as soon as it is known.

    Args:
        out: the output folder.
        say: called with what is waited for.
    """
    parts: tuple[tuple[str, Callable[[], Iterator[Diagnosis]]], ...] = (
        ("python", _python),
        ("packages", lambda: _packages(say)),
        ("extras", _extras),
        ("devices", _devices),
        ("configurations", _configurations),
        ("folders", lambda: examine_folders(out)),
        ("data", examine_data),
    )
    for subject, part in parts:
        try:
            yield from part()
        except ImportError as error:
            yield Diagnosis(subject, BROKEN, f"could not be examined: {error}", CLONE)
        except (OSError, RuntimeError, ValueError) as error:
            yield Diagnosis(subject, BROKEN, f"could not be examined: {error}")


def _python() -> Iterator[Diagnosis]:
    version = platform.python_version()
    if version.rpartition(".")[0] not in TESTED:
        yield Diagnosis("python", NOTE, f"{version}; the tests are run with {' and '.join(TESTED)}")
    else:
        yield Diagnosis("python", OK, f"{version} ({sys.executable})")
    yield Diagnosis("zapbench", OK, f"{__version__} ({Path(zapbench.__file__).parent})")


def requirements() -> list[tuple[str, str, str]]:
    """Returns what the installed zapbench requires of this Python: name, version specifier, and extra (or nothing)."""
    found = []
    for line in metadata.requires(DISTRIBUTION) or []:
        asked, _, marker = line.partition(";")
        name, specifier = re.fullmatch(r"([\w.-]+)\s*(?:\[[^]]*\])?\s*(.*)", asked.strip()).groups()  # type: ignore[union-attr]
        extra = re.search(r"extra\s*==\s*['\"]([\w-]+)", marker)
        newer = re.search(r"python_version\s*>=\s*['\"](\d+)\.(\d+)", marker)
        if newer and sys.version_info < (int(newer.group(1)), int(newer.group(2))):
            continue
        found.append((name, specifier.strip("() "), extra.group(1) if extra else ""))
    return found


def _packages(say: Callable[[str], None]) -> Iterator[Diagnosis]:
    try:
        asked = [(name, specifier) for name, specifier, extra in requirements() if not extra]
    except metadata.PackageNotFoundError:
        yield Diagnosis(
            "installation", BROKEN, "zapbench is imported from a folder and is not installed", "make install"
        )
        asked = [(name, "") for name in BASE]
    good = []
    for name, specifier in asked:
        if name in IMPORTED:
            say(f"importing {IMPORTED[name]}")
        finding = _package(name, specifier)
        if finding.state != OK:
            yield finding
        else:
            good.append(f"{name} {finding.detail}")
    if good:
        yield Diagnosis("packages", OK, ", ".join(good))


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
            if name == "avalanche-lib":
                import_with_writable_home()
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
    wanted: dict[str, list[tuple[str, str]]] = {}
    try:
        for name, specifier, extra in requirements():
            if extra:
                wanted.setdefault(extra, []).append((name, specifier))
    except metadata.PackageNotFoundError:
        return  # already reported with the packages
    for extra, asked in wanted.items():
        yield from _extra(extra, asked)


def _extra(extra: str, asked: list[tuple[str, str]]) -> Iterator[Diagnosis]:
    """Yields the state of an extra: what of it is missing, and each package that is there and does not work."""
    missing = [name for name, _ in asked if not _is_installed(name)]
    there = [_package(name, specifier) for name, specifier in asked if name not in missing]
    yield from (finding for finding in there if finding.state != OK)
    if missing:
        detail = f"not installed: {', '.join(missing)}{' (ranking logs does without)' if extra == TRAIN else ''}"
        yield Diagnosis(f"extra [{extra}]", NOTE, detail, command_for(extra))
    elif all(finding.state == OK for finding in there):
        yield Diagnosis(f"extra [{extra}]", OK, ", ".join(f"{found.subject} {found.detail}" for found in there))


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

        found = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    except Exception:  # already reported with the packages
        return
    from zapbench.launchers.gpus import visible_devices

    if found:
        yield Diagnosis("GPU", OK, f"{', '.join(found)}; -p 'run.device = \"cuda\"' uses it")
    elif visible_devices():
        detail = f"torch {torch.__version__} does not find the GPU of this machine: its build does not match the driver"
        yield Diagnosis("GPU", NOTE, detail, "see https://pytorch.org/get-started/locally for the matching build")
    else:
        yield Diagnosis("GPU", OK, "none; zapbench runs on the CPU")


def _configurations() -> Iterator[Diagnosis]:
    from zapbench import config

    counts = {kind: len(config.shipped_names(kind)) for kind in config.KINDS}
    detail = f"{', '.join(f'{count} {kind}' for kind, count in counts.items())} in {config.root()}"
    if all(counts.values()):
        yield Diagnosis("configurations", OK, detail)
    else:
        yield Diagnosis("configurations", BROKEN, detail, CLONE)
    for kind in config.KINDS:
        for problem in config.broken(kind):
            yield Diagnosis(
                f"names of {kind}", NOTE, problem, "correct the entry point in that package's pyproject.toml"
            )
        for name in config.names(kind):
            try:
                config.refuse_clash(kind, name)
            except ValueError as error:
                yield Diagnosis(f"names of {kind}", NOTE, str(error), "rename the file in that package")
