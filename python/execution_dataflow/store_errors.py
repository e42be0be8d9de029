"""What goes wrong with what is kept beyond a run: checkpoints, state, caches, artifacts."""

from __future__ import annotations

from execution_dataflow.errors import ContractError, DataflowError

__all__ = [
    "ArtifactNotFoundError",
    "DamagedArtifactError",
    "LeaseLostError",
    "NoStateStoreError",
    "RunHeldError",
    "StateConflictError",
    "StateNotKeptError",
    "StoreError",
    "StoreFormatError",
    "UnstorableValueError",
    "UntrustedArtifactError",
]


class StoreError(DataflowError):
    """A store cannot be read or written: disk full, connection lost, no permission. The cause is the library's error.

    Whatever was committed before stays committed.
    """


class StoreFormatError(StoreError):
    """A store was written by a version of this package that this one cannot read, or is no store at all."""


class ArtifactNotFoundError(StoreError):
    """There is no artifact of that name.

    Parameters
    ----------
    name : str
        The name.

    Attributes
    ----------
    name : str
        The name.
    """

    def __init__(self, name: str = "") -> None:
        super().__init__(f"there is no artifact {name!r} in the store: it was pruned, or written to another one")
        self.name = name


class DamagedArtifactError(StoreError):
    """What was read is not what was written: a checksum or a length differs, or a text does not parse.

    Parameters
    ----------
    name : str
        What is damaged: an artifact, or a record of the journal.
    reason : str
        What is wrong with it.

    Attributes
    ----------
    name, reason : str
        As given.
    """

    def __init__(self, name: str = "", reason: str = "its checksum differs") -> None:
        super().__init__(f"{name} is damaged: {reason}")
        self.name = name
        self.reason = reason


class UntrustedArtifactError(StoreError):
    """An artifact is a pickle, which runs code when it is read, and nothing says that it may be trusted."""


class UnstorableValueError(DataflowError, TypeError):
    """A value cannot be written to a store.

    Parameters
    ----------
    port : str
        The output, or the key, whose value it is.
    reason : str
        Why.

    Attributes
    ----------
    port, reason : str
        As given.
    """

    def __init__(self, port: str = "", reason: str = "") -> None:
        super().__init__(f"the value of {port!r} cannot be stored: {reason}")
        self.port = port
        self.reason = reason


class RunHeldError(DataflowError):
    """Another process, or another run of this one, runs this run id.

    Parameters
    ----------
    run_id : str
        The run.
    holder : str
        Who holds it, for a person: host and process.
    expires_in_seconds : float
        When its lease ends if it does not renew it.

    Attributes
    ----------
    run_id, holder, expires_in_seconds
        As given.
    """

    def __init__(self, run_id: str = "", holder: str = "somebody else", expires_in_seconds: float = 0.0) -> None:
        super().__init__(
            f"run {run_id!r} is held by {holder}, whose lease ends in {expires_in_seconds:.0f} s unless it is renewed: "
            "wait for it to end, or give this run another run_id"
        )
        self.run_id = run_id
        self.holder = holder
        self.expires_in_seconds = expires_in_seconds


class LeaseLostError(DataflowError):
    """The lease of a run ended without having been renewed, and another process has taken the run over.

    Parameters
    ----------
    run_id : str
        The run.

    Attributes
    ----------
    run_id : str
        The run.
    """

    def __init__(self, run_id: str = "") -> None:
        super().__init__(
            f"run {run_id!r} is not this process's any more: another one has taken it over, since its lease was not "
            "renewed in time, or its store was deleted: nothing that this one does from now on is kept"
        )
        self.run_id = run_id


class StateConflictError(DataflowError):
    """A value of persistent state was changed by somebody else since it was read. Another attempt reads the new one.

    Parameters
    ----------
    namespace, key : str
        Which value.

    Attributes
    ----------
    namespace, key : str
        As given.
    """

    def __init__(self, namespace: str = "", key: str = "") -> None:
        super().__init__(
            f"the state {key!r} of {namespace!r} was changed by somebody else since this attempt read it; a "
            "RetryPolicy lets the operation read it again"
        )
        self.namespace = namespace
        self.key = key


class NoStateStoreError(ContractError):
    """An operation asked for persistent state in a run that has no store for it."""

    def __init__(self, message: str = "") -> None:
        super().__init__(
            message
            or "context.state needs a store, and this run has none: give the engine one for state alone, "
            'ExecutionEngine(state="sqlite:///state.db"), or one that keeps checkpoints too, '
            'ExecutionEngine(checkpoint="sqlite:///runs.db")'
        )


class StateNotKeptError(ContractError):
    """An operation has changed persistent state, and a checkpoint cannot keep the operation itself.

    The change was not made: a run that is resumed would run the operation again, and change the state twice.

    Parameters
    ----------
    operation : str
        Its name.
    reason : str
        Why it cannot be kept.

    Attributes
    ----------
    operation, reason : str
        As given.
    """

    def __init__(self, operation: str = "", reason: str = "") -> None:
        super().__init__(
            f"{operation} has changed persistent state and cannot be kept itself ({reason}): when the run is resumed "
            "it would run again, and change the state twice, so nothing was changed. Return what can be stored, or "
            "change the state in an operation of its own"
        )
        self.operation = operation
        self.reason = reason
