"""Addresses such as ``redis://user@host:6379/0?prefix=team``, taken apart."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from execution_dataflow.nearest import nearest_name

__all__ = ["RedisAddress"]

_SHAPE = "redis://user:password@host:6379/0?prefix=name"
_TLS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_OPTIONS = ("prefix", "retry_seconds", "timeout_seconds", "artifact_limit", "ssl_cert_reqs", *_TLS)
_DEFAULT_PREFIX = "execution-dataflow"


@dataclass(frozen=True)
class RedisAddress:
    """Where a store on Redis is, and how to get there.

    Attributes
    ----------
    host : str
        The server.
    port, database : int
        Which one there.
    prefix : str
        What tells the keys of this store from others of the same database.
    username, password : str or None
        They are in no text that this class makes.
    tls : bool
        Whether the connection is encrypted.
    retry_seconds : float
        For how long a request is repeated while the server is not to be reached.
    timeout_seconds : float
        How long one answer may take.
    artifact_limit : int
        How many bytes an artifact may have.
    tls_options : dict
        What redis-py is told of certificates.

    Examples
    --------
    >>> address = RedisAddress.parse("redis://ada:secret@cache.example/2?prefix=etl")
    >>> address.host, address.port, address.database, address.prefix
    ('cache.example', 6379, 2, 'etl')
    >>> print(address)
    redis://ada@cache.example:6379/2?prefix=etl
    """

    host: str
    port: int = 6379
    database: int = 0
    prefix: str = _DEFAULT_PREFIX
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    retry_seconds: float = 30.0
    timeout_seconds: float = 20.0
    artifact_limit: int = 128 << 20
    tls_options: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def parse(cls, address: str) -> RedisAddress:
        """Take an address apart.

        Parameters
        ----------
        address : str
            ``redis://`` or, encrypted, ``rediss://``. A password that is not in it is taken from the environment's
            ``REDISCLI_AUTH``, as redis-cli does.

        Raises
        ------
        ValueError
            It cannot be understood. The message does not repeat the address, since a password may be in it.
        """
        try:
            parts = urlsplit(address)
            port = parts.port or 6379
            options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        except ValueError:
            raise ValueError(
                f"the address of the Redis server cannot be read; it looks like {_SHAPE}, and a password with one of "
                "/ @ : # ? in it has to be percent-encoded"
            ) from None
        if parts.scheme not in ("redis", "rediss") or not parts.hostname or parts.fragment:
            raise ValueError(f"that is no address of a Redis server: it looks like {_SHAPE}")
        for name in options:
            _refuse_unknown(name)
        return cls(
            host=parts.hostname,
            port=port,
            database=_whole("the database, which follows the host,", parts.path.strip("/") or "0", least=0),
            prefix=_prefix(options.get("prefix", _DEFAULT_PREFIX)),
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else os.environ.get("REDISCLI_AUTH") or None,
            tls=parts.scheme == "rediss",
            retry_seconds=_seconds("retry_seconds", options.get("retry_seconds", "30"), least=0.0),
            timeout_seconds=_seconds("timeout_seconds", options.get("timeout_seconds", "20"), least=0.05),
            artifact_limit=_whole("artifact_limit", options.get("artifact_limit", str(128 << 20)), least=1),
            tls_options=_tls_options(parts.scheme, options),
        )

    def __str__(self) -> str:
        user = f"{quote(self.username, safe='')}@" if self.username else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        prefix = "" if self.prefix == _DEFAULT_PREFIX else f"?prefix={quote(self.prefix, safe='')}"
        return f"redis{'s' if self.tls else ''}://{user}{host}:{self.port}/{self.database}{prefix}"

    @property
    def library_options(self) -> dict[str, Any]:
        """What redis-py's client is made with; the password is in it."""
        options: dict[str, Any] = {
            "host": self.host,
            "port": self.port,
            "db": self.database,
            "username": self.username,
            "password": self.password,
            "socket_timeout": self.timeout_seconds,
            "socket_connect_timeout": min(5.0, self.timeout_seconds),
            "socket_keepalive": True,
            "decode_responses": False,
            "protocol": 2,
        }
        return {**options, "ssl": True, **self.tls_options} if self.tls else options


def _refuse_unknown(name: str) -> None:
    if name not in _OPTIONS:
        guess = nearest_name(name, _OPTIONS)
        hint = f"; did you mean {guess}=?" if guess else ""
        raise ValueError(f"an address of Redis has no option {name!r}: known are {', '.join(_OPTIONS)}{hint}")


def _whole(name: str, text: str, least: int) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) < least:
        raise ValueError(f"{name} is a whole number of at least {least}, not {text!r}")
    return int(text)


def _seconds(name: str, text: str, least: float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not least <= number < math.inf:
        raise ValueError(f"{name} is a number of seconds, at least {least:g}, not {text!r}")
    return number


def _prefix(text: str) -> str:
    # The braces around it in a key must end where it ends: one prefix can then not be the beginning of another's keys.
    if not text or "{" in text or "}" in text:
        raise ValueError(f"prefix= is a text without braces that is not empty, not {text!r}")
    return text


def _tls_options(scheme: str, options: dict[str, str]) -> dict[str, str]:
    chosen = {name: value for name, value in options.items() if name.startswith("ssl_")}
    if chosen and scheme != "rediss":
        raise ValueError(f"{', '.join(chosen)} only means something for rediss://")
    requirement = chosen.get("ssl_cert_reqs", "required")
    if requirement not in ("required", "optional", "none"):
        raise ValueError(f"ssl_cert_reqs is required, optional or none, not {requirement!r}")
    return chosen
