"""The digest of one value."""

from __future__ import annotations

from execution_dataflow.fingerprinting.operation_digests import OperationDigests

__all__ = ["value_digest"]


def value_digest(value: object) -> bytes:
    """Return a digest of a value.

    Values that are equal and of the same types have the same one, in another process too, whatever ``PYTHONHASHSEED``
    is. The order of a dict counts, that of a set does not. Arrays and tables count by type, shape and content;
    functions and classes of the user's by what they do; other objects by what they would be pickled from, or by what
    their ``__fingerprint__`` method returns.

    Parameters
    ----------
    value : object
        The value.

    Returns
    -------
    bytes
        16 bytes.

    Raises
    ------
    UnfingerprintableError
        There is something in it of which nobody can tell whether it is the same: a connection, an open file.

    Examples
    --------
    >>> value_digest({"days": {1, 2}}) == value_digest({"days": {2, 1}})
    True
    >>> value_digest(1) == value_digest(1.0)
    False
    """
    return OperationDigests({}, None).value(value)
