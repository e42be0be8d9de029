"""Input and output ports: what an operation takes and what it gives."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import FrameType
from typing import Any, Generic, Literal, TypeAlias, TypeVar, cast, overload

from execution_dataflow._core import MISSING, intern_ports
from execution_dataflow.array_rules import Shape, checked_shape, describe_dtype, describe_shape
from execution_dataflow.checks.check import Check as ValueCheck
from execution_dataflow.checks.check import checks_given, checks_in
from execution_dataflow.errors import PortDirectionError, PortError
from execution_dataflow.port_types.dtype_names import checked_dtype
from execution_dataflow.port_types.hints import has_names, located, spec_of_hint
from execution_dataflow.port_types.name_texts import code_in
from execution_dataflow.type_rules import Check, describe, or_none, value_check

__all__ = ["InputPort", "OutputPort", "Port"]

T = TypeVar("T")
# What an overload of a constructor finds out for itself; pyright does not allow the class's own there.
V = TypeVar("V")
_Port = TypeVar("_Port", bound="_PortBase[Any]")

_PACKAGE = __name__.partition(".")[0]
# Flags of the native core, one byte a port.
_OPTIONAL, _MANY, _MUTABLE = 1, 2, 4
_FRESH = 2  # of an output


class _PortBase(Generic[T]):
    """What both kinds of port have."""

    # Operations that call `add_input_port("rows", InputPort(list))` make a port object for every instance, so a port
    # keeps its rare options together, and most are interned by their name and type alone.
    __slots__ = ("_data_type", "_name", "_options")

    _data_type: Any
    _name: str
    _options: tuple[Any, ...] | None

    @property
    def data_type(self) -> Any:
        """The type of its values."""
        return self._data_type

    @property
    def name(self) -> str:
        """The class attribute that it is, or an empty string."""
        return self._name

    @property
    def flags(self) -> int:
        """The port as the native core sees it."""
        return 0 if self._options is None else cast(int, self._options[0])

    @property
    def optional(self) -> bool:
        """Whether it may stay unconnected, or unset."""
        return bool(self.flags & _OPTIONAL)

    @property
    def check(self) -> Check:
        """What a value must pass."""
        return value_check(self._data_type, self.dtype, self.shape)

    @property
    def dtype(self) -> Any:
        """The dtype of its arrays, or ``None`` for any."""
        return None if self._options is None else self._options[-3]

    @property
    def shape(self) -> Shape | None:
        """The lengths of the axes of its arrays, or ``None`` for any."""
        return None if self._options is None else cast("Shape | None", self._options[-2])

    @property
    def checks(self) -> tuple[ValueCheck, ...]:
        """What its values are checked for; those in the ``Annotated`` of its type come last."""
        given = () if self._options is None else cast("tuple[ValueCheck, ...]", self._options[-4])
        return given if type(self._data_type) is type else given + checks_in(self._data_type)

    @property
    def description(self) -> str:
        """What it is for."""
        return "" if self._options is None else cast(str, self._options[-1])

    def with_checks(self: _Port, checks: Iterable[ValueCheck]) -> _Port:
        """Return the same port with more checks."""
        kind: Any = type(self)
        given = checks_given(kind.__name__, checks)
        twin = self.named(self._name)
        options = self._options
        if options is None:
            twin._options = kind(Any, checks=given)._options
        else:
            twin._options = (*options[:-4], options[-4] + given, *options[-3:])
        return twin

    def named(self: _Port, name: str) -> _Port:
        """Return the same port under a name."""
        twin = type(self).__new__(type(self))
        twin._data_type, twin._options, twin._name = self._data_type, self._options, name
        return twin

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        assert isinstance(other, _PortBase)
        return bool(self._data_type == other._data_type) and self._same_options(other)

    def _same_options(self, other: _PortBase[Any]) -> bool:
        return self._options == other._options

    def __hash__(self) -> int:
        try:
            return hash((type(self), self._data_type))
        except TypeError:
            return hash(type(self))

    def __repr__(self) -> str:
        shown = [describe(self._data_type)] if self._data_type is not Any else []
        shown += [f"{name}={text}" for name, text in self._shown_options()]
        return f"{type(self).__name__}({', '.join(shown)})"

    def _shown_options(self) -> list[tuple[str, str]]:
        shown = [("dtype", describe_dtype(self.dtype))] if self.dtype is not None else []
        shown += [("shape", describe_shape(self.shape))] if self.shape is not None else []
        checks = () if self._options is None else self._options[-4]
        shown += [("checks", repr(list(checks)))] if checks else []
        shown += [("description", repr(self.description))] if self.description else []
        return shown

    def __reduce__(self) -> tuple[Any, ...]:
        return _remake, (type(self), self._data_type, self._options, self._name)


def _remake(kind: type[_PortBase[Any]], data_type: Any, options: tuple[Any, ...] | None, name: str) -> _PortBase[Any]:
    """Make a port again from its pickled parts."""
    port = kind.__new__(kind)
    port._data_type, port._options, port._name = data_type, options, name
    return port


class InputPort(_PortBase[T]):
    """An input of an operation.

    As a class attribute of an operation, reading it is ``get_input``.

    Parameters
    ----------
    data_type : type or type hint
        What its values are; anything by default.
    default : object
        The value where nothing is connected or the source was skipped. It makes the port optional.
    optional : bool
        Whether it may stay unconnected; its value is ``None`` then, or the default.
    many : bool
        Whether it takes any number of sources; it receives the list of their values, in the order of connection. With
        `optional`, it is an empty list where there are none.
    mutable : bool
        Whether the operation writes into the array that it receives, which is then its own.
    dtype : object
        The dtype of its arrays, as numpy takes it, or an abstract one such as ``np.floating``.
    shape : tuple of (int, str or None), optional
        The lengths of the axes of its arrays; ``None`` is any length, and a name one that agrees wherever the name
        stands; see `ArraySpec`.
    checks : iterable of Check
        What its values are checked for beyond their type.
    description : str
        What it is for.

    Raises
    ------
    PortError
        The options contradict each other, or `data_type` is no type.

    Examples
    --------
    >>> InputPort(bytes)
    InputPort(bytes)
    >>> InputPort(int, default=3).optional
    True
    """

    __slots__ = ()

    @overload
    def __init__(
        self: InputPort[list[V]],
        data_type: type[V],
        *,
        many: Literal[True],
        optional: bool = ...,
        checks: Iterable[ValueCheck] = ...,
        description: str = ...,
    ) -> None: ...
    @overload
    def __init__(
        self: InputPort[V | None],
        data_type: type[V],
        *,
        optional: Literal[True],
        mutable: bool = ...,
        dtype: object = ...,
        shape: Shape | int | None = ...,
        checks: Iterable[ValueCheck] = ...,
        description: str = ...,
    ) -> None: ...
    @overload
    def __init__(
        self: InputPort[V],
        data_type: type[V],
        *,
        default: V = ...,
        mutable: bool = ...,
        dtype: object = ...,
        shape: Shape | int | None = ...,
        checks: Iterable[ValueCheck] = ...,
        description: str = ...,
    ) -> None: ...
    @overload
    def __init__(
        self: InputPort[Any],
        data_type: Any = ...,
        *,
        default: Any = ...,
        optional: bool = ...,
        many: bool = ...,
        mutable: bool = ...,
        dtype: object = ...,
        shape: Shape | int | None = ...,
        checks: Iterable[ValueCheck] = ...,
        description: str = ...,
    ) -> None: ...

    # Operations make a port object for every instance: every keyword with a default would cost a look-up, given or not.
    def __init__(self, data_type: Any = Any, **options: Any) -> None:
        if type(data_type) is not type:
            data_type = _checked_data_type("InputPort", data_type, sys._getframe(1))
        self._data_type = data_type
        self._name = ""
        self._options = self._packed(data_type, **options) if options else None

    def _packed(
        self,
        data_type: Any = Any,
        *,
        default: Any = MISSING,
        optional: bool = False,
        many: bool = False,
        mutable: bool = False,
        dtype: object = None,
        shape: Shape | int | None = None,
        checks: Iterable[ValueCheck] = (),
        description: str = "",
    ) -> tuple[Any, ...] | None:
        given = checks_given("InputPort", checks) if checks else ()
        is_plain = default is MISSING and dtype is None and shape is None
        if is_plain and not (optional or many or mutable or description or given):
            return None
        if many and default is not MISSING:
            raise PortError("InputPort(many=True) takes no default; with optional=True it receives an empty list")
        flags = _MANY * bool(many) + _MUTABLE * bool(mutable) + _OPTIONAL * bool(optional or default is not MISSING)
        dtype, shape = checked_dtype("InputPort(dtype=)", dtype), checked_shape("InputPort", shape)
        return flags, default, given, dtype, shape, description

    @property
    def many(self) -> bool:
        """Whether it takes any number of sources."""
        return bool(self.flags & _MANY)

    @property
    def mutable(self) -> bool:
        """Whether the operation may write into the array that it receives."""
        return bool(self.flags & _MUTABLE)

    @property
    def default(self) -> Any:
        """The value where nothing arrives, or ``_core.MISSING`` for a required port.

        A port for many sources receives a fresh empty list instead of the empty tuple that stands here.
        """
        if self._options is None:
            return MISSING
        flags, default = self._options[:2]
        if default is not MISSING or not flags & _OPTIONAL:
            return default
        # Not a list, which all attempts would share.
        return () if flags & _MANY else None

    @property
    def check(self) -> Check:
        """What a value must pass; a port that is ``None`` by default may also be given ``None``."""
        check = super().check
        return or_none(check, describe(self._data_type)) if self.default is None else check

    @overload
    def __get__(self, instance: None, owner: type) -> InputPort[T]: ...
    @overload
    def __get__(self, instance: Any, owner: type | None = None) -> T: ...
    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else instance.get_input(self._name)

    def __set__(self, instance: Any, value: object) -> None:
        raise PortDirectionError(
            f"{type(instance).__name__}.{self._name} is an input port, which is only read; set an output port instead",
            operation=type(instance).__name__,
            port=self._name,
        )

    def _same_options(self, other: _PortBase[Any]) -> bool:
        if self._options is None or other._options is None:
            return self._options is other._options
        mine, others = self._options[1], other._options[1]
        # A default may be an array, whose == is not a truth.
        same_default = mine is others or (type(mine) is type(others) and repr(mine) == repr(others))
        return same_default and self._options[0] == other._options[0] and self._options[2:] == other._options[2:]

    def _shown_options(self) -> list[tuple[str, str]]:
        default = MISSING if self._options is None else self._options[1]
        shown = [("default", repr(default))] if default is not MISSING else []
        shown += [("optional", "True")] if self.optional and default is MISSING else []
        shown += [("many", "True")] if self.many else []
        shown += [("mutable", "True")] if self.mutable else []
        return shown + super()._shown_options()


class OutputPort(_PortBase[T]):
    """An output of an operation.

    As a class attribute of an operation, assigning it is ``set_output``.

    Parameters
    ----------
    data_type : type or type hint
        What its values are; anything by default.
    optional : bool
        Whether the operation may leave it unset: a branch that is not taken.
    fresh : bool
        The promise that nobody else has a reference to the array that is set, nor to any part of its memory. What would
        otherwise be copied for a consumer that writes into it, such as a slice, is then handed over as it is.
    dtype : object
        The dtype of its arrays, as numpy takes it, or an abstract one such as ``np.floating``.
    shape : tuple of (int, str or None), optional
        The lengths of the axes of its arrays; ``None`` is any length, and a name one that agrees wherever the name
        stands; see `ArraySpec`.
    checks : iterable of Check
        What its values are checked for beyond their type.
    description : str
        What it is.

    Raises
    ------
    PortError
        `data_type` is no type.

    Examples
    --------
    >>> OutputPort(str, description="the text in upper case")
    OutputPort(str, description='the text in upper case')
    """

    __slots__ = ()

    @overload
    def __init__(
        self: OutputPort[V],
        data_type: type[V],
        *,
        optional: bool = ...,
        fresh: bool = ...,
        dtype: object = ...,
        shape: Shape | int | None = ...,
        checks: Iterable[ValueCheck] = ...,
        description: str = ...,
    ) -> None: ...
    @overload
    def __init__(
        self: OutputPort[Any],
        data_type: Any = ...,
        *,
        optional: bool = ...,
        fresh: bool = ...,
        dtype: object = ...,
        shape: Shape | int | None = ...,
        checks: Iterable[ValueCheck] = ...,
        description: str = ...,
    ) -> None: ...

    def __init__(self, data_type: Any = Any, **options: Any) -> None:
        if type(data_type) is not type:
            data_type = _checked_data_type("OutputPort", data_type, sys._getframe(1))
        self._data_type = data_type
        self._name = ""
        self._options = self._packed(data_type, **options) if options else None

    def _packed(
        self,
        data_type: Any = Any,
        *,
        optional: bool = False,
        fresh: bool = False,
        dtype: object = None,
        shape: Shape | int | None = None,
        checks: Iterable[ValueCheck] = (),
        description: str = "",
    ) -> tuple[Any, ...] | None:
        given = checks_given("OutputPort", checks) if checks else ()
        if not optional and not fresh and dtype is None and shape is None and not description and not given:
            return None
        flags = _OPTIONAL * bool(optional) + _FRESH * bool(fresh)
        return flags, given, checked_dtype("OutputPort(dtype=)", dtype), checked_shape("OutputPort", shape), description

    @property
    def fresh(self) -> bool:
        """Whether the operation promises that nobody else has a reference to what it sets."""
        return bool(self.flags & _FRESH)

    @overload
    def __get__(self, instance: None, owner: type) -> OutputPort[T]: ...
    @overload
    def __get__(self, instance: Any, owner: type | None = None) -> T: ...
    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        raise PortDirectionError(
            f"{type(instance).__name__}.{self._name} is an output port, which is only set; "
            f"self.get_output({self._name!r}) reads what was set",
            operation=type(instance).__name__,
            port=self._name,
        )

    def __set__(self, instance: Any, value: T) -> None:
        instance.set_output(self._name, value)

    def _shown_options(self) -> list[tuple[str, str]]:
        shown = [(name, "True") for name, given in (("optional", self.optional), ("fresh", self.fresh)) if given]
        return shown + super()._shown_options()


_kind: Any
for _kind in (InputPort, OutputPort):
    # What help(), inspect.signature() and the error for an unknown option show.
    _kind._packed.__qualname__ = _kind.__init__.__qualname__
    _kind.__init__.__wrapped__ = _kind._packed

# A million operations that declare InputPort(int) share one object; ports never change.
intern_ports(InputPort, OutputPort)

Port: TypeAlias = InputPort[Any] | OutputPort[Any]


def _checked_data_type(kind: str, data_type: object, frame: FrameType) -> object:
    """Refuse a value where a type belongs; a class with a metaclass and every form of type hint are types."""
    if isinstance(data_type, _PortBase):
        raise PortError(f"{kind}(data_type=) is a type such as bytes, not another port: {data_type!r}")
    if isinstance(data_type, int | float | bytes | list | tuple | dict | set) and spec_of_hint(data_type) is None:
        hint = "; TableSchema(...) makes a type of the columns of a table" if isinstance(data_type, dict) else ""
        raise PortError(f"{kind}(data_type=) is a type such as bytes, not the value {data_type!r}{hint}")
    if not has_names(data_type):
        return data_type
    try:
        code = code_in(data_type)
        if code is None:
            return located(data_type, _outside(frame))
    except SyntaxError:
        raise PortError(f"{kind}(data_type=) is a type or the name of one, not the text {data_type!r}") from None
    raise PortError(f"{kind}(data_type=) names a type, and runs nothing: give the type itself instead of {code!r}")


def _outside(frame: FrameType) -> FrameType:
    """Return what gave a type to a port: names in it are those of its module, not of one of ours that passed it on."""
    at: FrameType | None = frame
    while at is not None:
        if at.f_globals.get("__name__", "").partition(".")[0] != _PACKAGE:
            return at
        at = at.f_back
    return frame
