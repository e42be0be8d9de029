"""What of classes that are made from their fields, and of functions beside their text, changes a fingerprint."""

from __future__ import annotations

import sys

import pytest
from loaded_modules import Load, changes, load

__all__ = ["load"]

PYDANTIC = """
from typing import Annotated, ClassVar
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, field_validator
from pydantic.dataclasses import dataclass

class Inner(BaseModel):
    size: int = 2

def start(): return 3
def fixed(value): return value * 4

class Model(BaseModel):
    model_config = ConfigDict(str_to_upper=False)
    RATE: ClassVar[int] = 5
    inner: Inner | None = None
    many: list[Annotated[int, AfterValidator(fixed)]] = []
    first: int = Field(default_factory=start, ge=6)
    second: Annotated[int, AfterValidator(fixed)] = 7
    _hidden: int = PrivateAttr(default=8)

    @field_validator("first", mode="before")
    @classmethod
    def checked(cls, value): return value

@dataclass
class Record:
    field: Annotated[int, AfterValidator(fixed)] = 9

def made(): return Model, Record
"""
DATACLASS = """
from dataclasses import dataclass, field

@dataclass(eq=True, frozen=True)
class Record:
    first: int
    second: int = field(default=2, compare=True, metadata={"scale": 3})

def made(): return Record
"""
ATTRS = """
import attrs

def fixed(value): return value * 2
def checked(instance, attribute, value): value == 3

@attrs.define(eq=True)
class Record:
    first: int = attrs.field(converter=fixed)
    second: int = attrs.field(validator=checked, eq=True)

def made(): return Record
"""
OTHERS = """
import enum
from functools import singledispatch

@singledispatch
def general(x): return 0

@general.register
def _(x: int): return x * 2

def factored(x): return x * factored.factor
factored.factor = 3

class Kind(type):
    def __instancecheck__(cls, value): return value == 4

class Four(metaclass=Kind): pass

Either = Four | str
Many = list[Four]
names = {}
exec("def computed(x): return x * 5\\nclass Computed:\\n    def __init__(self): self.size = 6", names)
computed, Computed = names["computed"], names["Computed"]

def made(x=1): return general(x), factored(x), isinstance(x, Either), Many, computed(x), Computed()
"""


def test_text_that_stays_has_the_same_fingerprint(load: Load) -> None:
    for text in (DATACLASS, OTHERS):
        assert changes(load, text, "\n\n" + text) == ()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("size: int = 2", "size: int = 3"),
        ("return 3", "return 4"),
        ("value * 4", "value * 5"),
        ("str_to_upper=False", "str_to_upper=True"),
        ("int] = 5", "int] = 6"),
        ("ge=6", "ge=7"),
        ("] = 7", "] = 8"),
        ("default=8", "default=9"),
        ("fixed)] = 9", "fixed)] = 10"),
        ('mode="before"', 'mode="after"'),
    ],
)
def test_all_that_a_model_declares_counts(load: Load, old: str, new: str) -> None:
    pytest.importorskip("pydantic")
    assert changes(load, PYDANTIC, "\n\n" + PYDANTIC) == ()
    assert old in PYDANTIC
    assert changes(load, PYDANTIC, PYDANTIC.replace(old, new)) == ("its code",)


@pytest.mark.parametrize("name", ["many: list", "second: "])
def test_validators_of_one_field_count(load: Load, name: str) -> None:
    pytest.importorskip("pydantic")
    other = PYDANTIC.replace("class Model(", "def other(value): return value\n\nclass Model(")
    lines = [line.replace("fixed)", "other)") if name in line else line for line in other.splitlines()]
    assert changes(load, other, "\n".join(lines)) == ("its code",)


@pytest.mark.parametrize(
    ("old", "new"),
    [("eq=True", "eq=False"), ("frozen=True", "order=True"), ("compare=True", "compare=False"), (": 3", ": 4")],
)
def test_what_the_methods_of_a_dataclass_are_made_from_counts(load: Load, old: str, new: str) -> None:
    assert changes(load, DATACLASS, DATACLASS.replace(old, new)) == ("its code",)


@pytest.mark.parametrize(
    ("old", "new"),
    [("* 2", "* 3"), ("== 3", "== 4"), ("eq=True)\nclass", "eq=False)\nclass"), (", eq=True)", ", eq=False)")],
)
def test_what_the_methods_of_an_attrs_class_are_made_from_counts(load: Load, old: str, new: str) -> None:
    pytest.importorskip("attrs")
    assert old in ATTRS
    assert changes(load, ATTRS, "\n" + ATTRS) == ()
    assert changes(load, ATTRS, ATTRS.replace(old, new)) == ("its code",)


@pytest.mark.parametrize(
    ("old", "new"),
    [("x * 2", "x * 3"), ("factor = 3", "factor = 4"), ("== 4", "== 5"), ("x * 5", "x * 6"), ("size = 6", "size = 7")],
    ids=["dispatched", "attribute", "union", "executed function", "executed class"],
)
def test_what_functions_have_beside_their_text_counts(load: Load, old: str, new: str) -> None:
    assert changes(load, OTHERS, OTHERS.replace(old, new)) == ("its code",)


def test_parameter_of_a_generic_type_counts(load: Load) -> None:
    text = "class One:\n    size = 1\nMany = list[One]\ndef made(): return Many\n"
    assert changes(load, text, text.replace("size = 1", "size = 2")) == ("its code",)


def test_function_that_numpy_calls_counts(load: Load) -> None:
    pytest.importorskip("numpy")
    text = "import numpy\ndef f(x): return 2 * x\nF = numpy.frompyfunc(f, 1, 1)\ndef made(x=1): return F(x)\n"
    assert changes(load, text, "\n" + text) == ()
    assert changes(load, text, text.replace("2 * x", "3 * x")) == ("its code",)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="enum.nonmember is not there")
def test_constant_of_an_enumeration_that_is_no_member_counts(load: Load) -> None:
    text = "import enum\nclass E(enum.Enum):\n    A = 1\n    K = enum.nonmember(2)\ndef made(): return E.K\n"
    assert changes(load, text, text.replace("(2)", "(3)")) == ("its code",)
