"""Values of outputs and of state as records, and as artifacts where they are large."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple, cast, get_args

from execution_dataflow import _core
from execution_dataflow.errors import MissingExtraError
from execution_dataflow.storage_formats.contents import decompressed, digest_of
from execution_dataflow.storage_formats.drafts import Compression, Draft, directory_of, entry_of
from execution_dataflow.storage_formats.formats import PICKLE, reader_of
from execution_dataflow.storage_formats.payloads import Payload
from execution_dataflow.storage_formats.plain import read_exact_value, read_text
from execution_dataflow.storage_formats.records import UNSIGNED, Seal
from execution_dataflow.store_errors import (
    DamagedArtifactError,
    StoreError,
    StoreFormatError,
    UnstorableValueError,
    UntrustedArtifactError,
)
from execution_dataflow.stores.artifacts import ArtifactStore

__all__ = ["Encoded", "ValueCodec"]

# Measured with SQLite and a directory, both written through: a file costs 1 ms, a row of 16 KiB 60 us. Larger rows cost
# less than files too, but a run that is resumed reads all of them.
_INLINE_BYTES = 16 << 10
_NO_LIMIT = 1 << 62

# What a NamedTuple's own constructor calls, without its frame.
_new = tuple.__new__


class Encoded(NamedTuple):
    """The outputs of an operation as they are kept.

    Attributes
    ----------
    record : bytes
        Their values, or where they are.
    artifacts : tuple of str
        The names of the artifacts that were written for them.
    size : int
        Bytes, artifacts included.
    """

    record: bytes
    artifacts: tuple[str, ...]
    size: int


class ValueCodec:
    """Makes records of values, and values of records.

    A small value lies in the record itself, a larger one in an artifact that the record names. Whatever is read is
    compared with its checksum first: what comes back is what was written, or an error. All methods may be called from
    any thread.

    Parameters
    ----------
    artifacts : ArtifactStore
        Where large values go.
    key : bytes, optional
        A secret that signs every record, and thereby the artifacts that it names. What it has not signed is refused.
    trusts_pickles : bool
        Whether to read pickles that no key has signed: only where nobody else can write to the store.
    prefix : str
        What the names of artifacts begin with, up to a slash.
    inline_bytes : int
        How many bytes of a value lie in its record at most.
    compression : {"auto", "all", "off"}
        Whether artifacts are compressed with zstd: by themselves where that saves a quarter and nothing could be
        mapped from the file, all of them, or none.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from execution_dataflow.stores.directory import DirectoryArtifacts
    >>> with TemporaryDirectory() as folder, DirectoryArtifacts(folder) as store:
    ...     codec = ValueCodec(store, trusts_pickles=True, prefix="runs/1")
    ...     encoded = codec.encode_outputs(["count", "towns"], [3, {"Oslo": 2}], missing=None)
    ...     codec.decode_outputs(encoded.record, missing=None)
    [3, {'Oslo': 2}]
    """

    def __init__(
        self,
        artifacts: ArtifactStore,
        *,
        key: bytes | None = None,
        trusts_pickles: bool,
        prefix: str,
        inline_bytes: int = _INLINE_BYTES,
        compression: Compression = "auto",
    ) -> None:
        if key is not None and (not key or type(key) is not bytes):
            raise ValueError("key= is a secret of at least one byte, such as secrets.token_bytes(32)")
        if compression not in get_args(Compression):
            raise ValueError(f"compression={compression!r} is not possible: it is 'auto', 'all' or 'off'")
        if inline_bytes < 0:
            raise ValueError(f"inline_bytes={inline_bytes} is not possible: it is 0 or more")
        self._artifacts = artifacts
        self._seal = Seal(key)
        # Without a signature, records of scalars are made natively.
        self._plain_magic = UNSIGNED if key is None else None
        self._reads_pickles = key is not None or trusts_pickles
        self._prefix = prefix
        self._inline_bytes = inline_bytes
        self._compression = compression

    # ------------------------------------------------------------ writing

    def encode_outputs(
        self, names: Sequence[str], values: Sequence[object], missing: object, *, bound_to: bytes = b""
    ) -> Encoded:
        """Return the record of an operation's outputs, and write the artifacts that it needs.

        Parameters
        ----------
        names : sequence of str
            The names of the outputs, for messages.
        values : sequence of object
            Their values, in the same order. They may be changed as soon as this returns.
        missing : object
            What stands for an output that was not set.
        bound_to : bytes
            What the record belongs to; reading it needs the same.

        Returns
        -------
        Encoded
            The record, and what was written beside it.

        Raises
        ------
        UnstorableValueError
            A value cannot be written. Nothing was.
        StoreError
            An artifact cannot be written. Those before it are deleted again.
        """
        if len(names) != len(values):
            raise ValueError(f"{len(values)} values were given for {len(names)} outputs")
        bound_to = b"outputs " + bound_to
        if self._plain_magic is not None and type(values) is tuple:
            record = _core.scalar_record(values, missing, self._plain_magic, bound_to)
            if record is not None and len(record) <= self._inline_bytes:
                return _new(Encoded, (record, (), len(record)))
        limit = self._inline_bytes
        entries = [
            "null" if value is missing else entry_of(name, value, limit)
            for name, value in zip(names, values)  # noqa: B905 - compared above, at a fifth of the time
        ]
        try:
            directory = directory_of(cast("list[str]", entries))
        except TypeError:
            # Some are payloads; in the usual case, nobody looks at each.
            return self._encoded(names, entries, bound_to)
        record = self._seal.sealed(directory, b"", bound_to)
        return _new(Encoded, (record, (), len(record)))

    def _encoded(self, names: Sequence[str], entries: list[str | Payload], bound_to: bytes) -> Encoded:
        for name, entry in zip(names, entries, strict=True):
            self._check_readable(name, entry)
        draft = self._draft(self._inline_bytes)
        try:
            texts = [draft.place(entry) if isinstance(entry, Payload) else entry for entry in entries]
        except BaseException:
            draft.withdraw()
            raise
        record = self._seal.sealed(directory_of(texts), b"".join(draft.blobs), bound_to)
        return Encoded(record, tuple(draft.written), len(record) + draft.written_bytes)

    def encode_value(self, name: str, value: object) -> bytes:
        """Return the record of one value, which is all in it.

        Parameters
        ----------
        name : str
            Its name, to which the record is bound.
        value : object
            The value.

        Raises
        ------
        UnstorableValueError
            It cannot be written.
        """
        entry = entry_of(name, value, _NO_LIMIT)
        bound_to = b"value " + name.encode("utf-8", "surrogatepass")
        if isinstance(entry, str):
            return self._seal.sealed(directory_of([entry]), b"", bound_to)
        self._check_readable(name, entry)
        draft = self._draft(_NO_LIMIT)
        directory = directory_of([draft.place(entry)])
        return self._seal.sealed(directory, b"".join(draft.blobs), bound_to)

    def _check_readable(self, name: str, entry: str | Payload) -> None:
        """Write nothing that this codec would refuse to read."""
        if not self._reads_pickles and isinstance(entry, Payload) and entry.format == PICKLE:
            raise UnstorableValueError(
                name,
                "it can only be pickled, and reading a pickle runs code: give the store a key= that signs what is "
                "written, or trust_pickles=True if nobody else can write to it",
            )

    def _draft(self, limit: int) -> Draft:
        return Draft(self._artifacts, self._prefix, limit, self._compression)

    # ------------------------------------------------------------ reading

    def decode_outputs(
        self,
        record: bytes,
        missing: object,
        wanted: Collection[int] | None = None,
        *,
        bound_to: bytes = b"",
        what: str = "the record of an operation",
    ) -> list[object]:
        """Return the values of an operation's outputs. Arrays lie in the memory that was read and cannot be written to.

        Parameters
        ----------
        record : bytes
            What `encode_outputs` returned.
        missing : object
            What stands for an output that was not set, or is not wanted.
        wanted : collection of int, optional
            The places of the outputs to read; all of them by default.
        bound_to : bytes
            What the record belongs to.
        what : str
            What it is, for messages.

        Raises
        ------
        DamagedArtifactError
            The record or an artifact is not what was written, or the record belongs to something else.
        UntrustedArtifactError
            It is not signed by the key, or it is a pickle that nobody has signed.
        StoreFormatError
            It was written by a later version, or names what this program does not have.
        ArtifactNotFoundError
            An artifact is gone.
        MissingExtraError
            A library is missing that reading needs.
        """
        entries, begin = self._opened(record, b"outputs " + bound_to, what)
        if wanted is not None:
            entries = [entry if index in wanted else None for index, entry in enumerate(entries)]
        return [
            missing
            if entry is None
            else entry[0]
            if type(entry) is list and len(entry) == 1
            else self._read(entry, record, begin, f"output {index} of {what}")
            for index, entry in enumerate(entries)
        ]

    def decode_value(self, name: str, data: bytes) -> object:
        """Return the value of a record.

        Parameters
        ----------
        name : str
            The name that it was written with.
        data : bytes
            What `encode_value` returned.

        Raises
        ------
        DamagedArtifactError, UntrustedArtifactError, StoreFormatError, MissingExtraError
            As for `decode_outputs`.
        """
        what = f"the value {name!r}"
        entries, begin = self._opened(data, b"value " + name.encode("utf-8", "surrogatepass"), what)
        if len(entries) != 1 or entries[0] is None:
            raise DamagedArtifactError(what, "it does not hold one value")
        entry = entries[0]
        return entry[0] if type(entry) is list and len(entry) == 1 else self._read(entry, data, begin, what)

    def verify_outputs(self, record: bytes, *, bound_to: bytes = b"", what: str = "the record of an operation") -> None:
        """Compare a record and all its artifacts with their checksums, and make no values of them.

        Parameters
        ----------
        record, bound_to, what
            As for `decode_outputs`.

        Raises
        ------
        DamagedArtifactError, UntrustedArtifactError, StoreFormatError, ArtifactNotFoundError
            As for `decode_outputs`. Pickles are not loaded, and not refused.
        """
        entries, _ = self._opened(record, b"outputs " + bound_to, what)
        for entry in entries:
            if type(entry) is dict and "a" in entry:
                self._artifact(entry)

    def verify_value(self, name: str, data: bytes) -> None:
        """Compare a record with its checksum and its signature, and make no value of it.

        Parameters
        ----------
        name, data
            As for `decode_value`.

        Raises
        ------
        DamagedArtifactError, UntrustedArtifactError, StoreFormatError
            As for `decode_value`. A pickle is not loaded, and not refused.
        """
        self._opened(data, b"value " + name.encode("utf-8", "surrogatepass"), f"the value {name!r}")

    def _opened(self, record: bytes, bound_to: bytes, what: str) -> tuple[list[Any], int]:
        """Return the directory of a record, and where what it refers to begins."""
        directory, begin = self._seal.opened(record if type(record) is bytes else bytes(record), bound_to, what)
        try:
            entries = read_text(_decoded(directory))
        except (ValueError, RecursionError) as error:
            raise DamagedArtifactError(what, f"its directory does not parse: {error}") from error
        if type(entries) is not list:
            raise DamagedArtifactError(what, "its directory is no list")
        return entries, begin

    def _read(self, entry: Any, record: bytes, begin: int, what: str) -> object:
        """Return the value that an entry of a directory describes."""
        try:
            if "t" in entry:
                return read_exact_value(entry["t"])
            format = entry["f"]
            if format == PICKLE and not self._reads_pickles:
                raise UntrustedArtifactError(
                    f"{what} is a pickle, which runs code when it is read, and it comes from a store that others may "
                    "write to: give the store a key=, which signs what is written, or trust_pickles=True if you trust "
                    "all who can write there"
                )
            if "a" in entry:
                what = f"artifact {entry['a']}"
                data = self._artifact(entry)
            else:
                # A copy, which begins where memory is aligned.
                begin += entry["o"]
                data = memoryview(bytes(memoryview(record)[begin : begin + entry["n"]]))
            reader = reader_of(format)
        except (StoreError, MissingExtraError, MemoryError):
            raise
        except Exception as error:
            raise DamagedArtifactError(what, f"what describes it makes no sense: {error!r}") from error
        try:
            return reader(data, entry.get("d"))
        except (StoreError, MissingExtraError, MemoryError):
            raise
        except Exception as error:
            if isinstance(error, ModuleNotFoundError) and format != PICKLE:
                raise StoreFormatError(f"{what} is a value of {format}, which is not installed: {error}") from error
            if format != PICKLE:
                raise DamagedArtifactError(what, f"it cannot be read as {format}: {error!r}") from error
            raise StoreFormatError(
                f"{what} is what was written, and cannot be loaded by this program: {error!r}. Its classes have to be "
                "where they were, and be able to read what they wrote"
            ) from error

    def _artifact(self, entry: dict[str, Any]) -> memoryview:
        name = entry["a"]
        data = self._artifacts.read(name)
        what = f"artifact {name}"
        if len(data) != entry["n"]:
            raise DamagedArtifactError(what, f"it has {len(data)} bytes, not {entry['n']}")
        if digest_of([data]) != entry["h"]:
            raise DamagedArtifactError(what)
        return decompressed(data, entry["z"]) if "z" in entry else data


def _decoded(directory: bytes) -> str:
    try:
        return directory.decode()
    except UnicodeDecodeError:
        return directory.decode("utf-8", "surrogatepass")
