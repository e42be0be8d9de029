"""Artifacts in a bucket: what the conformance suite asks, and what happens when the server or the keys are at fault."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
import traceback
from collections.abc import Iterator

import pytest
from stores.bucket_server import KEYS, BucketServer, Fault

pytest.importorskip("obstore")
pytest.importorskip("moto")

from execution_dataflow.errors import MissingExtraError
from execution_dataflow.store_errors import ArtifactNotFoundError, StoreError, StoreFormatError
from execution_dataflow.stores.conformance import ArtifactCheck, artifact_checks
from execution_dataflow.stores.objects import ObjectArtifacts, artifacts, open_artifacts
from execution_dataflow.stores.objects.addresses import ObjectAddress

MIB = 1 << 20

pytestmark = pytest.mark.usefixtures("no_cloud_keys")


@pytest.fixture(scope="module")
def running() -> Iterator[BucketServer]:
    server = BucketServer().start()
    server.make_bucket("lake")
    yield server
    server.stop()


@pytest.fixture
def server(running: BucketServer) -> BucketServer:
    running.faults.clear()
    running.requests.clear()
    return running


@pytest.mark.parametrize("check", artifact_checks().values(), ids=artifact_checks())
def test_artifacts_in_a_bucket(check: ArtifactCheck, server: BucketServer) -> None:
    check(lambda: open_artifacts(server.address("lake/conformance")))


def test_large_artifact_goes_up_in_parts_and_comes_down_in_pieces(
    server: BucketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifacts, "_WHOLE", 16 * MIB)
    data = os.urandom(MIB) * 17
    store = open_artifacts(server.address("lake/large"))
    store.write("array.npy", [data[:5], memoryview(data)[5:]])
    assert sum("partNumber=" in request for request in server.requests) == 3
    server.requests.clear()
    found = store.read("array.npy")
    assert found == data
    assert found.readonly
    assert sum(request.startswith("GET /lake/large/array.npy") for request in server.requests) == 4


def test_server_that_is_busy_for_a_while_is_asked_again(server: BucketServer) -> None:
    store = open_artifacts(server.address("lake/busy"))
    server.faults += [Fault("PUT", "503 Slow Down", 1), Fault("GET", "500 Internal Error", 1, "/small")]
    store.write("small", [b"value"])
    assert bytes(store.read("small")) == b"value"
    server.faults += [
        Fault("POST", "503 Slow Down", 1, "uploads"),
        Fault("PUT", "500 Internal Error", 1, "partNumber=2"),
        Fault("POST", "503 Slow Down", 1, "uploadId="),
    ]
    data = os.urandom(MIB) * 9
    store.write("large", [data])
    assert store.read("large") == data
    assert [fault.times for fault in server.faults] == [0] * 5


def test_server_that_stays_busy_is_given_up_in_the_stated_time(server: BucketServer) -> None:
    store = open_artifacts(server.address("lake/stuck", f"{KEYS}&retry_seconds=0.3"))
    server.faults.append(Fault("PUT", "503 Slow Down", 1_000))
    began = time.monotonic()
    with pytest.raises(StoreError, match=r"cannot write .a.: .*asked again for 0\.3 s \(retry_seconds="):
        store.write("a", [b"x"])
    assert time.monotonic() - began < 5
    server.faults.clear()
    with pytest.raises(ArtifactNotFoundError):
        store.read("a")


def test_failed_upload_of_parts_leaves_the_old_artifact(server: BucketServer) -> None:
    store = open_artifacts(server.address("lake/halfway", f"{KEYS}&retry_seconds=0.3"))
    store.write("a", [b"old"])
    server.faults.append(Fault("PUT", "500 Internal Error", 1_000, "partNumber=2"))
    with pytest.raises(StoreError, match="cannot write 'a'"):
        store.write("a", [bytes(9 * MIB)])
    assert bytes(store.read("a")) == b"old"


def test_missing_bucket_is_named_when_the_store_is_opened(server: BucketServer) -> None:
    with pytest.raises(StoreError, match=r"NoSuchBucket.*create a bucket of S3 named 'lakes' first"):
        open_artifacts(server.address("lakes/x"))


def test_bucket_that_is_deleted_is_no_missing_artifact(server: BucketServer) -> None:
    server.make_bucket("gone")
    store = open_artifacts(server.address("gone"))
    store.delete("execution-dataflow.store.old")
    server._send("POST", "/moto-api/reset", b"")
    server.make_bucket("lake")
    with pytest.raises(StoreError, match="NoSuchBucket") as caught:
        store.read("a")
    assert not isinstance(caught.value, ArtifactNotFoundError)
    with pytest.raises(StoreError, match="NoSuchBucket"):
        list(store.list())
    with pytest.raises(StoreError, match="NoSuchBucket"):
        store.delete("a")


def test_wrong_keys_are_refused_and_not_shown(server: BucketServer) -> None:
    store = open_artifacts(server.address("lake/locked"))
    server.check_keys(0)
    try:
        for attempt in (
            lambda: store.read("a"),
            lambda: store.write("a", [b"x"]),
            lambda: open_artifacts(server.address("lake/locked")),
        ):
            with pytest.raises(StoreError, match=r"InvalidAccessKeyId.*AWS_SECRET_ACCESS_KEY") as caught:
                attempt()
            text = "".join(traceback.format_exception(caught.value))
            assert "SECRETTESTTEST" not in text
            assert "AKIATESTTEST" not in text
    finally:
        server.check_keys(1_000_000_000)


def test_keys_are_in_no_text_of_a_store(server: BucketServer) -> None:
    store = open_artifacts(server.address("lake/texts"))
    place = ObjectAddress.parse(server.address("lake/texts"))
    for text in (repr(store), store.address, repr(place), str(place)):
        assert "SECRET" not in text
        assert "AKIA" not in text
        assert "lake" in text
    assert store.address == f"s3://lake/texts?endpoint={server.endpoint}&region=us-east-1"


def test_answer_that_repeats_a_key_does_not_get_out(server: BucketServer) -> None:
    from execution_dataflow.stores.objects.faults import explained

    place = ObjectAddress.parse(server.address("lake"))
    fault = explained(OSError("<Code>Denied</Code><Message>no SECRETTESTTEST?sig=abc</Message>"), place, "read 'a'", 0)
    assert str(fault).endswith("Denied: no ***?sig=***")
    assert fault.__cause__ is None
    other = OSError("disk")
    assert explained(other, place, "read 'a'", 0).__cause__ is other


def test_keys_come_from_the_environment(server: BucketServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
    store = open_artifacts("s3://lake/environment?region=us-east-1")
    store.write("a", [b"x"])
    assert bytes(store.read("a")) == b"x"
    assert server.requests


def test_store_of_obstore_may_be_given(server: BucketServer) -> None:
    from obstore.store import MemoryStore

    store = ObjectArtifacts("s3://mine/prefix", store=MemoryStore())
    store.write("a/b", [b"x"])
    assert bytes(store.read("a/b")) == b"x"
    assert [info.name for info in store.list("a/")] == ["a/b"]


def test_store_of_another_format_is_refused() -> None:
    from obstore.store import MemoryStore

    memory = MemoryStore()
    memory.put("execution-dataflow.store", b'{"format": 99}')
    with pytest.raises(StoreFormatError, match=r"99.*another prefix"):
        ObjectArtifacts("s3://mine", store=memory)


def test_mark_of_the_format_is_no_artifact(server: BucketServer) -> None:
    store = open_artifacts(server.address("lake/mark"))
    assert list(store.list()) == []
    with pytest.raises(ValueError, match="tells the format"):
        store.write("execution-dataflow.store", [b""])


def test_object_that_is_replaced_while_it_is_read_comes_whole(
    server: BucketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_artifacts(server.address("lake/replaced"))
    assert isinstance(store, ObjectArtifacts)
    monkeypatch.setattr(artifacts, "_WHOLE", MIB)
    monkeypatch.setattr(artifacts, "_PIECE", MIB)
    old, new = b"o" * (2 * MIB), b"n" * (2 * MIB)
    store.write("a", [old])
    real, calls = store._library.get_range, []

    def get_range(library: object, name: str, start: int, end: int) -> object:
        if start:
            # The first piece is of the old one.
            calls.append(end)
            if len(calls) == 1:
                store.write("a", [new])
        return real(library, name, start=start, end=end)

    monkeypatch.setattr(artifacts, "_PIECES_AT_ONCE", 1)
    monkeypatch.setattr(store._library, "get_range", get_range)
    assert store.read("a") == new
    assert len(calls) == 2


def test_connection_that_breaks_within_an_answer_is_asked_again(server: BucketServer) -> None:
    store = open_artifacts(server.address("lake/broken"))
    data = os.urandom(300_000)
    store.write("a", [data])
    server.faults.append(Fault("GET", "cut", 2, "/lake/broken/a"))
    assert store.read("a") == data
    assert server.faults[0].times == 0


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("s3:///prefix", "no address of a bucket"),
        ("s3://key:SECRETSECRET@lake/x", "no user or port: keys are taken from the environment"),
        ("s3://lake?region", "percent-encoded"),
        ("s3://lake?allow_http=perhaps", "allow_http= is true or false"),
        ("s3://lake?retry_seconds=soon", "retry_seconds= is a number"),
        ("s3://lake?regoin=x", "'regoin' is not valid.*Did you mean region= and not regoin="),
    ],
)
def test_address_that_is_none_is_refused(address: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        open_artifacts(address)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("az://container/x", "Account must be specified"),
        ("az://container/x?account_name=ada&account_key=SECRETSECRET!", "Invalid Access Key"),
        ("gs://bucket/x?service_account_key=SECRETSECRET", "cannot open the store"),
    ],
)
def test_incomplete_keys_of_other_clouds_are_reported(address: str, message: str) -> None:
    with pytest.raises(StoreError, match=message) as caught:
        open_artifacts(address)
    assert "SECRETSECRET" not in "".join(traceback.format_exception(caught.value))


def test_server_that_is_not_there_is_reported() -> None:
    with pytest.raises(StoreError, match=r"cannot open the store.*asked again for 0\.2 s"):
        open_artifacts(f"s3://lake?endpoint=http://127.0.0.1:9&region=x&{KEYS}&retry_seconds=0.2")


def test_missing_library_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(MissingExtraError, match=r'in a bucket needs.*pip install "execution-dataflow\[objects\]"'):
        open_artifacts("s3://lake")


def test_closed_store_says_so(server: BucketServer) -> None:
    store = open_artifacts(server.address("lake/closed"))
    store.close()
    store.close()
    with pytest.raises(StoreError, match="is closed"):
        store.read("a")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_forked_process_is_told_instead_of_hanging(server: BucketServer) -> None:
    program = """
        import os, sys
        from execution_dataflow.store_errors import StoreError
        from execution_dataflow.stores.objects import open_artifacts

        store = open_artifacts(sys.argv[1])
        process = os.fork()
        if process == 0:
            try:
                store.read("a")
            except StoreError as error:
                os._exit(7 if "forked" in str(error) else 8)
            os._exit(9)
        assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 7
        store.write("a", [b"x"])
    """
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program), server.address("lake/forked")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 0, done.stderr
