"""DAGs of the shapes of eight scientific workflows that really ran: how many stages, how wide, what feeds what.

A shape is the list of the parents of each task, tasks being numbers in an order in which they can run. The families
are those of the WfCommons collection of workflow instances; the structure is made here from a family's rule of
construction, and the two irregular pipelines are written out as what depends on what.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

Shape = list[list[int]]


class _Tasks:
    """Tasks under construction."""

    def __init__(self) -> None:
        self.parents: Shape = []

    def one(self, *parents: int) -> int:
        self.parents.append(list(parents))
        return len(self.parents) - 1

    def each(self, sources: list[int]) -> list[int]:
        """One task behind every source."""
        return [self.one(source) for source in sources]


def thousand_genomes(chromosomes: int = 2, individuals: int = 10, populations: int = 7) -> Shape:
    """Per chromosome: individuals merged, variants sifted; for each population two analyses of both, twice over."""
    tasks = _Tasks()
    for _ in range(chromosomes):
        merged = tasks.one(*[tasks.one() for _ in range(individuals)])
        sifted = tasks.one()
        for _ in range(2 * populations):
            tasks.one(merged, sifted)
    return tasks.parents


def blast(parts: int = 40) -> Shape:
    """A file is split, every part searched, results and messages put together."""
    tasks = _Tasks()
    split = tasks.one()
    found = [tasks.one(split) for _ in range(parts)]
    tasks.one(*found)
    tasks.one(*found)
    return tasks.parents


def epigenomics(parts: int = 9) -> Shape:
    """A file is split; four steps for every part; then four steps one after the other."""
    tasks = _Tasks()
    split = tasks.one()
    lanes = [tasks.one(split) for _ in range(parts)]
    for _ in range(3):
        lanes = tasks.each(lanes)
    last = tasks.one(*lanes)
    for _ in range(3):
        last = tasks.one(last)
    return tasks.parents


def seismology(stations: int = 100) -> Shape:
    """Everything at once, and one task that looks at all of it."""
    tasks = _Tasks()
    tasks.one(*[tasks.one() for _ in range(stations)])
    return tasks.parents


def soybean(samples: int = 5, chromosomes: int = 10) -> Shape:
    """Six steps per sample, one task per sample and chromosome, gathered by chromosome, then two short branches."""
    tasks = _Tasks()
    calls: list[list[int]] = [[] for _ in range(chromosomes)]
    for _ in range(samples):
        step = tasks.one()
        for _ in range(3):
            step = tasks.one(step)
        targets = tasks.one(step)
        realigned = tasks.one(step, targets)
        for chromosome in calls:
            chromosome.append(tasks.one(realigned))
    tasks.one(*[call for chromosome in calls for call in chromosome])
    combined = tasks.one(*[tasks.one(*chromosome) for chromosome in calls])
    for _ in range(2):
        tasks.one(tasks.one(combined))
    return tasks.parents


def sra_search(accessions: int = 10) -> Shape:
    """An index is built; every accession is fetched and searched in it; one task merges."""
    tasks = _Tasks()
    index = tasks.one()
    tasks.one(*[tasks.one(index, tasks.one()) for _ in range(accessions)])
    return tasks.parents


def bacterial_assembly() -> Shape:
    """A small pipeline of quality control, trimming and assembly, with two tasks that gather versions and reports."""
    roots: Shape = [[], [], [], []]
    return [*roots, [2], [3], [4], [5], [4, 5], [0, 2, 4, 6, 8], [0, 1, 9]]


def germline_variants() -> Shape:
    """A long pipeline: a reference is prepared, reads are aligned, marked, recalibrated, called and reported on."""
    prepared: Shape = [[] for _ in range(9)]
    aligned: Shape = [[2], [7], [9, 4], [11]]
    recalibrated: Shape = [[11, 12, 7, 4, 3, 5, 6], [11, 12], [11, 12], [11, 12, 13, 7, 4, 3], [16]]
    called: Shape = [[16, 17, 10, 4], [16, 17], [16, 17], [18], [18, 8], [18, 8], [18, 8]]
    return [*prepared, *aligned, *recalibrated, *called, [1, 11, 14, 15, 13, 19, 20, 21, 23, 24, 22, 0]]


FAMILIES: Mapping[str, Callable[[], Shape]] = {
    "1000genome": thousand_genomes,
    "bacass": bacterial_assembly,
    "blast": blast,
    "epigenomics": epigenomics,
    "sarek": germline_variants,
    "seismology": seismology,
    "soykb": soybean,
    "srasearch": sra_search,
}
"""Each family by the first word of the names of its instances."""


def levels(shape: Shape) -> list[int]:
    """The number of tasks on the longest path to each task, itself included. Tasks may come in any order."""
    found: dict[int, int] = {}

    def level(task: int) -> int:
        if task not in found:
            found[task] = 1 + max((level(parent) for parent in shape[task]), default=0)
        return found[task]

    return [level(task) for task in range(len(shape))]


def profile(shape: Shape) -> Counter[tuple[int, int, int]]:
    """How many tasks there are of each level, number of parents and number of children."""
    children = Counter(parent for parents in shape for parent in parents)
    facts = zip(levels(shape), shape, strict=True)
    return Counter((level, len(parents), children[task]) for task, (level, parents) in enumerate(facts))
