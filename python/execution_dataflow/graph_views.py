"""What graphs and plans show of themselves: drawings, and what lies before and behind an operation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from execution_dataflow.changes import GraphDifference
    from execution_dataflow.drawing.drawings import Dot, Mermaid, Svg
    from execution_dataflow.explanation.answer import Explanation
    from execution_dataflow.explanation.explain import EngineFacts, ExplainedGraph, MeasuredRun
    from execution_dataflow.lineage import LineageStep
    from execution_dataflow.operations import Operation
    from execution_dataflow.wiring import Wiring

__all__ = ["GraphViews"]


class GraphViews:
    """The views that a graph and its plan have in common. Nothing is worked out before it is asked for."""

    __slots__ = ()

    def _wiring(self) -> Wiring:
        raise NotImplementedError

    def _compiled_graph(self) -> ExplainedGraph:
        raise NotImplementedError

    def explain(
        self,
        result: MeasuredRun | None = None,
        *,
        engine: EngineFacts | None = None,
        executor: Literal["thread", "process", "inline"] | None = None,
        max_workers: int | None = None,
    ) -> Explanation:
        """Say what is known of a run before it starts: shape, critical path, parallelism, memory, types, places.

        Parameters
        ----------
        result : ExecutionResult, optional
            An earlier run of this graph or of one like it, whose durations and sizes are taken, by the names of
            operations. Sizes are known of the outputs that it kept: of all with ``retain="all"``. Without a result,
            durations are what operations of each kind took of late, and sizes are what they declare with
            ``output_bytes=``, or what was seen of late under a memory limit.
        engine : ExecutionEngine, optional
            The engine that is to run it: where operations run, on how many workers, and what resources there are.
        executor, max_workers
            Instead of those of an engine.

        Returns
        -------
        Explanation
            ``str()`` of it is a page to read, ``.to_dict()`` is made of the types of JSON.

        Raises
        ------
        GraphValidationError
            The graph has faults.
        ValueError, TypeError
            An option has no such value.

        Examples
        --------
        >>> from execution_dataflow import GraphDefinition, operation
        >>> @operation
        ... def double(x: int) -> int:
        ...     return 2 * x
        >>> @operation
        ... def add(x: int, y: int) -> int:
        ...     return x + y
        >>> graph = GraphDefinition("sums")
        >>> left, right = graph.add(double, x=1), graph.add(double, x=2)
        >>> both = graph.add(add, x=left, y=right)
        >>> explanation = graph.explain()
        >>> explanation.levels, explanation.width, explanation.parallelism
        ((2, 1), 2, 1.5)
        >>> explanation.critical_path
        ('double', 'add')
        """
        from execution_dataflow.explanation.explain import explain

        return explain(self._compiled_graph(), result, engine=engine, executor=executor, max_workers=max_workers)

    def to_svg(
        self,
        *,
        depth: int | None = None,
        limit: int = 200,
        direction: Literal["TD", "LR"] = "TD",
        theme: Literal["auto", "light", "dark"] = "auto",
    ) -> Svg:
        """Draw the graph as SVG, without another program.

        A graph with faults is drawn too: what is missing is marked, and so are the channels of cycles.

        Parameters
        ----------
        depth : int, optional
            How deep nested graphs are opened: 0 shows each as one box. As deep as `limit` allows by default.
        limit : int
            The largest number of boxes. A graph with more operations is collapsed: nested graphs, then operations of
            one kind on one level, then bands of levels.
        direction : {"TD", "LR"}
            Whether data flows from top to bottom or from left to right.
        theme : {"auto", "light", "dark"}
            For which ground; what the reader's system prefers by default.

        Returns
        -------
        Svg
            The text of an ``svg`` element, which notebooks show; ``.save(path)`` writes it into a file.

        Raises
        ------
        ValueError, TypeError
            An option has no such value.

        Examples
        --------
        >>> from execution_dataflow import GraphDefinition
        >>> graph = GraphDefinition("sums")
        >>> total = graph.add(sum, iterable=[1, 2, 3])
        >>> graph.to_svg().count("<rect")  # the ground and one box
        2
        """
        from execution_dataflow.drawing.drawings import draw_svg

        return draw_svg(self._wiring(), depth=depth, limit=limit, direction=direction, theme=theme)

    def to_mermaid(
        self, *, depth: int | None = None, limit: int = 200, direction: Literal["TD", "LR"] = "TD"
    ) -> Mermaid:
        """Draw the graph as a Mermaid flowchart, for Markdown on GitHub, GitLab and in notebooks.

        Parameters
        ----------
        depth, limit, direction
            As for `to_svg`; there are fewer boxes where Mermaid would refuse as many (500 edges, 50,000 characters).

        Returns
        -------
        Mermaid
            The text; ``.save(path)`` writes it into a file.

        Examples
        --------
        >>> from execution_dataflow import GraphDefinition
        >>> graph = GraphDefinition("sums")
        >>> total = graph.add(sum, iterable=[1, 2, 3])
        >>> print(graph.to_mermaid())
        flowchart TD
            accTitle: sums
            accDescr: A graph of 1 operation, with 0 arrows between them.
            n0["sum"]
        <BLANKLINE>
        """
        from execution_dataflow.drawing.drawings import draw_mermaid

        return draw_mermaid(self._wiring(), depth=depth, limit=limit, direction=direction)

    def to_dot(self, *, depth: int | None = None, limit: int = 200, direction: Literal["TD", "LR"] = "TD") -> Dot:
        """Draw the graph in the DOT language of Graphviz.

        Parameters
        ----------
        depth, limit, direction
            As for `to_svg`.

        Returns
        -------
        Dot
            The text; ``.save(path)`` writes it into a file.
        """
        from execution_dataflow.drawing.drawings import draw_dot

        return draw_dot(self._wiring(), depth=depth, limit=limit, direction=direction)

    def _repr_html_(self) -> str:
        return self.to_svg(limit=100)._repr_html_()

    def upstream_of(self, operation: Operation | str, *, with_order: bool = False) -> tuple[str, ...]:
        """Return the operations whose values reach an operation, however many others they pass.

        Parameters
        ----------
        operation : Operation or str
            The operation, its name, or the name of a nested graph.
        with_order : bool
            Whether to follow order-only dependencies too.

        Returns
        -------
        tuple of str
            Their names, in topological order.

        Raises
        ------
        UnknownOperationError
            There is no such operation.

        Examples
        --------
        >>> from execution_dataflow import GraphDefinition, operation
        >>> @operation
        ... def double(x: int) -> int:
        ...     return 2 * x
        >>> graph = GraphDefinition()
        >>> four = graph.add(double, x=2)
        >>> eight = graph.add(double, x=four)
        >>> graph.upstream_of(eight), graph.downstream_of("double")
        (('double',), ('double_2',))
        """
        from execution_dataflow.lineage import names_upstream

        return names_upstream(self._wiring(), operation, with_order)

    def downstream_of(self, operation: Operation | str, *, with_order: bool = False) -> tuple[str, ...]:
        """Return the operations that the values of an operation reach, however many others they pass.

        Parameters
        ----------
        operation, with_order
            As for `upstream_of`.

        Returns
        -------
        tuple of str
            Their names, in topological order.

        Raises
        ------
        UnknownOperationError
            There is no such operation.
        """
        from execution_dataflow.lineage import names_downstream

        return names_downstream(self._wiring(), operation, with_order)

    def path_between(self, source: Operation | str, target: Operation | str) -> tuple[LineageStep, ...]:
        """Return a shortest path of channels from one operation to another.

        Parameters
        ----------
        source, target : Operation or str
            The operations, their names, or the names of nested graphs.

        Returns
        -------
        tuple of LineageStep
            The channels, one after the other; none if no value of the one reaches the other.

        Raises
        ------
        UnknownOperationError
            There is no such operation.

        Examples
        --------
        >>> from execution_dataflow import GraphDefinition, operation
        >>> @operation
        ... def double(x: int) -> int:
        ...     return 2 * x
        >>> graph = GraphDefinition()
        >>> four = graph.add(double, x=2)
        >>> eight = graph.add(double, x=four)
        >>> [str(step) for step in graph.path_between(four, eight)]
        ['double.result -> double_2.x']
        """
        from execution_dataflow.lineage import path_of_channels

        return path_of_channels(self._wiring(), source, target)

    def diff(self, other: GraphViews) -> GraphDifference:
        """Return what another graph has that this one has not, and the other way round.

        Operations are matched by their names.

        Parameters
        ----------
        other : GraphDefinition or Plan
            What this one became: what only it has was added.

        Returns
        -------
        GraphDifference
            False if both are alike; ``str()`` of it is a page to read.

        Raises
        ------
        GraphValidationError
            One of the graphs has faults.
        TypeError
            It is neither a graph nor a plan.

        Examples
        --------
        >>> from execution_dataflow import GraphDefinition, operation
        >>> @operation
        ... def double(x: int) -> int:
        ...     return 2 * x
        >>> before, after = GraphDefinition("before"), GraphDefinition("after")
        >>> two, three = before.add(double, x=1), after.add(double, x=3)
        >>> print(before.diff(after))
        changed: double
            constant x: 1 -> 3
        """
        from execution_dataflow.differences import difference_between

        if not isinstance(other, GraphViews):
            raise TypeError(f"diff() compares with a GraphDefinition or a Plan, not with {other!r}")
        return difference_between(self._compiled_graph(), other._compiled_graph())
