//! A fence for what Python code writes into memory that it shares with another process.

use std::sync::atomic::{Ordering, fence};

use pyo3::prelude::*;

/// Lets nothing that this thread wrote or read before be seen after what it writes or reads from now on.
///
/// SeqCst: the partner is the same call in the other process, between its own accesses in the reverse order; on one side
/// writes are kept in their order, on the other reads.
#[pyfunction]
pub(crate) fn memory_fence() {
    fence(Ordering::SeqCst);
}
