"""A directory of artifacts does what every store of artifacts does."""

from __future__ import annotations

from pathlib import Path

import pytest

from execution_dataflow.stores.conformance import ArtifactCheck, artifact_checks
from execution_dataflow.stores.directory import DirectoryArtifacts


@pytest.mark.parametrize("check", artifact_checks().values(), ids=artifact_checks())
def test_directory_passes(check: ArtifactCheck, tmp_path: Path) -> None:
    check(lambda: DirectoryArtifacts(tmp_path / "artifacts"))
