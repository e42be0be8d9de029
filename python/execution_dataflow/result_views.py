"""What a result shows of itself: the drawings of its graph, with what became of every operation, and its checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from execution_dataflow import _core
    from execution_dataflow.checkpoints.resume_report import ResumeReport
    from execution_dataflow.checkpoints.run_checkpoint import RunCheckpoint
    from execution_dataflow.drawing.drawings import Dot, Mermaid, Svg
    from execution_dataflow.drawing.outcomes import Outcomes
    from execution_dataflow.plan import Plan
    from execution_dataflow.run_record import RunRecord

__all__ = ["ResultViews"]

_NANOSECOND = 1e-9


class ResultViews:
    """The drawings of a result, which are those of its plan with states and times, and what its checkpoint did."""

    __slots__ = ()

    if TYPE_CHECKING:
        _plan: Plan
        _run: _core.Run
        _record: RunRecord

    @property
    def restored(self) -> list[str]:
        """The operations whose outputs came from the checkpoint of an earlier run with the same ``run_id``."""
        checkpoint: RunCheckpoint | None = self._record.checkpoint
        return [] if checkpoint is None else checkpoint.restored

    def explain_resume(self) -> ResumeReport:
        """Say what the run took over from its checkpoint, why it ran the rest, and what it could not keep.

        Returns
        -------
        ResumeReport
            Print it, or look at its ``restored``, ``reasons`` and ``not_kept``.

        Raises
        ------
        ValueError
            The run had no checkpoint.
        """
        checkpoint: RunCheckpoint | None = self._record.checkpoint
        if checkpoint is None:
            raise ValueError(
                f"run {self._record.run_id!r} had no checkpoint: give the engine, or run(), checkpoint='sqlite:///runs.db'"
            )
        return checkpoint.report

    def to_svg(
        self,
        *,
        depth: int | None = None,
        limit: int = 200,
        direction: Literal["TD", "LR"] = "TD",
        theme: Literal["auto", "light", "dark"] = "auto",
    ) -> Svg:
        """Draw what became of the graph as SVG: each operation with its state, its time and its attempts.

        Parameters
        ----------
        depth, limit, direction, theme
            As for ``GraphDefinition.to_svg``. A box of several operations has the colour of the worst among them.

        Returns
        -------
        Svg
            The text of an ``svg`` element, which notebooks show; ``.save(path)`` writes it into a file.

        Examples
        --------
        >>> from execution_dataflow import ExecutionEngine, GraphDefinition
        >>> graph = GraphDefinition("sums")
        >>> total = graph.add(sum, iterable=[1, 2, 3])
        >>> "SUCCEEDED" in ExecutionEngine().run(graph).to_svg()
        True
        """
        from execution_dataflow.drawing.drawings import draw_svg

        return draw_svg(
            self._plan._wiring(), self._outcomes(), depth=depth, limit=limit, direction=direction, theme=theme
        )

    def to_mermaid(
        self, *, depth: int | None = None, limit: int = 200, direction: Literal["TD", "LR"] = "TD"
    ) -> Mermaid:
        """Draw what became of the graph as a Mermaid flowchart; see `to_svg`.

        Parameters
        ----------
        depth, limit, direction
            As for ``GraphDefinition.to_mermaid``.

        Returns
        -------
        Mermaid
            The text; ``.save(path)`` writes it into a file.
        """
        from execution_dataflow.drawing.drawings import draw_mermaid

        return draw_mermaid(self._plan._wiring(), self._outcomes(), depth=depth, limit=limit, direction=direction)

    def to_dot(self, *, depth: int | None = None, limit: int = 200, direction: Literal["TD", "LR"] = "TD") -> Dot:
        """Draw what became of the graph in the DOT language of Graphviz; see `to_svg`.

        Parameters
        ----------
        depth, limit, direction
            As for ``GraphDefinition.to_dot``.

        Returns
        -------
        Dot
            The text; ``.save(path)`` writes it into a file.
        """
        from execution_dataflow.drawing.drawings import draw_dot

        return draw_dot(self._plan._wiring(), self._outcomes(), depth=depth, limit=limit, direction=direction)

    def _outcomes(self) -> Outcomes:
        from execution_dataflow.drawing.outcomes import Outcomes

        run = self._run

        def seconds(node: int) -> float | None:
            _, started, ended, worker = run.timing(node)
            return (ended - started) * _NANOSECOND if worker >= 0 else None

        # Of maps within maps, only the outer ones are operations of the graph.
        items = {node: (done, total) for node, path, done, total in run.maps() if not path}
        return Outcomes(run.states(), seconds, run.attempts, items)
