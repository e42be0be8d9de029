"""What was damaged, swapped or written by somebody else is an error of its own, never a wrong value."""

from __future__ import annotations

import os
from fractions import Fraction
from hashlib import sha256
from typing import Any

import numpy as np
import pytest
from stored_artifacts import MISSING, MemoryArtifacts, codec_over

from execution_dataflow.errors import MissingExtraError
from execution_dataflow.storage_formats import ValueCodec, contents, records
from execution_dataflow.store_errors import (
    ArtifactNotFoundError,
    DamagedArtifactError,
    StoreFormatError,
    UnstorableValueError,
    UntrustedArtifactError,
)

KEY = b"a secret of the team"
VALUES = [1, "text", {"a": [1.5]}, (1, b"x"), np.arange(3), Fraction(1, 3), MISSING]
NAMES = [f"port{number}" for number in range(len(VALUES))]


class Trap:
    """Notes when it is unpickled."""

    sprung = 0

    def __reduce__(self) -> Any:
        return _spring, ()


def _spring() -> Trap:
    Trap.sprung += 1
    return Trap()


def record_of(codec: ValueCodec, values: list[Any] = VALUES, bound_to: bytes = b"clean/parse") -> bytes:
    return codec.encode_outputs(NAMES[: len(values)], values, MISSING, bound_to=bound_to).record


def read(codec: ValueCodec, record: bytes) -> list[object]:
    return codec.decode_outputs(record, MISSING, bound_to=b"clean/parse", what="the outputs of clean/parse")


@pytest.fixture(params=[None, KEY], ids=["checksum", "signature"])
def key(request: pytest.FixtureRequest) -> bytes | None:
    return request.param


def test_every_flipped_bit_of_a_record_is_found(key: bytes | None) -> None:
    codec = codec_over(key=key)
    record = record_of(codec)
    assert read(codec, record)[:4] == VALUES[:4]
    for place in range(len(record)):
        for bit in range(8):
            damaged = bytearray(record)
            damaged[place] ^= 1 << bit
            with pytest.raises(DamagedArtifactError, match="the outputs of clean/parse is damaged"):
                read(codec, bytes(damaged))


def test_every_truncation_of_a_record_is_found(key: bytes | None) -> None:
    codec = codec_over(key=key)
    record = record_of(codec)
    for length in range(len(record)):
        with pytest.raises(DamagedArtifactError):
            read(codec, record[:length])
        with pytest.raises(DamagedArtifactError):
            read(codec, record + record[:length] + b"\0")


def test_every_flipped_byte_and_truncation_of_a_state_value_is_found(key: bytes | None) -> None:
    codec = codec_over(key=key)
    data = codec.encode_value("watermark", {"day": 3})
    for place in range(len(data)):
        for damaged in (data[:place], data[:place] + bytes([data[place] ^ 0x21]) + data[place + 1 :]):
            with pytest.raises(DamagedArtifactError, match="the value 'watermark'"):
                codec.decode_value("watermark", damaged)


def test_random_bytes_are_no_record() -> None:
    codec = codec_over()
    for length in range(200):
        with pytest.raises(DamagedArtifactError):
            read(codec, os.urandom(length))


def test_an_artifact_that_differs_in_a_byte_or_in_length_is_found(key: bytes | None) -> None:
    artifacts = MemoryArtifacts()
    codec = codec_over(artifacts, key=key, inline_bytes=0)
    value = {"array": np.arange(300), "text": "x"}
    record = record_of(codec, [value])
    ((name, content),) = artifacts.content.items()
    for place in range(0, len(content), 7):
        for damaged in (content[:place], content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]):
            artifacts.content[name] = damaged
            with pytest.raises(DamagedArtifactError, match=f"artifact {name}"):
                read(codec, record)
            with pytest.raises(DamagedArtifactError):
                codec.verify_outputs(record, bound_to=b"clean/parse")
    artifacts.content[name] = content
    codec.verify_outputs(record, bound_to=b"clean/parse")
    del artifacts.content[name]
    with pytest.raises(ArtifactNotFoundError):
        codec.verify_outputs(record, bound_to=b"clean/parse")


def test_an_artifact_in_the_place_of_another_is_found() -> None:
    artifacts = MemoryArtifacts()
    codec = codec_over(artifacts, inline_bytes=0)
    record = record_of(codec, [b"first", b"other"])
    first, second = artifacts.content
    artifacts.content[first], artifacts.content[second] = artifacts.content[second], artifacts.content[first]
    with pytest.raises(DamagedArtifactError):
        read(codec, record)


def test_a_record_in_the_place_of_another_is_refused(key: bytes | None) -> None:
    codec = codec_over(key=key)
    with pytest.raises(DamagedArtifactError, match="belongs to something else"):
        read(codec, record_of(codec, bound_to=b"clean/other"))
    with pytest.raises(DamagedArtifactError, match="belongs to something else"):
        codec.decode_value("a", codec.encode_value("b", 1))
    with pytest.raises(DamagedArtifactError, match="belongs to something else"):
        read(codec, codec.encode_value("clean/parse", 1))


def test_what_a_record_is_bound_to_cannot_pass_for_its_beginning() -> None:
    beginning = b"\xa5U\x01\xfe" + (5).to_bytes(4, "little") + b"[[7]]"
    record = record_of(codec_over(), [1], bound_to=beginning)
    with pytest.raises(DamagedArtifactError):
        codec_over().decode_outputs(beginning + record, MISSING)


@pytest.mark.parametrize(("written", "read_with"), [(None, KEY), (b"another key", KEY), (KEY + b"\0", KEY)])
def test_what_the_key_has_not_signed_is_refused(written: bytes | None, read_with: bytes) -> None:
    artifacts = MemoryArtifacts()
    record = record_of(codec_over(artifacts, key=written))
    with pytest.raises(UntrustedArtifactError, match="key"):
        read(codec_over(artifacts, key=read_with), record)


def test_a_changed_record_whose_checksum_was_made_anew_is_refused() -> None:
    bound = b"outputs clean/parse"
    signed = record_of(codec_over(key=KEY), [1])
    changed = signed[:-16].replace(b"[[1]]", b"[[2]]")
    forged = changed + sha256(len(bound).to_bytes(8, "little") + bound + changed).digest()[:16]
    assert read(codec_over(), forged) == [2]
    with pytest.raises(UntrustedArtifactError, match="changed by somebody"):
        read(codec_over(key=KEY), forged)


def test_a_signed_record_is_read_without_a_key_but_its_pickles_are_not() -> None:
    record = record_of(codec_over(key=KEY), [1, Trap()])
    assert codec_over().decode_outputs(record, MISSING, wanted={0}, bound_to=b"clean/parse") == [1, MISSING]
    with pytest.raises(UntrustedArtifactError):
        read(codec_over(trusts_pickles=False), record)


@pytest.mark.parametrize("inline_bytes", [0, 1000])
def test_a_pickle_that_nobody_vouches_for_is_refused_before_it_runs(inline_bytes: int) -> None:
    artifacts = MemoryArtifacts()
    record = record_of(codec_over(artifacts, inline_bytes=inline_bytes), [[1], Trap()])
    sprung = Trap.sprung
    with pytest.raises(UntrustedArtifactError, match=r"output 1 .* trust_pickles=True"):
        read(codec_over(artifacts, trusts_pickles=False), record)
    assert Trap.sprung == sprung
    read(codec_over(artifacts, trusts_pickles=True), record)
    assert Trap.sprung == sprung + 1


def test_a_pickle_that_would_not_be_read_again_is_not_written() -> None:
    artifacts = MemoryArtifacts()
    codec = codec_over(artifacts, trusts_pickles=False, inline_bytes=0)
    with pytest.raises(UnstorableValueError, match=r"'second'.* key= .* trust_pickles=True"):
        codec.encode_outputs(["first", "second"], [list(range(1000)), Fraction(1, 3)], MISSING)
    with pytest.raises(UnstorableValueError, match="trust_pickles=True"):
        codec.encode_value("watermark", Fraction(1, 3))
    assert not list(artifacts.list())


def test_a_signed_pickle_is_trusted() -> None:
    codec = codec_over(key=KEY, trusts_pickles=False)
    assert read(codec, record_of(codec, [Fraction(1, 3)])) == [Fraction(1, 3)]


def test_a_record_of_a_later_version_says_which_program_reads_it() -> None:
    record = bytearray(record_of(codec_over()))
    record[2:4] = bytes((7, 7 ^ 0xFF))
    with pytest.raises(StoreFormatError, match=r"version 7 .* versions 1 to 1"):
        read(codec_over(), bytes(record))


DIRECTORIES = [
    b"",
    b"{}",
    b"[",
    b"[]]",
    b"[5]",
    b"[[]]",
    b"[[1,2]]",
    b'["text"]',
    b"[{}]",
    b'[{"f":"unheard of","n":1,"o":0}]',
    b'[{"f":["npy"],"n":1,"o":0}]',
    b'[{"f":"npy","n":1}]',
    b'[{"f":"npy","n":"1","o":0}]',
    b'[{"f":"npy","n":1,"o":-500}]',
    b'[{"f":"npy","n":12,"o":0}]',
    b'[{"f":"pickle","n":4,"o":0,"d":{"stream":1,"buffers":[[99,1]]}}]',
    b'[{"f":"json","n":4,"o":0}]',
    b'[{"f":"bytes","n":4,"a":"../../etc/passwd","h":""}]',
    b'[{"f":"bytes","n":4,"a":5,"h":""}]',
    b'[{"t":{"$set":[[]]}}]',
    b'[{"t":{"$system":"ls"}}]',
    b'[{"t":{"$datetime":["never",0]}}]',
    b"[" * 100_000,
    b'[{"t":' + b'{"$tuple":[' * 900 + b"]}" * 900 + b"}]",
]


@pytest.mark.parametrize("directory", DIRECTORIES, ids=lambda directory: directory[:40].decode())
def test_a_well_sealed_record_that_makes_no_sense_is_damaged(directory: bytes) -> None:
    """Whoever can write to a store without a key can make the checksum too."""
    record = records.Seal(None).sealed(directory, b"\x93NUMPY\x01\0\xff\xff{(", b"outputs clean/parse")
    with pytest.raises((DamagedArtifactError, ArtifactNotFoundError, StoreFormatError)):
        read(codec_over(), record)


HEADERS = [
    b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
    b"{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }",
    b"{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000000,), }",
    b"{'descr': 'nonsense', 'fortran_order': False, 'shape': (1,), }",
    b"__import__('os').system('true')",
    b"(" * 5000,
    b"[]",
]


@pytest.mark.parametrize("header", HEADERS, ids=lambda header: header[:40].decode())
def test_an_array_whose_header_lies_is_refused(header: bytes) -> None:
    blob = b"\x93NUMPY\x01\0" + len(header).to_bytes(2, "little") + header + bytes(8)
    directory = b'[{"f":"npy","n":%d,"o":0}]' % len(blob)
    record = records.Seal(None).sealed(directory, blob, b"outputs clean/parse")
    with pytest.raises((DamagedArtifactError, StoreFormatError)):
        read(codec_over(), record)


def test_a_pickle_of_a_class_that_is_gone_is_told_from_a_damaged_one(monkeypatch: pytest.MonkeyPatch) -> None:
    record = record_of(codec_over(), [Trap()])
    monkeypatch.delitem(globals(), "_spring")
    with pytest.raises(StoreFormatError, match="_spring"):
        read(codec_over(), record)


def test_compressed_artifacts_need_the_extra_to_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    artifacts = MemoryArtifacts()
    record = record_of(codec_over(artifacts), ["x" * 100_000])
    ((name, content),) = artifacts.content.items()
    assert name.endswith(".txt.zst")
    assert len(content) < 1000
    assert read(codec_over(artifacts), record) == ["x" * 100_000]
    monkeypatch.setattr(contents, "_library", lambda: None)
    with pytest.raises(MissingExtraError, match="zstd"):
        read(codec_over(artifacts), record)
    with pytest.raises(MissingExtraError, match="zstd"):
        record_of(codec_over(artifacts, compression="all"), ["x" * 100_000])
    assert read(codec_over(artifacts), record_of(codec_over(artifacts), ["y" * 100_000])) == ["y" * 100_000]


def test_a_compressed_artifact_that_says_a_wrong_size_is_refused() -> None:
    packed = bytes(contents.compressed([b"x" * 1000])[0])
    for size in (999, 1001):
        with pytest.raises(ValueError, match=r"bytes|decompressed"):
            contents.decompressed(memoryview(packed), size)
    with pytest.raises(ValueError, match="decompressed"):
        contents.decompressed(memoryview(packed[:-3]), 1000)


def test_what_compression_does_not_make_smaller_stays_as_it_is() -> None:
    artifacts = MemoryArtifacts()
    record_of(codec_over(artifacts), [os.urandom(100_000)])
    record_of(codec_over(artifacts), [np.zeros(100_000)])
    assert not any(name.endswith(".zst") for name in artifacts.content)
    record = record_of(codec_over(artifacts, compression="all"), [np.zeros(100_000)])
    assert sum(name.endswith(".npy.zst") for name in artifacts.content) == 1
    (array,) = read(codec_over(artifacts), record)
    assert np.array_equal(array, np.zeros(100_000))


def test_digests_do_not_depend_on_how_the_bytes_are_cut_or_who_works_at_them() -> None:
    content = os.urandom(1 << 20) * 40
    expected = contents.digest_of([content])
    view = memoryview(content)
    assert contents.digest_of([view[:5], b"", view[5 : 9 << 20], view[9 << 20 :]]) == expected
    assert contents.digest_of([bytes(view[:-1])]) != expected
    assert contents.digest_of([view[1:], view[:1]]) != expected
