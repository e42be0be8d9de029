"""Mistakes in addresses of stores on servers and in buckets, and servers that are not there."""

from __future__ import annotations

from bad_input import row

from execution_dataflow.stores.artifact_names import check_artifact_name
from execution_dataflow.stores.opening import open_store


@row("an address of Redis with a port that is no number")
def _() -> None:
    open_store("redis://:pa/ss@cache.example")


@row("a misspelt option in an address of Redis")
def _() -> None:
    open_store("redis://cache.example/0?prefx=team")


@row("a Redis server that is not there")
def _() -> None:
    open_store("redis://127.0.0.1:9?retry_seconds=0.05")


@row("a key before the name of a bucket")
def _() -> None:
    from execution_dataflow.stores.objects import open_artifacts

    open_artifacts("s3://key:secret@lake/prefix")


@row("a misspelt option in an address of a bucket")
def _() -> None:
    from execution_dataflow.stores.objects import open_artifacts

    open_artifacts("s3://lake?regoin=eu-west-1")


@row("a name of an artifact that leads elsewhere")
def _() -> None:
    check_artifact_name("../secret")
