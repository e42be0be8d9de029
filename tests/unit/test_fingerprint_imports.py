"""How modules count that a function imports when it runs, and those that are called like modules of Python."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest
from loaded_modules import Load, fingerprint_of, load

from execution_dataflow.fingerprinting import what_changed

__all__ = ["load"]


class Folder:
    """Modules in a folder that is imported from.

    Parameters
    ----------
    path : Path
        The folder.
    load : callable
        Makes a module of a text.
    """

    def __init__(self, path: Path, load: Load) -> None:
        self.path = path
        self._load = load

    def write(self, name: str, text: str) -> None:
        """Write a file, in a way that shows to who looks at its time and size."""
        (self.path / name).parent.mkdir(exist_ok=True)
        (self.path / name).write_text(dedent(text), encoding="utf-8")

    def fingerprint(self, imports: str) -> bytes:
        """Return the fingerprint of a function that imports something and uses it."""
        return fingerprint_of(self._load(f"def made():\n    {imports}\n    return f(1)\n").made)


@pytest.fixture
def folder(tmp_path: Path, load: Load, monkeypatch: pytest.MonkeyPatch) -> Iterator[Folder]:
    before = set(sys.modules)
    path = tmp_path / "imported"
    path.mkdir()
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(str(path))
    yield Folder(path, load)
    for name in set(sys.modules) - before:
        if str(path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


FILES = {
    "near_by.py": (
        "import typing\nfrom deeper import g\nif typing.TYPE_CHECKING:\n    import far\ndef f(x): return g(x)\n"
    ),
    "deeper.py": "import near_by\ndef g(x): return 2 * x\n",
    "far.py": "def g(x): return 2 * x\n",
    "bundle/__init__.py": "from .impl import f\nfrom . import other\n",
    "bundle/impl.py": "def f(x): return 2 * x\n",
    "bundle/other.py": "def f(x): return 2 * x\n",
    "profile.py": "def f(x): return 2 * x\n",
}


@pytest.mark.parametrize(
    ("imports", "file", "counts"),
    [
        ("from near_by import f", "deeper.py", True),
        ("from near_by import f", "far.py", False),
        ("from near_by import f", "bundle/impl.py", False),
        ("from bundle import f", "bundle/impl.py", True),
        ("from bundle import f", "bundle/other.py", True),
        ("from bundle.impl import f", "bundle/impl.py", True),
        ("from bundle.impl import f", "bundle/other.py", False),
        ("from profile import f", "profile.py", True),
    ],
)
@pytest.mark.parametrize("is_imported", [False, True])
def test_imported_module_counts_with_all_that_it_imports(
    folder: Folder, imports: str, file: str, counts: bool, is_imported: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "profile", raising=False)
    for name, text in FILES.items():
        folder.write(name, text)
    before = folder.fingerprint(imports)
    if is_imported:
        importlib.import_module(imports.split()[1])
        assert folder.fingerprint(imports) == before
        for name in [name for name in sys.modules if name.partition(".")[0] in ("near_by", "deeper", "bundle")]:
            del sys.modules[name]
        sys.modules.pop("profile", None)
    folder.write(file, "# said\n\n" + FILES[file])
    assert folder.fingerprint(imports) == before
    folder.write(file, FILES[file].replace("2 * x", "3 * x"))
    assert what_changed(before, folder.fingerprint(imports)) == (("its code",) if counts else ())


@pytest.mark.parametrize("looked_before", [False, True])
@pytest.mark.parametrize(
    ("old", "new"), [("* 2", "* 3"), ("RATE = 4", "RATE = 5"), ("return 6", "return 7"), ("\nEND", "\ndef g(): 1\nEND")]
)
def test_module_that_was_changed_after_its_import_is_not_taken_for_what_runs(
    folder: Folder, old: str, new: str, looked_before: bool
) -> None:
    imports = "from kept_on import f"
    text = "RATE = 4\nclass Sized:\n    @property\n    def size(self): return 6\ndef f(x): return x * 2\nEND = None\n"
    folder.write("kept_on.py", text)
    first = folder.fingerprint(imports) if looked_before else b""
    importlib.import_module("kept_on")
    folder.write("kept_on.py", text.replace(old, new))
    of_what_runs = folder.fingerprint(imports)
    assert folder.fingerprint(imports) == of_what_runs
    del sys.modules["kept_on"]
    of_the_file = folder.fingerprint(imports)
    assert of_the_file not in (first, of_what_runs)


def test_module_that_is_unchanged_since_its_import_counts_as_it_did_before(folder: Folder) -> None:
    imports = "from kept_on import f"
    folder.write("kept_on.py", "seen = 0\nLIMIT: int = 3\ndef f(x):\n    global seen\n    seen += 1\n    return x\n")
    before = folder.fingerprint(imports)
    importlib.import_module("kept_on").f(1)
    assert folder.fingerprint(imports) == before
    folder.write("kept_on.py", "def f(x): return 2 * x\n")
    assert folder.fingerprint(imports) == before
    del sys.modules["kept_on"]
    assert folder.fingerprint(imports) != before


def test_own_module_may_be_called_like_one_of_python(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    found = set()
    for factor in (2, 3):
        monkeypatch.delitem(sys.modules, "trace", raising=False)
        folder.write("trace.py", f"def made(x=1): return {factor} * x\n{'#' * factor}")
        importlib.invalidate_caches()
        found.add(fingerprint_of(importlib.import_module("trace").made))
    assert len(found) == 2


def test_version_of_a_package_counts_where_a_part_of_it_is_imported(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    numpy = pytest.importorskip("numpy")
    before = folder.fingerprint("from numpy.linalg import norm as f")
    monkeypatch.setattr(numpy, "__version__", "0.0.1")
    assert what_changed(before, folder.fingerprint("from numpy.linalg import norm as f")) == ("its code",)
