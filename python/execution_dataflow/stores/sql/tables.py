"""The tables of a store as SQLAlchemy knows them: what `schema` has made after its last step."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Double, LargeBinary, MetaData, Table, Text
from sqlalchemy.types import TypeEngine

__all__ = ["ARTIFACTS", "ARTIFACT_PARTS", "BATCHES", "CACHE", "CLAIMS", "METADATA", "RUNS", "SEGMENTS", "STATE"]

METADATA = MetaData()


def _table(name: str, /, **columns: type[TypeEngine[Any]]) -> Table:
    return Table(name, METADATA, *(Column(column, kind()) for column, kind in columns.items()))


RUNS = Table(
    "runs",
    METADATA,
    Column("id", BigInteger(), primary_key=True),
    Column("run_id", Text()),
    Column("graph_name", Text()),
    Column("state", Text()),
    Column("created_at", Double()),
    Column("updated_at", Double()),
    Column("metadata", Text()),
    Column("leases", BigInteger()),
    Column("owner_token", Text()),
    Column("owner_host", Text()),
    Column("owner_process", BigInteger()),
    Column("owner_started", Text()),
    Column("lease_seconds", Double()),
    Column("lease_ends", Double()),
    Column("commit_count", BigInteger()),
)
BATCHES = _table("batches", run=BigInteger, epoch=BigInteger, batch=BigInteger)
SEGMENTS = Table(
    "segments",
    METADATA,
    Column("id", BigInteger(), primary_key=True),
    Column("run", BigInteger()),
    Column("commit_count", BigInteger()),
    Column("commit_keys", Text()),
    Column("artifacts", Text()),
    Column("data", LargeBinary()),
    Column("checksum", BigInteger()),
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
ARTIFACTS = Table(
    "artifacts",
    METADATA,
    Column("id", BigInteger(), primary_key=True),
    Column("name", Text()),
    Column("size", BigInteger()),
    Column("written_at", Double()),
)
ARTIFACT_PARTS = _table("artifact_parts", artifact=BigInteger, number=BigInteger, data=LargeBinary)
