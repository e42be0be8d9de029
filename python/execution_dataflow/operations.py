"""Operations: the units of work of a graph, each with its ports and options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from reprlib import Repr
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Never, Self, TypeAlias, TypeVar

from execution_dataflow._core import OperationBase
from execution_dataflow.active_graphs import active_graph, inputs_by_name
from execution_dataflow.caching.policy import CachePolicy
from execution_dataflow.errors import GraphError, PortError, UnknownPortError
from execution_dataflow.nearest import nearest_name
from execution_dataflow.operation_settings import (
    DEFAULT_SETTINGS,
    SETTINGS,
    OperationSettings,
    Setting,
    collect_settings,
)
from execution_dataflow.policies import RetryPolicy
from execution_dataflow.ports import InputPort, OutputPort
from execution_dataflow.rate_limits import RateLimit
from execution_dataflow.signatures import PortSignature, as_input_port, as_output_port

__all__ = ["OPTIONS", "ExecutorName", "Operation", "OutputReference", "check_options", "label_of"]

AnyOperation = TypeVar("AnyOperation", bound="Operation")

ExecutorName: TypeAlias = Literal["thread", "process", "async", "inline"]
"""Where an operation runs: on a worker thread, in a worker process, on the event loop, or on the worker at hand."""

_EXECUTORS = ("thread", "process", "async", "inline")
_PLAIN_OPTIONS = ("name", "retry_policy", "executor", "priority", "description")
OPTIONS = (*_PLAIN_OPTIONS, *SETTINGS)
"""The names of the options that every operation takes."""
_NO_ARGUMENTS: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})

_short_repr = Repr()
_short_repr.maxstring = _short_repr.maxother = 60


class OutputReference(NamedTuple):
    """One output of an operation, to be given to ``graph.add``.

    Parameters
    ----------
    operation : Operation
        The operation.
    port_name : str
        Its output.
    """

    operation: Operation
    port_name: str


class Operation(OperationBase):
    """A unit of work: it reads its input ports, works, and sets its output ports.

    Ports are declared in ``__init__`` with `add_input_port` and `add_output_port`, or as class attributes; they are
    fixed once the operation is added to a graph. In `execute`, ``self.get_input(name)`` returns the value of an input
    and ``self.set_output(name, value)`` sets an output; ``self.get_output(name)`` reads it back.

    An operation is configuration and holds nothing of a run, so it may be part of several graphs and runs at once. The
    options below may also be class attributes.

    Parameters
    ----------
    name : str, optional
        Its name, unique in a graph; the name of the class by default, then with ``_2``, ``_3``.
    retry_policy : RetryPolicy, optional
        When it is attempted again; one attempt by default.
    executor : {"thread", "process", "async", "inline"}, optional
        Where it runs: on a worker thread, in a worker process, on the event loop, or on the worker that finds it ready.
        By default where the engine says, which is on a thread; a coroutine function always runs on the event loop.
    priority : int, optional
        Operations of a higher priority start earlier, among those that can start, and so do those that they wait for;
        0 by default.
    description : str, optional
        What it is for.
    resources : mapping of str to float, optional
        What it holds of the engine's resources while it runs.
    max_concurrency : int, optional
        How many operations of its class, or of its function, may run at the same time.
    rate_limit : RateLimit, optional
        How often operations of its class, or of its function, may start.
    tags : iterable of str, optional
        What the engine's ``tag_limits`` know it as.
    output_bytes : int, optional
        How large its outputs are together, for an engine with a ``memory_limit``; seen from earlier ones by default.
    on_failure : object, optional
        What stands in for it when its last attempt has failed: an operation or a function, which runs instead with the
        same inputs, or a value for its output (a mapping of names to values for several); see `FallbackValue`.
    always_run : bool, optional
        Whether it runs when everything before it has its outcome, whatever that is and however the run was stopped.
    dynamic : bool, optional
        Whether what it returns is a graph, which runs in its place and whose outputs become its own.
    version : str or int, optional
        What its code counts as for checkpoints and caches: with it a change of the text changes nothing, and another
        version makes it run again. By default the text counts, with the functions that it uses.
    cache : bool or CachePolicy, optional
        Whether its results are kept, and used again by any run in which its code, its configuration and its inputs are
        the same; see `CachePolicy`.

    Raises
    ------
    TypeError, ValueError, GraphError
        An option does not exist or has no such value.

    Examples
    --------
    >>> class Shout(Operation):
    ...     def __init__(self, ending: str):
    ...         super().__init__()
    ...         self.ending = ending
    ...         self.add_input_port("text", InputPort(data_type=str))
    ...         self.add_output_port("loud", OutputPort(data_type=str))
    ...
    ...     def execute(self, context):
    ...         self.set_output("loud", self.get_input("text").upper() + self.ending)
    >>> Shout(ending="!")
    Shout(ending='!')
    >>> class Whisper(Operation):
    ...     text = InputPort(str)
    ...     soft = OutputPort(str)
    ...
    ...     def execute(self, context):
    ...         self.soft = self.text.lower()
    >>> Whisper().ports
    <ports of Whisper: (text: str) -> (soft: str)>
    """

    # Class attributes, so that an instance has fields only for what it was given: a million of them have to fit in
    # memory.
    name: str | None = None
    retry_policy: RetryPolicy | None = None
    executor: ExecutorName | None = None
    priority: int = 0
    description: str | None = None

    # What few operations have shares one record: the class's, until an instance is given something of its own.
    _settings: OperationSettings = DEFAULT_SETTINGS
    _given_settings: ClassVar[OperationSettings] = DEFAULT_SETTINGS
    _computed_settings: ClassVar[tuple[str, ...]] = ()

    _declared: ClassVar[PortSignature]
    _ports: PortSignature | None = None
    _arguments: tuple[tuple[Any, ...], dict[str, Any]] = _NO_ARGUMENTS
    # Why a class of operations never runs itself: something takes its place when a graph is compiled.
    _never_runs: ClassVar[str | None] = None

    if TYPE_CHECKING:
        timeout_seconds: float | None
        resources: Mapping[str, float]
        max_concurrency: int | None
        rate_limit: RateLimit | None
        tags: Iterable[str]
        output_bytes: int | None
        on_failure: Any
        always_run: bool
        dynamic: bool
        version: Any
        cache: bool | CachePolicy | None

        def __init__(
            self,
            *,
            name: str | None = None,
            retry_policy: RetryPolicy | None = None,
            executor: ExecutorName | None = None,
            priority: int | None = None,
            description: str | None = None,
            timeout_seconds: float | None = None,
            resources: Mapping[str, float] | None = None,
            max_concurrency: int | None = None,
            rate_limit: RateLimit | None = None,
            tags: Iterable[str] | None = None,
            output_bytes: int | None = None,
            on_failure: Any = None,
            always_run: bool | None = None,
            dynamic: bool | None = None,
            version: str | int | None = None,
            cache: bool | CachePolicy | None = None,
        ) -> None: ...

    else:
        # A million instances are made in a row: every keyword with a default would cost a look-up, given or not.
        def __init__(self, **options):
            """Take the options; arguments of its own stay with a subclass."""
            self._ports = self._declared
            if options:
                self._take(options)

    def _take(self, options: dict[str, Any]) -> None:
        owner = type(self).__name__
        for option in options:
            if option not in OPTIONS:
                _refuse_unknown_option(owner, option)
        for option, value in options.items():
            if value is not None:
                setattr(self, option, value)
        check_options(owner, options)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.__base__ is not None and not issubclass(cls.__base__, OperationBase):
            # The first base is a mixin, and the class has got the constructor of a plain object.
            cls.__new__ = _new_of_mixin  # type: ignore[method-assign,assignment]
        signature = PortSignature(cls.__name__)
        for name, port in _class_ports(cls).items():
            if isinstance(port, InputPort):
                signature = signature.with_input(name, port)
            else:
                signature = signature.with_output(name, port)
        cls._declared = signature
        collect_settings(cls)
        defaults = {option: getattr(cls, option) for option in _PLAIN_OPTIONS}
        check_options(cls.__name__, {name: value for name, value in defaults.items() if not hasattr(value, "__get__")})

    @property
    def ports(self) -> PortSignature:
        """Its ports, in the order of declaration."""
        ports = self._ports
        if ports is None:
            raise GraphError(
                f"{type(self).__name__} was not initialised: its __init__ must call super().__init__() before it adds "
                "ports or is added to a graph (a dataclass calls it in __post_init__)"
            )
        return ports

    def add_input_port(self, name: str, port: InputPort[Any] | Any = Any) -> None:
        """Declare an input; called in ``__init__``.

        Parameters
        ----------
        name : str
            Its name, an identifier.
        port : InputPort or type
            The port. A type stands for a required input of that type.

        Raises
        ------
        PortError
            There is an input of that name, the name is no identifier, or the operation is part of a graph.
        """
        # As most of a million instances declare it: a step that others took before.
        if type(port) is InputPort and port._options is None and self._ports is not None:
            try:
                self._ports = self._ports.next_inputs[name, port._data_type]
                return
            except (KeyError, TypeError):
                pass
        ports = self.ports
        self._ports = ports.with_input(name, as_input_port(name, port, ports.owner))

    def add_output_port(self, name: str, port: OutputPort[Any] | Any = Any) -> None:
        """Declare an output; called in ``__init__``.

        Parameters
        ----------
        name : str
            Its name, an identifier.
        port : OutputPort or type
            The port. A type stands for a required output of that type.

        Raises
        ------
        PortError
            There is an output of that name, the name is no identifier, or the operation is part of a graph.
        """
        # As most of a million instances declare it: a step that others took before.
        if type(port) is OutputPort and port._options is None and self._ports is not None:
            try:
                self._ports = self._ports.next_outputs[name, port._data_type]
                return
            except (KeyError, TypeError):
                pass
        ports = self.ports
        self._ports = ports.with_output(name, as_output_port(name, port, ports.owner))

    def execute(self, context: Any) -> Any:
        """Do the work; every operation overrides this, with ``def`` or ``async def``.

        Parameters
        ----------
        context : ExecutionContext
            The very object that was given to ``engine.run``.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define execute(self, context)")

    def revert(self, context: Any) -> Any:
        """Undo what `execute` did; defined by operations that can, with ``def`` or ``async def``.

        It is called when a run with ``on_failure="revert"`` did not succeed, for every operation that had succeeded, in
        the reverse order of completion. ``get_input`` and ``get_output`` give what the operation had and what it set.

        Parameters
        ----------
        context : ExecutionContext
            The very object that was given to ``engine.run``.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define revert(self, context)")

    def output(self, name: str) -> OutputReference:
        """Return a reference to one output, for ``graph.add``; ``operation[name]`` is the same.

        Parameters
        ----------
        name : str
            The name of the output.

        Returns
        -------
        OutputReference
            The reference.

        Raises
        ------
        UnknownPortError
            There is no such output.
        """
        ports = self.ports
        if name not in ports.output_index:
            raise UnknownPortError(label_of(self), str(name), list(ports.output_index), "output")
        return OutputReference(self, name)

    __getitem__ = output
    # Without this, having __getitem__ would make it iterable.
    __iter__: ClassVar[None] = None

    def __call__(self, /, *sources: Any, **inputs: Any) -> Self:
        """Add it to the graph whose ``with`` block is open, and connect its inputs.

        Parameters
        ----------
        *sources, **inputs
            What ``graph.add`` takes for its inputs, in their order or by name.

        Returns
        -------
        Operation
            The same operation.

        Raises
        ------
        GraphError
            No block is open here; otherwise as for ``graph.add``.
        """
        return self._add_to_block(tuple(self.ports.input_index), sources, inputs)

    def _add_to_block(self, names: Sequence[str], sources: Sequence[Any], inputs: Mapping[str, Any]) -> Self:
        graph, label = active_graph(), label_of(self)
        if graph is None:
            raise GraphError(
                f"{label} was called where no graph is being built: a call adds an operation in the block of "
                "`with GraphDefinition() as graph:`; elsewhere, use graph.add()"
            )
        graph.add(self, **inputs_by_name(label, names, sources, inputs))
        return self

    def _implicit_name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        args, kwargs = self._arguments
        shown = [_short_repr.repr(value) for value in args]
        shown += [f"{name}={_short_repr.repr(value)}" for name, value in kwargs.items()]
        return f"{type(self).__name__}({', '.join(shown)})"


def _new_of_mixin(cls: type[AnyOperation], *args: Any, **kwargs: Any) -> AnyOperation:
    """Do what the native constructor does: the native base has no fields, so that a plain object is complete."""
    self = object.__new__(cls)
    if args or kwargs:
        self._arguments = (args, kwargs)
    return self


def _options(
    self: Operation,
    *,
    name: str | None = None,
    retry_policy: RetryPolicy | None = None,
    executor: ExecutorName | None = None,
    priority: int | None = None,
    description: str | None = None,
    timeout_seconds: float | None = None,
    resources: Mapping[str, float] | None = None,
    max_concurrency: int | None = None,
    rate_limit: RateLimit | None = None,
    tags: Iterable[str] | None = None,
    output_bytes: int | None = None,
    on_failure: Any = None,
    always_run: bool | None = None,
    dynamic: bool | None = None,
    version: str | int | None = None,
    cache: bool | CachePolicy | None = None,
) -> None:
    """Take the options; arguments of its own stay with a subclass."""


# What help() and inspect.signature() show for the class.
Operation.__init__.__wrapped__ = _options  # type: ignore[attr-defined]
Operation._declared = PortSignature("Operation")
for _setting in SETTINGS:
    setattr(Operation, _setting, Setting(_setting))
_RESERVED = frozenset(dir(Operation))


def label_of(operation: Operation) -> str:
    """Return the name of an operation, or else that of its class or function, which others may share."""
    name = operation.name
    return name if isinstance(name, str) and name else operation._implicit_name()


def _class_ports(cls: type[Operation]) -> dict[str, InputPort[Any] | OutputPort[Any]]:
    """Collect the ports that are class attributes: those of bases first, each where it was declared first."""
    ports: dict[str, InputPort[Any] | OutputPort[Any]] = {}
    for base in reversed(cls.__mro__):
        for name, value in list(vars(base).items()):
            if not isinstance(value, InputPort | OutputPort):
                ports.pop(name, None)
                continue
            if name in _RESERVED:
                raise PortError(
                    f"{cls.__name__} cannot have a port {name!r} as a class attribute: it would hide Operation.{name}; "
                    "give the port another name, or declare it in __init__",
                    operation=cls.__name__,
                    port=name,
                )
            if value.name != name:
                value = value.named(name)
                setattr(base, name, value)
            ports[name] = value
    return ports


def _refuse_unknown_option(owner: str, option: str) -> Never:
    nearest = nearest_name(option, OPTIONS)
    suggestion = f"; did you mean {nearest!r}?" if nearest else f". The options are {', '.join(OPTIONS)}."
    raise TypeError(
        f"{owner}: Operation.__init__() has no option {option!r}{suggestion} "
        "Arguments of your own stay in your own __init__."
    )


def check_options(owner: str, options: dict[str, Any]) -> None:
    """Check the options that an operation, a class or a function was given.

    Parameters
    ----------
    owner : str
        Its name, for messages.
    options : dict of str to object
        Those that are given.

    Raises
    ------
    TypeError, ValueError
        An option does not exist, is of the wrong type, or out of its range.
    GraphError
        The executor does not exist, or the name is empty.
    """
    for option, value in options.items():
        if option not in OPTIONS:
            _refuse_unknown_option(owner, option)
        if value is None:
            continue
        if option in SETTINGS:
            DEFAULT_SETTINGS.given(owner, option, value)
        if option == "retry_policy" and not isinstance(value, RetryPolicy):
            raise TypeError(f"{owner}(retry_policy=) must be a RetryPolicy, not {value!r}")
        if option == "priority" and (isinstance(value, bool) or not isinstance(value, int)):
            raise TypeError(f"{owner}(priority=) must be an int, not {value!r}")
        if option in ("name", "description") and not isinstance(value, str):
            raise TypeError(f"{owner}({option}=) must be a str, not {value!r}")
        if option == "name" and not value:
            raise GraphError(f"{owner}(name=) must not be empty; leave it out for the default name")
        if option == "executor" and value not in _EXECUTORS:
            raise GraphError(_executor_fault(owner, value))


def _executor_fault(owner: str, value: object) -> str:
    choices = ", ".join(map(repr, _EXECUTORS[:-1]))
    return f"{owner}(executor=) must be {choices} or {_EXECUTORS[-1]!r}, not {value!r}"
