"""Finds methods: built in and installed (entry points), in folders and in files that the user names.

All methods, the built-in ones included, come through the entry-point group ``cmrbench.methods``. Nothing in the
working directory is imported unasked. A plugin that cannot be imported is a warning with its cause.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import types
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from cmrbench.core.errors import CmrbenchError, PluginError, UnknownNameError
from cmrbench.core.hashing import digest_file, digest_lines
from cmrbench.method import Method

GROUP = "cmrbench.methods"
FOLDER_VARIABLE = "CMRBENCH_METHODS"


@dataclass(frozen=True)
class MethodRef:
    """Where a method class lives, so that another process can load the same one.

    Attributes
    ----------
    name : str
        Registered name.
    module, qualname : str
        Import path of the class; `module` is empty for a class in a file.
    file : str
        Path of a plugin file, or ``""``.
    origin : str
        For people: the distribution or file it comes from.
    """

    name: str
    module: str
    qualname: str
    file: str = ""
    origin: str = ""

    def load(self) -> type[Method]:
        """Import the class.

        Raises
        ------
        PluginError
            If the import fails or what is found is not a `Method` of that name.
        """
        try:
            module = _import_file(Path(self.file)) if self.file else importlib.import_module(self.module)
            found = getattr(module, self.qualname)
        except CmrbenchError:
            raise
        except (Exception, SystemExit) as error:
            raise PluginError(
                f"method {self.name} ({self.origin or self.file}) cannot be imported: {type(error).__name__}: {error}"
            ) from error
        if not (isinstance(found, type) and issubclass(found, Method) and hasattr(found, "info")):
            raise PluginError(
                f"{self.origin or self.file}: {self.qualname} is registered as method {self.name} "
                "but is not a subclass of cmrbench.method.Method with an info"
            )
        if found.info.name != self.name:
            raise PluginError(
                f"{self.origin or self.file}: {self.qualname} is registered as {self.name} "
                f"but its info says {found.info.name!r}"
            )
        return found


@dataclass(frozen=True)
class MethodTable:
    """All methods of one call, frozen after loading.

    Attributes
    ----------
    refs : dict of name to MethodRef
    warnings : tuple of str
        One sentence for every plugin that could not be loaded.
    """

    refs: dict[str, MethodRef]
    warnings: tuple[str, ...] = ()
    _loaded: dict[str, type[Method]] = field(default_factory=dict, repr=False)

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self.refs)

    def ref(self, name: str) -> MethodRef:
        """Where the method lives.

        Raises
        ------
        UnknownNameError
            With the nearest names, and with the plugins that failed to load.
        """
        if name not in self.refs:
            hint = "; ".join(self.warnings)
            raise UnknownNameError("method", name, self.refs, f"({hint})" if hint else "")
        return self.refs[name]

    def get(self, name: str) -> type[Method]:
        """The method class of that name, imported on first use."""
        if name not in self._loaded:
            self._loaded[name] = self.ref(name).load()
        return self._loaded[name]


def load_methods(files: Sequence[str | Path] = (), folders: Sequence[str | Path] = ()) -> MethodTable:
    """The methods of entry points, of `folders` (and ``CMRBENCH_METHODS``), and of `files`.

    Entry points are not imported here; files and folders are, to learn which methods they hold.

    Raises
    ------
    PluginError
        If a file or folder does not exist, or two sources claim one name.
    """
    refs: dict[str, MethodRef] = {}
    warnings: list[str] = []
    for entry in metadata.entry_points(group=GROUP):
        origin = entry.dist.name if entry.dist is not None else entry.value
        _add(refs, MethodRef(entry.name, entry.module, entry.attr, origin=origin))
    environment = [f for f in os.environ.get(FOLDER_VARIABLE, "").split(os.pathsep) if f]
    paths = [p for folder in [*environment, *folders] for p in _files_in(Path(folder))] + [Path(f) for f in files]
    seen: set[Path] = set()
    for path in paths:
        resolved = path.resolve()
        if resolved in seen:
            continue
        seen.add(resolved)
        try:
            found = methods_in_file(path)
        except PluginError as error:
            if not path.is_file():
                raise
            warnings.append(str(error))
            continue
        for cls in found:
            _add(refs, MethodRef(cls.info.name, "", cls.__qualname__, file=str(resolved), origin=str(path)))
    return MethodTable(refs, tuple(warnings))


def _add(refs: dict[str, MethodRef], ref: MethodRef) -> None:
    other = refs.get(ref.name)
    if other is None:
        refs[ref.name] = ref
    elif (other.module, other.qualname, other.file) != (ref.module, ref.qualname, ref.file):
        raise PluginError(
            f"{ref.origin} defines a method {ref.name!r}, which {other.origin} has already: give one another info.name"
        )


def _files_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise PluginError(f"the methods folder {folder} does not exist")
    return sorted(p for p in folder.glob("*.py") if not p.name.startswith(("_", "test_")))


def methods_in_file(path: Path) -> list[type[Method]]:
    """The `Method` subclasses that a Python file defines itself.

    Raises
    ------
    PluginError
        If the file does not exist, raises on import, or defines none.
    """
    if not path.is_file():
        raise PluginError(f"the plugin file {path} does not exist")
    try:
        module = _import_file(path)
    except (Exception, SystemExit) as error:
        raise PluginError(f"plugin {path} raises on import: {type(error).__name__}: {error}") from error
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Method)
        and value.__module__ == module.__name__
        and "info" in vars(value)
    ]
    if not found:
        raise PluginError(f"plugin {path} defines no subclass of cmrbench.method.Method with an info")
    return found


def _import_file(path: Path) -> types.ModuleType:
    """Import a file under a name made of its path; a second call gives the same module."""
    resolved = path.resolve()
    name = f"cmrbench_plugin_{resolved.stem}_{digest_lines([str(resolved)])[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, resolved)
    if spec is None or spec.loader is None:
        raise PluginError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def source_digest(cls: type[Method]) -> str:
    """SHA-256 over the source files that make up a method: its classes' files and, for built-in ones, the blocks."""
    files: set[Path] = set()
    for base in cls.__mro__:
        module = sys.modules.get(base.__module__)
        path = getattr(module, "__file__", None)
        if path and base not in (object, Method):
            files.add(Path(path))
            if base.__module__.startswith("cmrbench_methods."):
                files.update(_block_files(Path(path)))
    return digest_lines(f"{p.name} {digest_file(p)}" for p in sorted(files, key=lambda p: (p.name, str(p))))


def _block_files(path: Path) -> Iterable[Path]:
    return (path.parent.parent / "blocks").glob("*.py")
