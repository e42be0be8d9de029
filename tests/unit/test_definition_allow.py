"""What a file may use: only what the caller allows, and nothing else is imported, made or called."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import filed_operations as ops
import pytest

from execution_dataflow import DefinitionError, GraphDefinition


def loading(reference: str, allow: Any) -> GraphDefinition:
    text = f"version: 1\noperations:\n  a: {{operation: {reference!r}}}\n"
    return GraphDefinition.loads(text, format="yaml", allow=allow)


def refused(reference: str, allow: Any) -> str:
    ops.TOUCHED.clear()
    with pytest.raises(DefinitionError) as caught:
        loading(reference, allow)
    assert ops.TOUCHED == []
    return str(caught.value)


@pytest.mark.parametrize(
    ("allow", "reference"),
    [
        (["filed_operations"], "filed_operations:load"),
        ([ops], "filed_operations:load"),
        (["filed_operations:load"], "filed_operations:load"),
        (["filed_operations"], "filed_operations:Outer.Inner"),
        (["filed_operations:plain"], "filed_operations:plain"),
        (["builtins:sum"], "builtins:sum"),
        (["filed_operations:add_three"], "filed_operations:add_three"),
        (["filed_operations:system"], "filed_operations:system"),
    ],
)
def test_what_is_allowed_is_loaded(allow: Any, reference: str) -> None:
    assert len(loading(reference, allow)) == 1


@pytest.mark.parametrize(
    ("allow", "reference", "told"),
    [
        ([], "filed_operations:load", "Expected nothing, since allow= is empty"),
        (
            ["filed"],
            "filed_operations:load",
            "filed_operations:load is not allowed; if it may be used, add 'filed_operations'",
        ),
        (["filed_operation"], "filed_operations:load", "did you mean 'filed_operation:load'?"),
        (["filed_operations:split"], "filed_operations:load", "is not allowed"),
        (["filed_operations.inner"], "filed_operations:load", "is not allowed"),
        (
            ["filed_operations"],
            "filed_operations:plain",
            "is a plain function; decorate it with @operation, or allow it",
        ),
        (["filed_operations"], "filed_operations:system", "is a plain function"),
        (["filed_operations"], "filed_operations:add_three", "is a plain function"),
        (["filed_operations"], "filed_operations:Outer", "is a class and no Operation"),
        (["filed_operations:Outer.NoOperation"], "filed_operations:Outer.NoOperation", "is a class and no Operation"),
        (["filed_operations"], "filed_operations:nothing", "is int, and no operation or function"),
        (["filed_operations"], "filed_operations:Path.home", "comes from pathlib, which is not allowed"),
        (["filed_operations"], "filed_operations:os.system", "filed_operations.os has no 'system'"),
        (["filed_operations"], "filed_operations:hidden", "filed_operations has no 'hidden'"),
        (["filed_operations"], "filed_operations:load.function", "filed_operations.load has no 'function'"),
        (["filed_operations"], "filed_operations:Clean.execute", "is a plain function"),
        (["filed_operations"], "filed_operations:Clean.__init__", "has a name with two underscores"),
        (["filed_operations"], "filed_operations:Clean.__class__.__base__", "has a name with two underscores"),
        (
            ["filed_operations"],
            "filed_operations:Operation",
            "comes from execution_dataflow.operations, which is not allowed",
        ),
        (["filed_operations"], "builtins:eval", "builtins:eval is not allowed"),
        (["filed_operations"], "filed_operations:load()", "names nothing"),
        (["filed_operations"], "filed_operations:", "names nothing"),
        (["filed_operations"], "..:load", "names nothing"),
        (["nowhere_to_be_found"], "nowhere_to_be_found:load", "there is no module nowhere_to_be_found"),
    ],
)
def test_what_is_not_allowed_is_refused_and_never_touched(allow: Any, reference: str, told: str) -> None:
    assert told in refused(reference, allow)


def test_module_that_is_not_allowed_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dangerous_module.py").write_text(
        "import filed_operations\nfiled_operations.TOUCHED.append('import')\n1/0"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert "dangerous_module:load is not allowed" in refused("dangerous_module:load", ["filed_operations"])
    assert "dangerous_module" not in sys.modules
    with pytest.raises(DefinitionError, match="import of dangerous_module failed: ZeroDivisionError: division by zero"):
        loading("dangerous_module:load", ["dangerous_module"])
    assert ops.TOUCHED == ["import"]


def test_module_that_ends_the_program_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ending_module.py").write_text("raise SystemExit(3)")
    monkeypatch.syspath_prepend(tmp_path)
    assert "the import of ending_module failed: SystemExit: 3" in refused("ending_module:load", ["ending_module"])


def test_types_and_exceptions_have_to_be_allowed_too() -> None:
    allow = ["filed_operations"]
    text = """
version: 1
parameters: {a: {type: "os:PathLike"}}
operations:
  b: {operation: filed_operations:load, options: {retry_policy: {retry_on: "subprocess:SubprocessError"}}}
"""
    with pytest.raises(DefinitionError) as caught:
        GraphDefinition.loads(text, format="yaml", allow=allow)
    found = caught.value.faults
    assert ["os:PathLike is not allowed" in str(found[0]), "subprocess:SubprocessError is not allowed" in str(found[1])]
    assert len(GraphDefinition.loads(text, format="yaml", allow=[*allow, "os", "subprocess"])) == 2


@pytest.mark.parametrize(
    ("allow", "error"),
    [
        ("filed_operations", TypeError),
        (ModuleType("m"), TypeError),
        (None, TypeError),
        ([3], TypeError),
        (["a b"], ValueError),
        (["a:"], None),
        (["a:b c"], ValueError),
        (["*"], ValueError),
        ([""], ValueError),
        (["__main__"], ValueError),
    ],
)
def test_list_of_what_is_allowed_is_checked(allow: Any, error: Any) -> None:
    error = error or ValueError
    with pytest.raises(error, match="allow="):
        GraphDefinition.loads("version: 1", format="yaml", allow=allow)
