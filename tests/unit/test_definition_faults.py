"""Faults of files: each with its line and column, its path, what was expected, found and meant; all of them at once."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from execution_dataflow import (
    DefinitionError,
    DefinitionFault,
    ExecutionEngine,
    GraphDefinition,
    GraphValidationError,
    UnconnectedInputError,
)
from execution_dataflow.definition_files import yaml_text

ALLOW = ["filed_operations"]


def faults(text: str, form: Any = "yaml", allow: Any = ALLOW) -> tuple[DefinitionFault, ...]:
    with pytest.raises(DefinitionError) as caught:
        GraphDefinition.loads(text, format=form, allow=allow)
    assert all(fault.file == "<text>" for fault in caught.value.faults)
    return caught.value.faults


def fault(text: str, form: Any = "yaml", allow: Any = ALLOW) -> DefinitionFault:
    (only,) = faults(text, form, allow)
    return only


def where(found: DefinitionFault) -> tuple[int | None, int | None, str]:
    return found.line, found.column, found.path


YAML = """\
version: 1
name: etl
operations:
  load:
    operation: filed_operations:laod
  clean:
    operation: filed_operations:Clean
    arguments: {limt: 3}
    options:
      retry_policy: {max_attempts: zero}
      prioritty: 3
    inputs: {raw: load.result, row: load}
  split:
    operation: filed_operations:split
    inputs: {raw: claen.clean}
    constants: {at: two}
  again:
    operation: filed_operations:split
    inputs: {raw: split}
    after: [splitt]
outputs: {all: split.hed}
"""
JSON = """\
{
  "version": 1,
  "name": "etl",
  "operations": {
    "load": {"operation": "filed_operations:laod"},
    "clean": {
      "operation": "filed_operations:Clean",
      "arguments": {"limt": 3},
      "options": {
        "retry_policy": {"max_attempts": "zero"},
        "prioritty": 3
      },
      "inputs": {"raw": "load.result", "row": "load"}
    },
    "split": {
      "operation": "filed_operations:split",
      "inputs": {"raw": "claen.clean"},
      "constants": {"at": "two"}
    },
    "again": {
      "operation": "filed_operations:split",
      "inputs": {"raw": "split"},
      "after": ["splitt"]
    }
  },
  "outputs": {"all": "split.hed"}
}
"""
TOML = """\
version = 1
name = "etl"

[operations.load]
operation = "filed_operations:laod"

[operations.clean]
operation = "filed_operations:Clean"
arguments = { limt = 3 }  # a comment
options.retry_policy.max_attempts = "zero"
options.prioritty = 3
inputs = { raw = "load.result", row = "load" }

[operations.split]
operation = 'filed_operations:split'
inputs.raw = "claen.clean"
constants = { at = "two" }

[operations.again]
operation = "filed_operations:split"
inputs = { "raw" = "split" }
after = [
    "splitt",
]

[outputs]
all = "split.hed"
"""
EXPECTED = {
    "operations.load.operation": ("filed_operations has no 'laod'; did you mean 'load'?", (5, 16), (5, 27), (5, 13)),
    "operations.clean.operation": ("TypeError: ", (7, 16), (7, 20), (8, 13)),
    "operations.clean.options.retry_policy": ("TypeError: RetryPolicy(max_attempts=)", (10, 21), (10, 25), (10, 9)),
    "operations.clean.options.prioritty": ("did you mean 'priority'?", (11, 7), (11, 9), (11, 9)),
    "operations.clean.inputs.row": ("did you mean 'raw'?", None, None, None),
    "operations.split.inputs.raw": ("did you mean 'clean.clean'?", (15, 19), (17, 25), (16, 14)),
    "operations.split.constants.at": ("expected int, got str", (16, 21), (18, 27), (17, 20)),
    "operations.again.inputs.raw": ("split has 2 outputs", (19, 19), (22, 25), (21, 20)),
    "operations.again.after.0": ("did you mean 'split'?", (20, 13), (23, 17), (23, 5)),
    "outputs.all": ("did you mean 'split.head'?", (21, 16), (26, 22), (27, 7)),
}


@pytest.mark.parametrize(("form", "text", "place"), [("yaml", YAML, 1), ("json", JSON, 2), ("toml", TOML, 3)])
def test_all_faults_are_told_at_once_each_with_its_place(form: str, text: str, place: int) -> None:
    found = faults(text, form)
    # An operation that cannot be made has no ports, so what it is given is looked at when it can.
    expected = {path: told for path, told in EXPECTED.items() if told[place] is not None}
    assert {one.path for one in found} == set(expected)
    for one in found:
        told = expected[one.path]
        assert told[0] in str(one)
        assert (one.line, one.column) == told[place], one
        assert str(one).startswith(f"<text>:{one.line}:{one.column}: {one.path}: ")


def test_error_lists_its_faults_with_their_number() -> None:
    with pytest.raises(
        DefinitionError, match=r"^<text> is no valid definition, 9 faults:\n  1\. <text>:5:16: "
    ) as caught:
        GraphDefinition.loads(YAML, format="yaml", allow=ALLOW)
    assert isinstance(caught.value, ValueError)
    text = "version: 1\noperations:\n" + "".join(f"  a{index}: {{}}\n" for index in range(70))
    with pytest.raises(DefinitionError, match=r"and 20 more$") as caught:
        GraphDefinition.loads(text, format="yaml", allow=ALLOW)
    assert len(caught.value.faults) == 70


def test_fault_carries_what_was_expected_found_and_meant() -> None:
    one = fault("version: 1\noperations:\n  load: {operation: filed_operations:load, constants: {pth: a}}")
    assert (one.expected, one.found, one.nearest) == ("one of path", "'pth'", "path")
    one = fault("version: 1\nname: [x]")
    assert (one.expected, one.found, one.nearest) == ("a text", "a list of 1", None)


@pytest.mark.parametrize(
    ("text", "told", "place"),
    [
        ("", "the file is empty", (1, 1, "")),
        ("# nothing", "the file is empty", (1, 1, "")),
        ("a: b: c", "mapping values are not allowed", (1, 5, "")),
        ("version: 1\nname:\n\tx: 1", "a tab cannot indent; use spaces", (3, 1, "")),
        ("version: 1\n---\nversion: 1", "a second document", (2, 1, "")),
        ("version: 1\nname: *x", "no anchor &x", (2, 7, "")),
        ("version: 1\nname: &x [*x]", "*x stands within &x itself", (2, 11, "")),
        (
            "version: 1\nname: !!python/object:os.system x",
            "the tag !!python/object:os.system is not allowed",
            (2, 7, ""),
        ),
        ("version: 1\nname: !mine [x]", "the tag !mine is not allowed", (2, 7, "")),
        ("version: !!int one", "'one' is no !!int", (1, 10, "")),
        ("version: 1\n1: x", "a name is a text, and 1 is none here", (2, 1, "")),
        ("version: 1\n[a]: x", "a name is a text, and no list", (2, 1, "")),
        ("version: 1\nname: 1e999", "the number 1e999 is too large", (2, 7, "")),
        ("version: " + "9" * 5000, "too many digits", (1, 10, "")),
        ("version: 1\nname: " + "[" * 150, "values nest more than 100 deep", (2, 106, "")),
        ("version: 1\nname: \x01", "a control character cannot stand in YAML", (2, 7, "")),
        ("version: 1\nname: \ud800", "half of a surrogate pair", (2, 7, "")),
    ],
)
@pytest.mark.parametrize("library", ["C", "Python"])
def test_yaml_that_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch, library: str, text: str, told: str, place: Any
) -> None:
    yaml = yaml_text._yaml()
    if library == "Python" and hasattr(yaml, "CSafeLoader"):
        monkeypatch.delattr(yaml, "CSafeLoader")
    one = fault(text)
    assert told in str(one)
    assert where(one) == place


@pytest.mark.parametrize(
    ("text", "told", "place"),
    [
        ("", "the file is empty", (1, 1, "")),
        ("{", "expected a name in double quotes, found the end of the file", (1, 2, "")),
        ('{"version": 1,}', "expected a name in double quotes, found '}'", (1, 15, "")),
        ('{"version": 1} 2', "something after the end", (1, 16, "")),
        ('{\n  "version": NaN}', 'NaN is no JSON; write {"$float": "nan"}', (2, 14, "")),
        ('{"version": -Infinity}', '{"$float": "-inf"}', (1, 13, "")),
        ('{"version": 1e999}', "the number 1e999 is too large", (1, 13, "")),
        ('{"version": 01}', "expected ',' or '}', found '1'", (1, 14, "")),
        ('{"version": ' + "9" * 5000 + "}", "too many digits", (1, 13, "")),
        ('{"version": one}', "one is no JSON; write text in double quotes", (1, 13, "")),
        ("{version: 1}", "expected a name in double quotes, found 'v'", (1, 2, "")),
        ('{"version" 1}', "expected ':' after 'version'", (1, 12, "")),
        ('{"name": "a\nb"}', "a line ends within a text", (1, 12, "")),
        ('{"name": "a\tb"}', "the control character '\\t' stands within a text", (1, 12, "")),
        ('{"name": "a', "a text that begins here has no end", (1, 10, "")),
        ('{"name": "\\x"}', "invalid \\escape", (1, 11, "")),
        ('{"name": ' + "[" * 150, "values nest more than 100 deep", (1, 109, "")),
        ("{\"name\": 'x'}", 'expected a value, found "\'"', (1, 10, "")),
    ],
)
def test_json_that_cannot_be_read(text: str, told: str, place: Any) -> None:
    one = fault(text, "json")
    assert told in str(one)
    assert where(one) == place


@pytest.mark.parametrize(
    ("text", "told", "line"),
    [
        ("version = ", "invalid value", 1),
        ("version = 1\nversion = 2", "overwrite a value", 2),
        ("version = 1\n[operations.a]\n[operations.a]", "declare", 3),
        ("version = 1\nname = 'a\nb'", "", 2),
        ("version = 1\nname = " + "[" * 5000, "nest more than 100 deep", None),
        ("version = 1\nname = " + "[" * 150 + "]" * 150, "nest more than 100 deep", 2),
        ("version = 1\n" + ".".join("a" * 200) + " = 1", "nest more than 100 deep", 2),
        ("version = " + "9" * 5000, "", None),
    ],
)
def test_toml_that_cannot_be_read(text: str, told: str, line: int | None) -> None:
    one = fault(text, "toml")
    assert told in str(one)
    assert one.line == line


@pytest.mark.parametrize(
    ("form", "text", "places"),
    [
        (
            "yaml",
            "version: 1\nname: a\nname: b\noperations:\n  x: {}\n  x: {}",
            [(3, 1, "name"), (6, 3, "operations.x")],
        ),
        ("json", '{"version": 1, "name": "a", "name": "b"}', [(1, 29, "name")]),
    ],
)
def test_name_that_is_there_twice_is_a_fault(form: str, text: str, places: list[Any]) -> None:
    twice = [one for one in faults(text, form) if "a second time" in str(one)]
    assert list(map(where, twice)) == places


def test_aliases_repeat_what_they_name() -> None:
    text = """
version: 1
operations:
  a: &load {operation: filed_operations:load, constants: &given {path: x}}
  b: *load
  c: {operation: filed_operations:load, constants: *given}
"""
    graph = GraphDefinition.loads(text, format="yaml", allow=ALLOW)
    assert ExecutionEngine().run(graph).values == {f"{name}.result": b"x" for name in "abc"}


def test_aliases_of_aliases_do_not_explode() -> None:
    text = "version: 1\nx0: &x0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n"
    for level in range(1, 30):
        text += f"x{level}: &x{level} [{', '.join([f'*x{level - 1}'] * 9)}]\n"
    began = time.monotonic()
    assert "the aliases of this file repeat more than 1,000,000 values" in str(fault(text))
    assert time.monotonic() - began < 10


def test_aliases_do_not_nest_without_end() -> None:
    text = "version: 1\nx0: &x0 [a]\n" + "".join(f"x{n}: &x{n} [*x{n - 1}]\n" for n in range(1, 200))
    assert "with its aliases, values nest more than 100 deep" in str(fault(text))


def test_words_of_old_yaml_are_texts() -> None:
    text = """
version: 1
operations:
  a: {operation: filed_operations:accept, constants: {value: [no, on, 12:30, 1_000, 2026-11-23, 0o17, ~, .5, +.inf]}}
"""
    (values,) = ExecutionEngine().run(GraphDefinition.loads(text, format="yaml", allow=ALLOW)).values.values()
    assert values == ["no", "on", "12:30", "1_000", "2026-11-23", 15, None, 0.5, float("inf")]


SHORT = {
    "load: {": "{operation: filed_operations:load, ",
    "ops: {operation: ": "{operation: filed_operations:",
    "map: {map: {operation: ": "{map: {operation: filed_operations:",
}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[]", ": a definition is a mapping. Expected a mapping, found a list of 0."),
        ("name: x", "a definition needs 'version'"),
        (
            "version: 2",
            "version: this version of execution-dataflow cannot read the file. Expected 1, found the number 2.",
        ),
        ("version: true", "Expected 1, found true."),
        ("version: 1\noperation: {}", "there is no part of a definition 'operation'; did you mean 'operations'?"),
        ("version: 1\noperations: [a]", "operations are given by their names. Expected a mapping, found a list of 1."),
        ("version: 1\noperations: {a: 3}", "an operation is a mapping. Expected a mapping, found the number 3."),
        ("version: 1\noperations: {a: {}}", "an operation needs 'operation'"),
        ("version: 1\noperations: {'': {operation: x:y}}", "a name must not be empty"),
        ("version: 1\noperations: {a: {operation: 3}}", "an operation is named by a text"),
        ("version: 1\noperations: {a: {operation: filed_operations.load}}", "did you mean 'filed_operations:load'?"),
        ("version: 1\noperations: {a: {graph: {}, map: {}}}", "an entry is one thing"),
        ("map: {map: {operation: load}}}", "a map needs 'over'"),
        (
            "map: {map: {operation: load, over: [pth]}}}",
            "UnknownPortError: load has no input port 'pth'",
        ),
        (
            "map: {map: {operation: load, over: path}, constants: {path: abc}}}",
            "nothing can be mapped over a str",
        ),
        ("ops: {operation: Broken, arguments: [x]}}", "Trouble: x"),
        ("ops: {operation: Silent}}", "a does nothing: Silent must define execute"),
        ("load: {arguments: [1]}}", "a function has no constructor"),
        ("ops: {operation: Plain, outputs: x}}", "declares its outputs itself"),
        ("load: {outputs: [3]}}", "the outputs of a function are named"),
        ("load: {outputs: [a b]}}", "must be different identifiers"),
        ("load: {inputs: {path: 3}}}", "a constant stands in 'constants'"),
        ("load: {inputs: {path: a}}}", "cannot feed its own input"),
        (
            "load: {constants: {path: {$tupel: []}}}}",
            "there is no kind of value '$tupel'; did you mean '$tuple'?",
        ),
        ("load: {constants: {path: {$bytes: '*'}}}}", "this is no $bytes"),
        ("load: {constants: {path: {$x: 1, y: 2}}}}", "has no neighbours"),
        ("load: {constants: {path: {$set: [[1]]}}}}", "this is no $set"),
        ("load: {constants: {path: 3}}}", "expected str, got int"),
        ("load: {options: {executor: procces}}}", "must be 'thread'"),
        ("load: {options: {timeout_seconds: .nan}}}", "more than 0 seconds"),
        ("load: {options: {priority: null}}}", "priority cannot be left empty"),
        ("load: {options: {name: b}}}", "is called what it is called in the file"),
        ("load: {options: {rate_limit: 3}}}", "rate_limit is a mapping"),
        (
            "load: {options: {retry_policy: {retry_on: OSEror}}}}",
            "there is no built-in exception 'OSEror'; did you mean 'OSError'?",
        ),
        (
            "load: {options: {retry_policy: {retry_on: [int]}}}}",
            "options.retry_policy.retry_on.0: int is no class of exceptions",
        ),
        (
            "load: {options: {on_failure: {value: 1, function: x:y}}}}",
            "Expected one of 'value', 'function' and 'operation', found 'value' and 'function'.",
        ),
        ("version: 1\nparameters: {a: {type: in}}", "there is no built-in type 'in'; did you mean 'int'?"),
        ("version: 1\nparameters: {a: {type: 'list[int'}}", "is no type: ']' is missing"),
        ("version: 1\nparameters: {a: {type: '__import__'}}", "there is no built-in type '__import__'"),
        ("version: 1\nparameters: {a: {type: int, default: x}}", "the default of parameter 'a' is wrong"),
        ("version: 1\nparameters: {a b: {}}", "must be an identifier"),
        (
            "version: 1\nparameters: {a: {}}\noperations: {a: {operation: filed_operations:load}}",
            "there is a parameter 'a' already",
        ),
        ("version: 1\nparameters: {a: {}}\noutputs: {b: a}", "is a parameter, and no output of an operation"),
        ("version: 1\nconnections: {a: b}", "connections are a list of pairs"),
        ("version: 1\nconnections: [[a.b]]", "connections.0: this is no pair"),
        ("version: 1\nconnections: [[a.b, c.d]]", "there is no operation 'c'"),
        ("version: 1\ndependencies: [[a, b]]", "there is no operation 'a'"),
        ("version: 1\noperations: {a: {graph: x.yaml}}", "cannot name other files"),
        (
            "version: 1\noperations: {a: {graph: {operations: {b: {}}}}}",
            "operations.a.graph.operations.b: an operation needs",
        ),
    ],
)
def test_fault_says_what_to_do(text: str, told: str) -> None:
    for short, long in SHORT.items():
        if text.startswith(short):
            text = f"version: 1\noperations: {{a: {long}{text.removeprefix(short)}"
    assert told in " ".join(map(str, faults(text)))


def test_input_with_a_constant_and_a_source_is_a_fault() -> None:
    text = """
version: 1
operations:
  a: {operation: filed_operations:load, constants: {path: x}}
  b:
    operation: filed_operations:Plain
    constants: {raw: {$bytes: ""}}
    inputs: {raw: a}
"""
    assert "b.raw is bound to a constant already" in str(fault(text))


def test_types_that_never_fit_are_told_at_the_input() -> None:
    text = """
version: 1
operations:
  a: {operation: filed_operations:Plain}
  b: {operation: filed_operations:load, inputs: {path: a.out}}
"""
    one = fault(text)
    assert where(one) == (5, 56, "operations.b.inputs.path")
    assert "a.out gives bytes, which can never fit b.path, which takes str" in str(one)


def test_faults_of_the_whole_name_lines_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "etl.yaml"
    file.write_text("""\
version: 1
operations:
  a: {operation: filed_operations:Plain, inputs: {raw: b}}
  b:
    operation: filed_operations:Plain
    inputs: {raw: a}
  c: {operation: filed_operations:Plain}
  d:
    graph:
      operations:
        e: {operation: filed_operations:Join, inputs: {parts: [e2]}}
        e2: {operation: filed_operations:Join, inputs: {parts: [e]}}
""")
    graph = GraphDefinition.load(file, allow=ALLOW)
    with pytest.raises(GraphValidationError) as caught:
        graph.compile()
    text = str(caught.value)
    assert f"(a added at {file}:3, b added at {file}:4)" in text
    assert f"(d/e added at {file}:11, d/e2 added at {file}:12)" in text
    assert f"(Plain added at {file}:7)" in text
    (open_input,) = (one for one in caught.value.faults if isinstance(one, UnconnectedInputError))
    assert open_input.place == f"{file}:7"


def test_faults_of_another_file_name_that_file(tmp_path: Path) -> None:
    (tmp_path / "outer.yaml").write_text(
        "version: 1\noperations:\n  a: {graph: inner.json}\n  b: {graph: ../x.json}\n  c: {graph: none.json}\n"
        "  d: {graph: outer.yaml}\n  e: {graph: x.txt}\n"
    )
    (tmp_path / "inner.json").write_text('{\n"version": 1, "operations": {"x": {"operation": "filed_operations:lod"}}}')
    with pytest.raises(DefinitionError) as caught:
        GraphDefinition.load(tmp_path / "outer.yaml", allow=ALLOW)
    assert [(one.file, one.line, one.path) for one in caught.value.faults] == [
        (str(tmp_path / "inner.json"), 2, "operations.x.operation"),
        (str(tmp_path / "outer.yaml"), 4, "operations.b.graph"),
        (str(tmp_path / "outer.yaml"), 5, "operations.c.graph"),
        (str(tmp_path / "outer.yaml"), 6, "operations.d.graph"),
        (str(tmp_path / "outer.yaml"), 7, "operations.e.graph"),
    ]


def test_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(b'{"version": 1,\n "name": "\xff"}')
    with pytest.raises(DefinitionError, match=r"a\.json:2:11: the file is no UTF-8 text: invalid start byte"):
        GraphDefinition.load(file, allow=[])
    file.write_bytes(b"\xef\xbb\xbf{\r\n}\r\n")
    with pytest.raises(DefinitionError, match="needs 'version'"):
        GraphDefinition.load(file, allow=[])


def test_wrong_calls_are_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        GraphDefinition.load(tmp_path / "none.json", allow=[])
    with pytest.raises(ValueError, match=r"a\.txt ends with none of \.yaml, \.yml, \.json, \.toml; say which format="):
        GraphDefinition.load(tmp_path / "a.txt", allow=[])
    with pytest.raises(
        ValueError, match="format must be one of 'yaml', 'json', 'toml', not 'yml'; did you mean 'yaml'"
    ):
        GraphDefinition.loads("", format="yml", allow=[])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"loads\(\) takes a str, not bytes"):
        GraphDefinition.loads(b"", format="yaml", allow=[])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="allow"):
        GraphDefinition.loads("", format="yaml")  # type: ignore[call-arg]
