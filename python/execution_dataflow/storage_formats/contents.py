"""Digests of artifacts, and whether and how they are compressed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from hashlib import sha256
from importlib import import_module
from typing import Any

from execution_dataflow.errors import MissingExtraError
from execution_dataflow.storage_formats.payloads import size_of
from execution_dataflow.stores.artifacts import Bytes

__all__ = ["compressed", "decompressed", "digest_of", "pays"]

# A digest is the SHA-256 of those of pieces of this size, so that several processors can work at one.
_PIECE = 4 << 20
# Where threads pay: starting them takes what hashing 1 MB takes.
_PIECES_FOR_THREADS = 8
_THREADS = 4
# Compression takes longer than the disk for what is smaller, and saves nothing: a file has blocks of 4 KiB.
_SMALLEST = 8 << 10
_SAMPLE = 16 << 10
# zstd reads 1 GB/s, a disk about as much: less than a quarter saved is not worth having to copy.
_WORTH = 0.75
_LEVEL = 1


def _pieces(parts: Sequence[Bytes]) -> Iterator[list[memoryview]]:
    piece: list[memoryview] = []
    room = _PIECE
    for part in parts:
        view = memoryview(part)
        while len(view):
            taken = view[:room]
            piece.append(taken)
            view = view[len(taken) :]
            room -= len(taken)
            if not room:
                yield piece
                piece, room = [], _PIECE
    if piece:
        yield piece


def _piece_digest(piece: list[memoryview]) -> bytes:
    state = sha256()
    for view in piece:
        state.update(view)
    return state.digest()


def digest_of(parts: Sequence[Bytes]) -> str:
    """Return the digest of an artifact, in hexadecimal: however it is cut into parts, the same.

    Examples
    --------
    >>> digest_of([b"ab", b"c"]) == digest_of([b"abc"])
    True
    """
    pieces = list(_pieces(parts))
    if len(pieces) < _PIECES_FOR_THREADS:
        digests = map(_piece_digest, pieces)
        return sha256(b"".join(digests)).hexdigest()
    from concurrent.futures import ThreadPoolExecutor

    # hashlib lets go of the interpreter meanwhile.
    with ThreadPoolExecutor(_THREADS, "digest") as threads:
        return sha256(b"".join(threads.map(_piece_digest, pieces))).hexdigest()


@cache
def _library() -> Any:
    """The module that has zstd: the standard library's, from Python 3.14 on, or the extra's; ``None`` without."""
    for name in ("compression.zstd", "zstandard"):
        try:
            return import_module(name)
        except ImportError:
            continue
    return None


def pays(parts: Sequence[Bytes]) -> bool:
    """Return whether compression makes an artifact smaller by a quarter or more, judged by samples of it."""
    size = size_of(parts)
    if size < _SMALLEST or _library() is None:
        return False
    sample = b"".join(_samples(parts, size))
    return len(_packed([sample])) < _WORTH * len(sample)


def _samples(parts: Sequence[Bytes], size: int) -> Iterator[bytes]:
    """The first, the middle and the last of an artifact."""
    if size <= 3 * _SAMPLE:
        yield from map(bytes, parts)
        return
    wanted = [(start, start + _SAMPLE) for start in (0, (size - _SAMPLE) // 2, size - _SAMPLE)]
    offset = 0
    for part in parts:
        view = memoryview(part)
        for start, end in wanted:
            yield bytes(view[max(0, start - offset) : max(0, end - offset)])
        offset += len(view)


def compressed(parts: Sequence[Bytes]) -> list[Bytes]:
    """Return an artifact, compressed.

    Raises
    ------
    MissingExtraError
        There is no zstd.
    """
    if _library() is None:
        raise MissingExtraError("zstd", "writing compressed artifacts")
    return [_packed(parts)]


def _packed(parts: Sequence[Bytes]) -> bytes:
    library = _library()
    if library.__name__ == "zstandard":
        packer = library.ZstdCompressor(level=_LEVEL).compressobj(size=size_of(parts))
    else:
        packer = library.ZstdCompressor(level=_LEVEL)
    packed = [packer.compress(part) for part in parts]
    return b"".join([*packed, packer.flush()])


def decompressed(data: memoryview, size: int) -> memoryview:
    """Return an artifact as it was before it was compressed.

    Parameters
    ----------
    data : memoryview
        The artifact.
    size : int
        How many bytes there were.

    Raises
    ------
    MissingExtraError
        There is no zstd.
    ValueError
        It is not what was compressed.
    """
    library = _library()
    if library is None:
        raise MissingExtraError("zstd", "reading compressed artifacts")
    try:
        if library.__name__ == "zstandard":
            content = library.ZstdDecompressor().decompress(data, max_output_size=size)
        else:
            content = library.ZstdDecompressor().decompress(data, max_length=size)
    except (library.ZstdError, EOFError) as error:
        raise ValueError(f"it cannot be decompressed: {error}") from error
    if len(content) != size:
        raise ValueError(f"it has {len(content)} bytes when decompressed, not {size}")
    return memoryview(content)
