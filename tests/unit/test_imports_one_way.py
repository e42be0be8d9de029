"""The modules of the package import one way: from what is higher to what is lower, and never back.

Imports inside functions and under ``TYPE_CHECKING`` count too: who needs a name from above is in the wrong place.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import execution_dataflow

PACKAGE = "execution_dataflow"
HOME = Path(execution_dataflow.__file__).parent

# From the lowest to the highest. A folder stands for its modules, unless they are named one by one. A module may import
# what stands before it.
BOTTOM = [
    "program_start",
    "_version",
    "_core",
    "nearest",
    "errors",
    "check_errors",
    "checks",
    "map_errors",
    "expansion_errors",
    "process_errors",
    "definition_errors",
    "limit_errors",
    "composition_errors",
    "memory_errors",
    "dimension_errors",
    "contract_levels",
    "timeout_errors",
    "states",
    "sizes",
    "quantities",
    "byte_limits",
    "shared_memory",
    "store_errors",
    "fingerprint_errors",
    "stores",
    "storage_formats",
]
# What a user defines: a graph, down to its ports.
DEFINITION = [
    "array_rules",
    "port_types",
    "type_rules",
    "ports",
    "definition_facts",
    "signatures",
    "dimensions",
    "policies",
    "rate_limits",
    "active_graphs",
    "caching.policy",
    "operation_settings",
    "operations",
    "output_choice",
    "parameters",
    "native_calls",
    "functions",
    "mapping",
    "expansion",
    "expansion.branches",
    "expansion.repeating",
    "generic_ports",
    "channels",
    "names",
    "places",
    "fallbacks",
    "caching.around",
    "node_specs",
    "priorities",
    "composition.parameter",
    "composition.interface",
    "composition.nested",
    "expansion.graph_items",
    "composition.levels",
    "composition.given_values",
    "wiring",
    "drawing",
    "lineage",
    "renames",
    "table_likeness",
    "likeness",
    "changes",
    "differences",
    "explanation",
    "graph_views",
    "plan",
    "dimension_flow",
    "type_flow",
    "faults",
    "composition",
    "bindings",
    "operation_arrays",
    "building",
    "bulk",
    "expansion.graph_branches",
    "graph_blocks",
    "definition_files",
    "graph",
    "expansion.loops",
    "expansion.graph_outputs",
    "fingerprinting",
]
# What a run carries: it knows nothing of graphs, nor they of it.
RUN_DATA = [
    "fingerprints",
    "cancellation",
    "secrets",
    "shared_state",
    "persistent_state",
    "idempotency",
    "clients",
    "random_streams",
    "run_logging",
    "error_record",
    "timing",
    "run_settings",
    "expansion.scopes",
    "caching.log",
    "kept_state",
    "run_record",
    "context",
    "events",
]
RESULT = ["checkpoints", "result_text", "run_outcome", "expansion.result_inside", "result_views", "result"]
ENGINE = [
    "cpus",
    "process_life",
    "native_threads",
    "signal_handlers",
    "executors",
    "event_dispatch",
    "engine_threads",
    "engine_limits",
    "caching",
    "engine_options",
    "fallback_hooks",
    "map_hooks",
    "checkpoint_hooks",
    "unchecked",
    "expansion_hooks",
    "write_guard",
    "time_hooks",
    "run_hooks",
    "undo",
    "active_run",
    "engine_protocol",
    "handle",
    "planning",
    "engine_runs",
    "engine",
    "store_care",
]
PROGRAMS = ["__init__", "testing", "terminal", "demo", "commands", "cli", "__main__"]

ORDER = [*BOTTOM, *DEFINITION, *RUN_DATA, *RESULT, *ENGINE, *PROGRAMS]
APART = [(set(DEFINITION), set(RUN_DATA)), (set(RUN_DATA), set(DEFINITION))]


def module_name(path: Path) -> str:
    parts = path.relative_to(HOME).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


MODULES = {module_name(path): path for path in sorted(HOME.rglob("*.py"))}


def imports_of(path: Path) -> Iterator[str]:
    """Name the modules of the package that a file imports; a name that is no module comes from the package itself."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}, line {node.lineno}: import by the full name"
            module = node.module or ""
            if module == PACKAGE:
                for alias in node.names:
                    yield alias.name if alias.name in {*MODULES, "_core"} else "__init__"
            elif module.startswith(f"{PACKAGE}."):
                inner = module.removeprefix(f"{PACKAGE}.")
                nested = {f"{inner}.{alias.name}" for alias in node.names} & set(MODULES)
                yield from nested or {inner}
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name == PACKAGE or alias.name.startswith(f"{PACKAGE}."):
                    yield alias.name.removeprefix(PACKAGE).removeprefix(".") or "__init__"


def place_of(module: str) -> str:
    return module if module in ORDER else module.partition(".")[0]


IMPORTS = {module: sorted(set(imports_of(path))) for module, path in MODULES.items()}


def test_the_walk_sees_the_package() -> None:
    assert {"errors", "graph", "engine", "__init__"} <= set(MODULES)
    assert "ports" in IMPORTS["operations"]
    assert "_core" in IMPORTS["building"]


@pytest.mark.parametrize("module", sorted(MODULES))
def test_every_module_has_its_place(module: str) -> None:
    assert place_of(module) in ORDER, f"put {module} into the layers of this test, above what it imports"


@pytest.mark.parametrize("module", sorted(MODULES))
def test_no_import_points_back(module: str) -> None:
    own = place_of(module)
    for imported in IMPORTS[module]:
        place = place_of(imported)
        assert place == own or ORDER.index(place) < ORDER.index(own), (
            f"{module} imports {imported}, which lies above it"
        )


@pytest.mark.parametrize("module", sorted(MODULES))
def test_definition_and_run_do_not_know_each_other(module: str) -> None:
    for here, there in APART:
        if place_of(module) in here:
            assert not {place_of(imported) for imported in IMPORTS[module]} & there


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Within a folder too."""
    try:
        TopologicalSorter(IMPORTS).prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' -> '.join(error.args[1])}")


def test_the_layers_name_no_module_that_is_gone() -> None:
    present = {place_of(module) for module in MODULES} | {"_core"}
    assert not set(ORDER) - present
