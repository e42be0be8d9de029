"""The files of modules that functions import when they run: found without importing them.

A module counts by its whole text, with all that it imports. What is imported already counts by the text that it was
made from, whatever its file has become since.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import lru_cache
from hashlib import blake2b
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, resolve_name
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from execution_dataflow.fingerprinting.code_objects import Import
from execution_dataflow.fingerprinting.modules_in_memory import digest_in_memory, is_in_memory
from execution_dataflow.fingerprinting.packages import is_own_file, package_version
from execution_dataflow.fingerprinting.source_texts import normal_form
from execution_dataflow.fingerprinting.walks import Findings, joined

__all__ = ["module_texts"]


class _Text(NamedTuple):
    """What a file says.

    Parameters
    ----------
    digest : bytes
        Of the text, without comments and places.
    imports : tuple of Import
        What is imported anywhere in it.
    """

    digest: bytes
    imports: tuple[Import, ...]


_NOTHING = _Text(b"", ())
# What files said when their modules were not imported yet, and what the modules are that were found imported.
_before: dict[tuple[str, str], bytes] = {}
_imported: dict[str, tuple[ModuleSpec | None, _Text]] = {}
_looking = Lock()


def module_texts(use: Import, package: str, findings: Findings) -> Iterator[tuple[str, bytes]]:
    """Yield the names of the modules that are imported, each with a digest of its text, or of its version.

    Parameters
    ----------
    use : Import
        What is imported.
    package : str
        The package of the module where that is written.
    findings : Findings
        What is known already.
    """
    for module in _modules_of(use, package):
        known = findings.modules.get(module)
        if known is None:
            known = findings.modules[module] = _digest(module, findings)
        if known:
            yield module, known


def _modules_of(use: Import, package: str) -> tuple[str, ...]:
    try:
        name = resolve_name("." * use.level + use.module, package) if use.level else use.module
    except ImportError:
        return ()
    return (name, *(f"{name}.{item}" for item in use.names))


def _digest(module: str, findings: Findings) -> bytes:
    """Return the digest of a module with all that it imports; empty if there is nothing that could change."""
    texts: dict[str, bytes] = {}
    ahead = [module]
    while ahead:
        name = ahead.pop()
        if name in texts:
            continue
        found = findings.texts.get(name)
        if found is None:
            text, package = _text_of(name, findings)
            imports = (imported for use in text.imports for imported in _modules_of(use, package))
            found = findings.texts[name] = text.digest, tuple(dict.fromkeys(imports))
        texts[name], imported = found
        ahead += imported
    whole = sorted((name, digest) for name, digest in texts.items() if digest)
    return joined(*(part for name, digest in whole for part in (name.encode(), digest))) if whole else b""


def _text_of(module: str, findings: Findings) -> tuple[_Text, str]:
    """Return what a module says by itself, and its package."""
    top, _, rest = module.partition(".")
    if top in ("", "__main__", "execution_dataflow"):
        return _NOTHING, ""
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        return _NOTHING, ""
    origin, places = spec.origin, list(spec.submodule_search_locations or ())
    if top in sys.stdlib_module_names and not (origin and Path(origin).is_absolute()):
        return _NOTHING, ""  # frozen, or built in
    if not all(map(is_own_file, [origin, *places] if origin else places)):
        return _Text(package_version(module, findings).encode(), ()), ""
    file = origin if not rest else _file_in(places, rest.split("."))
    package = module if file is not None and Path(file).stem == "__init__" else module.rpartition(".")[0]
    return (_NOTHING if file is None else _text_that_runs(module, file)), package


def _file_in(places: list[str], parts: list[str]) -> str | None:
    for place in places:
        path = Path(place, *parts)
        for file in (path.with_name(f"{path.name}.py"), path / "__init__.py"):
            if file.is_file():
                return str(file)
    return None


def _text_that_runs(module: str, file: str) -> _Text:
    content, text = b"", None
    try:
        content = Path(file).read_bytes()
        text = _read(content)
    except (OSError, SyntaxError, ValueError):
        pass
    with _looking:
        loaded = sys.modules.get(module)
        if loaded is None:
            if text is not None:
                _before[module, file] = text.digest
            return text or _NOTHING
        known = _imported.get(module)
        if known is not None and known[0] is loaded.__spec__:
            return known[1]
        is_same = text is not None and _before.get((module, file), text.digest) == text.digest
        if text is None or not (is_same and is_in_memory(loaded, ast.parse(content))):
            text = _Text(digest_in_memory(loaded), () if text is None else text.imports)
        _imported[module] = loaded.__spec__, text
        return text


@lru_cache(maxsize=1024)
def _read(content: bytes) -> _Text:
    tree = ast.parse(content)
    return _Text(blake2b(normal_form(tree), digest_size=16).digest(), tuple(dict.fromkeys(_imports_in(tree))))


def _imports_in(node: ast.AST) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, 0, ()) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield Import(child.module or "", child.level, tuple(alias.name for alias in child.names))
        elif isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            yield from (found for other in child.orelse for found in _imports_in(ast.Module([other], [])))
        else:
            yield from _imports_in(child)
