"""The folder is the registry: the members of an open folder are its files, one public member each."""

from __future__ import annotations

import importlib
import pkgutil
from importlib.metadata import entry_points
from typing import Any

from latentspace.errors import OptionError, nearest

#: files of open folders that are no members: shared parts, and `networks/vit.py`, which has no decoder yet
_SHARED = {"base", "layers", "vit", "sources", "files", "columns"}


def names(package: str) -> list[str]:
    """Names of the members of the open folder `package` (such as ``"jobs"``), without importing them.

    A plugin adds a member by the entry point group ``latentspace.<package>``.

    >>> "dense" in names("networks")
    True
    """
    module = importlib.import_module(f"latentspace.{package}")
    own = {m.name for m in pkgutil.iter_modules(module.__path__)} - _SHARED
    plugins = {e.name for e in entry_points(group=f"latentspace.{package}")}
    return sorted(n for n in own | plugins if not n.startswith("_"))


def find(package: str, name: str) -> Any:
    """Return the one public member of ``latentspace/<package>/<name>.py``.

    Raises OptionError with the nearest right name where there is none.
    """
    known = names(package)
    if name not in known:
        raise OptionError(f"There is no {package} {name!r}{nearest(name, known)}; known: {', '.join(known)}.")
    for entry in entry_points(group=f"latentspace.{package}"):
        if entry.name == name:
            return entry.load()
    module = importlib.import_module(f"latentspace.{package}.{name}")
    members: tuple[str, ...] = module.__all__
    return getattr(module, members[0])
