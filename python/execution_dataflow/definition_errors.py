"""What is wrong with the definition of a graph in a file, fault by fault with its place."""

from __future__ import annotations

from collections.abc import Sequence

from execution_dataflow.errors import GraphError

__all__ = ["DefinitionError", "DefinitionFault"]

# A message is read by people; all faults are in `faults`.
_MOST_SHOWN = 50


class DefinitionFault(GraphError):
    """One fault in the definition of a graph that was read from a file, or that is to be written to one.

    Parameters
    ----------
    problem : str
        What is wrong, and what to do.
    file : str, optional
        The file.
    line, column : int, optional
        Where in it, from 1.
    path : str
        Where in the definition: ``operations.clean.inputs.raw``.
    expected, found : str, optional
        What belongs there, and what there is.
    nearest : str, optional
        The valid thing that was most likely meant.

    Attributes
    ----------
    problem, file, line, column, path, expected, found, nearest
        As given.

    Examples
    --------
    >>> fault = DefinitionFault("there is no operation 'laod'", file="etl.yaml", line=7, column=12, nearest="load",
    ...     path="operations.clean.inputs.raw", expected="an output such as 'load.result'", found="'laod'")
    >>> print(fault)
    etl.yaml:7:12: operations.clean.inputs.raw: there is no operation 'laod'; did you mean 'load'? Expected an output
    such as 'load.result', found 'laod'.
    """

    def __init__(
        self,
        problem: str = "",
        *,
        file: str | None = None,
        line: int | None = None,
        column: int | None = None,
        path: str = "",
        expected: str | None = None,
        found: str | None = None,
        nearest: str | None = None,
    ) -> None:
        self.problem = problem
        self.file = file
        self.line = line
        self.column = column
        self.path = path
        self.expected = expected
        self.found = found
        self.nearest = nearest
        place = ":".join(str(part) for part in (file, line, column) if part is not None)
        where = "".join(f"{part}: " for part in (place, path) if part)
        meant = f"; did you mean {nearest!r}?" if nearest else ""
        both = "" if expected is None else f"{'' if meant else '.'} Expected {expected}, found {found}."
        super().__init__(f"{where}{problem}{meant}{both}")


class DefinitionError(GraphError, ValueError):
    """The definition of a graph that cannot be loaded or saved, with everything that is wrong with it.

    Parameters
    ----------
    what : str
        The file or the graph.
    problem : str
        What cannot be done with it.
    faults : sequence of DefinitionFault
        All the faults.

    Attributes
    ----------
    what : str
        The file or the graph.
    faults : tuple of DefinitionFault
        All the faults.

    Examples
    --------
    >>> print(DefinitionError("etl.yaml", "is no valid definition", [DefinitionFault("one"), DefinitionFault("two")]))
    etl.yaml is no valid definition, 2 faults:
      1. one
      2. two
    """

    def __init__(self, what: str = "", problem: str = "", faults: Sequence[DefinitionFault] = ()) -> None:
        self.what = what
        self.faults = tuple(faults)
        count = len(self.faults)
        if count == 1:
            text = f"{what} {problem}: {self.faults[0]}"
        else:
            lines = "".join(f"\n  {number}. {fault}" for number, fault in enumerate(self.faults[:_MOST_SHOWN], 1))
            more = f"\n  and {count - _MOST_SHOWN} more" if count > _MOST_SHOWN else ""
            text = f"{what} {problem}, {count} faults:{lines}{more}"
        super().__init__(text)
