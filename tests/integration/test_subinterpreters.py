"""A sub-interpreter cannot import the package, and learns why: its threads and runs belong to one interpreter."""

from __future__ import annotations

from pathlib import Path

import pytest
from programs import run_program

# The module that makes interpreters was renamed, and its functions changed, in each version.
IN_SUBINTERPRETER = """
    import sys

    def in_subinterpreter(code):
        if sys.version_info >= (3, 14):
            from concurrent import interpreters
            interpreters.create().exec(code)
        elif sys.version_info >= (3, 13):
            import _interpreters
            identity = _interpreters.create("legacy")
            failure = _interpreters.exec(identity, code)
            assert failure is None, failure
        else:
            import _xxsubinterpreters
            _xxsubinterpreters.run_string(_xxsubinterpreters.create(), code)
"""


PROGRAM = """
    in_subinterpreter('''
    import sys
    sys.path[:] = PATH
    try:
        import execution_dataflow
    except ImportError as error:
        print(error)
    else:
        print("imported")
    '''.replace("PATH", repr(sys.path)))
"""


@pytest.mark.parametrize("first", ["", "import execution_dataflow"], ids=["only there", "also in the main interpreter"])
def test_import_in_a_subinterpreter_is_refused(first: str, tmp_path: Path) -> None:
    code, lines, errors = run_program(tmp_path, IN_SUBINTERPRETER, first, PROGRAM)
    assert (code, errors) == (0, "")
    assert len(lines) == 1
    for part in ("execution_dataflow cannot be used in a sub-interpreter", "in the main interpreter", "process"):
        assert part in lines[0]


def test_main_interpreter_goes_on_after_a_refusal(tmp_path: Path) -> None:
    program = """
    from execution_dataflow import ExecutionEngine, GraphDefinition
    graph = GraphDefinition()
    answer = graph.add(lambda: 42)
    print(ExecutionEngine().run(graph).get_output(answer))
    """
    code, lines, errors = run_program(tmp_path, IN_SUBINTERPRETER, PROGRAM, program, PROGRAM)
    assert (code, errors) == (0, "")
    assert lines[1] == "42"
    assert all("cannot be used in a sub-interpreter" in line for line in (lines[0], lines[2]))
