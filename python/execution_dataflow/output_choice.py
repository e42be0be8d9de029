"""Which output of an operation is meant."""

from __future__ import annotations

from execution_dataflow.errors import PortError, UnknownPortError
from execution_dataflow.operations import Operation

__all__ = ["only_output"]


def only_output(operation: Operation, label: str, port_name: str | None = None) -> str:
    """Return the name of the output that is meant, which may be left out where there is only one.

    Parameters
    ----------
    operation : Operation
        The operation.
    label : str
        Its name, for messages.
    port_name : str, optional
        What was said.

    Returns
    -------
    str
        The name of an output.

    Raises
    ------
    UnknownPortError
        There is no such output.
    PortError
        There are several, or none.
    """
    names = operation.ports.output_index
    if port_name is not None:
        if port_name not in names:
            raise UnknownPortError(label, port_name, list(names), "output")
        return port_name
    if len(names) == 1:
        return next(iter(names))
    if not names:
        raise PortError(
            f"{label} has no outputs; graph.add_dependency() lets an operation wait for it", operation=label
        )
    choices = " or ".join(f"operation[{name!r}]" for name in names)
    raise PortError(f"{label} has {len(names)} outputs; say which: {choices}", operation=label)
