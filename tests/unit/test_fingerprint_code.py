"""What of its code changes the fingerprint of an operation, and what does not."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from loaded_modules import Load, changes, fingerprint_of, load

from execution_dataflow.fingerprinting import value_digest, what_changed
from execution_dataflow.fingerprinting.code_objects import context_attributes
from execution_dataflow.fingerprinting.source_texts import function_text
from execution_dataflow.functions import operation

__all__ = ["load"]

FUNCTION = "def made(x: int = 1) -> int:\n    y = 2 * x\n    return y\n"
CLASS = """
from execution_dataflow import Operation, OutputPort
FACTOR = 3

def factor():
    return FACTOR

class Base(Operation):
    def half(self, value):
        return value / 2

class Made(Base):
    LIMIT = 10
    out = OutputPort(float)

    def execute(self, context):
        self.out = self.half(self.LIMIT * factor())

made = Made()
"""
HELPERS = """
import functools, math
SCALES = {"a": 1.5}

def even(x):
    return x == 0 or odd(x - 1)

def odd(x):
    return x != 0 and even(x - 1)

@functools.lru_cache
def deep(x):
    return SCALES["a"] * x if even(2) else math.pi

def logged(function):
    @functools.wraps(function)
    def call(*arguments, **keywords):
        return function(*arguments, **keywords)
    return call

class Helper:
    def help(self):
        return [deep(item) for item in range(3)]

@logged
def made(x=1):
    def inside():
        return Helper().help()
    return inside()

def unrelated():
    return 1
"""


@pytest.mark.parametrize(
    "after",
    [
        "# about it\n\n\n" + FUNCTION,
        "def made(x: int = 1) -> int:\n    # why\n\n    y = 2*x\n    return (y)\n",
        'def made(x: int = 1) -> int:\n    """What it is."""\n    y = 2 * x\n    return y\n',
        "def made(x: float = 1) -> float:\n    y = 2 * x\n    return y\n",
        "def other(x: int = 1) -> int:\n    y = 2 * x\n    return y\nmade = other\n",
        "from execution_dataflow import operation\n@operation(priority=3)\n" + FUNCTION,
        FUNCTION + "\ndef unrelated(): pass\n",
    ],
    ids=["moved", "comments and spaces", "documentation", "annotations", "name", "decorator", "neighbour"],
)
def test_what_does_not_say_what_a_function_does_changes_nothing(load: Load, after: str) -> None:
    assert changes(load, FUNCTION, after) == ()


@pytest.mark.parametrize(
    ("after", "what"),
    [
        (FUNCTION.replace("2 * x", "3 * x"), "its code"),
        (FUNCTION.replace("2 * x", "2 + x"), "its code"),
        (FUNCTION.replace("2 * x", "2.0 * x"), "its code"),
        (FUNCTION.replace("x: int = 1", "x: int = 2"), "its configuration"),
        ("from functools import partial\n" + FUNCTION + "made = partial(made, x=5)\n", "its configuration"),
    ],
)
def test_change_of_a_function_is_told_as_code_or_configuration(load: Load, after: str, what: str) -> None:
    assert changes(load, FUNCTION, after) == (what,)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("FACTOR = 3", "FACTOR = 4"),
        ("return FACTOR", "return -FACTOR"),
        ("value / 2", "value / 3"),
        ("LIMIT = 10", "LIMIT = 11"),
        ("self.half(", "abs("),
    ],
    ids=["global constant", "function", "base class", "class constant", "method"],
)
def test_change_of_what_a_class_uses_is_a_change_of_its_code(load: Load, old: str, new: str) -> None:
    assert changes(load, CLASS, CLASS.replace(old, new)) == ("its code",)


@pytest.mark.parametrize("option", ["retry_policy = None", "priority = 7", "executor = 'thread'", "name = 'other'"])
def test_options_that_change_no_result_change_nothing(load: Load, option: str) -> None:
    assert changes(load, CLASS, CLASS.replace("LIMIT = 10", f"LIMIT = 10\n    {option}")) == ()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"a": 1.5', '"a": 1.25'),
        ("x == 0 or", "x <= 0 or"),
        ("x != 0 and", "x > 0 and"),
        ("range(3)", "range(4)"),
        ("if even(2)", "if even(3)"),
        ("return inside()", "return list(inside())"),
        ("return function(*arguments", "return 2 * function(*arguments"),
    ],
    ids=["dict", "recursion", "other half of a recursion", "method", "cached function", "decorated", "decorator"],
)
def test_helpers_count_through_decorators_classes_and_cycles(load: Load, old: str, new: str) -> None:
    assert old in HELPERS
    assert changes(load, HELPERS, HELPERS.replace(old, new)) == ("its code",)


def test_what_is_not_used_does_not_count(load: Load) -> None:
    assert changes(load, HELPERS, HELPERS.replace("return 1\n", "return 2\n")) == ()


def test_lambdas_of_one_line_are_told_apart(load: Load) -> None:
    one = load("made, other = lambda: 1, lambda: 2\n")
    again = load("\n# moved\nmade, other = lambda: 1, lambda: 2\n")
    assert fingerprint_of(one.made) != fingerprint_of(one.other)
    assert fingerprint_of(one.made) == fingerprint_of(again.made)


def test_values_of_a_closure_are_configuration_and_functions_in_it_are_code(load: Load) -> None:
    text = "def outer(factor):\n    def inner():\n        return factor\n    return inner\nmade = outer({})\n"
    assert changes(load, text.format(2), text.format(3)) == ("its configuration",)
    assert changes(load, text.format(2), text.format(2)) == ()
    assert changes(load, text.format("lambda: 2"), text.format("lambda: 3")) == ("its code",)


def test_file_that_was_written_to_since_its_import_is_not_taken_for_what_runs(load: Load) -> None:
    module = load(FUNCTION)
    assert function_text(module.made.__code__) is not None
    before = fingerprint_of(module.made)
    file = Path(module.__file__ or "")
    file.write_text(FUNCTION.replace("2 * x", "3 * x"), encoding="utf-8")
    linecache.clearcache()
    assert function_text(module.made.__code__) is None
    assert fingerprint_of(load(FUNCTION.replace("2 * x", "3 * x")).made) != before


def test_redefined_helper_counts_at_the_next_look(load: Load) -> None:
    module = load(HELPERS)
    before = fingerprint_of(module.made)
    module.SCALES["a"] = 2.5
    assert what_changed(before, fingerprint_of(module.made)) == ("its code",)


def test_module_that_a_function_imports_when_it_runs_counts_with_its_text(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "def made():\n    from sibling import helper\n    return helper()\n"
    (tmp_path / "sibling.py").write_text("def helper(): return 1\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    before = fingerprint_of(load(text).made)
    (tmp_path / "sibling.py").write_text("# said\ndef helper(): return 1\n", encoding="utf-8")
    assert fingerprint_of(load(text).made) == before
    (tmp_path / "sibling.py").write_text("def helper(): return 2\n", encoding="utf-8")
    assert what_changed(before, fingerprint_of(load(text).made)) == ("its code",)
    assert "sibling" not in sys.modules


def test_version_stands_for_the_text(load: Load) -> None:
    text = "from execution_dataflow import operation\n@operation(version={})\ndef made(x: int = 1):\n    return {}\n"
    assert changes(load, text.format("'2'", "x"), text.format("2", "1 * x")) == ()
    assert changes(load, text.format(2, "x"), text.format(3, "x")) == ("its code",)
    versioned = CLASS.replace("LIMIT = 10", "version = '1'\n    LIMIT = 10")
    assert changes(load, versioned, versioned.replace("value / 2", "value * 0.5")) == ()
    assert changes(load, versioned, versioned.replace("version = '1'", "version = '1b'")) == ("its code",)


VERSIONED = """
from functools import partial
from execution_dataflow import Operation, operation

def double(x=1): return 2 * x
def square(x=1): return x * x

class Holder:
    def double(self, x: int = 1): return 2 * x
    def square(self, x: int = 1): return x * x

def mapper(f):
    @operation(version="1")
    def apply(x: int = 1): return f(x)
    return apply

def scaling(by):
    def scale(x): return by * x
    return scale

def class_of(f):
    class Applied(Operation):
        version = "1"
        def execute(self, context): f(1)
    return Applied()
"""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("operation(partial(double), version='1')", "operation(partial(square), version='1')"),
        ("operation(Holder().double, version='1')", "operation(Holder().square, version='1')"),
        ("operation(lambda x=1: 2 * x, version='1')", "operation(lambda x=1: x * x, version='1')"),
        ("mapper(double)", "mapper(square)"),
        ("mapper(lambda x: 2 * x)", "mapper(lambda x: x * x)"),
        ("mapper(scaling(2))", "mapper(scaling(3))"),
        ("mapper(mapper(double))", "mapper(mapper(square))"),
        ("class_of(double)", "class_of(square)"),
        ("class_of(2)", "class_of(3)"),
        ("class_of(mapper(double))", "class_of(mapper(square))"),
    ],
)
def test_version_is_that_of_one_function_and_of_no_other_that_is_made_in_the_same_place(
    load: Load, one: str, other: str
) -> None:
    text = VERSIONED + "made = "
    assert changes(load, text + one, text + other) != ()
    assert changes(load, text + one, "\n\n" + text + one) == ()
    if "lambda" not in one:
        assert changes(load, text + one, text.replace("(x=1): return 2 * x", "(x=1): return x + x") + one) == ()


@pytest.mark.parametrize("made", ["operation(double, version='1')", "mapper(double)", "class_of(1)"])
def test_version_is_that_of_one_module(load: Load, made: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = VERSIONED + f"made = {made}"
    before = fingerprint_of(load(text).made)
    assert what_changed(before, fingerprint_of(load(f"__name__ = 'other'\n{text}").made)) == ("its code",)
    of_a_program = fingerprint_of(load(f"__name__ = '__main__'\n{text}").made)
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "/elsewhere/program.py")
    assert what_changed(of_a_program, fingerprint_of(load(f"__name__ = '__main__'\n{text}").made)) == ("its code",)


def test_functions_of_packages_count_by_name_and_version(monkeypatch: pytest.MonkeyPatch) -> None:
    numpy = pytest.importorskip("numpy")

    @operation
    def made() -> float:
        return float(numpy.mean([1.0]))

    before = fingerprint_of(made)
    monkeypatch.setattr(numpy, "__version__", "0.0.1")
    assert what_changed(before, fingerprint_of(made)) == ("its code",)


def test_native_functions_count_by_name() -> None:
    import math

    assert fingerprint_of(lambda x=1.0: math.sqrt(x)) == fingerprint_of(lambda x=1.0: math.sqrt(x))
    assert value_digest(math.sqrt) == value_digest(math.sqrt)
    assert value_digest(math.sqrt) != value_digest(math.exp)
    assert value_digest("a".join) != value_digest("b".join)


@pytest.mark.parametrize(
    ("function", "read"),
    [
        (lambda context: context.parameters["a"], {"parameters"}),
        (lambda context: context.logger.info(context.run_id), {"logger", "run_id"}),
        (lambda context: [context.rng() for _ in "ab"], None if sys.version_info < (3, 12) else {"rng"}),
        (lambda context: print(context), None),
        (lambda context: (lambda: context.logger)(), None),
        (lambda context: getattr(context, "parameters"), None),  # noqa: B009
        (lambda context: locals(), None),
        (lambda context: 1, set()),
    ],
)
def test_what_code_reads_of_its_context_is_known_or_said_to_be_unknown(
    function: Callable[[Any], Any], read: set[str] | None
) -> None:
    assert context_attributes(function.__code__, "context") == read
