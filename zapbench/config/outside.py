"""Code from outside the package that a .gin file imports: from beside the file, or from an installed package.

Of a file in a person's own package, a module is also looked for beside that package. A module beside a file is imported
from there, whatever module of that name another file's folder holds; modules of an earlier composition that come from
other folders, or whose source has changed, are unloaded first, with what they registered with gin. Its digest is part
of a run's identity.
"""

import ast
import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import gin

from zapbench.config.sources import imports_of

OWN = "zapbench"

_loaded: dict[str, tuple[Path, str]] = {}
"""Modules that were imported from beside a file: name -> its folder and its digest then."""


def outside_code(paths: Iterable[Path]) -> dict[str, str]:
    """Returns a digest of each module from outside the package that some .gin files import, importing none.

    Of a module beside its file it is over its source and that of the modules beside it which it imports; of an
    installed package over its version and all of its source.
    """
    found = {}
    for module, folder in _imports(paths):
        top = module.split(".")[0]
        found[top] = _digest_beside(top, folder) if _beside(top, folder) else _digest_installed(top)
    return found


def import_outside_code(paths: Iterable[Path]) -> None:
    """Imports the modules that some .gin files import from beside them.

    Raises:
        ValueError: two folders hold a module of one name, or a module has the name of one that is imported already.
    """
    wanted: dict[str, tuple[str, Path]] = {}
    for module, folder in _imports(paths):
        top = module.split(".")[0]
        if not _beside(top, folder):
            continue
        if top in wanted and wanted[top][1] != folder:
            raise ValueError(f"{wanted[top][1]} and {folder} both hold a module {top!r}; rename one")
        wanted[top] = (module, folder)
    _unload({top: (folder, _digest_beside(top, folder)) for top, (_, folder) in wanted.items()})
    for top, (module, folder) in wanted.items():
        there = sys.modules.get(top)
        if there is not None and top not in _loaded and not _is_from(there, folder):
            if top in sys.stdlib_module_names or _is_installed(there):
                raise ValueError(f"{_beside(top, folder)} has the name of a module that is imported already; rename it")
            _forget({name for name in sys.modules if name.split(".")[0] == top})  # another copy of a person's own code
        _import(module, folder)


def _imports(paths: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    """Yields the modules and the folder to look for each in: the file's own, or that of the package that holds it."""
    for path in paths:
        for module, folder in imports_of(path):
            top = module.split(".")[0]
            if top != OWN:
                own, around = folder.resolve(), _beside_package(folder.resolve())
                yield module, own if _beside(top, own) or not _beside(top, around) else around


def _beside_package(folder: Path) -> Path:
    """Returns the folder that holds the package of a file; the file's own if that is no package or is installed."""
    outer = folder
    while (outer / "__init__.py").is_file():
        outer = outer.parent
    return folder if outer in _libraries() or any(outer.glob("*.dist-info")) else outer


def _libraries() -> list[Path]:
    return [Path(sysconfig.get_paths()[kind]).resolve() for kind in ("purelib", "platlib")]


def _beside(top: str, folder: Path) -> Path | None:
    for path in (folder / f"{top}.py", folder / top / "__init__.py", folder / top):
        if path.is_file() or (path.is_dir() and any(path.glob("*.py"))):
            return path
    return None


def _is_from(module: ModuleType, folder: Path) -> bool:
    places = [getattr(module, "__file__", None) or "", *getattr(module, "__path__", [])]
    return any(place and Path(place).resolve().is_relative_to(folder) for place in places)


def _is_installed(module: ModuleType) -> bool:
    return any(_is_from(module, library) for library in _libraries())


def _unload(wanted: dict[str, tuple[Path, str]]) -> None:
    """Forgets modules that come from other folders, or have changed, with what they registered with gin."""
    folders = {folder for folder, _ in wanted.values()}
    changed = {folder for name, (folder, digest) in _loaded.items() if wanted.get(name, (folder, digest))[1] != digest}
    gone = {name for name, (folder, _) in _loaded.items() if folder not in folders or folder in changed}
    _forget(gone)


def _forget(gone: set[str]) -> None:
    registry, inverse = gin.config._REGISTRY, gin.config._INVERSE_REGISTRY  # gin has no public way to unregister
    for selector, info in list(registry.items()):
        if getattr(info.wrapped, "__module__", "") in gone:
            registry.pop(selector)
            inverse.pop(info.wrapped, None)
    for name in gone:
        sys.modules.pop(name, None)
        _loaded.pop(name, None)
    if gone:
        importlib.invalidate_caches()


def _import(module: str, folder: Path) -> None:
    before, writes_none = set(sys.modules), sys.dont_write_bytecode
    _drop_bytecode(module.split(".")[0], folder)
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True
    try:
        importlib.import_module(module)
    finally:
        sys.dont_write_bytecode = writes_none
        sys.path.remove(str(folder))
    for name in set(sys.modules) - before:
        loaded = sys.modules[name]
        top = name.split(".")[0]
        if top != OWN and _is_from(loaded, folder) and _beside(top, folder):
            _loaded[name] = (folder, _digest_beside(top, folder))


def _drop_bytecode(top: str, folder: Path) -> None:
    """Deletes compiled code: Python takes it for a source's if that has its size and was changed in the same second."""
    for files in _sources_beside(top, folder).values():
        for where, _ in files:
            with suppress(OSError, NotImplementedError):
                Path(importlib.util.cache_from_source(str(folder / where))).unlink()


def _digest_beside(top: str, folder: Path) -> str:
    found = _sources_beside(top, folder)
    parts = [part for name in sorted(found) for where, content in found[name] for part in (where.encode(), content)]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]


def _sources_beside(top: str, folder: Path) -> dict[str, list[tuple[str, bytes]]]:
    """Returns module -> the place of each of its files in the folder, and its content."""
    sources: dict[str, list[tuple[str, bytes]]] = {}
    left = [top]
    while left:
        name = left.pop()
        path = _beside(name, folder)
        if name in sources or path is None:
            continue
        files = [path] if path.is_file() and path.name != "__init__.py" else sorted((folder / name).rglob("*.py"))
        contents = [(file.relative_to(folder).as_posix(), file.read_bytes()) for file in files]
        sources[name] = contents
        left += [other for _, content in contents for other in _imported_names(content)]
    return sources


def _imported_names(source: bytes) -> set[str]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return set()  # importing it will say so
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


@functools.lru_cache(maxsize=64)
def _digest_installed(top: str) -> str:
    spec = importlib.util.find_spec(top)
    if spec is None:
        return "not found"  # importing it will say so
    folders = [Path(place) for place in spec.submodule_search_locations or []]
    files = sorted(file for folder in folders for file in folder.rglob("*.py"))
    if not folders and spec.origin and Path(spec.origin).is_file():
        files = [Path(spec.origin)]
    whole = hashlib.sha256()
    for file in files:
        whole.update(file.name.encode())
        whole.update(file.read_bytes())
    names = importlib.metadata.packages_distributions().get(top, [])
    versions = [importlib.metadata.version(name) for name in sorted(set(names))]
    return " ".join([*versions, whole.hexdigest()[:12]])
