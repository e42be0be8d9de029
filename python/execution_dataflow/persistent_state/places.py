"""The names under which state is kept: namespaces and keys."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Place", "checked_key", "checked_namespace", "checked_prefix", "operation_namespace"]

# What goes before the names of operations: shared namespaces seldom begin like this.
_OF_OPERATIONS = "operation:"


class Place(NamedTuple):
    """Where a value is kept."""

    namespace: str
    key: str

    @property
    def label(self) -> str:
        """What errors call its value, and what its record is bound to: no other place has it."""
        key = self.key
        if " of " in key:
            key = key.replace("%", "%25").replace(" of ", "%20of%20")
        return f"{key} of {self.namespace}"


def operation_namespace(graph: str, operation: str) -> str:
    """Return the namespace of an operation.

    Parameters
    ----------
    graph : str
        The name of the graph that runs.
    operation : str
        The name of the operation, with those of the nested graphs that it lies in.

    Returns
    -------
    str
        Different for all pairs: slashes and percent signs in the name of the graph are written as in addresses.

    Examples
    --------
    >>> operation_namespace("nightly", "clean/parse")
    'operation:nightly/clean/parse'
    >>> operation_namespace("sales/eu", "load")
    'operation:sales%2Feu/load'
    """
    whole = _OF_OPERATIONS + graph.replace("%", "%25").replace("/", "%2F") + "/" + operation
    if "\0" in whole:
        whole = whole.replace("\0", "\\0")
    # A lone surrogate, as in a file name that is no UTF-8, has no place in a database.
    return whole.encode("utf-8", "backslashreplace").decode("utf-8")


def checked_key(key: str) -> str:
    """Return a key of state that is one.

    Raises
    ------
    TypeError, ValueError
        It is not.
    """
    return _checked(key, "a key of persistent state")


def checked_namespace(name: str) -> str:
    """Return the name of a namespace that is one.

    Raises
    ------
    TypeError, ValueError
        It is not.
    """
    return _checked(name, "the name of a namespace of persistent state")


def checked_prefix(prefix: str) -> str:
    """Return a prefix of keys that is one; it may be empty.

    Raises
    ------
    TypeError, ValueError
        It is not.
    """
    return prefix if prefix == "" else _checked(prefix, "a prefix of keys")


def _checked(text: str, what: str) -> str:
    if not isinstance(text, str):
        raise TypeError(f"{what} is a str, not {type(text).__name__}")
    if not text:
        raise ValueError(f"{what} is not empty")
    if "\0" in text:
        raise ValueError(f"{what} has no null characters, as {text!r} has: databases cannot keep them")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{what} is text that UTF-8 can write, not {text!r}") from None
    return text
