//! How deep runs may stand in operations of other runs, one within the other on one thread.

use pyo3::exceptions::PyRecursionError;
use pyo3::prelude::*;

use crate::stacks;

/// What has to be left of a thread's stack: some 5 KiB are what a run and its operation take, the rest is for what
/// the operation itself calls. Python's own limit counts calls, and its user may have raised it.
const ROOM: usize = 128 << 10;

/// Refuses a run for which an operation that calls it has left no room on the stack of the thread.
pub(crate) fn check_room() -> PyResult<()> {
    if stacks::top().is_null() || stacker::remaining_stack().is_none_or(|left| left >= ROOM) {
        return Ok(());
    }
    Err(PyRecursionError::new_err(
        "so many runs stand within each other that the stack of this thread is used up: does an operation run the graph \
         that it is part of? Let it run another graph, or stop at some depth",
    ))
}
