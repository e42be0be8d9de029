"""The name that a mistyped one most likely meant, for messages."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["nearest_name"]


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that a mistyped one most likely meant.

    Parameters
    ----------
    name : str
        What was written.
    known : iterable of str
        What could have been written.

    Returns
    -------
    str or None
        The nearest name, or ``None`` where nothing is similar.

    Examples
    --------
    >>> nearest_name("raw_dta", ["raw_data", "limit"])
    'raw_data'
    >>> nearest_name("zebra", ["raw_data", "limit"]) is None
    True
    """
    from difflib import get_close_matches  # an error path only: the import stays out of start-up

    candidates = list(known)
    matches = get_close_matches(name, candidates, n=1, cutoff=0.6)
    if matches:
        return matches[0]
    folded = {candidate.casefold(): candidate for candidate in candidates}
    return folded.get(name.casefold())
