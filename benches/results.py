"""The files of results: what was measured, when, on what, and every sample."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from machine import described, today

import execution_dataflow

FORMAT = 1


def write_result(path: Path, minutes: float, **measured: Any) -> None:
    """Write a result with the facts about the machine in front."""
    result = {
        "format": FORMAT,
        "date": today(),
        "machine": described(),
        "library": execution_dataflow.__version__,
        "minutes": minutes,
        **measured,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(packed(result) + "\n", encoding="utf-8")


def packed(result: dict[str, Any]) -> str:
    """Return JSON with one line for each row, so that a new measurement is a diff that can be read."""
    facts = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in result.items() if name != "rows"]
    rows = ",\n  ".join(json.dumps(rounded(row), ensure_ascii=False) for row in result["rows"])
    return "{\n" + ",\n".join(facts) + ',\n "rows": [\n  ' + rows + "\n ]\n}"


def rounded(value: Any) -> Any:
    """Keep four digits of every number: more is noise."""
    match value:
        case float():
            return float(f"{value:.4g}")
        case dict():
            return {name: rounded(item) for name, item in value.items()}
        case list():
            return [rounded(item) for item in value]
    return value


def read_result(path: Path) -> dict[str, Any]:
    """Read a result; refuse one of another format."""
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if result.get("format") != FORMAT:
        raise ValueError(f"{path.name} has format {result.get('format')}, not {FORMAT}: measure again")
    return result
