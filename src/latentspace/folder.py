"""The folder is the registry: the members of an open folder are its files, one public member each."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from latentspace.errors import OptionError, nearest

#: files of open folders that are no members: shared parts, networks without a decoder, and losses of pairs
_SHARED = {"base", "layers", "vit", "pair_encoder", "likeness", "sources", "files", "columns"}


def names(package: str) -> list[str]:
    """Names of the members of the open folder `package` (such as ``"jobs"``), without importing them.

    A plugin adds a member by the entry point group ``latentspace.<package>``.

    >>> "dense" in names("networks")
    True
    """
    module = importlib.import_module(f"latentspace.{package}")
    own = {m.name for m in pkgutil.iter_modules(module.__path__)} - _SHARED
    return sorted(n for n in own | _plugins(package).keys() if not n.startswith("_"))


@cache
def _plugins(package: str) -> dict[str, EntryPoint]:
    """The members that installed packages add, by name; to look for them takes longer than all the rest."""
    return {entry.name: entry for entry in entry_points(group=f"latentspace.{package}")}


def find(package: str, name: str) -> Any:
    """Return the one public member of ``latentspace/<package>/<name>.py``.

    Raises OptionError with the nearest right name where there is none.
    """
    known = names(package)
    if name not in known:
        raise OptionError(f"There is no {package} {name!r}{nearest(name, known)}; known: {', '.join(known)}.")
    if name in _plugins(package):
        return _plugins(package)[name].load()
    module = importlib.import_module(f"latentspace.{package}.{name}")
    members: tuple[str, ...] = module.__all__
    return getattr(module, members[0])
