"""The ports of an operation as one shared object.

A million instances that declare the same ports in ``__init__`` walk the same path through a table of transitions, from
the class's own ports to the full list, and all end with one `PortSignature`. What follows from it is found once.
"""

from __future__ import annotations

from threading import Lock
from typing import Any, NoReturn

from execution_dataflow._core import MISSING, PortLayout
from execution_dataflow.array_rules import (
    Shape,
    arrays_misfit,
    describe_dtype,
    describe_shape,
    joint_shape,
    normal_dtype,
)
from execution_dataflow.errors import PortError
from execution_dataflow.port_types.hints import read
from execution_dataflow.port_types.misfits import array_facts_of, why_not
from execution_dataflow.ports import InputPort, OutputPort, Port
from execution_dataflow.type_rules import Check, check_value, describe

__all__ = [
    "PortSignature",
    "array_facts_of_port",
    "as_input_port",
    "as_output_port",
    "check_identifier",
    "describe_type",
    "ports_fit",
    "ports_misfit",
]

# An __init__ that computes a different port for every instance would fill the table for ever: beyond this many, it
# starts afresh.
_MOST_TRANSITIONS = 4096

# Two threads that add the first two operations of a class must end with one frozen signature.
_freezing = Lock()


class PortSignature:
    """The input and output ports of an operation, in the order of declaration.

    Parameters
    ----------
    owner : str
        The name of the class or function, for messages.
    inputs, outputs : tuple of (str, port)
        The ports.
    is_frozen : bool
        Whether the operation is part of a graph, so that no port may be added.

    Attributes
    ----------
    input_index, output_index : dict of str to int
        Where each port is.
    input_flags, output_flags : bytes
        The ports as the native core sees them.
    input_checks, output_checks : tuple
        What values must pass.
    input_defaults : tuple
        The value of each input where nothing arrives, or ``_core.MISSING``.
    input_types, output_types : tuple
        For each port, its type, or the port itself where there is a dtype or a shape to compare too.
    next_inputs, next_outputs : dict
        The signatures with one more port, by its name and type, or by its options too where it has some.
    derived : dict
        What higher layers derived from it.

    Examples
    --------
    >>> root = PortSignature("Clean")
    >>> root.with_input("raw", InputPort(bytes))
    <ports of Clean: (raw: bytes) -> ()>
    >>> root.with_input("raw", InputPort(bytes)) is root.with_input("raw", InputPort(bytes))
    True
    """

    __slots__ = (
        "__weakref__",
        "_frozen",
        "_layout",
        "derived",
        "input_checks",
        "input_defaults",
        "input_flags",
        "input_index",
        "input_types",
        "inputs",
        "is_frozen",
        "next_inputs",
        "next_outputs",
        "output_checks",
        "output_flags",
        "output_index",
        "output_types",
        "outputs",
        "owner",
    )

    def __init__(
        self,
        owner: str,
        inputs: tuple[tuple[str, InputPort[Any]], ...] = (),
        outputs: tuple[tuple[str, OutputPort[Any]], ...] = (),
        *,
        is_frozen: bool = False,
    ) -> None:
        self.owner = owner
        self.inputs = inputs
        self.outputs = outputs
        self.is_frozen = is_frozen
        self.input_index = {name: index for index, (name, _) in enumerate(inputs)}
        self.output_index = {name: index for index, (name, _) in enumerate(outputs)}
        self.input_flags = bytes(port.flags for _, port in inputs)
        self.output_flags = bytes(port.flags for _, port in outputs)
        self.input_checks: tuple[Check, ...] = tuple(port.check for _, port in inputs)
        self.output_checks: tuple[Check, ...] = tuple(port.check for _, port in outputs)
        self.input_defaults = tuple(port.default for _, port in inputs)
        self.input_types = tuple(_type_to_compare(port) for _, port in inputs)
        self.output_types = tuple(_type_to_compare(port) for _, port in outputs)
        self.derived: dict[Any, Any] = {}
        self.next_inputs: dict[Any, PortSignature] = {}
        self.next_outputs: dict[Any, PortSignature] = {}
        self._frozen: PortSignature | None = self if is_frozen else None
        self._layout: PortLayout | None = None

    @property
    def frozen(self) -> PortSignature:
        """The same ports, with no more to come."""
        if self._frozen is None:
            with _freezing:
                if self._frozen is None:
                    self._frozen = PortSignature(self.owner, self.inputs, self.outputs, is_frozen=True)
        return self._frozen

    @property
    def layout(self) -> PortLayout:
        """What the native core has to know of the same ports, with no more to come."""
        if self._layout is None:
            frozen = self.frozen
            self._layout = PortLayout(
                frozen,
                tuple(frozen.input_index),
                frozen.input_flags,
                frozen.input_checks,
                tuple(frozen.output_index),
                frozen.output_flags,
            )
        return self._layout

    def with_input(self, name: str, port: InputPort[Any]) -> PortSignature:
        """Return the signature with one more input; the same one for the same port.

        Parameters
        ----------
        name : str
            The name of the port.
        port : InputPort
            The port.

        Returns
        -------
        PortSignature
            The longer signature.

        Raises
        ------
        PortError
            The name is taken or no identifier, or the signature is frozen.
        """
        try:
            return self.next_inputs[(name, port._data_type) if port._options is None else _transition(name, port)]
        except (KeyError, TypeError):
            self._check_addition(name, self.input_index, "input")
            longer = PortSignature(self.owner, (*self.inputs, (name, port)), self.outputs)
            longer._check_last_default()
            return _remember(self.next_inputs, name, port, longer)

    def with_output(self, name: str, port: OutputPort[Any]) -> PortSignature:
        """Return the signature with one more output; the same one for the same port.

        Parameters
        ----------
        name : str
            The name of the port.
        port : OutputPort
            The port.

        Returns
        -------
        PortSignature
            The longer signature.

        Raises
        ------
        PortError
            The name is taken or no identifier, or the signature is frozen.
        """
        try:
            return self.next_outputs[(name, port._data_type) if port._options is None else _transition(name, port)]
        except (KeyError, TypeError):
            self._check_addition(name, self.output_index, "output")
            longer = PortSignature(self.owner, self.inputs, (*self.outputs, (name, port)))
            return _remember(self.next_outputs, name, port, longer)

    def _check_addition(self, name: object, taken: dict[str, int], direction: str) -> None:
        check_identifier("a port", name, "raw_data", self.owner)
        if self.is_frozen:
            self._refuse(
                name,
                f"{self.owner} cannot get the {direction} port {name!r}: it is part of a graph already, and its ports "
                "are fixed from then on; declare ports in __init__",
            )
        if name in taken:
            self._refuse(name, f"{self.owner} has an {direction} port {name!r} already; give this one another name")

    def _check_last_default(self) -> None:
        name, port = self.inputs[-1]
        if port.default is MISSING or port.many:
            return
        wrong = check_value(self.input_checks[-1], port.default)
        if wrong is not None:
            self._refuse(name, f"the default of {self.owner}.{name} is wrong: {wrong}")

    def _refuse(self, name: object, message: str) -> NoReturn:
        raise PortError(message, operation=self.owner, port=str(name))

    def __repr__(self) -> str:
        inputs = ", ".join(f"{name}: {describe(port.data_type)}" for name, port in self.inputs)
        outputs = ", ".join(f"{name}: {describe(port.data_type)}" for name, port in self.outputs)
        return f"<ports of {self.owner}: ({inputs}) -> ({outputs})>"

    def __reduce__(self) -> tuple[Any, ...]:
        # Not frozen: a copy of an operation is in no graph.
        return PortSignature, (self.owner, self.inputs, self.outputs)


def check_identifier(what: str, name: Any, example: str, operation: str | None = None) -> None:
    """Raise a `PortError` unless a name is an identifier."""
    if not isinstance(name, str) or not name.isidentifier():
        raise PortError(
            f"the name of {what} must be an identifier such as {example!r}, not {name!r}"
            + (f", in {operation}" if operation else ""),
            operation=operation,
            port=str(name),
        )


def _type_to_compare(port: Port) -> Any:
    return port.data_type if port.dtype is None and port.shape is None else port


def _transition(name: str, port: Port) -> tuple[Any, ...]:
    """Return the key of a step; the default counts by identity, since 1 == True."""
    options = port._options
    if options is None:
        return name, port._data_type
    if isinstance(port, OutputPort):
        return name, port._data_type, options
    return name, port._data_type, options[0], id(options[1]), options[2:]


def _remember(table: dict[Any, PortSignature], name: str, port: Port, signature: PortSignature) -> PortSignature:
    # The signature holds the port and so its default, whose identity is in the key.
    if len(table) >= _MOST_TRANSITIONS:
        table.clear()
    try:
        return table.setdefault(_transition(name, port), signature)
    except TypeError:  # a type hint or a dtype that cannot be hashed
        return signature


_PORTS = (InputPort, OutputPort)


def ports_fit(source: object, target: object) -> bool:
    """Return whether a value of one port may satisfy another.

    Parameters
    ----------
    source, target : type, type hint or port
        What `PortSignature.output_types` and `PortSignature.input_types` hold for them.

    Returns
    -------
    bool
        ``False`` only if no value can satisfy both.
    """
    return source is target or ports_misfit(source, target) is None


def ports_misfit(source: object, target: object) -> str | None:
    """Return why no value of one port can ever satisfy another; takes what `ports_fit` takes.

    Returns
    -------
    str or None
        The reason without the types themselves: an empty text where there is no more to say. ``None`` if they may fit.
    """
    why = why_not(_hint_of(source), _hint_of(target))
    if why is not None or not (isinstance(source, _PORTS) or isinstance(target, _PORTS)):
        return why
    return arrays_misfit(array_facts_of_port(source), array_facts_of_port(target))


def _hint_of(port: object) -> object:
    return port.data_type if isinstance(port, _PORTS) else port


def array_facts_of_port(port: Any) -> tuple[object, Shape | None]:
    """Return the dtype and the shape that a port declares, in its type or beside it; takes what `ports_fit` takes."""
    dtype, shape = array_facts_of(*read(_hint_of(port)))
    if not isinstance(port, _PORTS):
        return dtype, shape
    return dtype if port.dtype is None else normal_dtype(port.dtype), joint_shape(port.shape, shape)


def describe_type(port: object) -> str:
    """Return the type of a port as text, with its dtype and shape; takes what `ports_fit` takes."""
    if not isinstance(port, _PORTS):
        return describe(port)
    facts = [] if port.dtype is None else [f"dtype {describe_dtype(port.dtype)}"]
    facts += [] if port.shape is None else [f"shape {describe_shape(port.shape)}"]
    return f"{describe(port.data_type)} of {' and '.join(facts)}"


def as_input_port(name: str, port: object, owner: str) -> InputPort[Any]:
    """Return what was given to ``add_input_port`` as a port; a type stands for a port of that type."""
    if isinstance(port, InputPort):
        return port
    if isinstance(port, OutputPort):
        raise PortError(
            f"{owner}.add_input_port({name!r}, ...) takes an InputPort, not {port!r}", operation=owner, port=name
        )
    _refuse_port_class(name, port, owner)
    return InputPort(port)


def _refuse_port_class(name: str, port: object, owner: str) -> None:
    if isinstance(port, type) and issubclass(port, _PORTS):
        kind = port.__name__
        raise PortError(
            f"port {name!r} of {owner} was given the class {kind}; make a port: {kind}(data_type=...)",
            operation=owner,
            port=name,
        )


def as_output_port(name: str, port: object, owner: str) -> OutputPort[Any]:
    """Return what was given to ``add_output_port`` as a port; a type stands for a port of that type."""
    if isinstance(port, OutputPort):
        return port
    if isinstance(port, InputPort):
        raise PortError(
            f"{owner}.add_output_port({name!r}, ...) takes an OutputPort, not {port!r}", operation=owner, port=name
        )
    _refuse_port_class(name, port, owner)
    return OutputPort(port)
