"""Every Python example in the README and the documentation runs as it stands there."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

import execution_dataflow

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

# Blocks marked `python` run in order, in one namespace a document; those with `>>>` must also print what they show.
# `<!--- skip: next -->` before a block, which no reader sees, leaves it out.
EXAMPLES = Sybil(
    parsers=[
        PythonCodeBlockParser(doctest_optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS),
        SkipParser(),
    ]
)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_examples_of_document_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for example in EXAMPLES.parse(path).examples():
        example.evaluate()


def test_readme_has_examples() -> None:
    assert list(EXAMPLES.parse(ROOT / "README.md").examples())


def test_every_public_name_has_its_place_in_the_reference() -> None:
    pages = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "api").glob("*.md"))
    named = set(re.findall(r"\.\. auto(?:class|function|exception|data):: (\w+)", pages))
    modules = set(re.findall(r"\.\. automodule:: (\S+)", pages))
    missing = {
        name
        for name in set(execution_dataflow.__all__) - named - {"__version__"}
        if getattr(getattr(execution_dataflow, name), "__module__", None) not in modules
    }
    assert not missing, f"add these to a page in docs/api: {sorted(missing)}"
