"""The files of modules that functions import when they run: found without importing them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from hashlib import blake2b
from importlib.util import find_spec, resolve_name
from pathlib import Path

from execution_dataflow.fingerprinting.code_objects import Import
from execution_dataflow.fingerprinting.packages import is_own_file, package_version
from execution_dataflow.fingerprinting.source_texts import module_text
from execution_dataflow.fingerprinting.walks import Findings

__all__ = ["module_texts"]


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
    try:
        name = resolve_name("." * use.level + use.module, package) if use.level else use.module
    except ImportError:
        return
    for module in (name, *(f"{name}.{item}" for item in use.names)):
        known = findings.modules.get(module)
        if known is None:
            known = findings.modules[module] = _digest(module, findings)
        if known:
            yield module, known


def _digest(module: str, findings: Findings) -> bytes:
    top, _, rest = module.partition(".")
    if top in sys.stdlib_module_names or top in ("__main__", "execution_dataflow"):
        return b""
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        return b""
    origin, places = spec.origin, list(spec.submodule_search_locations or ())
    if not all(map(is_own_file, [origin, *places] if origin else places)):
        return package_version(module, findings).encode() if not rest else b""
    file = origin if not rest else _file_in(places, rest.split("."))
    text = None if file is None else module_text(file)
    return b"" if text is None else blake2b(text, digest_size=16).digest()


def _file_in(places: list[str], parts: list[str]) -> str | None:
    for place in places:
        path = Path(place, *parts)
        for file in (path.with_name(f"{path.name}.py"), path / "__init__.py"):
            if file.is_file():
                return str(file)
    return None
