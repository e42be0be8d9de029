"""The parameters and the return type of a function, read as ports.

``inspect`` is imported only for callables that are not plain functions: a graph of lambdas must not pay for it.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import CodeType, FrameType, FunctionType, SimpleNamespace
from typing import Annotated, Any, NamedTuple, NoReturn, get_args, get_origin, get_type_hints

from execution_dataflow._core import MISSING
from execution_dataflow.checks.check import Check
from execution_dataflow.errors import PortError
from execution_dataflow.port_types.hints import texts_in
from execution_dataflow.port_types.local_names import names_around
from execution_dataflow.ports import InputPort, OutputPort

__all__ = [
    "CallPattern",
    "call_pattern",
    "check_names",
    "innermost",
    "is_coroutine_function",
    "local_names",
    "name_of",
    "output_ports",
    "type_hints",
]

_VARARGS, _VARKEYWORDS = 0x04, 0x08  # CO_VARARGS, CO_VARKEYWORDS of a code object
_COROUTINE = 0x80 | 0x100  # CO_COROUTINE, CO_ITERABLE_COROUTINE
_CONTEXT_CLASS = "ExecutionContext"
_PACKAGE = __name__.partition(".")[0]


class CallPattern(NamedTuple):
    """How a function is called with the inputs of its operation.

    Parameters
    ----------
    inputs : tuple of (str, InputPort)
        The ports that its parameters stand for.
    arguments : tuple of int
        For each argument the index of its input, or -1 for the context.
    keyword_names : tuple of str
        The names of the last arguments, which are passed by keyword.
    """

    inputs: tuple[tuple[str, InputPort[Any]], ...]
    arguments: tuple[int, ...]
    keyword_names: tuple[str, ...]

    @property
    def positional_names(self) -> tuple[str, ...]:
        """The names of the inputs that can be given by position."""
        by_position = self.arguments[: len(self.arguments) - len(self.keyword_names)]
        return tuple(self.inputs[index][0] for index in by_position if index >= 0)


class _Parameters(NamedTuple):
    positional: tuple[str, ...]
    keyword_only: tuple[str, ...]
    defaults: dict[str, Any]


def name_of(function: Callable[..., Any]) -> str:
    """Return the name of a callable, as an operation shows it."""
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__name__", None)
    if not isinstance(name, str):
        return type(function).__name__
    return "lambda" if name == "<lambda>" else name


def call_pattern(function: Callable[..., Any], hints: dict[str, Any]) -> CallPattern:
    """Read the parameters of a callable as input ports.

    Parameters
    ----------
    function : callable
        The function.
    hints : dict of str to type
        Its annotations, as `type_hints` returns them.

    Returns
    -------
    CallPattern
        Its ports, and how it is called.

    Raises
    ------
    PortError
        It takes ``*args`` or ``**kwargs``, or its parameters cannot be found out.
    """
    parameters = _parameters(function)
    inputs: list[tuple[str, InputPort[Any]]] = []
    arguments: list[int] = []
    for name in (*parameters.positional, *parameters.keyword_only):
        hint = hints.get(name, Any)
        if _is_context(hint):
            arguments.append(-1)
            continue
        arguments.append(len(inputs))
        inputs.append((name, InputPort(hint, default=parameters.defaults.get(name, MISSING))))
    return CallPattern(tuple(inputs), tuple(arguments), parameters.keyword_only)


def check_names(function: Callable[..., Any], outputs: str | tuple[str, ...] | None) -> None:
    """Check what can be checked of a function's ports before its annotations can be resolved.

    Parameters
    ----------
    function : callable
        The function.
    outputs : str, tuple of str, or None
        The names of its outputs.

    Raises
    ------
    PortError
        A plain function takes ``*args`` or ``**kwargs``, or a name of an output is no identifier or comes twice.
    """
    if isinstance(function, FunctionType) and not hasattr(function, "__wrapped__"):
        _parameters_of_code(function)
    names = (outputs,) if isinstance(outputs, str) else outputs or ()
    for number, name in enumerate(names):
        if not str(name).isidentifier() or name in names[:number]:
            _refuse(function, f"{name_of(function)}(outputs=) must be different identifiers, not {outputs!r}")


def _parameters(function: Callable[..., Any]) -> _Parameters:
    if isinstance(function, FunctionType) and not hasattr(function, "__wrapped__"):
        return _parameters_of_code(function)
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(function, numpy.ufunc):
        # What else it takes says how it computes, and older versions of numpy do not tell it.
        count: int = function.nin
        return _Parameters(("x",) if count == 1 else tuple(f"x{place + 1}" for place in range(count)), (), {})
    import inspect

    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError) as error:
        _refuse(function, f"the parameters of {name_of(function)} cannot be found out ({error}); wrap it in a function")
    positional: list[str] = []
    keyword_only: list[str] = []
    defaults: dict[str, Any] = {}
    for name, parameter in signature.parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            _refuse_variadic(function, ("*" if parameter.kind is parameter.VAR_POSITIONAL else "**") + name)
        (keyword_only if parameter.kind is parameter.KEYWORD_ONLY else positional).append(name)
        if parameter.default is not parameter.empty:
            defaults[name] = parameter.default
    return _Parameters(tuple(positional), tuple(keyword_only), defaults)


def _parameters_of_code(function: FunctionType) -> _Parameters:
    code: CodeType = function.__code__
    count, named = code.co_argcount, code.co_argcount + code.co_kwonlyargcount
    if code.co_flags & _VARARGS:
        _refuse_variadic(function, "*" + code.co_varnames[named])
    if code.co_flags & _VARKEYWORDS:
        _refuse_variadic(function, "**" + code.co_varnames[named])
    positional, keyword_only = code.co_varnames[:count], code.co_varnames[count:named]
    given = function.__defaults__ or ()
    defaults = dict(zip(positional[len(positional) - len(given) :], given, strict=True))
    defaults.update(function.__kwdefaults__ or {})
    return _Parameters(positional, keyword_only, defaults)


def _refuse_variadic(function: Callable[..., Any], parameter: str) -> NoReturn:
    _refuse(
        function,
        f"{name_of(function)} takes {parameter}, which names no ports: name each parameter, or take one list from a "
        "port of an Operation with InputPort(many=True)",
    )


def _refuse(function: Callable[..., Any], message: str) -> NoReturn:
    raise PortError(message, operation=name_of(function))


def local_names(function: Callable[..., Any], frame: FrameType | None) -> dict[str, Any]:
    """Return what the functions and classes around a function know of the names in its annotations.

    Parameters
    ----------
    function : callable
        A function, which may be local to another one.
    frame : frame, optional
        What decorates it, or adds it to a graph.

    Returns
    -------
    dict of str to object
        What its module does not know, or knows otherwise; empty for one whose annotations are no text.
    """
    plain = innermost(function)
    own: tuple[Any, ...] = getattr(plain, "__type_params__", ())
    if not isinstance(plain, FunctionType) or not (own or "." in plain.__qualname__):
        return {}
    texts = [text for hint in _annotations(plain).values() for text in texts_in(hint)]
    if not texts:
        return {}
    names = names_around(texts, plain.__qualname__, plain.__globals__, frame)
    for name, cell in zip(plain.__code__.co_freevars, plain.__closure__ or (), strict=True):
        try:
            names.setdefault(name, cell.cell_contents)
        except ValueError:  # it is empty so far
            continue
    # Python 3.12 does not look them up in all of its releases.
    for parameter in own:
        names[parameter.__name__] = parameter
    words = " ".join(texts)
    return {name: value for name, value in names.items() if name in words}


def type_hints(function: Callable[..., Any], names: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the annotations of a callable; one that cannot be resolved is ``Any``, but for the context's own name.

    Parameters
    ----------
    function : callable
        The function.
    names : dict of str to object, optional
        What names in them mean besides those of its module.

    Returns
    -------
    dict of str to type
        The annotations.
    """
    while isinstance(function, functools.partial):
        function = function.func
    if not hasattr(function, "__code__") and not isinstance(function, type):
        function = type(function).__call__
    try:
        return get_type_hints(function, localns=names or None, include_extras=True)
    except Exception:  # a forward reference may fail in any way that code can
        scope = {**getattr(innermost(function), "__globals__", {}), **(names or {})}
        return {name: _resolve(hint, scope) for name, hint in _annotations(function).items()}


def _annotations(function: Callable[..., Any]) -> dict[str, Any]:
    if sys.version_info >= (3, 14):
        import annotationlib

        return annotationlib.get_annotations(function, format=annotationlib.Format.FORWARDREF)
    return dict(getattr(function, "__annotations__", {}))


def _resolve(hint: Any, scope: dict[str, Any]) -> Any:
    try:
        return get_type_hints(SimpleNamespace(__annotations__={"hint": hint}), globalns=scope, include_extras=True)[
            "hint"
        ]
    except Exception:  # the same as above
        text = hint if isinstance(hint, str) else getattr(hint, "__forward_arg__", "")
        return text if _is_context(text) else _with_metadata(text, scope)


def _with_metadata(text: str, scope: dict[str, Any]) -> Any:
    """What is left of an annotation whose type cannot be resolved: no check in it may go unnoticed."""
    if "Annotated" not in text:
        return Any
    import ast

    try:
        outermost = ast.parse(text, mode="eval").body
    except SyntaxError:
        return Any
    annotated = [part for part in ast.walk(outermost) if isinstance(part, ast.Subscript)]
    annotated = [part for part in annotated if ast.unparse(part.value).rpartition(".")[2] == "Annotated"]
    try:
        metadata = [
            [eval(ast.unparse(item), scope) for item in part.slice.elts[1:]]
            for part in annotated
            if isinstance(part.slice, ast.Tuple)
        ]
    except Exception as fault:
        _refuse_unread(text, f"{type(fault).__name__}: {fault}", fault)
    if metadata and annotated[0] is outermost:
        return Annotated[(Any, *metadata[0])]
    if any(isinstance(item, Check) for items in metadata for item in items):
        _refuse_unread(text, "a name in it is not known", None)
    return Any


def _refuse_unread(text: str, reason: str, fault: Exception | None) -> NoReturn:
    raise PortError(
        f"the annotation {text} cannot be read, and may hold checks: {reason}. A text knows what its module defines: "
        "give checks that need more with operation(checks={port: [...]})"
    ) from fault


def _is_context(hint: object) -> bool:
    """Return whether an annotation means the context; its class lies in a higher layer, so it is known by name."""
    if isinstance(hint, str):
        parts = [part.strip() for part in hint.split("|")]
        return any(part.rpartition(".")[2] == _CONTEXT_CLASS for part in parts)
    if get_origin(hint) is not None:
        return any(_is_context(member) for member in get_args(hint) if isinstance(member, type))
    return isinstance(hint, type) and any(
        base.__name__ == _CONTEXT_CLASS and base.__module__.partition(".")[0] == _PACKAGE for base in hint.__mro__
    )


def output_ports(
    function: Callable[..., Any], hints: dict[str, Any], outputs: tuple[str, ...] | None
) -> tuple[tuple[str, OutputPort[Any]], ...]:
    """Read the return type of a callable as output ports.

    Parameters
    ----------
    function : callable
        The function.
    hints : dict of str to type
        Its annotations, as `type_hints` returns them.
    outputs : tuple of str or None
        The names of the items of the tuple that it returns; ``None`` for one output ``result``.

    Returns
    -------
    tuple of (str, OutputPort)
        The ports.

    Raises
    ------
    PortError
        It is annotated as a tuple of another length.
    """
    hint = hints.get("return", Any)
    if outputs is None:
        return (("result", OutputPort(hint)),)
    items = get_args(hint) if get_origin(hint) is tuple else ()
    if items and items[-1] is Ellipsis:
        items = (items[0],) * len(outputs)
    if items and len(items) != len(outputs):
        _refuse(function, f"{name_of(function)} returns a tuple of {len(items)}, but its outputs are {outputs}")
    if not items:
        items = (Any,) * len(outputs)
    return tuple((name, OutputPort(item)) for name, item in zip(outputs, items, strict=True))


def innermost(function: Any) -> Any:
    """Return the function under partials, decorators, bound methods and callable objects."""
    seen = 0
    while seen < 100:  # a __wrapped__ that leads to itself must not hang us
        if isinstance(function, functools.partial):
            function = function.func
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        elif hasattr(function, "__func__"):
            function = function.__func__
        elif hasattr(function, "__code__") or isinstance(function, type):
            return function
        elif callable(function) and hasattr(type(function).__call__, "__code__"):
            function = type(function).__call__
        else:
            return function
        seen += 1
    return function


def is_coroutine_function(function: Callable[..., Any]) -> bool:
    """Return whether calling it makes a coroutine.

    Parameters
    ----------
    function : callable
        A function, a method, a partial, a decorated function or an object with ``__call__``.

    Returns
    -------
    bool
        Whether it is written with ``async def``, or is marked as such by `inspect.markcoroutinefunction`.

    Examples
    --------
    >>> async def fetch(): ...
    >>> is_coroutine_function(fetch), is_coroutine_function(functools.partial(fetch)), is_coroutine_function(print)
    (True, True, False)
    """
    if getattr(function, "_is_coroutine_mark", None) is not None:
        return True
    code = getattr(innermost(function), "__code__", None)
    return isinstance(code, CodeType) and bool(code.co_flags & _COROUTINE)
