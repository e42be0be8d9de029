"""``context.state``: values that outlive a run, committed with the outputs of the attempt that changed them."""

from execution_dataflow.persistent_state.editing import edit_state
from execution_dataflow.persistent_state.state import PersistentState

__all__ = ["PersistentState", "edit_state"]
