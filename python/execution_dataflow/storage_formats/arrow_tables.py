"""Tables, batches and arrays of pyarrow as streams of Arrow IPC, which are read where they lie."""

from __future__ import annotations

from typing import Any

from execution_dataflow.storage_formats.payloads import Payload

__all__ = ["arrow_payload", "read_arrow", "stream_of", "table_in"]


def _is_carried(type_: Any) -> bool:
    """Whether a type is known to whoever reads it: one that was defined in Python has to be registered again."""
    import pyarrow as pa

    if isinstance(type_, pa.ExtensionType):
        return False
    if isinstance(type_, pa.DictionaryType):
        return _is_carried(type_.value_type)
    return all(_is_carried(type_.field(index).type) for index in range(type_.num_fields))


def arrow_payload(value: Any) -> Payload | None:
    """Return a value of pyarrow as a stream; ``None`` if it is none that a stream can hold exactly.

    Parameters
    ----------
    value : object
        Something of pyarrow.
    """
    import pyarrow as pa

    kind: str | None = None
    if type(value) is pa.Table:
        table = value
    elif type(value) is pa.RecordBatch:
        kind, table = "batch", pa.Table.from_batches([value])
    elif type(value) is pa.ChunkedArray:
        kind, table = "chunks", pa.Table.from_arrays([value], [""])
    elif isinstance(value, pa.Array) and not isinstance(value, pa.ExtensionArray):
        kind, table = "array", pa.Table.from_arrays([value], [""])
    else:
        return None
    if not all(map(_is_carried, table.schema.types)):
        return None
    return Payload("arrow", (stream_of(table),), kind, is_mapped=True)


def stream_of(table: Any) -> memoryview:
    """Return a table as a stream of Arrow IPC.

    Parameters
    ----------
    table : pyarrow.Table
        The table.
    """
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return memoryview(sink.getvalue()).cast("B")


def table_in(data: memoryview) -> Any:
    """Return the table of a stream; it lies in the memory of the stream.

    Raises
    ------
    Exception
        It is none.
    """
    import pyarrow as pa

    with pa.ipc.open_stream(pa.py_buffer(data)) as reader:
        table = reader.read_all()
    # Whoever wrote it may have meant harm: offsets that lead elsewhere are not looked at otherwise.
    table.validate(full=True)
    return table


def read_arrow(data: memoryview, kind: object) -> Any:
    """Return the value of a stream.

    Parameters
    ----------
    data : memoryview
        The stream.
    kind : object
        ``None`` for a table, ``"batch"``, ``"chunks"`` or ``"array"``.

    Raises
    ------
    Exception
        It is none.
    """
    import pyarrow as pa

    table = table_in(data)
    if kind == "batch":
        batches = table.to_batches()
        if len(batches) > 1:
            raise ValueError("it has more than one batch")
        return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)
    if kind in ("chunks", "array"):
        column = table.column(0)
        return column if kind == "chunks" else column.combine_chunks()
    return table
