"""Artifacts in a database: in parts, so that no statement carries more than a few megabytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from sqlalchemy import Connection, delete, insert, select

from execution_dataflow.store_errors import ArtifactNotFoundError, DamagedArtifactError, StoreError
from execution_dataflow.stores.artifacts import ArtifactInfo, Bytes
from execution_dataflow.stores.sql.database import Database
from execution_dataflow.stores.sql.tables import ARTIFACT_PARTS, ARTIFACTS

__all__ = ["DatabaseArtifacts"]

_PART = 8 << 20
_PAGE = 1024


class DatabaseArtifacts:
    """An `ArtifactStore` in the tables of a database.

    Parameters
    ----------
    database : Database
        That of a journal, which closes it.
    part_bytes : int
        How much goes into one row.
    """

    def __init__(self, database: Database, part_bytes: int = _PART) -> None:
        self._database = database
        self._part_bytes = part_bytes
        self._closed = False

    @property
    def address(self) -> str:
        """What opens it again, for messages: no password is in it."""
        return self._database.address

    @property
    def is_local(self) -> bool:
        """Whether it is a file of this machine."""
        return self._database.is_local

    def __repr__(self) -> str:
        return f"<DatabaseArtifacts {self.address}>"

    def write(self, name: str, parts: Sequence[Bytes]) -> None:
        """Write an artifact in one transaction."""
        views = [memoryview(part).cast("B") for part in parts]
        size = sum(view.nbytes for view in views)

        def work(connection: Connection) -> None:
            _delete(connection, name)
            values = {"name": name, "size": size, "written_at": self._opened().now(connection)}
            artifact = connection.execute(insert(ARTIFACTS).values(**values).returning(ARTIFACTS.c.id)).scalar_one()
            for number, data in enumerate(_pieces(views, self._part_bytes)):
                connection.execute(insert(ARTIFACT_PARTS).values(artifact=artifact, number=number, data=data))

        self._opened().write(work)

    def read(self, name: str) -> memoryview:
        """Return what was written, as read-only memory."""

        def work(connection: Connection) -> memoryview:
            found = connection.execute(select(ARTIFACTS.c.id, ARTIFACTS.c.size).where(ARTIFACTS.c.name == name)).first()
            if found is None:
                raise ArtifactNotFoundError(name)
            artifact, size = found
            gathered = bytearray(size)
            position = number = 0
            while position < size:
                chosen = select(ARTIFACT_PARTS.c.data).where(
                    ARTIFACT_PARTS.c.artifact == artifact, ARTIFACT_PARTS.c.number == number
                )
                data = connection.execute(chosen).scalar()
                if not data or position + len(data) > size:
                    raise DamagedArtifactError(name, f"of its {size} bytes {position} are there")
                gathered[position : position + len(data)] = data
                position += len(data)
                number += 1
            return memoryview(gathered).toreadonly()

        return self._opened().read(work)

    def delete(self, name: str) -> None:
        """Delete an artifact."""
        self._opened().write(lambda connection: _delete(connection, name))

    def list(self, prefix: str = "") -> Iterator[ArtifactInfo]:
        """Yield what is there."""
        after: str | None = None
        while True:
            found = self._opened().read(partial(_page, prefix=prefix, after=after))
            yield from found
            if len(found) < _PAGE:
                return
            after = found[-1].name

    def close(self) -> None:
        """Close it; the database stays the journal's. A second call does nothing."""
        self._closed = True

    def _opened(self) -> Database:
        if self._closed:
            raise StoreError(f"the artifacts in {self.address} were closed; open the store again")
        return self._database


def _delete(connection: Connection, name: str) -> None:
    artifact = connection.execute(delete(ARTIFACTS).where(ARTIFACTS.c.name == name).returning(ARTIFACTS.c.id)).scalar()
    if artifact is not None:
        connection.execute(delete(ARTIFACT_PARTS).where(ARTIFACT_PARTS.c.artifact == artifact))


def _page(connection: Connection, prefix: str, after: str | None) -> list[ArtifactInfo]:
    beyond = ARTIFACTS.c.name >= prefix if after is None else ARTIFACTS.c.name > after
    chosen = select(ARTIFACTS.c.name, ARTIFACTS.c.size, ARTIFACTS.c.written_at).where(beyond)
    rows = connection.execute(chosen.order_by(ARTIFACTS.c.name).limit(_PAGE)).all()
    # Sorted by code points, those that begin with the prefix stand together, the prefix itself first.
    return [ArtifactInfo(*row) for row in rows if row[0].startswith(prefix)]


def _pieces(views: Sequence[memoryview], size: int) -> Iterator[bytes]:
    """Cut the concatenation of views into pieces of one size, the last one shorter."""
    gathered = bytearray()
    for view in views:
        position = 0
        while position < view.nbytes:
            taken = view[position : position + size - len(gathered)]
            gathered += taken
            position += taken.nbytes
            if len(gathered) == size:
                yield bytes(gathered)
                gathered.clear()
    if gathered:
        yield bytes(gathered)
