"""The drawings in the documentation are those that its examples draw."""

from __future__ import annotations

import os
import re
from doctest import ELLIPSIS
from pathlib import Path

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

DOCS = Path(__file__).resolve().parents[2] / "docs"
# Set to 1, the drawings are written anew.
REDRAW = os.environ.get("EXECUTION_DATAFLOW_REDRAW") == "1"


def without_times(svg: str) -> str:
    """A drawing without what differs from run to run: times, and the widths and places that follow from them."""
    return re.sub(r"\d+(\.\d+)?( (µs|ms|s)\b)?", "0", svg)


def test_the_drawings_are_those_of_the_examples() -> None:
    page = Sybil(parsers=[PythonCodeBlockParser(doctest_optionflags=ELLIPSIS)]).parse(DOCS / "drawing.md")
    for example in page.examples():
        example.evaluate()
    namespace = page.namespace
    for name, drawing in (("drawing-graph.svg", namespace["svg"]), ("drawing-result.svg", namespace["drawn"])):
        path = DOCS / name
        if REDRAW:
            path.write_text(str(drawing), encoding="utf-8", newline="\n")
        assert without_times(path.read_text(encoding="utf-8")) == without_times(str(drawing)), (
            f"{name} is not what docs/drawing.md draws: run this test with EXECUTION_DATAFLOW_REDRAW=1"
        )
