"""What every test can rely on: the package under test is the one that a user would have installed."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

# On CI hypothesis has a profile of its own: the same examples each time, and no deadline.
if not os.environ.get("CI"):
    settings.register_profile("workstation", deadline=None)
    settings.load_profile("workstation")


def pytest_configure(config: pytest.Config) -> None:
    # `make quick` tests the work tree on purpose; anything else that finds it there is a mistake in sys.path.
    if os.environ.get("EXECUTION_DATAFLOW_IN_TREE"):
        return
    found = importlib.util.find_spec("execution_dataflow")
    if found is None or found.origin is None:
        raise pytest.UsageError("execution_dataflow is not installed here: run `make test` or `make quick`")
    if Path(found.origin).is_relative_to(ROOT / "python"):
        raise pytest.UsageError(
            f"execution_dataflow was found in the work tree ({found.origin}), not as an installed wheel: "
            "run `make test`, or `make quick` to test the work tree"
        )


@pytest.fixture(scope="session")
def soak_scale() -> int:
    """How many times over a test marked `soak` does its work: 1 unless SOAK_SCALE says more."""
    scale = int(os.environ.get("SOAK_SCALE", "1"))
    assert scale >= 1, "SOAK_SCALE is a whole number, 1 or more"
    return scale
