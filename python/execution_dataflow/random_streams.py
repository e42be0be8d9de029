"""Random streams that belong to an operation: the same whatever the order, the worker and the attempt (rule R3)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

    import numpy as np

__all__ = ["array_stream", "fresh_seed", "plain_stream", "seed_of"]

# What numpy's SeedSequence draws itself when nobody gives a seed.
_SEED_BYTES = 16


def seed_of(name: str) -> int:
    """Return the seed of a run that has to draw the same again when it is resumed.

    Parameters
    ----------
    name : str
        The run id.

    Returns
    -------
    int
        128 bits.

    Examples
    --------
    >>> seed_of("nightly") == seed_of("nightly") != seed_of("daily")
    True
    """
    from hashlib import blake2b

    return int.from_bytes(blake2b(name.encode(errors="surrogatepass"), digest_size=16, person=b"seed").digest())


def fresh_seed() -> int:
    """Return a seed that nobody gave, from the operating system.

    Returns
    -------
    int
        128 bits.

    Examples
    --------
    >>> 0 <= fresh_seed() < 2**128
    True
    """
    return int.from_bytes(os.urandom(_SEED_BYTES), "little")


def array_stream(seed: int, identity: str) -> np.random.Generator:
    """Return the numpy generator of one operation.

    The generator is PCG64 over ``SeedSequence(seed, spawn_key=h)``, where ``h`` is a 128-bit BLAKE2b hash of the
    identity as four 32-bit words: independent streams for different operations, equal ones in every process. The bit
    generator is named here and not left to numpy's default, which may change between versions.

    Parameters
    ----------
    seed : int
        The seed of the run, not negative.
    identity : str
        The stable identity of the operation.

    Returns
    -------
    numpy.random.Generator
        A new generator at the beginning of the stream.

    Examples
    --------
    >>> first, again, other = array_stream(7, "load"), array_stream(7, "load"), array_stream(7, "clean")
    >>> a, b, c = first.random(), again.random(), other.random()
    >>> a == b, a == c
    (True, False)
    """
    from hashlib import blake2b

    import numpy as np

    digest = blake2b(identity.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    words = tuple(int.from_bytes(digest[start : start + 4], "little") for start in range(0, 16, 4))
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=words)))


def plain_stream(seed: int, identity: str) -> Random:
    """Return the standard-library generator of one operation, for code that needs no numpy.

    Parameters
    ----------
    seed : int
        The seed of the run, not negative.
    identity : str
        The stable identity of the operation.

    Returns
    -------
    random.Random
        A new generator at the beginning of the stream.

    Examples
    --------
    >>> plain_stream(7, "load").random() == plain_stream(7, "load").random()
    True
    """
    from hashlib import blake2b
    from random import Random

    hashed = blake2b(str(seed).encode(), digest_size=32, person=b"plain stream")
    hashed.update(b"\0" + identity.encode("utf-8", "surrogatepass"))
    return Random(int.from_bytes(hashed.digest(), "little"))
