"""How values are written to a store and read from it: formats, checksums, signatures, compression."""

from execution_dataflow.storage_formats.codec import Encoded, ValueCodec

__all__ = ["Encoded", "ValueCodec"]
