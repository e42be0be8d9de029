"""Whose code something is: the user's own, which counts by its text, or an installed package's, by its version."""

from __future__ import annotations

import os
import sys
from functools import cache, lru_cache
from pathlib import Path

from execution_dataflow.fingerprinting.walks import Findings

__all__ = ["is_followed", "is_installed", "is_own_file", "is_standard", "package_version"]

_OURS = "execution_dataflow"
_INSTALLED = frozenset({"site-packages", "dist-packages"})


@cache
def _standard_library() -> str:
    return f"{Path(sys.modules['os'].__file__ or '').parent}{os.sep}"


@lru_cache(maxsize=4096)
def is_own_file(name: str) -> bool:
    """Return whether a file is no part of an installed package or of the standard library."""
    parts = Path(name).parts
    return not _INSTALLED.intersection(parts) and not name.startswith(_standard_library())


def is_standard(module: str) -> bool:
    """Return whether a module belongs to Python: not one of the user's that is called like one of these."""
    top = module.partition(".")[0]
    if top not in sys.stdlib_module_names:
        return False
    file = getattr(sys.modules.get(top), "__file__", None)
    return not isinstance(file, str) or not is_own_file(file)


def is_installed(module: str) -> bool:
    """Return whether a module belongs to Python, to this package, or to one that was installed."""
    top = module.partition(".")[0]
    if top == "__main__":
        return False
    if top == _OURS or is_standard(module):
        return True
    found = sys.modules.get(module) or sys.modules.get(top)
    file = getattr(found, "__file__", None)
    return isinstance(file, str) and not is_own_file(file)


def is_followed(module: str, user: str | None) -> bool:
    """Return whether a definition counts by its text.

    Parameters
    ----------
    module : str
        Where it is defined.
    user : str or None
        The module of what refers to it: an installed module follows what is in the same file.
    """
    if not is_installed(module):
        return True
    return module == user and not is_standard(module)


def package_version(module: str, findings: Findings) -> str:
    """Return the version of the package that a module is part of; empty for Python and for this package."""
    top = module.partition(".")[0]
    if not top or top == _OURS or is_standard(module):
        return ""
    known = findings.versions.get(top)
    if known is None:
        known = findings.versions[top] = _version(top)
    return known


def _version(top: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    told = getattr(sys.modules.get(top), "__version__", None)
    if isinstance(told, str):
        return told
    try:
        return version(top)
    except (PackageNotFoundError, ValueError):
        return ""
