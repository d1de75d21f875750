"""The way to a PostgreSQL server: what its URL says, a connection, and every failure as one sentence."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from latentspace.errors import SpaceError

if TYPE_CHECKING:
    import psycopg

#: seconds to wait for a server, unless the URL says `connect_timeout`
PATIENCE = 10
#: seconds to wait for others who change the same space
TURN = 60
#: the first version of pgvector that goes on looking where a condition left too few items
LEAST_PGVECTOR = (0, 8)
#: what a URL may hold that nobody else should read
_SECRET = ("password", "sslpassword", "scram_client_key", "scram_server_key", "oauth_client_secret")


class Link:
    """A connection to a PostgreSQL database with pgvector, made when first needed and closed with this object.

    url : "postgresql://user:password@host:port/database", or what else libpq reads. What it leaves out, the password
    too, comes from libpq's environment (PGPASSWORD, ~/.pgpass, ...). Threads take turns, and a forked process gets a
    connection of its own. Raises SpaceError where the URL cannot be read.
    """

    def __init__(self, url: str) -> None:
        self._given = _parsed(url)
        self._open: psycopg.Connection[Any] | None = None
        self._used, self._process = time.monotonic(), os.getpid()
        self._lock = threading.RLock()

    @property
    def public(self) -> str:
        """What to connect to, without any password, as libpq reads it."""
        from psycopg.conninfo import make_conninfo

        return make_conninfo(**{k: v for k, v in self._given.items() if k not in _SECRET})

    @contextmanager
    def transaction(self, *, reading: bool = False) -> Iterator[psycopg.Connection[Any]]:
        """A connection within a transaction, which is wholly done or not at all; `reading` sees one moment only.

        Raises SpaceError, in one sentence and without the password, for whatever the server refuses.
        """
        import psycopg

        try:
            with self._lock:
                connection = self._connected()
                # whoever changes something waits for others and then sees what they did
                level = psycopg.IsolationLevel
                connection.isolation_level = level.REPEATABLE_READ if reading else level.READ_COMMITTED
                connection.read_only = reading
                with connection.transaction():
                    yield connection
        except psycopg.Error as failure:
            raise SpaceError(self._sentence(failure)) from None  # its text could hold what was sent

    def _connected(self) -> psycopg.Connection[Any]:
        import psycopg
        from pgvector.psycopg import register_vector

        own = self._process == os.getpid()
        if own and self._open is not None and self._answers(self._open):
            return self._open
        self._open = None
        wanted: dict[str, Any] = {"connect_timeout": PATIENCE, "application_name": "latentspace"}
        made = psycopg.connect(**(wanted | self._given | {"client_encoding": "utf8"}), autocommit=True)
        self._open, self._process = made, os.getpid()
        weakref.finalize(self, _close, made, self._process)
        place = _extension(made, self.where)
        # Names mean what they say, whatever lies in other schemas; a client that died is noticed, and lets go.
        made.execute("SELECT set_config('search_path', %s, false)", [f'pg_catalog, "{place}"'])
        made.execute("SET TimeZone TO 'UTC'")
        made.execute("SET client_connection_check_interval TO '1s'")
        made.execute("SELECT set_config('lock_timeout', %s, false)", [f"{TURN}s"])
        register_vector(made)
        return made

    def close(self) -> None:
        """End the connection; the next transaction makes a new one."""
        if self._open is not None:
            self._open.close()

    def _answers(self, connection: psycopg.Connection[Any]) -> bool:
        """Whether a connection is still good; one that was not used for a while is asked."""
        import psycopg

        idle, self._used = time.monotonic() - self._used, time.monotonic()
        try:
            if idle > 30 and not connection.closed:
                connection.execute("SELECT 1")
        except psycopg.OperationalError:
            connection.close()
        return not (connection.closed or connection.broken)

    @property
    def where(self) -> str:
        """The server and database, for messages."""
        user = self._said("user", "PGUSER", "")
        database = self._said("dbname", "PGDATABASE", user)
        return f"{self._said('host', 'PGHOST', 'this machine')}:{self._said('port', 'PGPORT', '5432')}/{database}"

    def _said(self, name: str, variable: str, default: str) -> str:
        """What the URL says, or libpq's environment where it says nothing."""
        return str(self._given.get(name) or os.environ.get(variable) or default)

    def _sentence(self, failure: psycopg.Error) -> str:
        """What is wrong, without anything secret."""
        from psycopg import errors

        said = str(failure.diag.message_primary or failure).strip().split("\n")[0].rstrip(".")
        answered = "FATAL:" in said
        said = said.split(" failed: ")[-1].removeprefix("FATAL:").strip()
        for name in _SECRET:
            said = said.replace(self._given.get(name) or "\0", "…")
        match failure:
            case errors.UndefinedTable() | errors.InvalidSchemaName() | errors.UndefinedColumn():
                return (
                    f"The store at {self.where} no longer holds what this space keeps there ({said}): "
                    "it was dropped or renamed."
                )
            case errors.InsufficientPrivilege():
                return f"The store at {self.where} does not permit this ({said}): ask its owner."
            case errors.LockNotAvailable():
                return (
                    f"The items at {self.where} are being changed by others: try again when that has ended."
                )
            case errors.ProgramLimitExceeded():
                return (
                    f"So many columns do not fit a row of the store at {self.where} ({said}): leave some out, or "
                    "keep none (--no-keep-items)."
                )
            case errors.DiskFull():
                return f"The disk of the store at {self.where} is full; nothing was changed."
            case errors.OperationalError() if "password" in said:
                return (
                    f"The store at {self.where} refuses the password ({said}): give it in the URL "
                    "(postgresql://user:password@…), in PGPASSWORD or in ~/.pgpass."
                )
            case errors.OperationalError() if self._open is None and not answered:
                return f"There is no answer from the store at {self.where}: {said}."
            case errors.OperationalError() if self._open is not None and self._open.closed:
                return (
                    f"The connection to the store at {self.where} broke ({said}): try again; what was being written "
                    "is there as a whole or not at all."
                )
        return f"The store at {self.where} refuses: {said}."


def _parsed(url: str) -> dict[str, Any]:
    try:
        import pgvector  # noqa: F401
        from psycopg.conninfo import conninfo_to_dict
    except ImportError as failure:
        raise SpaceError(
            "A store in PostgreSQL needs psycopg and pgvector: pip install 'latentspace[postgres]'"
        ) from failure
    from psycopg import Error

    # Nothing of it is said: a URL that cannot be read, or is read wrongly, may have its password anywhere.
    try:
        given = dict(conninfo_to_dict(url))
    except Error:
        given = None
    if given is None:
        raise SpaceError("The store is no URL of PostgreSQL such as postgresql://user@host:5432/database.")
    if any("@" in str(given.get(name, "")) for name in ("host", "port", "dbname")):
        raise SpaceError(
            "The store's URL has an @ where none belongs: in a password write @ as %40, / as %2F and % as %25."
        )
    return given


def _close(connection: psycopg.Connection[Any], process: int) -> None:
    """End a connection, unless it is that of the process from which this one was forked."""
    if os.getpid() == process:
        connection.close()


def _extension(connection: psycopg.Connection[Any], where: str) -> str:
    """The schema that pgvector lies in; it is put into the database where that is allowed."""
    from psycopg import errors

    asked = """SELECT n.nspname, e.extversion FROM pg_catalog.pg_extension e
        JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'"""
    found = connection.execute(asked).fetchone()
    if found is None:
        try:
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        except errors.InsufficientPrivilege:
            why = "let its owner run `CREATE EXTENSION vector` in it once"
        except errors.Error:
            why = "install pgvector on the server"
        else:
            return _extension(connection, where)
        raise SpaceError(f"The database {where} has no pgvector: {why}.")
    if tuple(int(part) for part in found[1].split(".")[:2]) < LEAST_PGVECTOR:
        raise SpaceError(
            f"The database {where} has pgvector {found[1]}; {'.'.join(map(str, LEAST_PGVECTOR))} is needed: "
            "upgrade it and run `ALTER EXTENSION vector UPDATE`."
        )
    return str(found[0])
