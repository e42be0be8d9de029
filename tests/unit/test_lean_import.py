"""`import execution_dataflow` loads what the package itself needs, and no library that only some users need."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import execution_dataflow

FORBIDDEN = (
    "asyncio",
    "beartype",
    "cloudpickle",
    "concurrent.futures.process",
    "dask",
    "multiprocessing",
    "numpy",
    "obstore",
    "opentelemetry",
    "pandas",
    "polars",
    "prometheus_client",
    "ray",
    "redis",
    "rich",
    "sqlalchemy",
    "sqlite3",
    "threadpoolctl",
    "tomli_w",
    "tomllib",
    "typer",
    "yaml",
)

# -S: an environment's .pth files may import anything, so site-packages is put on the path by hand.
PROBE = """
import sys
bare = set(sys.modules)
sys.path.insert(0, sys.argv[1])
import execution_dataflow
loaded = sorted(set(sys.modules) - bare)
import json
print(json.dumps(loaded))
"""


@pytest.fixture(scope="module")
def loaded_modules() -> list[str]:
    home = Path(execution_dataflow.__file__).parent.parent
    probe = subprocess.run(
        [sys.executable, "-I", "-S", "-c", PROBE, str(home)], capture_output=True, text=True, timeout=60
    )
    assert probe.returncode == 0, probe.stderr
    return json.loads(probe.stdout)


def test_import_loads_the_package_and_its_core(loaded_modules: list[str]) -> None:
    assert {"execution_dataflow", "execution_dataflow._core"} <= set(loaded_modules)


@pytest.mark.parametrize("name", FORBIDDEN)
def test_import_does_not_load(name: str, loaded_modules: list[str]) -> None:
    found = [module for module in loaded_modules if module == name or module.startswith(f"{name}.")]
    assert not found, f"`import execution_dataflow` loads {name}: import it in the function that needs it"
