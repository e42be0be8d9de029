"""Durations, sizes and counts as a person reads them."""

from __future__ import annotations

__all__ = ["bytes_text", "counted", "duration_text"]


def duration_text(seconds: float) -> str:
    """Return a duration in the unit that a person would choose.

    Parameters
    ----------
    seconds : float
        The duration.

    Returns
    -------
    str
        With three significant digits, or as hours, minutes and seconds.

    Examples
    --------
    >>> [duration_text(seconds) for seconds in (0.0000021, 0.0345, 12.3456, 75, 7384)]
    ['2.1 µs', '34.5 ms', '12.3 s', '1 min 15 s', '2 h 3 min 4 s']
    """
    if seconds < 1e-3:
        return f"{seconds * 1e6:.3g} µs"
    if seconds < 0.9995:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 59.95:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min {rest} s" if hours else f"{minutes} min {rest} s"


def bytes_text(size: int) -> str:
    """Return a number of bytes in the decimal unit that a person would choose.

    Parameters
    ----------
    size : int
        The number of bytes.

    Returns
    -------
    str
        With three significant digits.

    Examples
    --------
    >>> [bytes_text(size) for size in (0, 999, 1_000, 123_456, 2_500_000_000, 10**18)]
    ['0 bytes', '999 bytes', '1 kB', '123 kB', '2.5 GB', '1000000 TB']
    """
    if size < 1000:
        return f"{size} bytes"
    scaled = float(size)
    for unit in ("kB", "MB", "GB"):
        scaled /= 1000
        if scaled < 999.5:
            return f"{scaled:.3g} {unit}"
    return f"{scaled / 1000:.3g} TB" if scaled < 999_500 else f"{scaled / 1000:.0f} TB"


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """Return a number of things.

    Parameters
    ----------
    count : int
        How many.
    noun : str
        What one of them is called.
    plural : str, optional
        What several are called; the noun with an s by default.

    Returns
    -------
    str
        Both, with commas between thousands.

    Examples
    --------
    >>> counted(1, "operation"), counted(12000, "operation"), counted(2, "branch", "branches")
    ('1 operation', '12,000 operations', '2 branches')
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
