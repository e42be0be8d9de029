"""`verify_artifacts` reads everything, loads no pickle, and names what is not as it was written."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from stores_in_memory import MemoryStore, cached_of

from execution_dataflow.persistent_state import edit_state
from execution_dataflow.storage_formats import ValueCodec
from execution_dataflow.store_care import verify_artifacts
from execution_dataflow.stores.journal import Commit, Owner, StateChange, record_binding

ARRAY = np.arange(4000.0)


class Bomb:
    """What runs code when it is read."""

    def __reduce__(self) -> tuple[object, ...]:
        return pytest.fail, ("a pickle was loaded",)


def store_with(**values: object) -> tuple[MemoryStore, list[str]]:
    """A store with a run whose operations have put these out; and the artifacts."""
    memory = MemoryStore()
    add(memory, "run", None, **values)
    return memory, sorted(memory.artifacts.kept)


def add(memory: MemoryStore, run_id: str, key: bytes | None, **values: object) -> None:
    codec = ValueCodec(memory.artifacts, key=key, trusts_pickles=True, prefix=run_id)
    lease = memory.journal.acquire(run_id, "etl", Owner("token", "elsewhere", 1, ""), 60.0, {})
    for number, (name, value) in enumerate(values.items()):
        fingerprint = b"f" * 48
        encoded = codec.encode_outputs(["out"], [value], None, bound_to=record_binding(name, fingerprint))
        commit = Commit(name, fingerprint, 1, 0.0, 1.0, encoded.record, encoded.artifacts)
        memory.journal.append(lease, number + 1, [commit])
    memory.journal.release(lease, "SUCCEEDED")


def test_what_is_as_it_was_written_is_sound() -> None:
    memory, names = store_with(array=ARRAY, number=3, both=[ARRAY, "text"])
    report = verify_artifacts(memory.store)
    assert (report.is_sound, report.runs, report.records, report.unreferenced) == (True, 1, 3, 0)
    assert (report.artifacts, report.artifact_bytes) == (len(names), sum(len(memory.artifacts.read(n)) for n in names))
    assert str(report).endswith("all is as it was written")


def test_no_pickle_is_loaded() -> None:
    memory, _ = store_with(bomb=Bomb(), large=[Bomb(), ARRAY])
    memory.journal.change_state(
        [
            StateChange(
                "names",
                "bomb",
                ValueCodec(memory.artifacts, trusts_pickles=True, prefix="").encode_value("bomb of names", Bomb()),
            )
        ]
    )
    assert verify_artifacts(memory.store).is_sound


@pytest.mark.parametrize("damage", ["bit", "truncated", "emptied"])
def test_a_damaged_artifact_is_named_with_its_operation(damage: str) -> None:
    memory, (name,) = store_with(array=ARRAY, number=3)
    data, at = memory.artifacts.kept[name]
    spoilt = {"bit": data[:-1] + bytes([data[-1] ^ 1]), "truncated": data[:-1], "emptied": b""}[damage]
    memory.artifacts.kept[name] = spoilt, at
    (finding,) = verify_artifacts(memory.store).findings
    assert (finding.kind, finding.run_id, finding.name) == ("damaged", "run", "array")
    assert name in finding.message


def test_an_artifact_that_is_gone_is_missing() -> None:
    memory, (name,) = store_with(array=ARRAY)
    del memory.artifacts.kept[name]
    report = verify_artifacts(memory.store)
    assert [finding.kind for finding in report.findings] == ["missing"]
    assert (report.artifacts, report.artifact_bytes) == (1, 0)


def test_a_damaged_record_is_named() -> None:
    memory, _ = store_with(number=3, other=4)
    commit = memory.journal.held["run"].commits["number"]
    spoilt = commit.outputs[:-3] + b"\0" + commit.outputs[-2:]
    memory.journal.held["run"].commits["number"] = commit._replace(outputs=spoilt)
    (finding,) = verify_artifacts(memory.store).findings
    assert (finding.kind, finding.name) == ("damaged", "number")


def test_records_that_the_journal_cannot_read_are_counted() -> None:
    memory, _ = store_with(number=3, other=4)
    memory.journal.held["run"].damaged.add("number")
    (finding,) = verify_artifacts(memory.store).findings
    assert str(finding) == "run run, journal: 1 record of it cannot be read"


def test_what_was_reverted_is_no_fault() -> None:
    memory, _ = store_with(number=3)
    commit = memory.journal.held["run"].commits["number"]
    memory.journal.held["run"].commits["number"] = commit._replace(outputs=b"", fingerprint=b"")
    assert verify_artifacts(memory.store).is_sound


def test_what_another_key_has_signed_is_untrusted() -> None:
    memory = MemoryStore()
    add(memory, "mine", b"my key", number=3)
    add(memory, "theirs", b"their key", number=3)
    add(memory, "unsigned", None, number=3)
    report = verify_artifacts(replace(memory.store, key=b"my key"))
    assert sorted((finding.run_id, finding.kind) for finding in report.findings) == [
        ("theirs", "untrusted"),
        ("unsigned", "untrusted"),
    ]


def test_caches_and_state_are_read_too() -> None:
    memory, _ = store_with(number=3)
    codec = ValueCodec(memory.artifacts, trusts_pickles=True, prefix="cache")
    encoded = codec.encode_outputs(["out"], [ARRAY], None, bound_to=b"key")
    memory.journal.put_cached(cached_of("key", *encoded.artifacts)._replace(outputs=encoded.record))
    memory.journal.change_state([StateChange("orders", "watermark", codec.encode_value("watermark of orders", 7))])
    report = verify_artifacts(memory.store)
    assert (report.is_sound, report.records, report.artifacts, report.unreferenced) == (True, 3, 1, 0)

    memory.artifacts.kept[encoded.artifacts[0]] = b"", 0.0
    memory.journal.change_state([StateChange("orders", "watermark", b"spoilt")])
    assert [finding.name for finding in verify_artifacts(memory.store).findings] == [
        "cached result key of load",
        "state watermark of orders",
    ]
    assert verify_artifacts(memory.store, "run").is_sound


def test_a_cached_result_that_is_evicted_meanwhile_is_no_fault() -> None:
    memory, _ = store_with(number=3)
    memory.journal.put_cached(cached_of("key", "gone"))
    listed = list(memory.journal.cached())
    memory.journal.delete_cached(["key"])
    memory.journal.cached = lambda: iter(listed)  # type: ignore[method-assign]
    assert verify_artifacts(memory.store).is_sound


def test_artifacts_that_nothing_refers_to_are_counted() -> None:
    memory, _ = store_with(array=ARRAY)
    memory.artifacts.write("left", [b"123"])
    assert verify_artifacts(memory.store).unreferenced == 1
    assert verify_artifacts(memory.store, "run").unreferenced is None


def test_a_run_that_is_not_there_is_an_error() -> None:
    memory, _ = store_with(number=3)
    with pytest.raises(ValueError, match="memory:// has no run 'rum'"):
        verify_artifacts(memory.store, "rum")


def test_state_whose_key_has_the_words_of_its_label_is_sound() -> None:
    memory, key = MemoryStore(), "number of orders"
    with edit_state(memory.store, "shop") as state:
        state.put(key, 5)
    assert verify_artifacts(memory.store).is_sound
