"""Secrets: values that an operation can use and that no repr, log or error of ours shows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

__all__ = ["Secret", "Secrets"]

MASK = "***"

# A number or flag shorter than this is not redacted: blackening every "8" in a log would hide the log and not the
# secret.
_SHORTEST_REDACTED_NUMBER = 4


class Secret:
    """A value that shows as ``***`` wherever it is printed, until it is asked for by `reveal`.

    Parameters
    ----------
    value : object
        The secret value.

    Examples
    --------
    >>> token = Secret("hunter2")
    >>> token, f"the token is {token}"
    (Secret('***'), 'the token is ***')
    >>> token.reveal()
    'hunter2'
    """

    __slots__ = ("_value",)

    _value: Any

    def __init__(self, value: Any) -> None:
        object.__setattr__(self, "_value", value)

    def reveal(self) -> Any:
        """Return the value itself.

        Returns
        -------
        object
            What the secret was made from.
        """
        return self._value

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a Secret cannot be changed: {name!r} was not set")

    def __reduce__(self) -> tuple[type[Secret], tuple[Any]]:
        return Secret, (self._value,)

    def __repr__(self) -> str:
        return f"Secret({MASK!r})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)


class Secrets(Mapping[str, Secret]):
    """The secrets of an `ExecutionContext`: a read-only mapping of names to `Secret` values.

    Parameters
    ----------
    values : mapping of str to object, optional
        The secrets by name; a value may already be a `Secret`.

    Examples
    --------
    >>> secrets = Secrets({"password": "hunter2"})
    >>> secrets
    Secrets('password')
    >>> secrets["password"].reveal()
    'hunter2'
    >>> secrets.redact("login failed for ada:hunter2")
    'login failed for ada:***'
    """

    __slots__ = ("_pattern", "_secrets")

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        if values is not None and not isinstance(values, Mapping):
            raise TypeError(f"secrets is a mapping of names to values, not {type(values).__name__}")
        self._secrets: dict[str, Secret] = {}
        for name, value in (values or {}).items():
            if not isinstance(name, str):
                raise TypeError(f"the name of a secret is a str, not {type(name).__name__}")
            self._secrets[name] = value if isinstance(value, Secret) else Secret(value)
        self._pattern = _pattern_of(self._secrets.values()) if self._secrets else None

    def redact(self, text: str) -> str:
        """Return the text with every secret value replaced by ``***``.

        Parameters
        ----------
        text : str
            Any text: a message, a traceback.

        Returns
        -------
        str
            The same object where nothing had to be replaced.
        """
        if self._pattern is None or self._pattern.search(text) is None:
            return text
        return self._pattern.sub(MASK, text)

    def __getitem__(self, name: str) -> Secret:
        try:
            return self._secrets[name]
        except KeyError:
            known = ", ".join(map(repr, self._secrets)) or "none were given"
            raise KeyError(f"no secret {name!r}; the secrets of this context: {known}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._secrets

    def __iter__(self) -> Iterator[str]:
        return iter(self._secrets)

    def __len__(self) -> int:
        return len(self._secrets)

    def __repr__(self) -> str:
        return f"Secrets({', '.join(map(repr, self._secrets))})"


def _pattern_of(secrets: Any) -> re.Pattern[str] | None:
    spellings: set[str] = set()
    for secret in secrets:
        for text in _texts(secret.reveal()):
            spellings.update(_spellings(text))
    spellings.discard("")
    if not spellings:
        return None
    # Longest first: of two secrets, one of which begins with the other, no tail may remain.
    longest_first = sorted(spellings, key=lambda spelling: (-len(spelling), spelling))
    return re.compile("|".join(map(re.escape, longest_first)))


def _texts(value: Any) -> Iterator[str]:
    """The texts inside a secret value, which may be nested (a dict with user and password)."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, bytes | bytearray):
        yield bytes(value).decode("utf-8", errors="ignore")
        yield repr(bytes(value))[2:-1]
    elif isinstance(value, Secret):
        yield from _texts(value.reveal())
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        text = repr(value)
        if len(text) >= _SHORTEST_REDACTED_NUMBER:
            yield text


def _spellings(text: str) -> Iterator[str]:
    """The ways in which a text turns up in messages: as it is, in a repr, in HTML, in JSON, in a URL."""
    if not text.strip():
        return
    yield text
    yield text.strip()
    yield repr(text)[1:-1]
    if text.isalnum() and text.isascii():
        return  # its spellings are all the same
    from html import escape
    from json import dumps
    from urllib.parse import quote, quote_plus

    yield escape(text)
    yield dumps(text)[1:-1]
    yield dumps(text, ensure_ascii=False)[1:-1]
    yield quote(text, safe="")
    yield quote(text)
    yield quote_plus(text)
