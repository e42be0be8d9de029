"""Options made from the parameters of a graph, beside those that a command has by itself.

``execution-dataflow run etl:build --month 7`` works because the command is made anew once it is known what
``etl:build`` is: the group looks for the graph among the arguments before Typer reads them.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from execution_dataflow.commands.graph_parameters import GraphParameter, LoadedGraph, load_graph, parameters_of
from execution_dataflow.commands.mistakes import Mistake, suggestion
from execution_dataflow.commands.streams import only_results_on_stdout, silenced
from execution_dataflow.commands.targets import Target, find_target
from execution_dataflow.commands.text_values import choices, expected, is_list, is_writable
from execution_dataflow.terminal.above import AboveDisplay, output_above

__all__ = ["GivenGraph", "GraphCommands", "documented_command", "given_graph", "graph_command", "help_text"]

# By the name of a command: its function, for those that take a graph.
_functions: dict[str, Callable[..., Any]] = {}
# Where the callback of a command finds what the group has found.
_PREFIX = "graph_parameter_"


@dataclass
class GivenGraph:
    """The graph that a command was given.

    Parameters
    ----------
    target : Target
        What it names.
    parameters : list of GraphParameter
        What it can be given.
    texts : dict of str to list of str
        What was written for them as options of their own.
    console : rich.console.Console
        Standard error, where progress is shown.
    output : sequence of AboveDisplay
        What stands in for the streams of the program, to be told of a display.
    """

    target: Target
    parameters: list[GraphParameter]
    texts: dict[str, list[str]] = field(default_factory=dict)
    console: Console = field(default_factory=Console)
    output: Sequence[AboveDisplay] = ()

    def texts_with(self, pairs: Sequence[str]) -> dict[str, list[str]]:
        """Return what was written for each parameter, in options of its own and in ``name=value`` pairs."""
        texts = {name: list(written) for name, written in self.texts.items()}
        for pair in pairs:
            name, equals, text = pair.partition("=")
            if not equals:
                names = [parameter.name for parameter in self.parameters]
                raise Mistake(f"-p {pair}: expected name=value{suggestion(name, names, 'parameters')}")
            texts.setdefault(name.strip().replace("-", "_"), []).append(text)
        return texts

    def load(self, pairs: Sequence[str]) -> LoadedGraph:
        """Make the graph, with these ``name=value`` pairs and what was given as options."""
        return load_graph(self.target, self.texts_with(pairs))


def given_graph(context: typer.Context) -> GivenGraph:
    """Return the graph that the command of this context was given."""
    found = context.obj
    if not isinstance(found, GivenGraph):
        raise Mistake("no graph was given: write module:graph after the command")
    return found


def graph_command(app: typer.Typer, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a command that takes a graph, and options for the parameters of that graph."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        _functions[name] = function
        app.command(name, help=help_text(function))(function)
        return function

    return register


def documented_command(app: typer.Typer, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a command, with the documentation of its function as its help."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        app.command(name, help=help_text(function))(function)
        return function

    return register


def help_text(function: Callable[..., Any]) -> str:
    r"""Return the documentation of a command with a line for each paragraph, for a terminal of any width.

    Examples
    --------
    >>> def command():
    ...     '''Do it.
    ...
    ...     At once, and
    ...     in one go.
    ...     '''
    >>> help_text(command)
    'Do it.\n\nAt once, and in one go.'
    """
    paragraphs = inspect.cleandoc(function.__doc__ or "").split("\n\n")
    return "\n\n".join(text if text.startswith(" ") else " ".join(text.split()) for text in paragraphs)


class GraphCommands(TyperGroup):
    """The group of all commands: it makes those that take a graph anew, for the graph that they were given."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Find the command that the first argument names."""
        name, command, rest = super().resolve_command(ctx, args)
        if name in _functions and command is not None:
            target, allowed, stray = _target_among(command, rest)
            if stray and not ctx.resilient_parsing:
                known = [text for parameter in command.params for text in parameter.opts if text.startswith("--")]
                raise Mistake(
                    f"{name} has no option {stray}{suggestion(stray, known)} Options for the parameters of a graph "
                    f"stand after the graph: {name} GRAPH {stray} ..."
                )
            if target is not None:
                console = Console(file=sys.stderr, highlight=False)
                output: Sequence[AboveDisplay] = ()
                if not ctx.resilient_parsing:
                    # Before a user's module is imported, which may keep what it finds.
                    output = ctx.with_resource(output_above(console))
                # What a module prints while it is imported is neither a part of a document nor a completion.
                with silenced(ctx.resilient_parsing), only_results_on_stdout("--json" in rest):
                    command = self._for_graph(ctx, name, target, allowed, command)
                if isinstance(ctx.obj, GivenGraph):
                    ctx.obj.console, ctx.obj.output = console, output
        return name, command, rest

    def _for_graph(self, ctx: Any, name: str, target: str, allowed: Sequence[str], command: Any) -> Any:
        try:
            found = find_target(target, allowed)
            given = GivenGraph(found, parameters_of(found))
        except Mistake:
            if ctx.resilient_parsing:
                return command  # completion goes on with what every graph has
            raise
        ctx.obj = given
        function = _functions[name]
        app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        app.command(name, help=help_text(function))(_with_options(function, given))
        made: Any = typer.main.get_command(app)
        made.name = name
        return made


def _target_among(command: Any, arguments: Sequence[str]) -> tuple[str | None, list[str], str]:
    """Find the graph among the arguments of a command: the first that is no option and no value of one.

    Also what ``--allow`` says, and an option before the graph that the command does not know: whether the next word is
    its value or the graph, nobody knows.
    """
    takes_value: dict[str, bool] = {}
    for parameter in command.params:
        if parameter.param_type_name == "option":
            plain = getattr(parameter, "is_flag", False) or getattr(parameter, "count", False)
            takes_value |= dict.fromkeys([*parameter.opts, *parameter.secondary_opts], not plain)
    target: str | None = None
    allowed: list[str] = []
    words = iter(arguments)
    for word in words:
        name, equals, value = word.partition("=")
        if word == "--":
            target = target or next(words, None)
            break
        if not word.startswith("-") or word == "-":
            target = target or word
        elif name == "--allow":
            allowed.append(value if equals else next(words, ""))
        elif takes_value.get(word):
            next(words, None)
        elif target is None and word.startswith("--") and name not in takes_value and name != "--help":
            return None, allowed, name
    return target, allowed, ""


def _with_options(function: Callable[..., Any], given: GivenGraph) -> Callable[..., Any]:
    """Return the function of a command with an option more for each parameter of the graph."""
    signature = inspect.signature(function, eval_str=True)
    taken = _option_names(signature)
    named = {}
    made = []
    for number, parameter in enumerate(given.parameters):
        flag = f"--{parameter.name.replace('_', '-')}"
        if flag in taken or not is_writable(parameter.hint):
            continue
        key = f"{_PREFIX}{number}"
        named[key] = parameter
        made.append(_option(key, flag, parameter, given.target))

    def command(**values: Any) -> Any:
        for key, parameter in named.items():
            value = values.pop(key)
            if value is not None and value != []:
                given.texts[parameter.name] = _texts(value)
        return function(**values)

    merged = signature.replace(parameters=[*signature.parameters.values(), *made])
    command.__signature__ = merged  # type: ignore[attr-defined]
    command.__annotations__ = {name: parameter.annotation for name, parameter in merged.parameters.items()}
    command.__name__ = function.__name__
    return command


def _option(key: str, flag: str, parameter: GraphParameter, target: Target) -> inspect.Parameter:
    known = choices(parameter.hint)
    is_flag = known == ["true", "false"] and not is_list(parameter.hint)
    text = f"{parameter.description or expected(parameter.hint)}{_default_text(parameter)}"
    kind: Any = bool | None if is_flag else (list[str] | None if is_list(parameter.hint) else str | None)
    option = typer.Option(
        f"{flag}/--no-{flag[2:]}" if is_flag else flag,
        # Square brackets are markup for some versions of Typer, and cannot be escaped for all of them.
        help=text.replace("[", "(").replace("]", ")"),
        metavar=None if is_flag else _metavar(parameter, known),
        show_default=False,
        rich_help_panel=f"Parameters of {target.text}",
        autocompletion=None if is_flag or not known else _completion_of(known),
    )
    return inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, option])


def _completion_of(known: Sequence[str]) -> Callable[[str], list[str]]:
    def complete(incomplete: str) -> list[str]:
        return [text for text in known if text.startswith(incomplete)]

    return complete


def _metavar(parameter: GraphParameter, known: Sequence[str]) -> str:
    if known and len(known) <= 6:
        return f"<{'|'.join(known)}>"
    what = expected(parameter.hint)
    for article in ("an ", "a ", "a list, each of it a "):
        if what.startswith(article):
            what = what.removeprefix(article)
    return f"<{what.split(' like ')[0].split(' or ')[0].split(',')[0].replace(' ', '-')}>"


def _default_text(parameter: GraphParameter) -> str:
    if parameter.is_required:
        return " (required)"
    default = parameter.default
    if default is None or default == () or default == []:
        return ""
    text = default.name if isinstance(default, Enum) else str(default)
    return f" (default: {text if len(text) <= 60 else f'{text[:57]}...'})"


def _texts(value: Any) -> list[str]:
    if isinstance(value, bool):
        return ["true" if value else "false"]
    return [value] if isinstance(value, str) else list(value)


def _option_names(signature: inspect.Signature) -> set[str]:
    """The options that a command has by itself."""
    names = {"--help"}
    for name, parameter in signature.parameters.items():
        names.add(f"--{name.replace('_', '-')}")
        for note in getattr(parameter.annotation, "__metadata__", ()):
            declared: Any = (getattr(note, "default", None), *(getattr(note, "param_decls", None) or ()))
            names.update(part for text in declared if isinstance(text, str) for part in text.split("/"))
    return names
