"""Graphs that are kept in files: the part of `GraphDefinition` that loads and saves them."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self

from execution_dataflow.definition_errors import DefinitionError

if TYPE_CHECKING:
    from execution_dataflow.definition_files.formats import Format

__all__ = ["SavedGraph"]


class SavedGraph:
    """What lets a graph be kept in a file: in YAML, JSON or TOML."""

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        allow: Iterable[str | ModuleType],
        format: Format | None = None,
    ) -> Self:
        """Return the graph that a file defines.

        The file names operations by where they can be imported from. Nothing that it names is imported, called or
        looked at unless `allow` says so, and nothing in it is evaluated.

        Parameters
        ----------
        path : str or path
            The file. Its encoding is UTF-8.
        allow : iterable of str or module
            What the file may use: modules, each with those below it, for the operations that are defined there
            (``"mypackage"``), and single names, which may be plain functions too (``"statistics:mean"``).
        format : {"yaml", "json", "toml"}, optional
            How the file is written; told by the end of its name by default.

        Returns
        -------
        GraphDefinition
            The graph. It is not validated as a whole: that is for ``compile()``, whose faults name lines of the file.

        Raises
        ------
        DefinitionError
            With all the `faults` of the file, each with its line, its column and its path.
        OSError
            The file cannot be read.
        MissingExtraError
            YAML needs an extra.
        TypeError, ValueError
            `allow` or `format` is no such thing.

        Examples
        --------
        >>> import tempfile, pathlib
        >>> from execution_dataflow import GraphDefinition
        >>> file = pathlib.Path(tempfile.mkdtemp(), "mean.toml")
        >>> _ = file.write_text('''
        ... version = 1
        ... name = "mean"
        ... [operations.mean]
        ... operation = "statistics:mean"
        ... constants = { data = [1, 2, 3] }
        ... ''')
        >>> GraphDefinition.load(file, allow=["statistics:mean"])
        <GraphDefinition 'mean': 1 operations, 0 channels>
        """
        from execution_dataflow.definition_files.formats import decoded, format_of

        file = Path(os.fsdecode(path))
        form = format_of(file, format)
        content = file.read_bytes()
        return cls._read(str(file), lambda: decoded(content), form, allow, file)

    @classmethod
    def loads(cls, text: str, *, format: Format, allow: Iterable[str | ModuleType]) -> Self:
        """Return the graph that a text defines; see `load`.

        Parameters
        ----------
        text : str
            The text.
        format : {"yaml", "json", "toml"}
            How it is written.
        allow : iterable of str or module
            What it may use.

        Returns
        -------
        GraphDefinition
            The graph.

        Raises
        ------
        DefinitionError, MissingExtraError, TypeError, ValueError
            As for `load`.
        """
        from execution_dataflow.definition_files.formats import check_format

        if not isinstance(text, str):
            raise TypeError(f"loads() takes a str, not {type(text).__name__}; load() takes a path")
        return cls._read("<text>", lambda: text, check_format(format), allow, None)

    @classmethod
    def _read(
        cls, name: str, text: Callable[[], str], form: Format, allow: Iterable[str | ModuleType], file: Path | None
    ) -> Self:
        from execution_dataflow.definition_files.allowed import Allowed
        from execution_dataflow.definition_files.formats import read
        from execution_dataflow.definition_files.located import Faults, TextError
        from execution_dataflow.definition_files.reading import Reading

        allowed, faults = Allowed(allow), Faults(name)
        try:
            located = read(text(), form, faults)
        except TextError as error:
            faults.note(error.problem, error.line, error.column)
            raise DefinitionError(name, "is no valid definition", list(faults)) from None
        make: Any = cls
        graph: Self = Reading(make, allowed, faults, file).document(located)
        faults.raise_if_any()
        return graph

    def save(self, path: str | os.PathLike[str], *, format: Format | None = None) -> None:
        """Write the graph to a file, from which `load` makes the same graph again.

        Classes of operations are called again with the arguments that they were given, to see what they do by
        themselves. The file takes its place when it is complete.

        Parameters
        ----------
        path : str or path
            The file.
        format : {"yaml", "json", "toml"}, optional
            How it is written; told by the end of its name by default.

        Raises
        ------
        DefinitionError
            With a fault for everything that cannot be written: a lambda, an array, an operation of ``__main__``.
        OSError
            The file cannot be written.
        MissingExtraError
            YAML and TOML need an extra.
        ValueError
            There is no such format.
        """
        from execution_dataflow.definition_files.formats import format_of

        file = Path(os.fsdecode(path))
        text = self.dumps(format=format_of(file, format))
        # Beside the file, so that it is on the same disk; whoever reads meanwhile finds the old one.
        beside = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
        try:
            beside.write_text(text, encoding="utf-8", newline="\n")
            os.replace(beside, file)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise

    def dumps(self, *, format: Format) -> str:
        """Return the graph as text; see `save`.

        Parameters
        ----------
        format : {"yaml", "json", "toml"}
            How it is written.

        Returns
        -------
        str
            What `loads` reads.

        Raises
        ------
        DefinitionError, MissingExtraError, ValueError
            As for `save`.

        Examples
        --------
        >>> import statistics
        >>> from execution_dataflow import GraphDefinition
        >>> graph = GraphDefinition("middle")
        >>> _ = graph.add(statistics.median, data=[1, 2, 4])
        >>> print(graph.dumps(format="toml"))
        version = 1
        name = "middle"
        <BLANKLINE>
        [operations.median]
        operation = "statistics:median"
        <BLANKLINE>
        [operations.median.constants]
        data = [
            1,
            2,
            4,
        ]
        <BLANKLINE>
        """
        from execution_dataflow.definition_files.formats import check_format, write
        from execution_dataflow.definition_files.plain_values import Encoder
        from execution_dataflow.definition_files.writing import document_of

        form = check_format(format)
        return write(document_of(self, Encoder(keeps_order=form != "toml")), form)
