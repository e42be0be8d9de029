"""The options of operations that few have: given to the constructor, on the class, by a property, or set later."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from execution_dataflow import GraphDefinition, GraphError, Operation, operation
from execution_dataflow.operation_settings import DEFAULT_SETTINGS, SETTINGS
from execution_dataflow.rate_limits import RateLimit


class Idle(Operation):
    def execute(self, context: Any) -> None:
        pass


class Patient(Idle):
    timeout_seconds = 5
    resources = {"gpu": 1, "db": 0}  # noqa: RUF012


class Computed(Patient):
    @property
    def timeout_seconds(self) -> float:  # type: ignore[override]
        return 2.0


class Plain(Computed):
    timeout_seconds = 7  # type: ignore[assignment]


def test_operations_without_settings_share_one_record() -> None:
    assert Idle()._settings is Idle()._settings is DEFAULT_SETTINGS
    assert not Idle().__dict__.get("_settings")
    assert Idle().timeout_seconds is None
    assert Idle().resources == {}


def test_settings_of_a_class_hold_for_its_instances_and_subclasses() -> None:
    assert Patient.timeout_seconds == 5.0
    assert Patient().timeout_seconds == 5.0
    assert Patient().resources == {"gpu": 1.0}, "what is 0 is not asked for"
    assert Patient()._settings is Patient()._settings

    class More(Patient):
        tags = ("api",)

    assert More().timeout_seconds == 5.0
    assert More().tags == ("api",)
    assert Patient().tags == ()


def test_constructor_wins_over_class() -> None:
    assert Patient(timeout_seconds=1).timeout_seconds == 1.0
    assert Patient(timeout_seconds=1).resources == {"gpu": 1.0}
    assert Patient().timeout_seconds == 5.0


def test_setting_can_be_assigned_before_the_operation_is_used() -> None:
    idle = Idle()
    idle.tags = ["a", "b", "a"]
    assert idle.tags == ("a", "b")
    assert Idle().tags == ()


def test_property_computes_a_setting_for_each_instance() -> None:
    assert Computed().timeout_seconds == 2.0
    assert Computed()._settings.timeout_seconds == 2.0
    assert Computed(tags=["x"])._settings.tags == ("x",)
    assert Computed()._settings.resources == (("gpu", 1.0),)
    assert Plain()._settings.timeout_seconds == 7.0
    assert Plain().timeout_seconds == 7.0
    assert Plain(timeout_seconds=8).timeout_seconds == 8.0


def test_function_takes_settings() -> None:
    @operation(timeout_seconds=3, rate_limit=RateLimit(5))
    def fetch(url: str) -> str:
        return url

    assert fetch.new().timeout_seconds == 3.0
    assert fetch.new(timeout_seconds=4).timeout_seconds == 4.0
    assert fetch.new().rate_limit == RateLimit(5)


def test_settings_survive_pickling() -> None:
    copy = pickle.loads(pickle.dumps(Patient(tags=["x"])))
    assert (copy.timeout_seconds, copy.tags) == (5.0, ("x",))


def test_equal_settings_have_one_key() -> None:
    assert Patient()._settings.key == Idle(timeout_seconds=5, resources={"gpu": 1})._settings.key
    fallback: list[int] = []
    assert Idle(on_failure=fallback)._settings.key != Idle(on_failure=[])._settings.key


WRONG = [
    ("timeout_seconds", "5", TypeError),
    ("timeout_seconds", 0, ValueError),
    ("timeout_seconds", float("nan"), ValueError),
    ("timeout_seconds", True, TypeError),
    ("resources", ["gpu"], TypeError),
    ("resources", {"gpu": "1"}, TypeError),
    ("resources", {"gpu": -1}, ValueError),
    ("resources", {"": 1}, TypeError),
    ("max_concurrency", 0, GraphError),
    ("max_concurrency", 1.5, TypeError),
    ("rate_limit", 10, TypeError),
    ("tags", "api", TypeError),
    ("tags", [1], TypeError),
    ("output_bytes", -1, ValueError),
    ("output_bytes", 1e9, TypeError),
    ("always_run", 1, TypeError),
    ("dynamic", "yes", TypeError),
    ("cache", "yes", TypeError),
    ("version", 1.5, TypeError),
]


@pytest.mark.parametrize(("option", "value", "error"), WRONG)
def test_wrong_setting_is_refused_where_it_is_given(option: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=option):
        Idle(**{option: value})
    with pytest.raises(error, match=option):
        operation(**{option: value})(lambda: 1)
    with pytest.raises(error, match=option):
        type("Sub", (Idle,), {option: value})


def test_every_setting_has_a_case() -> None:
    assert {option for option, *_ in WRONG} | {"on_failure"} == set(SETTINGS)


def test_setting_given_to_add_is_pointed_at_the_operation() -> None:
    with pytest.raises(GraphError, match="timeout_seconds"):
        GraphDefinition().add(Idle(), timeout_seconds=3)


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"count": 0}, ValueError),
        ({"count": "1"}, TypeError),
        ({"count": 1, "per_seconds": 0}, ValueError),
        ({"count": 1, "burst": 0}, ValueError),
        ({"count": 1, "burst": 1.5}, TypeError),
    ],
)
def test_wrong_rate_is_refused(parameters: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(reversed(parameters))):
        RateLimit(**parameters)
