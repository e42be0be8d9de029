//! What a worker thread brings along to the runs that it works on.

use pyo3::prelude::*;

use crate::convoy::Courtesy;
use crate::isolation::Isolation;
use crate::native_threads::OfThread;

/// What a worker thread brings along.
pub(crate) struct Host {
    /// Whether this is the main thread, where signal handlers run.
    pub(crate) is_main: bool,
    /// When it last let others have the interpreter, in the clock of the run it works on.
    pub(crate) last_yield: u64,
    isolation: Isolation,
    pub(crate) courtesy: Courtesy,
    pub(crate) native_threads: OfThread,
}

impl Host {
    pub(crate) fn new(is_main: bool) -> Self {
        Self {
            is_main,
            last_yield: 0,
            isolation: Isolation::new(),
            courtesy: Courtesy::new(),
            native_threads: OfThread::default(),
        }
    }

    /// Sees to it that the thread is in a context with the variables of `base` and no others.
    #[inline]
    pub(crate) fn renew_isolation(&mut self, py: Python<'_>, base: &Py<PyAny>) -> PyResult<()> {
        self.isolation.renew(py, base)
    }

    /// Leaves that context.
    pub(crate) fn leave_isolation(&mut self, py: Python<'_>) -> PyResult<()> {
        self.isolation.leave(py)
    }
}
