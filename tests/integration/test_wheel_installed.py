"""The built wheel, installed alone with numpy into an environment of its own, runs the mission brief's example."""

from __future__ import annotations

import os
import subprocess
import venv
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.tags import sys_tags
from packaging.utils import parse_wheel_filename

ROOT = Path(__file__).resolve().parents[2]
DIST = ROOT / "dist"

# The brief's snippets as they stand there, one after the other.
BRIEF = """
from execution_dataflow import Operation, InputPort, OutputPort

class DataLoadOperation(Operation):
    def __init__(self, source_path: str):
        super().__init__()
        self.source_path = source_path
        self.add_output_port("loaded_data", OutputPort(data_type=bytes))

    def execute(self, context):
        print(f"Loading data from {self.source_path}...")
        # Simulate data loading
        data = f"Content from {self.source_path}".encode('utf-8')
        self.set_output("loaded_data", data)
        print("Data loaded.")

class DataTransformOperation(Operation):
    def __init__(self):
        super().__init__()
        self.add_input_port("raw_data", InputPort(data_type=bytes))
        self.add_output_port("transformed_data", OutputPort(data_type=str))

    def execute(self, context):
        raw_data = self.get_input("raw_data")
        print(f"Transforming data: {raw_data[:20]}...")
        transformed_data = raw_data.decode('utf-8').upper()
        self.set_output("transformed_data", transformed_data)
        print("Data transformed.")

from execution_dataflow import GraphDefinition

# Instantiate operations
load_op = DataLoadOperation(source_path="s3://my-bucket/input.csv")
transform_op = DataTransformOperation()

# Define the graph
graph = GraphDefinition()
graph.add_operation(load_op)
graph.add_operation(transform_op)

# Connect operations: output of load_op to input of transform_op
graph.connect(
    source_operation=load_op,
    source_port_name="loaded_data",
    target_operation=transform_op,
    target_port_name="raw_data"
)

from execution_dataflow import ExecutionEngine, ExecutionContext

# Assuming 'graph' is defined as above

# Create an execution context (can hold global parameters, logging, etc.)
context = ExecutionContext(run_id="workflow-123", log_level="INFO")

# Initialize and run the engine
engine = ExecutionEngine()
result = engine.run(graph, context)

if result.is_successful():
    print("Dataflow executed successfully.")
    # Access outputs of the final operation if needed
    final_output = result.get_output(transform_op, "transformed_data")
    print(f"Final transformed data: {final_output}")
else:
    print(f"Dataflow failed: {result.get_error_message()}")

from execution_dataflow import Operation, RetryPolicy

class ResilientOperation(Operation):
    def __init__(self):
        super().__init__(retry_policy=RetryPolicy(max_attempts=3, delay_seconds=5))
        # ... port definitions ...

    def execute(self, context):
        # ... potentially failing logic ...
        pass
"""

EXPECTED = """\
Loading data from s3://my-bucket/input.csv...
Data loaded.
Transforming data: b'Content from s3://my'...
Data transformed.
Dataflow executed successfully.
Final transformed data: CONTENT FROM S3://MY-BUCKET/INPUT.CSV
"""


def wheel_of_this_interpreter() -> Path:
    fitting = set(sys_tags())
    wheels = [path for path in DIST.glob("execution_dataflow-*.whl") if parse_wheel_filename(path.name)[3] & fitting]
    assert wheels, f"no wheel for this interpreter in {DIST}: run `make wheel`"
    return max(wheels, key=lambda path: path.stat().st_mtime)


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that holds the wheel and numpy, and nothing else."""
    home = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(home, with_pip=True)
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    install = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check"]
    subprocess.run([*install, str(wheel_of_this_interpreter()), f"numpy=={version('numpy')}"], check=True, timeout=110)
    return python


def run(*command: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_environment_holds_the_wheel_and_numpy_only(bare_python: Path, tmp_path: Path) -> None:
    listing = run(bare_python, "-I", "-m", "pip", "list", "--format=freeze", folder=tmp_path).stdout
    names = {line.partition("==")[0].lower().replace("_", "-") for line in listing.split()}
    assert names - {"pip", "setuptools"} == {"execution-dataflow", "numpy"}


def test_the_briefs_example_runs_and_prints_what_it_should(bare_python: Path, tmp_path: Path) -> None:
    script = tmp_path / "brief.py"
    script.write_text(BRIEF, encoding="utf-8")
    finished = run(bare_python, "-I", script, folder=tmp_path)
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, EXPECTED, "")


def test_command_line_without_its_extra_names_the_cure(bare_python: Path, tmp_path: Path) -> None:
    command = bare_python.with_name("execution-dataflow.exe" if os.name == "nt" else "execution-dataflow")
    finished = run(command, "demo", folder=tmp_path)
    assert finished.returncode != 0
    assert "pip install" in finished.stderr
    assert "execution-dataflow[" in finished.stderr
    assert "Traceback" not in finished.stderr
