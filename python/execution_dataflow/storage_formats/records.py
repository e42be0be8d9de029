"""The envelope of a record: its version, a checksum and, with a key, a signature.

::

    4 bytes   what it is: signed or not, and the version twice, the second time with every bit turned
    4 bytes   the length of the directory, little-endian
    ...       the directory, as JSON, and what it refers to
    32 bytes  the signature, if there is one: BLAKE2b with the key
    16 bytes  the checksum: SHA-256, cut off

Signature and checksum cover what stands before them, and what the record is bound to: something that its reader knows
and the record does not contain, such as the operation whose outputs it holds. So no record can take another one's
place. A later version may change all but the first four bytes.
"""

from __future__ import annotations

from hashlib import blake2b, sha256
from hmac import compare_digest
from struct import Struct

from execution_dataflow.store_errors import DamagedArtifactError, StoreFormatError, UntrustedArtifactError

__all__ = ["UNSIGNED", "VERSION", "Seal"]

VERSION = 1
"""The version that is written. All versions from 1 on are read."""

# They differ in every bit: one that is turned makes neither of the other.
UNSIGNED = b"\xa5U" + bytes((VERSION, VERSION ^ 0xFF))
"""What a record begins with that has no signature."""

_SIGNED = b"\xa5\xaa" + bytes((VERSION, VERSION ^ 0xFF))
_CHECKSUM = 16
_SIGNATURE = 32
_HEAD = Struct("<4sI")
_LENGTH = Struct("<Q")


class Seal:
    """Puts records into their envelopes, and takes them out.

    Parameters
    ----------
    key : bytes or None
        The secret that signs.
    """

    def __init__(self, key: bytes | None) -> None:
        self._magic = UNSIGNED if key is None else _SIGNED
        # A keyed state to copy costs half of making one; BLAKE2b takes 64 bytes of key, so longer ones are hashed.
        self._keyed = None if key is None else blake2b(digest_size=_SIGNATURE, key=blake2b(key).digest())

    def sealed(self, directory: bytes, blobs: bytes, bound_to: bytes) -> bytes:
        """Return a record.

        Parameters
        ----------
        directory, blobs : bytes
            What is in it.
        bound_to : bytes
            What it belongs to.
        """
        bound = _LENGTH.pack(len(bound_to)) + bound_to
        record = _HEAD.pack(self._magic, len(directory)) + directory + blobs
        if self._keyed is not None:
            record += self._signature(bound, record)
        return record + sha256(bound + record).digest()[:_CHECKSUM]

    def opened(self, record: bytes, bound_to: bytes, what: str) -> tuple[bytes, int]:
        """Return the directory of a record, and where what follows it begins.

        Parameters
        ----------
        record : bytes
            What `sealed` returned.
        bound_to : bytes
            What it belongs to.
        what : str
            What it is, for messages.

        Raises
        ------
        DamagedArtifactError
            It is not what was written, or belongs elsewhere.
        UntrustedArtifactError
            There is a key, and it has not signed the record.
        StoreFormatError
            It is of a later version.
        """
        magic = record[:4]
        if magic == UNSIGNED:
            end = len(record) - _CHECKSUM
        elif magic == _SIGNED:
            end = len(record) - _CHECKSUM - _SIGNATURE
        else:
            raise _of_unknown_kind(magic, what)
        if end < _HEAD.size:
            raise DamagedArtifactError(what, f"it ends after {len(record)} bytes")
        bound = _LENGTH.pack(len(bound_to)) + bound_to
        if not record.endswith(sha256(bound + record[:-_CHECKSUM]).digest()[:_CHECKSUM]):
            raise DamagedArtifactError(what, "its checksum differs, or it belongs to something else")
        if self._keyed is not None:
            if magic != _SIGNED:
                raise UntrustedArtifactError(
                    f"{what} is not signed, and a key was given: it was written without one, or by somebody who does "
                    "not have it. Read it without key= if you trust the store, or let it be computed again"
                )
            if not compare_digest(self._signature(bound, record[:end]), record[end:-_CHECKSUM]):
                raise UntrustedArtifactError(
                    f"{what} was signed with another key, or changed by somebody who does not have the key: give the "
                    "key= that it was written with, or let it be computed again"
                )
        size = _HEAD.unpack_from(record)[1] + _HEAD.size
        if size > end:
            raise DamagedArtifactError(what, "its directory is longer than the record")
        return record[_HEAD.size : size], size

    def _signature(self, bound: bytes, record: bytes) -> bytes:
        assert self._keyed is not None
        state = self._keyed.copy()
        state.update(bound)
        state.update(record)
        return state.digest()


def _of_unknown_kind(magic: bytes, what: str) -> DamagedArtifactError | StoreFormatError:
    known = magic[:2] in (UNSIGNED[:2], _SIGNED[:2])
    if len(magic) == 4 and known and magic[2] ^ magic[3] == 0xFF:
        return StoreFormatError(
            f"{what} has version {magic[2]} of the storage format, and this package reads versions 1 to {VERSION}: "
            "install the execution-dataflow that wrote it, or a later one"
        )
    return DamagedArtifactError(what, "it does not begin as a record does")
