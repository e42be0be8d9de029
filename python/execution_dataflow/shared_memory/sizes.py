"""Which sizes blocks of shared memory have, and how many of them are made at once."""

from __future__ import annotations

__all__ = ["ALONE", "PAGE", "THRESHOLD", "block_size", "blocks_at_once", "largest_fit"]

PAGE = 4096

THRESHOLD = 128 * 1024
"""What is smaller travels in the message itself: as quick, and nothing has to be given back (measured by
``benches/shared_memory.py --threshold``)."""

ALONE = 64 * 1024 * 1024
"""A block of this size or more is a segment of its own."""

# Together the blocks of a new segment are this large at least, so that many small ones do not need a file each ...
_LEAST_SEGMENT = 2 * 1024 * 1024
# ... and grow with what there is already: the number of files grows with the logarithm of the number of blocks.
_GROWTH = 2
_MOST_BLOCKS = 4096


def block_size(length: int) -> int:
    """Return the size of the blocks that serve a length: eight sizes for each doubling, of whole pages.

    Parameters
    ----------
    length : int
        Bytes, at least 1.

    Returns
    -------
    int
        At most an eighth, or a page, more than the length.

    Examples
    --------
    >>> block_size(1_000_000), block_size(1 << 30) == 1 << 30
    (1048576, True)
    """
    step = max(PAGE, 1 << max(0, (length - 1).bit_length() - 4))
    return -(-length // step) * step


def largest_fit(size: int) -> int:
    """Return the largest block that is given out where one of ``size`` would do, rather than making a new one."""
    return size + size // 4


def blocks_at_once(size: int, existing: int) -> int:
    """Return how many blocks a new segment has.

    Parameters
    ----------
    size : int
        The size of each.
    existing : int
        How many of this size were made before.

    Examples
    --------
    >>> blocks_at_once(128 * 1024, 0), blocks_at_once(128 * 1024, 1000), blocks_at_once(1 << 30, 10)
    (16, 500, 1)
    """
    if size >= ALONE:
        return 1
    most = min(ALONE // size, _MOST_BLOCKS)
    return max(1, min(most, max(_LEAST_SEGMENT // size, existing // _GROWTH)))
