"""Records that are being made: what their directories say of each value, and where its bytes go."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any, Literal

from execution_dataflow.storage_formats.contents import compressed, digest_of, pays
from execution_dataflow.storage_formats.formats import LONG_LIST, payload_of, suffix_of
from execution_dataflow.storage_formats.payloads import Payload, size_of
from execution_dataflow.storage_formats.plain import scalar_text, text_of
from execution_dataflow.store_errors import StoreError, UnstorableValueError
from execution_dataflow.stores.artifacts import ArtifactStore, Bytes

__all__ = ["Compression", "Draft", "directory_of", "entry_of"]

Compression = Literal["auto", "all", "off"]


def entry_of(name: str, value: Any, limit: int) -> str | Payload:
    """What the directory says of a value that is small and plain; the payload of any other."""
    kind = type(value)
    write = scalar_text.get(kind)
    try:
        if write is not None:
            if kind is not str or len(value) <= limit:
                return f"[{write(value)}]"
        elif kind is dict or (kind is list and len(value) < LONG_LIST):
            text = text_of(value)
            if text is not None:
                return f"[{text}]" if len(text) <= limit else Payload("json", text=text)
    except ValueError:
        # An integer of thousands of digits.
        pass
    except RuntimeError as error:
        raise UnstorableValueError(name, f"it was changed while it was written: {error}") from error
    return _longer_entry_of(name, value, limit)


def _longer_entry_of(name: str, value: Any, limit: int) -> str | Payload:
    try:
        payload = payload_of(name, value)
    except RuntimeError as error:
        raise UnstorableValueError(name, f"it was changed while it was written: {error}") from error
    except MemoryError as error:
        raise UnstorableValueError(name, "there is not enough memory to write it") from error
    text = payload.text
    if text is None or len(text) > limit:
        return payload
    return f'{{"t":{text}}}' if payload.format == "exact" else f"[{text}]"


def directory_of(texts: Sequence[str]) -> bytes:
    """Return the directory of a record, of what it says of each value."""
    text = f"[{','.join(texts)}]"
    try:
        return text.encode()
    except UnicodeEncodeError:
        # A half of a surrogate pair is no character, but may be in a str.
        return text.encode("utf-8", "surrogatepass")


class Draft:
    """What a record consists of beside what its directory holds itself.

    Parameters
    ----------
    artifacts : ArtifactStore
        Where large values go.
    prefix : str
        What their names begin with.
    limit : int
        How many bytes of a value lie in the record at most.
    compression : {"auto", "all", "off"}
        Which artifacts are compressed.

    Attributes
    ----------
    blobs : list of bytes
        What follows the directory.
    written : list of str
        The artifacts written so far.
    written_bytes : int
        Their size.
    """

    def __init__(self, artifacts: ArtifactStore, prefix: str, limit: int, compression: Compression) -> None:
        self._artifacts = artifacts
        self._prefix = prefix
        self._limit = limit
        self._compression = compression
        self.blobs: list[Bytes] = []
        self.written: list[str] = []
        self.written_bytes = 0

    def place(self, payload: Payload) -> str:
        """Put a payload into the record or an artifact, and return what the directory says of it.

        Raises
        ------
        StoreError
            The artifact cannot be written.
        """
        parts = payload.parts if payload.text is None else (payload.text.encode("utf-8", "surrogatepass"),)
        size = size_of(parts)
        entry: dict[str, object] = {"f": payload.format, "n": size}
        if payload.details is not None:
            entry["d"] = payload.details
        if size <= self._limit:
            entry["o"] = size_of(self.blobs)
            self.blobs.extend(parts)
        else:
            if self._compresses(payload, parts):
                parts = compressed(parts)
                entry["z"], entry["n"] = size, size_of(parts)
            entry["a"] = self._write(parts, suffix_of(payload.format, "z" in entry))
            entry["h"] = digest_of(parts)
        return json.dumps(entry, separators=(",", ":"))

    def withdraw(self) -> None:
        """Delete the artifacts that were written."""
        for name in self.written:
            try:
                self._artifacts.delete(name)
            except StoreError:
                # What is left over is found when the store is pruned; the error that is on its way says more.
                return

    def _compresses(self, payload: Payload, parts: Sequence[Bytes]) -> bool:
        if self._compression == "auto":
            return not payload.is_mapped and pays(parts)
        return self._compression == "all"

    def _write(self, parts: Sequence[Bytes], suffix: str) -> str:
        name = f"{self._prefix}/{os.urandom(10).hex()}{suffix}"
        self._artifacts.write(name, parts)
        self.written.append(name)
        self.written_bytes += size_of(parts)
        return name
