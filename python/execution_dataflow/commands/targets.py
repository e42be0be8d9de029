"""Finding what ``module:graph`` names: a graph, a plan, or a function that makes one."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

from execution_dataflow.commands.mistakes import Mistake, refuse, suggestion
from execution_dataflow.error_record import exception_text
from execution_dataflow.errors import DataflowError, MissingExtraError
from execution_dataflow.functions import OperationFunction
from execution_dataflow.graph import GraphDefinition
from execution_dataflow.operations import Operation
from execution_dataflow.plan import Plan

__all__ = ["DEFINITION_FILES", "Graph", "Target", "find_target", "graph_names", "import_place", "split_target"]

Graph: TypeAlias = GraphDefinition | Plan

DEFINITION_FILES = (".yaml", ".yml", ".json", ".toml")
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


@dataclass(frozen=True)
class Target:
    """What was named.

    Parameters
    ----------
    text : str
        As it was written.
    found : GraphDefinition, Plan or callable
        What it is; a callable makes a graph.
    """

    text: str
    found: Graph | Callable[..., Any]


def split_target(text: str) -> tuple[str, str]:
    """Split ``module:graph`` or ``path/to/file.py:graph``; the second part is empty where there is none.

    Examples
    --------
    >>> split_target("etl.nightly:graph"), split_target("jobs/etl.py:build"), split_target("etl")
    (('etl.nightly', 'graph'), ('jobs/etl.py', 'build'), ('etl', ''))
    """
    place, colon, name = text.rpartition(":")
    # C:\jobs\etl.py has a colon too, and no name behind it.
    if not colon or (len(place) == 1 and name[:1] in "\\/"):
        return text, ""
    return place, name


def find_target(text: str, allowed: Sequence[str] = ()) -> Target:
    """Find what a target names; modules are imported for it, with the working directory on the path.

    Parameters
    ----------
    text : str
        ``module:graph``, ``path/to/file.py:graph``, or the path of a definition file.
    allowed : sequence of str
        The modules whose operations a definition file may name.

    Returns
    -------
    Target
        What was found.

    Raises
    ------
    Mistake
        There is no such thing, or it is not what can be run.
    """
    if text.lower().endswith(DEFINITION_FILES):
        return Target(text, _definition_in(text, allowed))
    place, name = split_target(text)
    module = import_place(place)
    if not name:
        found = graph_names(module)
        example = f"{place}:{found[0]}" if found else f"{place}:graph"
        there = f" The graphs of {place}: {', '.join(found)}." if found else ""
        refuse(f"{text!r} names a module and no graph in it: write {example}.{there}")
    thing: Any = module
    for step, part in enumerate(name.split(".")):
        if not hasattr(thing, part):
            known = graph_names(module) if step == 0 else []
            refuse(f"{place} has no {name!r}{suggestion(part, known, f'graphs of {place}')}")
        thing = getattr(thing, part)
    return Target(text, _runnable(text, thing))


def _runnable(text: str, thing: Any) -> Graph | Callable[..., Any]:
    if isinstance(thing, GraphDefinition | Plan):
        return thing
    if isinstance(thing, Operation | OperationFunction) or (isinstance(thing, type) and issubclass(thing, Operation)):
        refuse(f"{text} is an operation and no graph: add it to a GraphDefinition, and name that")
    if not callable(thing):
        refuse(
            f"{text} is of type {type(thing).__name__}; a GraphDefinition, a Plan, or a function that returns "
            "one was expected"
        )
    if inspect.iscoroutinefunction(thing):
        refuse(f"{text} is a coroutine function; a function that returns a graph is a plain one")
    made: Callable[..., Any] = thing
    return made


def graph_names(module: ModuleType) -> list[str]:
    """Return the names in a module that can be run: graphs, plans, and functions that are annotated to return one."""
    found = []
    for name, thing in vars(module).items():
        if name.startswith("_"):
            continue
        if isinstance(thing, GraphDefinition | Plan):
            found.append(name)
        elif inspect.isfunction(thing) and thing.__module__ == module.__name__:
            result = thing.__annotations__.get("return")
            shown = result if isinstance(result, str) else getattr(result, "__name__", "")
            if shown.rpartition(".")[2] in ("GraphDefinition", "Plan"):
                found.append(name)
    return found


def import_place(place: str) -> ModuleType:
    """Import a module by its name or by the path of its file.

    Raises
    ------
    Mistake
        There is no such module or file, or it raised when it was imported.
    """
    if place.endswith(".py") or "/" in place or os.sep in place:
        return _import_file(Path(place))
    _make_importable(Path.cwd())
    if not all(part.isidentifier() for part in place.split(".")):
        refuse(f"{place!r} is no name of a module; write package.module:graph or path/to/file.py:graph")
    return _import_module(place)


def _import_module(place: str) -> ModuleType:
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if place == missing or place.startswith(f"{missing}."):
            known = _modules_beside(place)
            raise Mistake(
                f"there is no module {missing!r} in {Path.cwd()} or on Python's path{suggestion(place, known)}"
            ) from None
        raise _failed_import(place, error) from None
    except Exception as error:
        raise _failed_import(place, error) from None
    except SystemExit as error:
        raise Mistake(f"importing {place} ended with SystemExit({error.code!r})") from None


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        beside = [str(path.with_name(other.name)) for other in path.parent.glob("*.py")] if path.parent.is_dir() else []
        what = "is a folder" if path.is_dir() else "does not exist"
        refuse(f"{path} {what}; a Python file was expected{suggestion(str(path), beside)}")
    path = path.resolve()
    # A file in a package is imported as part of it, so that its relative imports work.
    parts, folder = [path.stem], path.parent
    while (folder / "__init__.py").is_file() and folder.parent != folder:
        parts.insert(0, folder.name)
        folder = folder.parent
    if parts[-1] == "__init__":
        parts.pop()
    name = ".".join(parts)
    _make_importable(Path.cwd())
    # The last word is that of the folder: a module of the same name elsewhere is another one.
    sys.path.insert(0, str(folder))
    if all(part.isidentifier() for part in parts) and _is_at(name, path):
        return _import_module(name)
    # Its name is no identifier, or is that of another module: it gets one of its own.
    own = f"graph_file_{''.join(letter if letter.isalnum() else '_' for letter in path.stem)}"
    spec = importlib.util.spec_from_file_location(own, path)
    if spec is None or spec.loader is None:
        refuse(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[own] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[own]
        raise _failed_import(str(path), error) from None
    # Worker processes cannot import it by that name.
    import cloudpickle

    cloudpickle.register_pickle_by_value(module)
    return module


def _is_at(name: str, path: Path) -> bool:
    """Whether importing a name would run this file."""
    try:
        loaded = sys.modules.get(name)
        spec = importlib.util.find_spec(name) if loaded is None else loaded.__spec__
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin is not None and Path(spec.origin).resolve() == path


def _make_importable(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _modules_beside(place: str) -> list[str]:
    package, _, _ = place.rpartition(".")
    folder = Path.cwd().joinpath(*package.split(".")) if package else Path.cwd()
    if not folder.is_dir():
        return []
    names = [path.stem for path in folder.glob("*.py") if path.stem != "__init__"]
    names += [path.parent.name for path in folder.glob("*/__init__.py")]
    return [f"{package}.{name}" if package else name for name in names]


def _failed_import(place: str, error: BaseException) -> Mistake:
    return Mistake(f"importing {place} raised {exception_text(error)}", users_traceback(error))


def users_traceback(error: BaseException) -> str:
    """Return the traceback of an error from the first frame that is the user's, not this package's or importlib's."""
    from traceback import TracebackException

    frames = error.__traceback__
    while frames is not None:
        file = frames.tb_frame.f_code.co_filename
        if not (file.startswith((_PACKAGE, "<frozen importlib")) or f"{os.sep}importlib{os.sep}" in file):
            break
        frames = frames.tb_next
    # A syntax error has no frame of the user's; its own lines say where it is.
    return "".join(TracebackException(type(error), error, frames).format())


def _definition_in(path: str, allowed: Sequence[str]) -> Graph:
    _make_importable(Path.cwd())
    try:
        return GraphDefinition.load(path, allow=allowed)
    except OSError as error:
        raise Mistake(f"{path} cannot be read: {error.strerror or error}") from None
    except (DataflowError, TypeError, ValueError) as error:
        if isinstance(error, MissingExtraError):
            raise
        hint = "" if allowed else "; --allow MODULE lets a file name the operations of a module"
        raise Mistake(f"{error}{hint}") from None
