"""A declared input of a graph."""

from __future__ import annotations

from reprlib import Repr
from typing import Any, Never

from execution_dataflow._core import MISSING
from execution_dataflow.errors import GraphError, PortError
from execution_dataflow.operations import Operation
from execution_dataflow.ports import OutputPort
from execution_dataflow.signatures import check_identifier
from execution_dataflow.type_rules import check_value, describe

__all__ = ["Parameter"]

_short_repr = Repr()


class Parameter(Operation):
    """A declared input of a graph, made by ``graph.parameter``: each run gives it a value.

    It is used as an operation with one output, ``value``, and costs a run nothing: what is connected to it reads the
    value as it reads a constant.

    Parameters
    ----------
    name : str
        Its name, an identifier.
    data_type : type or type hint
        What its values are; anything by default.
    default : object, optional
        The value of a run that gives none. Without it, each run has to give one.
    description : str, optional
        What it is for.

    Raises
    ------
    PortError
        The name is no identifier, or the default is not of the type.

    Examples
    --------
    >>> Parameter("threshold", float, default=0.5)
    <parameter threshold: float = 0.5>
    """

    _never_runs = "is a parameter, which a graph declares with graph.parameter()"

    def __init__(
        self, name: str, data_type: Any = Any, *, default: Any = MISSING, description: str | None = None
    ) -> None:
        check_identifier("a parameter", name, "path")
        super().__init__(name=name, description=description)
        self.add_output_port("value", data_type if isinstance(data_type, OutputPort) else OutputPort(data_type))
        self._default = default
        if default is not MISSING and (wrong := self.fault_of(default)) is not None:
            raise PortError(f"the default of parameter {name!r} is wrong: {wrong}", operation=name, port="value")

    @property
    def data_type(self) -> Any:
        """The type of its values."""
        return self.ports.outputs[0][1].data_type

    @property
    def default(self) -> Any:
        """The value of a run that gives none, or ``_core.MISSING``."""
        return self._default

    @property
    def is_required(self) -> bool:
        """Whether each run has to give it a value."""
        return self._default is MISSING

    def fault_of(self, value: object) -> str | None:
        """Return what is wrong with a value, or ``None``.

        Parameters
        ----------
        value : object
            What a run would give.

        Returns
        -------
        str or None
            For a message.
        """
        return check_value(self.ports.output_checks[0], value)

    def execute(self, context: Any) -> Never:
        """Do nothing: a parameter is no part of a plan."""
        raise GraphError(f"{self.name} {self._never_runs}")

    def __repr__(self) -> str:
        default = "" if self.is_required else f" = {_short_repr.repr(self._default)}"
        return f"<parameter {self.name}: {describe(self.data_type)}{default}>"
