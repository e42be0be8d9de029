"""Which graphs are measured, and how large they are for which engine."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from engines.registry import Entry
from shapes import ALL_SHAPES

# Where an engine can take it, graphs are large enough that a run is no start-up; peers have smaller ones.
_NODES_OF_OURS = 20_000
_NODES_OF_PEERS = 2_000
_SIZES = (10, 100, 1_000, 10_000, 100_000)


@dataclass(frozen=True)
class Case:
    """A graph as `measured_process` understands it; `suite` says which table or plot it is for."""

    suite: str
    shape: str
    kernel: str
    nodes: int

    def graph(self) -> dict[str, Any]:
        made = asdict(self)
        del made["suite"]
        return made


def cases_of(entry: Entry, spin: int, most: int) -> dict[tuple[str, str, str, int], Case]:
    """Return what an engine is measured with, by suite, shape, kernel and wished-for size.

    Parameters
    ----------
    entry : Entry
        The engine.
    spin : int
        Bytes whose checksum takes 100 µs.
    most : int
        The largest graph that anybody is given.
    """
    most = min(most, entry.most_nodes)
    usual = min(most, _NODES_OF_OURS if most >= _NODES_OF_OURS else _NODES_OF_PEERS)
    sizes = sorted({most, *(size for size in _SIZES if size < most)})
    cases = {
        **{("shapes", shape, "no-op", 0): usual for shape in ALL_SHAPES},
        **{("sizes", shape, "no-op", size): size for shape in ("chain", "stencil") for size in sizes},
        ("kernels", "tree", "add", 0): usual,
        ("kernels", "tree", "numpy 100", 0): usual,
        ("kernels", "tree", "numpy 4 MB", 0): min(usual, 100),
        ("kernels", "tree", f"spin {spin} B", 0): min(usual, 500),
    }
    return {key: Case(*key[:3], nodes) for key, nodes in cases.items()}
