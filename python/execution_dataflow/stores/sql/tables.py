"""The tables of a store as SQLAlchemy knows them: what `schema` has made after its last step."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Double, LargeBinary, MetaData, Table, Text
from sqlalchemy.types import TypeEngine

__all__ = ["ARTIFACTS", "ARTIFACT_PARTS", "BATCHES", "CACHE", "CLAIMS", "METADATA", "RUNS", "SEGMENTS", "STATE"]

METADATA = MetaData()


def _table(name: str, /, **columns: type[TypeEngine[Any]]) -> Table:
    return Table(
        name, METADATA, *(Column(column, kind(), primary_key=column == "id") for column, kind in columns.items())
    )


RUNS = _table(
    "runs",
    id=BigInteger,
    run_id=Text,
    graph_name=Text,
    state=Text,
    created_at=Double,
    updated_at=Double,
    metadata=Text,
    leases=BigInteger,
    owner_token=Text,
    owner_host=Text,
    owner_process=BigInteger,
    owner_started=Text,
    lease_seconds=Double,
    lease_ends=Double,
    commit_count=BigInteger,
)
BATCHES = _table("batches", run=BigInteger, epoch=BigInteger, batch=BigInteger)
SEGMENTS = _table(
    "segments",
    id=BigInteger,
    run=BigInteger,
    commit_count=BigInteger,
    commit_keys=Text,
    artifacts=Text,
    data=LargeBinary,
    checksum=BigInteger,
)
STATE = _table("state", namespace=Text, key=Text, value=LargeBinary, version=BigInteger, checksum=BigInteger)
CACHE = _table(
    "cache",
    key=Text,
    operation=Text,
    outputs=LargeBinary,
    artifacts=Text,
    size=BigInteger,
    seconds=Double,
    created_at=Double,
    used_at=Double,
    expires_at=Double,
    checksum=BigInteger,
)
CLAIMS = _table(
    "claims",
    name=Text,
    owner_token=Text,
    owner_host=Text,
    owner_process=BigInteger,
    owner_started=Text,
    seconds=Double,
    ends=Double,
)
ARTIFACTS = _table("artifacts", id=BigInteger, name=Text, size=BigInteger, written_at=Double)
ARTIFACT_PARTS = _table("artifact_parts", artifact=BigInteger, number=BigInteger, data=LargeBinary)
