"""What ``plan.explain()`` answers, as a page to read."""

from __future__ import annotations

from execution_dataflow.explanation.facts import ExplanationFacts
from execution_dataflow.explanation.text import explanation_text

__all__ = ["Explanation"]


class Explanation(ExplanationFacts):
    """What is known of a plan before it runs: its fields are those of `ExplanationFacts`, ``str()`` of it is a page."""

    __slots__ = ()

    def __str__(self) -> str:
        return explanation_text(self)
