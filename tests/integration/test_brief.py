"""The description that this system was built from: its code, word for word, does what its text says."""

from __future__ import annotations

import inspect
import logging
from pathlib import Path
from typing import Any

import pytest
from programs import run_program

import execution_dataflow
from execution_dataflow import (
    DataChannel,
    Event,
    ExecutionContext,
    ExecutionEngine,
    ExecutionResult,
    GraphDefinition,
    GraphValidationError,
    InputPort,
    Operation,
    OperationCompleted,
    OperationFailed,
    OperationStarted,
    OutputPort,
    RetryPolicy,
)

OPERATIONS = """\
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
"""

GRAPH = """\
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
"""

RUN = """\
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
"""

RETRY = """\
from execution_dataflow import Operation, RetryPolicy

class ResilientOperation(Operation):
    def __init__(self):
        super().__init__(retry_policy=RetryPolicy(max_attempts=3, delay_seconds=5))
        # ... port definitions ...

    def execute(self, context):
        # ... potentially failing logic ...
        pass
"""

PRINTED = [
    "Loading data from s3://my-bucket/input.csv...",
    "Data loaded.",
    "Transforming data: b'Content from s3://my'...",
    "Data transformed.",
    "Dataflow executed successfully.",
    "Final transformed data: CONTENT FROM S3://MY-BUCKET/INPUT.CSV",
]


def executed(*parts: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "__main__"}
    for part in parts:
        exec(compile(part, "<brief>", "exec"), names)
    return names


@pytest.fixture
def brief(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return executed(OPERATIONS, GRAPH)


def test_brief_runs_as_an_unguarded_script(tmp_path: Path) -> None:
    code, lines, errors = run_program(tmp_path, OPERATIONS, GRAPH, RUN, options=("-X", "dev", "-W", "error"))
    assert (code, lines, errors) == (0, PRINTED, "")


def test_brief_runs_in_this_process(capsys: pytest.CaptureFixture[str]) -> None:
    names = executed(OPERATIONS, GRAPH, RUN)
    assert capsys.readouterr().out.splitlines() == PRINTED
    assert isinstance(names["result"], ExecutionResult)
    assert names["result"].run_id == "workflow-123"
    assert names["final_output"] == "CONTENT FROM S3://MY-BUCKET/INPUT.CSV"
    assert names["result"].get_error_message() is None


def test_brief_runs_again_and_again(brief: dict[str, Any]) -> None:
    with ExecutionEngine() as engine:
        for number in range(20):
            result = engine.run(brief["graph"], ExecutionContext(run_id=f"workflow-{number}", log_level="INFO"))
            assert result.is_successful()
            assert result.run_id == f"workflow-{number}"


def test_failing_brief_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    names = executed(OPERATIONS, GRAPH)
    names["load_op"].source_path = "\ud800"  # cannot be encoded
    executed_names = {**names}
    exec(compile(RUN, "<brief>", "exec"), executed_names)
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1].startswith("Dataflow failed: ")
    for part in ("DataLoadOperation", "UnicodeEncodeError", "<brief>", "execute"):
        assert part in printed[-1]
    assert executed_names["result"].errors[0].traceback_text.count("UnicodeEncodeError: ") == 1


def test_retry_policy_of_the_brief_runs() -> None:
    names = executed(RETRY)
    resilient = names["ResilientOperation"]()
    assert resilient.retry_policy == RetryPolicy(max_attempts=3, delay_seconds=5)
    graph = GraphDefinition()
    graph.add_operation(resilient)
    assert ExecutionEngine().run(graph, ExecutionContext(run_id="retries")).is_successful()


def test_transient_failure_is_retried_as_the_brief_configures_it() -> None:
    attempts = []

    class Transient(Operation):
        def __init__(self) -> None:
            super().__init__(retry_policy=RetryPolicy(max_attempts=3, delay_seconds=0.01))
            self.add_output_port("value", OutputPort(data_type=int))

        def execute(self, context: ExecutionContext) -> None:
            attempts.append(context.attempt)
            if len(attempts) < 3:
                raise ConnectionError("not yet")
            self.set_output("value", 42)

    graph = GraphDefinition()
    transient = graph.add_operation(Transient())
    result = ExecutionEngine().run(graph, ExecutionContext())
    assert result.get_output(transient, "value") == 42
    assert attempts == [1, 2, 3]


def test_subscribers_get_the_events_that_the_brief_names(brief: dict[str, Any]) -> None:
    events: list[Event] = []
    with ExecutionEngine() as engine:
        engine.subscribe(events.append, OperationStarted, OperationCompleted, OperationFailed)
        engine.run(brief["graph"], ExecutionContext(run_id="workflow-123", log_level="INFO"))
        brief["load_op"].source_path = "\ud800"
        engine.run(brief["graph"], ExecutionContext(run_id="workflow-124", log_level="INFO"))
    told = [(event.run_id, type(event).__name__, event.operation) for event in events]
    assert told == [
        ("workflow-123", "OperationStarted", "DataLoadOperation"),
        ("workflow-123", "OperationCompleted", "DataLoadOperation"),
        ("workflow-123", "OperationStarted", "DataTransformOperation"),
        ("workflow-123", "OperationCompleted", "DataTransformOperation"),
        ("workflow-124", "OperationStarted", "DataLoadOperation"),
        ("workflow-124", "OperationFailed", "DataLoadOperation"),
    ]


def test_channel_of_the_brief_names_its_ends(brief: dict[str, Any]) -> None:
    (channel,) = brief["graph"].channels
    assert isinstance(channel, DataChannel)
    assert channel.source_operation is brief["load_op"]
    assert channel.source_port_name == "loaded_data"
    assert channel.target_operation is brief["transform_op"]
    assert channel.target_port_name == "raw_data"


def test_operations_reach_the_context_through_execute(caplog: pytest.LogCaptureFixture) -> None:
    class Reading(Operation):
        def execute(self, context: ExecutionContext) -> None:
            context.logger.info("reading %s", context.parameters["table"])
            context.shared.update("rows", lambda rows: rows + 5, 0)

    graph = GraphDefinition()
    graph.add_operation(Reading())
    context = ExecutionContext(run_id="workflow-123", log_level="INFO", parameters={"table": "flights"})
    with caplog.at_level(logging.INFO, logger="execution_dataflow"):
        assert ExecutionEngine().run(graph, context).is_successful()
    assert [record.getMessage() for record in caplog.records] == ["reading flights"]
    assert context.shared.get("rows") == 5


def test_cycle_is_refused_before_anything_runs() -> None:
    ran = []

    class Pass(Operation):
        def __init__(self) -> None:
            super().__init__()
            self.add_input_port("value", InputPort(data_type=int))
            self.add_output_port("same", OutputPort(data_type=int))

        def execute(self, context: ExecutionContext) -> None:
            ran.append(self)

    graph = GraphDefinition()
    first, second = graph.add_operation(Pass()), graph.add_operation(Pass())
    graph.connect(first, "same", second, "value")
    graph.connect(second, "same", first, "value")
    with pytest.raises(GraphValidationError, match=r"Pass\.same -> Pass_2\.same -> Pass\.same"):
        ExecutionEngine().run(graph, ExecutionContext())
    assert ran == []


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("InputPort", ["data_type"]),
        ("OutputPort", ["data_type"]),
        ("Operation", ["name", "retry_policy"]),
        ("Operation.add_input_port", ["name", "port"]),
        ("Operation.add_output_port", ["name", "port"]),
        ("Operation.execute", ["context"]),
        ("GraphDefinition.add_operation", ["operation"]),
        (
            "GraphDefinition.connect",
            ["source_operation", "source_port_name", "target_operation", "target_port_name"],
        ),
        ("ExecutionContext", ["run_id", "log_level"]),
        ("ExecutionEngine.run", ["graph", "context"]),
        ("ExecutionResult.get_output", ["operation", "port_name"]),
        ("RetryPolicy", ["max_attempts", "delay_seconds"]),
    ],
)
def test_names_of_arguments_are_those_of_the_brief(name: str, arguments: list[str]) -> None:
    found: Any = execution_dataflow
    for part in name.split("."):
        found = getattr(found, part)
    parameters = [parameter for parameter in inspect.signature(found).parameters if parameter != "self"]
    assert parameters[: len(arguments)] == arguments
