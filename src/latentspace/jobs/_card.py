"""The model card: what was fitted on what, how, and with which versions."""

from __future__ import annotations

import hashlib
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from latentspace import __version__
from latentspace.jobs.base import jsonable

#: files hashed one by one in a folder of more than these would take long; names and sizes stand for the rest
MAX_FILES = 2000


def card(
    data: Any, what: str, about: list[str], skipped: tuple[tuple[str, str], ...], settings: dict[str, Any]
) -> dict[str, Any]:
    """What goes into space.json beside the model; `data` is fingerprinted where it is a path."""
    described = {"what": what, "about": about, "skipped": [list(s) for s in skipped]}
    if isinstance(data, str | Path):
        described["sha256"] = fingerprint(Path(data))
    found: dict[str, Any] = jsonable(
        {
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "data": described,
            "settings": {
                k: v if isinstance(v, str | int | float | None) else repr(v) for k, v in settings.items()
            },
            "versions": {
                "latentspace": __version__,
                "python": platform.python_version(),
                **{name: version(name) for name in ("torch", "numpy", "scikit-learn")},
            },
        }
    )
    return found


def fingerprint(path: Path) -> str:
    """SHA-256 of a file, or of a folder: the names and bytes of its files in order."""
    if path.is_file():
        return _digest(path)
    whole = hashlib.sha256()
    for i, file in enumerate(sorted(p for p in path.rglob("*") if p.is_file())):
        content = _digest(file) if i < MAX_FILES else str(file.stat().st_size)
        whole.update(f"{file.relative_to(path).as_posix()}\0{content}\n".encode())
    return whole.hexdigest()


def _digest(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
