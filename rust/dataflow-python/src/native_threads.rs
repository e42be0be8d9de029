//! When the thread pools of native libraries (BLAS, OpenMP) have to be told how many threads they may have.
//!
//! `native_threads.py` says what and tells them; here is when it is asked: as a second worker comes to work, and on every
//! worker whose thread has another limit than the one that holds, since OpenMP keeps its number for each thread. A run on
//! one worker never asks, and neither does the step from one node to the next.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use pyo3::prelude::*;

use crate::kept::intern;

/// Number of the limit that holds; every change has its own, and 0 stands for none. Relaxed: it publishes nothing, and
/// who reads the old number looks again within milliseconds.
static LIMIT: AtomicU32 = AtomicU32::new(0);

/// How many of the pool's threads are at work. Relaxed: two that come at the same moment are told apart by the order of
/// this one counter.
static AT_WORK: AtomicUsize = AtomicUsize::new(0);

/// What is known of one thread that works.
#[derive(Default)]
pub(crate) struct OfThread {
    /// The limit that it was told.
    told: u32,
}

impl OfThread {
    /// A thread of the pool begins to work for a run, in a seat.
    pub(crate) fn joins(&mut self, hooks: &Bound<'_, PyAny>, seat: usize) {
        // Seat 0 is the calling thread's, or that of the first of the pool's.
        if AT_WORK.fetch_add(1, Ordering::Relaxed) > 0 || seat > 0 {
            ask(hooks, intern!(hooks.py(), "workers_meet"));
        }
        self.follow(hooks);
    }

    /// It ends that work.
    pub(crate) fn leaves() {
        // Below zero only in the child of a fork, for a thread that was at work in its parent.
        let _ = AT_WORK.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1));
    }

    /// Gives this thread the limit that holds.
    #[inline]
    pub(crate) fn follow(&mut self, hooks: &Bound<'_, PyAny>) {
        let limit = LIMIT.load(Ordering::Relaxed);
        if self.told != limit {
            self.told = limit;
            ask(hooks, intern!(hooks.py(), "limit_this_thread"));
        }
    }

    /// The thread goes back to whoever lent it.
    pub(crate) fn released(&mut self, hooks: &Bound<'_, PyAny>) {
        if self.told != 0 {
            self.told = 0;
            ask(hooks, intern!(hooks.py(), "release_this_thread"));
        }
    }
}

/// Limits are an economy: what goes wrong with them is shown and fails no run.
#[cold]
fn ask(hooks: &Bound<'_, PyAny>, method: &Bound<'_, pyo3::types::PyString>) {
    if let Err(error) = hooks.call_method0(method) {
        error.write_unraisable(hooks.py(), Some(hooks));
    }
}

/// Says that another limit holds; 0 for none.
#[pyfunction]
pub(crate) fn note_native_limit(number: u32) {
    LIMIT.store(number, Ordering::Relaxed);
}

/// Called in the child of a fork.
pub(crate) fn forget() {
    AT_WORK.store(0, Ordering::Relaxed);
}
