"""A Redis server that the tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from stores.on_redis.redis_server import DURABLE, RedisServer


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A server that no test stops; each test has a prefix of its own, or empties it."""
    with RedisServer(*DURABLE) as server:
        yield server
