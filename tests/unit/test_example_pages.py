"""The pages about the examples say what is in them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "examples.md"
EXCERPTS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
SOURCES = "".join(
    path.read_text(encoding="utf-8")
    for folder in (ROOT / "examples", ROOT / "python" / "execution_dataflow" / "demo")
    for path in sorted(folder.rglob("*.py"))
)


@pytest.mark.parametrize("excerpt", EXCERPTS, ids=lambda text: text.split("\n")[0].strip()[:40])
def test_an_excerpt_is_what_the_example_says(excerpt: str) -> None:
    assert excerpt in SOURCES


def test_there_are_excerpts() -> None:
    assert len(EXCERPTS) > 3


@pytest.mark.parametrize("page", [PAGE, ROOT / "examples" / "README.md"], ids=lambda page: page.name)
def test_every_example_is_on_the_page(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    missing = [path.name for path in sorted((ROOT / "examples").glob("*.py")) if path.name not in text]
    assert not missing, f"tell of these in {page.relative_to(ROOT)}: {missing}"


def test_every_example_says_how_to_run_it() -> None:
    silent = [
        path.name
        for path in sorted((ROOT / "examples").glob("*.py"))
        if f"python {path.name}" not in path.read_text(encoding="utf-8").split('"""')[1]
    ]
    assert not silent, f"show at the top how to run these: {silent}"
