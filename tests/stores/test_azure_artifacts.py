"""Artifacts in Azure Blob Storage, as Microsoft's own emulator has it; `make test-azure` fetches that."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import shutil
import socket
import urllib.request
from collections.abc import Iterator
from email.utils import formatdate
from urllib.parse import quote

import pytest
from services import UNPACKED, Server, environment_of

pytest.importorskip("obstore")

from execution_dataflow.store_errors import ArtifactNotFoundError, StoreError
from execution_dataflow.stores.conformance import ArtifactCheck, artifact_checks
from execution_dataflow.stores.objects import artifacts, open_artifacts

# Every Azurite has this account: its documentation names it, and the key.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
MIB = 1 << 20

pytestmark = pytest.mark.usefixtures("no_cloud_keys")


class Azurite(Server):
    """The emulator, with its blobs in memory."""

    def __init__(self) -> None:
        self.program = UNPACKED / "azurite" / "node_modules" / ".bin" / "azurite-blob"
        if not self.program.exists() or shutil.which("node") is None:
            pytest.skip("Azurite is not installed here: make test-azure")
        super().__init__("azurite")
        # Node is where it is, and root's emulator needs no other user.
        self.identity = {}
        self.endpoint = f"http://127.0.0.1:{self.port}/{ACCOUNT}"

    def start(self) -> None:
        options = [f"--blobPort={self.port}", "--inMemoryPersistence", "--disableTelemetry", "--skipApiVersionCheck"]
        environment = {**environment_of(self.program), "PATH": os.environ["PATH"]}
        self.launch([self.program, "--blobHost=127.0.0.1", *options], environment, self._answers)

    def _answers(self) -> bool:
        with socket.socket() as asking:
            return asking.connect_ex(("127.0.0.1", self.port)) == 0

    def make_container(self, name: str) -> None:
        """Make a container, which obstore cannot: a request that is signed as Azure's documentation has it."""
        now, version = formatdate(usegmt=True), "2021-08-06"
        signed = f"PUT{11 * chr(10)}\nx-ms-date:{now}\nx-ms-version:{version}\n/{ACCOUNT}/{ACCOUNT}/{name}"
        signed += "\nrestype:container"
        digest = hmac.digest(base64.b64decode(KEY), signed.encode(), hashlib.sha256)
        headers = {
            "x-ms-date": now,
            "x-ms-version": version,
            "Authorization": f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}",
        }
        address = f"{self.endpoint}/{name}?restype=container"
        with urllib.request.urlopen(urllib.request.Request(address, method="PUT", headers=headers), timeout=20) as made:
            assert made.status == 201

    def address(self, place: str, key: str = KEY) -> str:
        return f"az://{place}?account_name={ACCOUNT}&account_key={quote(key, safe='')}&endpoint={self.endpoint}"


@pytest.fixture(scope="module")
def server() -> Iterator[Azurite]:
    server = Azurite()
    try:
        server.start()
        server.make_container("lake")
        yield server
    finally:
        server.remove()


@pytest.mark.parametrize("check", artifact_checks().values(), ids=artifact_checks())
def test_artifacts_in_a_container(check: ArtifactCheck, server: Azurite) -> None:
    check(lambda: open_artifacts(server.address("lake/conformance")))


def test_large_artifact_goes_up_in_blocks_and_comes_down_in_pieces(
    server: Azurite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifacts, "_WHOLE", 16 * MIB)
    data = os.urandom(MIB) * 17
    store = open_artifacts(server.address("lake/large"))
    store.write("array.npy", [data[:5], memoryview(data)[5:]])
    assert store.read("array.npy") == data
    assert [(each.name, each.size) for each in store.list()] == [("array.npy", 17 * MIB)]


def test_faults_say_what_to_do(server: Azurite) -> None:
    with pytest.raises(StoreError, match="create a container of Azure Blob Storage named 'pond' first"):
        open_artifacts(server.address("pond"))
    wrong = base64.b64encode(b"another key").decode()
    with pytest.raises(StoreError, match="the keys come from AZURE_STORAGE_ACCOUNT_NAME") as caught:
        open_artifacts(server.address("lake", wrong))
    assert wrong not in str(caught.value)
    with pytest.raises(ArtifactNotFoundError, match="'nothing'"):
        open_artifacts(server.address("lake")).read("nothing")


def test_server_that_goes_away_is_reported(server: Azurite) -> None:
    server.make_container("pool")
    store = open_artifacts(f"{server.address('pool')}&retry_seconds=0.3")
    store.write("a", [b"value"])
    server.stop()
    try:
        with pytest.raises(StoreError, match=r"cannot read 'a'.*asked again for 0\.3 s"):
            store.read("a")
    finally:
        server.start()
        server.make_container("lake")
