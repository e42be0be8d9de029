"""Addresses of databases: what is in them, and how to show them without a password."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from execution_dataflow.nearest import nearest_name

__all__ = ["PostgresqlAddress", "SqliteAddress", "database_of"]

# A path may hold a question mark; settings are what follows the last one and looks like settings.
_SETTINGS = re.compile(r"\?((?:[a-z_]+=[^&/\\?]*)(?:&[a-z_]+=[^&/\\?]*)*)$")


def database_of(address: str) -> str:
    """Return the kind of database that an address names, whatever driver it names beside it.

    Examples
    --------
    >>> database_of("postgresql+psycopg://db.example/runs")
    'postgresql'
    """
    return address.partition("://")[0].partition("+")[0].lower()


@dataclass(frozen=True)
class SqliteAddress:
    """A file, and how it is used.

    Attributes
    ----------
    path : Path
        The file, absolute.
    busy_seconds : float
        For how long to wait while another process writes.
    artifacts : str
        Where large values go unless something else is said: ``"directory"`` beside the file, or ``"database"``.
    """

    path: Path
    busy_seconds: float = 60.0
    artifacts: str = "directory"

    @classmethod
    def parse(cls, address: str) -> SqliteAddress:
        """Read an address such as ``sqlite:///runs.db?busy_seconds=5``.

        Examples
        --------
        >>> SqliteAddress.parse("sqlite:////data/runs.db?busy_seconds=5").busy_seconds
        5.0
        """
        scheme, _, rest = address.partition("://")
        _check_driver(scheme, "sqlite", "pysqlite")
        if not rest.startswith("/"):
            raise ValueError(
                f"{address!r} is no address of a file: it has three slashes before a path of this folder "
                "(sqlite:///runs.db), and four before one from the root (sqlite:////data/runs.db)"
            )
        rest = rest[1:]
        found = _SETTINGS.search(rest)
        settings = dict(parse_qsl(found.group(1), keep_blank_values=True)) if found else {}
        name = rest[: found.start()] if found else rest
        if name in ("", ":memory:") or name.startswith("file:"):
            raise ValueError(f"{address!r} names no file: what is kept in memory would be gone with the process")
        known = ("busy_seconds", "artifacts")
        for setting in settings:
            if setting not in known:
                guess = nearest_name(setting, known)
                hint = f"; did you mean {guess}?" if guess else ""
                raise ValueError(f"there is no setting {setting!r} of SQLite: known are {', '.join(known)}{hint}")
        where = settings.get("artifacts", "directory")
        if where not in ("directory", "database"):
            raise ValueError(f"artifacts={where} in the address of a store must be directory or database")
        seconds = _seconds("busy_seconds", settings.get("busy_seconds", "60"))
        return cls(Path(name).absolute(), seconds, where)

    def __str__(self) -> str:
        settings: dict[str, str] = {}
        if self.busy_seconds != 60.0:
            settings["busy_seconds"] = f"{self.busy_seconds:g}"
        if self.artifacts != "directory":
            settings["artifacts"] = self.artifacts
        return f"sqlite:///{self.path}" + (f"?{urlencode(settings)}" if settings else "")


@dataclass(frozen=True)
class PostgresqlAddress:
    """A database of a server, and how it is used. The password is in `connect` alone, which no repr shows."""

    shown: str
    connect: _Hidden
    schema: str = "execution_dataflow"
    reconnect_seconds: float = 60.0

    @classmethod
    def parse(cls, address: str) -> PostgresqlAddress:
        """Read an address such as ``postgresql://user@host/database?schema=team&reconnect_seconds=300``.

        Examples
        --------
        >>> print(PostgresqlAddress.parse("postgresql://ada:secret@db.example/runs?sslmode=require"))
        postgresql://ada@db.example/runs?sslmode=require
        """
        scheme = address.partition("://")[0]
        _check_driver(scheme, "postgresql", "psycopg")
        try:
            parts = urlsplit(f"postgresql://{address.partition('://')[2]}")
            port = parts.port
        except ValueError:
            raise ValueError(
                "the address of a PostgreSQL store cannot be read: its form is postgresql://user@host:port/database, "
                "and signs such as @, / and : in a password are written %40, %2F and %3A"
            ) from None
        settings = dict(parse_qsl(parts.query, keep_blank_values=True))
        schema = settings.pop("schema", "execution_dataflow")
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,62}", schema):
            raise ValueError(f"schema={schema!r} in the address of a store must be letters, digits and _")
        seconds = _seconds("reconnect_seconds", settings.pop("reconnect_seconds", "60"))
        connect: dict[str, Any] = dict(settings)
        for name, value in (("user", parts.username), ("password", parts.password), ("host", parts.hostname)):
            if value:
                connect[name] = unquote(value)
        if port is not None:
            connect["port"] = port
        database = unquote(parts.path.removeprefix("/"))
        if database:
            connect["dbname"] = database
        shown = {name: value for name, value in settings.items() if "pass" not in name}
        if schema != "execution_dataflow":
            shown["schema"] = schema
        if seconds != 60.0:
            shown["reconnect_seconds"] = f"{seconds:g}"
        user = f"{quote(unquote(parts.username))}@" if parts.username else ""
        place = parts.netloc.rpartition("@")[2]
        query = f"?{urlencode(shown)}" if shown else ""
        return cls(f"postgresql://{user}{place}/{quote(database)}{query}", _Hidden(connect), schema, seconds)

    def __str__(self) -> str:
        return self.shown


class _Hidden(dict[str, Any]):
    """Arguments of a connection; a password may be among them."""

    def __repr__(self) -> str:
        return f"<{', '.join(self)}>"


def _check_driver(scheme: str, name: str, driver: str) -> None:
    given = scheme.partition("+")[2]
    if given not in ("", driver):
        raise ValueError(f"a store is opened with the driver {driver}, not {given}: {name}://...")


def _seconds(name: str, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= 86_400:
        raise ValueError(f"{name}={text} in the address of a store must be a number of seconds from 0 to 86400")
    return seconds
