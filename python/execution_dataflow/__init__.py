"""Dataflow graphs on a Rust core: operations with typed ports, connected to a DAG, run on threads and event loops."""

import execution_dataflow.program_start

try:
    import execution_dataflow._core  # noqa: F401 - before the rest, for the error below
except ImportError as _error:
    # CPython's own refusal, which does not say what to do.
    if "subinterpreters" in str(_error):
        raise ImportError(
            "execution_dataflow cannot be used in a sub-interpreter: its worker threads serve the main interpreter. "
            "Import it in the main interpreter, or in a process of its own"
        ) from None
    raise

from execution_dataflow._version import __version__
from execution_dataflow.caching.entries import CacheEntry
from execution_dataflow.caching.policy import CachePolicy
from execution_dataflow.caching.result_cache import ResultCache
from execution_dataflow.cancellation import AttemptCancelled, AttemptTimedOut
from execution_dataflow.channels import DataChannel
from execution_dataflow.check_errors import BrokenCheckError, CheckFailed
from execution_dataflow.checkpoints.settings import Checkpoint
from execution_dataflow.checks import Check, CheckOutcome, CheckReport, CheckSummary
from execution_dataflow.clients import ClientPool
from execution_dataflow.composition.nested import NestedGraph
from execution_dataflow.composition.parameter import Parameter
from execution_dataflow.composition_errors import ParameterError
from execution_dataflow.context import ExecutionContext
from execution_dataflow.definition_errors import DefinitionError, DefinitionFault
from execution_dataflow.dimension_errors import DimensionConflictError, DimensionError
from execution_dataflow.engine import ExecutionEngine
from execution_dataflow.engine_protocol import Engine
from execution_dataflow.error_record import ErrorRecord
from execution_dataflow.errors import (
    ChannelError,
    ContractError,
    CycleError,
    DataflowError,
    DuplicateNameError,
    DuplicateOperationError,
    EngineClosedError,
    GraphError,
    GraphValidationError,
    MissingExtraError,
    NoValueError,
    OutputNotSetError,
    OutsideRunError,
    PortDirectionError,
    PortError,
    PortTypeError,
    RunCancelled,
    RunFailed,
    RunInterrupted,
    RunLost,
    SharedValueChangedError,
    UnconnectedInputError,
    UnknownOperationError,
    UnknownPortError,
    ValueReleasedError,
    ValueTypeError,
)
from execution_dataflow.event_dispatch import Subscription
from execution_dataflow.events import (
    Event,
    GraphCompleted,
    GraphStarted,
    OperationCancelled,
    OperationChecked,
    OperationCompleted,
    OperationEvent,
    OperationFailed,
    OperationFellBack,
    OperationProgress,
    OperationRestored,
    OperationRetrying,
    OperationReverted,
    OperationRevertFailed,
    OperationSkipped,
    OperationStarted,
    OperationUpstreamFailed,
)
from execution_dataflow.expansion.branches import FirstOf, Switch
from execution_dataflow.expansion.loops import repeated
from execution_dataflow.expansion.repeating import RepeatedOperation
from execution_dataflow.expansion_errors import ExpansionError, IterationLimitError, SwitchError
from execution_dataflow.fallbacks import FallbackValue
from execution_dataflow.functions import FunctionOperation, OperationFunction, operation
from execution_dataflow.graph import GraphDefinition
from execution_dataflow.handle import RunHandle
from execution_dataflow.limit_errors import ResourceError
from execution_dataflow.map_errors import ItemFailure, MapError
from execution_dataflow.mapping import MappedOperation, mapped
from execution_dataflow.memory_errors import SharedMemoryFull
from execution_dataflow.operation_arrays import OperationArray, OutputArray
from execution_dataflow.operations import Operation, OutputReference
from execution_dataflow.plan import Plan
from execution_dataflow.policies import FailurePolicy, RetryPolicy
from execution_dataflow.port_types.specs import ArraySpec
from execution_dataflow.port_types.table_schema import TableSchema
from execution_dataflow.ports import InputPort, OutputPort
from execution_dataflow.process_errors import RemoteTraceback, TransferError, WorkerDied, WorkerStartError
from execution_dataflow.rate_limits import RateLimit
from execution_dataflow.result import ExecutionResult
from execution_dataflow.secrets import Secret
from execution_dataflow.shared_state import SharedState
from execution_dataflow.sizes import register_size
from execution_dataflow.states import OperationState, RunState
from execution_dataflow.store_errors import (
    ArtifactNotFoundError,
    DamagedArtifactError,
    LeaseLostError,
    NoStateStoreError,
    RunHeldError,
    StateConflictError,
    StateNotKeptError,
    StoreError,
    StoreFormatError,
    UnstorableValueError,
    UntrustedArtifactError,
)
from execution_dataflow.stores.opening import Store, open_store
from execution_dataflow.timeout_errors import DeadlineExceeded, OperationTimeout
from execution_dataflow.timing import OperationTiming

__all__ = [
    "ArraySpec",
    "ArtifactNotFoundError",
    "AttemptCancelled",
    "AttemptTimedOut",
    "BrokenCheckError",
    "CacheEntry",
    "CachePolicy",
    "ChannelError",
    "Check",
    "CheckFailed",
    "CheckOutcome",
    "CheckReport",
    "CheckSummary",
    "Checkpoint",
    "ClientPool",
    "ContractError",
    "CycleError",
    "DamagedArtifactError",
    "DataChannel",
    "DataflowError",
    "DeadlineExceeded",
    "DefinitionError",
    "DefinitionFault",
    "DimensionConflictError",
    "DimensionError",
    "DuplicateNameError",
    "DuplicateOperationError",
    "Engine",
    "EngineClosedError",
    "ErrorRecord",
    "Event",
    "ExecutionContext",
    "ExecutionEngine",
    "ExecutionResult",
    "ExpansionError",
    "FailurePolicy",
    "FallbackValue",
    "FirstOf",
    "FunctionOperation",
    "GraphCompleted",
    "GraphDefinition",
    "GraphError",
    "GraphStarted",
    "GraphValidationError",
    "InputPort",
    "ItemFailure",
    "IterationLimitError",
    "LeaseLostError",
    "MapError",
    "MappedOperation",
    "MissingExtraError",
    "NestedGraph",
    "NoStateStoreError",
    "NoValueError",
    "Operation",
    "OperationArray",
    "OperationCancelled",
    "OperationChecked",
    "OperationCompleted",
    "OperationEvent",
    "OperationFailed",
    "OperationFellBack",
    "OperationFunction",
    "OperationProgress",
    "OperationRestored",
    "OperationRetrying",
    "OperationRevertFailed",
    "OperationReverted",
    "OperationSkipped",
    "OperationStarted",
    "OperationState",
    "OperationTimeout",
    "OperationTiming",
    "OperationUpstreamFailed",
    "OutputArray",
    "OutputNotSetError",
    "OutputPort",
    "OutputReference",
    "OutsideRunError",
    "Parameter",
    "ParameterError",
    "Plan",
    "PortDirectionError",
    "PortError",
    "PortTypeError",
    "RateLimit",
    "RemoteTraceback",
    "RepeatedOperation",
    "ResourceError",
    "ResultCache",
    "RetryPolicy",
    "RunCancelled",
    "RunFailed",
    "RunHandle",
    "RunHeldError",
    "RunInterrupted",
    "RunLost",
    "RunState",
    "Secret",
    "SharedMemoryFull",
    "SharedState",
    "SharedValueChangedError",
    "StateConflictError",
    "StateNotKeptError",
    "Store",
    "StoreError",
    "StoreFormatError",
    "Subscription",
    "Switch",
    "SwitchError",
    "TableSchema",
    "TransferError",
    "UnconnectedInputError",
    "UnknownOperationError",
    "UnknownPortError",
    "UnstorableValueError",
    "UntrustedArtifactError",
    "ValueReleasedError",
    "ValueTypeError",
    "WorkerDied",
    "WorkerStartError",
    "__version__",
    "mapped",
    "open_store",
    "operation",
    "register_size",
    "repeated",
]
