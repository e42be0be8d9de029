"""Source text for libraries that read the graph from the names of parameters: node 7 is `def n7(n3, n5): ...`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shapes import is_join

from engines.protocol import Work


def functions_of(work: Work, annotated: bool) -> list[Callable[..., Any]]:
    """Return a function for each node whose parameters are named after the nodes that it takes."""
    space: dict[str, Any] = {"Any": Any}
    lines: list[str] = []
    for node, taken in enumerate(work.shape):
        space[f"kernel_{node}"] = work.function(node)
        names = [f"n{source}" for source in taken]
        given = ", ".join(names)
        parameters = ", ".join(f"{name}: Any" for name in names) if annotated else given
        returns = " -> Any" if annotated else ""
        called = f"[{given}]" if is_join(taken) else given
        lines.append(f"def n{node}({parameters}){returns}:\n    return kernel_{node}({called})")
    exec("\n".join(lines), space)
    return [space[f"n{node}"] for node in range(len(work.shape))]
