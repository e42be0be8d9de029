"""What a file may use: only what the caller allows, and nothing else is imported, made or called."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import filed_operations as ops
import pytest

from execution_dataflow import DefinitionError, GraphDefinition

BRANCHES = "execution_dataflow.expansion.branches:"


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


@pytest.mark.parametrize("form", ["json", "yaml"])
@pytest.mark.parametrize(
    "written",
    [
        {"parameters": {"p": {"type": "'CODE'"}}},
        {"parameters": {"p": {"type": "list['CODE'] | None"}}},
        {"parameters": {"p": {"type": "tuple[int, 'CODE']"}}},
        {"parameters": {"p": {"type": "Literal['a'] | 'CODE'"}}},
        {"operations": {"a": {"operation": BRANCHES + "FirstOf", "arguments": {"data_type": "CODE"}}}},
        {
            "operations": {
                "a": {"operation": BRANCHES + "FirstOf", "arguments": {"data_type": {"$type": "list['CODE']"}}}
            }
        },
        {"operations": {"a": {"operation": BRANCHES + "Switch", "arguments": {"cases": ["x"], "data_type": "CODE"}}}},
        {"operations": {"a": {"operation": "filed_operations:Typed", "arguments": {"kind": "CODE"}}}},
        {"operations": {"a": {"operation": "filed_operations:Typed", "arguments": {"kind": "list['CODE']"}}}},
    ],
    ids=str,
)
def test_no_text_in_the_place_of_a_type_runs(form: Any, written: dict[str, Any], tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    # Without a quote, which would end the text that it stands in. JSON is YAML too.
    code = (
        "__import__(chr(111)+chr(115)).mkdir(chr(47)+chr(47).join(["
        + ",".join("+".join(f"chr({ord(letter)})" for letter in part) for part in mark.parts[1:])
        + "]))"
    )
    text = json.dumps({"version": 1, **written}).replace("CODE", code)
    with pytest.raises(DefinitionError) as caught:
        GraphDefinition.loads(text, format=form, allow=["filed_operations"])
    assert not mark.exists()
    assert len(caught.value.faults) == 1


def test_texts_in_a_literal_stand_for_themselves() -> None:
    text = """{"version": 1, "parameters": {"p": {"type": "list[Literal['exit()', 2, None]] | None"}}}"""
    graph = GraphDefinition.loads(text, format="json", allow=[])
    assert graph.parameters["p"].data_type == list[Literal["exit()", 2, None]] | None
    again = GraphDefinition.loads(graph.dumps(format="json"), format="json", allow=[])
    assert again.parameters["p"].data_type == graph.parameters["p"].data_type


@pytest.mark.parametrize(
    "text", ["...", "Literal", "list[1]", "True", "Literal[1 | 2]", "Literal[int]", "Literal[" + 5000 * "9" + "]"]
)
def test_type_that_is_none_is_a_fault(text: str) -> None:
    with pytest.raises(DefinitionError, match=r"is no type|no built-in type"):
        GraphDefinition.loads(json.dumps({"version": 1, "parameters": {"p": {"type": text}}}), format="json", allow=[])


def test_files_that_name_files_are_limited(tmp_path: Path) -> None:
    def write(name: str, *files: str) -> None:
        nested = {f"n{number}": {"graph": file} for number, file in enumerate(files)}
        (tmp_path / name).write_text(json.dumps({"version": 1, "operations": nested}))

    for number in range(60):
        write(f"chain{number}.json", f"chain{number + 1}.json")
    write("chain60.json")
    for number in range(4):
        write(f"tree{number}.json", *[f"tree{number + 1}.json"] * 8)
    write("tree4.json")
    for name in ("chain0.json", "tree0.json"):
        with pytest.raises(DefinitionError, match="at most 50 deep, and 1,000 times in all") as caught:
            GraphDefinition.load(tmp_path / name, allow=[])
        assert len(caught.value.faults) == 1
    assert len(GraphDefinition.load(tmp_path / "chain20.json", allow=[])) == 1
    assert len(GraphDefinition.load(tmp_path / "tree2.json", allow=[])) == 8
