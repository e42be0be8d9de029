"""Keys by which a service outside recognises a request that it has had before."""

from __future__ import annotations

__all__ = ["idempotency_key"]


def idempotency_key(run_id: str, graph: str, operation: str, parts: tuple[str | int | bytes, ...] = ()) -> str:
    """Return the key of one request of one operation of one run.

    It is a BLAKE2b hash of the arguments, in the form of a UUID of version 8 (RFC 9562), which is what services accept
    that want a key of a certain form.

    Parameters
    ----------
    run_id, graph : str
        The run, and the name of its graph: a run id such as a date may be that of several graphs.
    operation : str
        The stable identity of the operation or item (rule G6).
    parts : tuple of str, int or bytes
        Which of its requests it is.

    Returns
    -------
    str
        36 characters, the same in every process and on every machine.

    Examples
    --------
    >>> idempotency_key("2026-11-22", "billing", "charge[17]")
    '...-...-8...-...-...'
    >>> idempotency_key("2026-11-22", "billing", "charge", ("order", 1)) == idempotency_key(
    ...     "2026-11-22", "billing", "charge", ("order", "1")
    ... )
    False
    """
    from hashlib import blake2b

    hashed = blake2b(digest_size=16, person=b"idempotency key")
    for part in (run_id, graph, operation, *parts):
        kind, data = _as_bytes(part)
        # The length keeps ("ab", "c") and ("a", "bc") apart.
        hashed.update(b"%c%d:%b" % (kind, len(data), data))
    digits = bytearray(hashed.digest())
    digits[6] = digits[6] & 0x0F | 0x80
    digits[8] = digits[8] & 0x3F | 0x80
    text = digits.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def _as_bytes(part: str | int | bytes) -> tuple[bytes, bytes]:
    if isinstance(part, str):
        return b"s", part.encode("utf-8", "surrogatepass")
    if isinstance(part, int) and not isinstance(part, bool):
        return b"i", b"%d" % part
    if isinstance(part, bytes):
        return b"b", part
    raise TypeError(
        f"a part of an idempotency key is a str, an int or bytes, not {type(part).__name__}: give what names it for "
        "good, such as order.id"
    )
