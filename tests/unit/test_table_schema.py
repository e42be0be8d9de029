"""Schemas of tables: pandas, polars and Arrow, and what looks like them, by columns and dtypes alone."""

from __future__ import annotations

import datetime
import pickle
import subprocess
import sys
from typing import Annotated, Any

import numpy as np
import pytest

from execution_dataflow import (
    ExecutionEngine,
    GraphDefinition,
    InputPort,
    Operation,
    OutputPort,
    PortTypeError,
    TableSchema,
    operation,
)
from execution_dataflow.errors import PortError
from execution_dataflow.port_types.table_dtypes import dtype_fits, dtype_is
from execution_dataflow.type_rules import check_value, misfit, value_check


class Frame:
    """What has columns and dtypes, as frames of several libraries have."""

    def __init__(self, **columns: Any) -> None:
        self.columns = list(columns)
        self.dtypes = [np.dtype(dtype) if not hasattr(dtype, "name") else dtype for dtype in columns.values()]


SCHEMA = TableSchema({"id": "int64", "city": str, "degrees": float})


def test_a_table_with_these_columns_and_dtypes_is_good() -> None:
    assert SCHEMA.fault(Frame(id="int64", city="U8", degrees="float32")) is None


@pytest.mark.parametrize(
    ("frame", "told"),
    [
        (Frame(id="int32", city="U8", degrees="f8"), "whose column 'id' is int32 and not int64"),
        (Frame(id="int64", degrees="f8"), "without the column 'city'"),
        (
            Frame(id="int64", town="U8", degrees="f8", degree="f8"),
            "without the column 'city'; with further columns 'town', 'degree'",
        ),
        (
            Frame(id="int64", city="U8", degree="f8"),
            "without the column 'degrees' ('degree' is no column of the schema)",
        ),
        (Frame(id="int64", city="U8", degrees="int64"), "whose column 'degrees' is int64 and not float"),
        (3, "got int"),
        ({"id": [1]}, "got dict"),
        (Frame, "got type"),
    ],
)
def test_everything_that_differs_is_told(frame: Any, told: str) -> None:
    fault = SCHEMA.fault(frame)
    assert fault is not None
    assert fault.startswith("expected a table TableSchema(id: int64, city: str, degrees: float), got")
    assert told in fault


def test_other_columns_and_another_order_are_allowed_where_that_is_said() -> None:
    wide, swapped = Frame(a="i8", b="i8", c="i8"), Frame(b="i8", a="i8")
    columns = {"a": int, "b": int}
    assert TableSchema(columns, exact=False).fault(wide) is None
    assert "with a further column 'c'" in str(TableSchema(columns).fault(wide))
    assert TableSchema(columns).fault(swapped) is None
    assert "another order: 'b', 'a'" in str(TableSchema(columns, ordered=True).fault(swapped))
    assert "another order" in str(TableSchema(columns, exact=False, ordered=True).fault(Frame(c="i8", b="i8", a="i8")))


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [
        ({"a": int}, {"a": str}, "the column 'a' is int and not str"),
        ({"a": "int64"}, {"a": "int32"}, "the column 'a' is int64 and not int32"),
        ({"a": int, "b": int}, {"a": int}, "the column 'b' is not among those that are taken"),
        ({"a": int}, {"a": int, "aa": int}, "the column 'aa' is not among those that come; 'a' is"),
    ],
)
def test_schemas_that_no_table_can_have_are_refused_when_they_are_connected(
    source: dict[str, Any], target: dict[str, Any], reason: str
) -> None:
    assert misfit(TableSchema(source), TableSchema(target)) is not None
    assert reason in str(misfit(TableSchema(source), Annotated[object, TableSchema(target)]))


def test_schemas_that_some_table_may_have_can_be_connected() -> None:
    for source, target in [
        (TableSchema({"a": int}), TableSchema({"a": "int64"})),
        (TableSchema({"a": Any}), TableSchema({"a": str})),
        (TableSchema({"a": "object"}), TableSchema({"a": str})),
        (TableSchema({"a": int}, exact=False), TableSchema({"a": int, "b": int})),
        (TableSchema({"a": int, "b": int}), TableSchema({"a": int}, exact=False)),
        (TableSchema({"a": int}), object),
        (TableSchema({"a": int}), Frame),
    ]:
        assert misfit(source, target) is None


@pytest.mark.parametrize("wrong", [3, ["a"], {1: "int64"}, None, "id"])
def test_a_schema_is_made_of_names_and_dtypes(wrong: Any) -> None:
    with pytest.raises(PortError, match="mapping of column names to dtypes"):
        TableSchema(wrong)


def test_schemas_are_values() -> None:
    assert TableSchema({"a": int, "b": str}) == TableSchema({"b": str, "a": int})
    assert TableSchema({"a": int}) != TableSchema({"a": "int64"})
    assert TableSchema({"a": int}) != TableSchema({"a": int}, exact=False)
    assert pickle.loads(pickle.dumps(SCHEMA)) == SCHEMA
    assert hash(pickle.loads(pickle.dumps(SCHEMA))) == hash(SCHEMA)
    with pytest.raises(AttributeError, match="does not change"):
        SCHEMA.exact = False


def test_a_dict_as_the_type_of_a_port_is_told_what_to_write() -> None:
    with pytest.raises(PortError, match=r"TableSchema\(\.\.\.\) makes a type"):
        InputPort({"id": "int64"})


def test_a_graph_checks_tables() -> None:
    @operation
    def load(good: bool) -> Annotated[object, SCHEMA]:
        return Frame(id="int64", city="U8", degrees="f8") if good else Frame(id="int64")

    @operation
    def wants_text(table: Annotated[object, TableSchema({"id": str}, exact=False)]) -> None: ...

    graph = GraphDefinition()
    source = graph.add(load, good=True)
    with pytest.raises(PortTypeError, match="the column 'id' is int64 and not str"):
        graph.add(wants_text, table=source)
    assert ExecutionEngine().run(graph).is_successful()
    wrong = GraphDefinition()
    wrong.add(load, good=False)
    assert "without the column 'city'" in str(ExecutionEngine().run(wrong).get_error_message())


@pytest.mark.parametrize(
    ("expected", "names"),
    [
        ("int64", ["int64", "Int64", "int64[pyarrow]"]),
        ("float64", ["float64", "Float64", "double", "double[pyarrow]"]),
        ("string", ["string", "String", "str", "large_string", "large_string[pyarrow]"]),
        ("bool", ["bool", "Boolean", "boolean"]),
        ("datetime64[us]", ["datetime64[us]", "timestamp[us]", "Datetime(time_unit='us', time_zone=None)"]),
        ("datetime64[ns, UTC]", ["datetime64[ns, UTC]", "timestamp[ns, tz=UTC]", "Datetime('ns', 'UTC')"]),
        ("category", ["category", "Categorical", "dictionary<values=string, indices=int32, ordered=0>"]),
        ("date", ["Date", "date32[day]"]),
        ("duration[us]", ["duration[us]", "timedelta64[us]", "Duration(time_unit='us')"]),
    ],
)
def test_a_name_is_the_same_for_all_libraries(expected: str, names: list[str]) -> None:
    for name in names:
        assert dtype_is(expected, name), name
        assert not dtype_is("int8", name)


def test_the_unit_and_the_zone_of_a_time_count() -> None:
    assert not dtype_is("datetime64[ns]", "timestamp[us]")
    assert not dtype_is("datetime64[us]", "timestamp[us, tz=UTC]")
    assert dtype_is(datetime.datetime, "timestamp[us, tz=UTC]")
    assert dtype_is("datetime", "timestamp[us]")
    assert not dtype_is(datetime.datetime, "Date")
    assert dtype_is("float32", "float")  # Arrow's own name of it
    assert dtype_is(float, "float")
    assert not dtype_fits(float, datetime.date)


def test_pandas_frames_are_checked() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"id": [1], "city": ["Oslo"], "degrees": [1.5]})
    assert SCHEMA.fault(frame) is None
    assert "whose column 'id' is float64" in str(SCHEMA.fault(frame.astype({"id": "float64"})))
    nullable = frame.astype({"id": "Int64", "city": "string", "degrees": "Float64"})
    assert SCHEMA.fault(nullable) is None
    assert TableSchema({"id": pandas.Int64Dtype()}, exact=False).fault(nullable) is None
    assert TableSchema({"id": np.integer}, exact=False).fault(frame) is None
    assert TableSchema({"id": np.floating}, exact=False).fault(frame) is not None
    twice = pandas.DataFrame([[1, 2]], columns=["id", "id"])
    assert "with the column 'id' twice" in str(TableSchema({"id": int}).fault(twice))
    own = Annotated[pandas.DataFrame, frame.dtypes]
    assert check_value(value_check(own), frame) is None
    assert "expected a pandas frame" in str(check_value(value_check(frame.dtypes), Frame(id="int64")))
    assert "whose column 'id' is int8" in str(check_value(value_check(own), frame.astype({"id": "int8"})))
    assert InputPort(frame.dtypes).check is not None


def test_polars_frames_are_checked() -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"id": [1], "city": ["Oslo"], "degrees": [1.5]})
    assert SCHEMA.fault(frame) is None
    assert SCHEMA.fault(frame.lazy()) is None
    assert "whose column 'id' is Int8 and not int64" in str(SCHEMA.fault(frame.cast({"id": polars.Int8})))
    assert TableSchema({"at": polars.Datetime("us")}).fault(polars.DataFrame({"at": [datetime.datetime.now()]})) is None
    lists = polars.DataFrame({"parts": [[1]]})
    assert TableSchema({"parts": polars.List(polars.Int64)}).fault(lists) is None
    assert TableSchema({"parts": polars.List}).fault(lists) is None
    assert TableSchema({"parts": polars.List(polars.String)}).fault(lists) is not None
    port = InputPort(frame.schema)
    assert check_value(port.check, frame) is None
    assert "expected a polars frame" in str(check_value(port.check, Frame(id="int64")))
    other = polars.DataFrame({"id": ["x"]}).schema
    assert "the column 'id' is Int64 and not String" in str(misfit(frame.schema, other))


def test_arrow_tables_are_checked() -> None:
    arrow = pytest.importorskip("pyarrow")
    table = arrow.table({"id": [1], "city": ["Oslo"], "degrees": [1.5]})
    assert SCHEMA.fault(table) is None
    assert SCHEMA.fault(table.to_batches()[0]) is None
    assert TableSchema({"id": arrow.int64()}, exact=False).fault(table) is None
    small = table.cast(arrow.schema([("id", arrow.int8()), ("city", arrow.string()), ("degrees", arrow.float32())]))
    assert "whose column 'id' is int8 and not int64" in str(SCHEMA.fault(small))
    assert TableSchema({"degrees": "float32"}, exact=False).fault(small) is None
    port = InputPort(Annotated[arrow.Table, table.schema])
    assert check_value(port.check, table) is None
    assert "whose column 'id' is int8" in str(check_value(port.check, small))
    assert "the column 'id' is int64 and not int8" in str(misfit(table.schema, small.schema))


def test_pandera_schemas_check_everything_that_they_say() -> None:
    pytest.importorskip("pandera")
    pandas = pytest.importorskip("pandas")
    import pandera.pandas as pandera
    from pandera.typing import DataFrame

    class Readings(pandera.DataFrameModel):
        degrees: float = pandera.Field(ge=-90)

    good, bad = pandas.DataFrame({"degrees": [1.0]}), pandas.DataFrame({"degrees": [1.0, -100.0]})
    for hint in (Readings, Readings.to_schema(), DataFrame[Readings], Annotated[pandas.DataFrame, Readings]):
        check = InputPort(hint).check
        assert check_value(check, good) is None
        told = str(check_value(check, bad))
        assert "Readings" in told
        assert "column 'degrees' fails greater_than_or_equal_to(-90) with -100.0 in row 1" in told
        assert check_value(check, 3) is not None
    assert misfit(Readings, pandas.DataFrame) is None

    class Load(Operation):
        readings = OutputPort(Readings)

        def execute(self, context: Any) -> None:
            self.readings = bad

    graph = GraphDefinition()
    graph.add(Load())
    assert "with -100.0" in str(ExecutionEngine().run(graph).get_error_message())


def test_pydantic_models_are_classes() -> None:
    pydantic = pytest.importorskip("pydantic")

    class User(pydantic.BaseModel):  # type: ignore[misc, name-defined]
        name: str

    check = InputPort(User).check
    assert check is User
    assert check_value(check, User(name="Ada")) is None
    assert check_value(check, {"name": "Ada"}) == "expected tests.unit.test_table_schema." + (
        "test_pydantic_models_are_classes.<locals>.User, got dict"
    )


def test_no_table_library_is_imported_for_a_schema() -> None:
    code = (
        "import sys; from execution_dataflow import InputPort, TableSchema\n"
        "port = InputPort(TableSchema({'id': 'int64'})); assert port.check(3)\n"
        "libraries = ('numpy', 'pandas', 'polars', 'pyarrow', 'pandera', 'pydantic')\n"
        "print([name for name in libraries if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr
