//! The way of events from workers to the one dispatcher thread of an engine: compact records, no Python event objects.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pyo3::prelude::*;

/// What happened. The numbers are shared with `events.py`.
#[derive(Copy, Clone)]
#[repr(u8)]
pub(crate) enum Kind {
    Started = 0,
    Completed = 1,
    Failed = 2,
    Retrying = 3,
    Skipped = 4,
    Cancelled = 5,
    UpstreamFailed = 6,
    GraphCompleted = 8,
    FellBack = 20,
}

/// Where and when something happened.
#[derive(Copy, Clone)]
pub(crate) struct Moment {
    /// The worker; `u32::MAX` for none.
    pub(crate) seat: u32,
    /// Nanoseconds since the run began.
    pub(crate) time: u64,
}

impl Moment {
    /// Not on a worker.
    pub(crate) fn elsewhere(time: u64) -> Self {
        Self { seat: u32::MAX, time }
    }
}

/// One event on its way.
pub(crate) struct Record {
    pub(crate) kind: u8,
    pub(crate) run: Py<PyAny>,
    pub(crate) node: u32,
    pub(crate) attempt: u32,
    pub(crate) worker: u32,
    /// Nanoseconds since the run began.
    pub(crate) time: u64,
    pub(crate) payload: Option<Py<PyAny>>,
}

/// First in, first out, for any number of producers: the order in which records of one run are put respects causality,
/// since a node's end is put before its outcome is delivered.
#[pyclass(frozen, module = "execution_dataflow._core")]
pub(crate) struct EventQueue {
    sender: Sender<Record>,
    receiver: Mutex<Receiver<Record>>,
}

impl EventQueue {
    pub(crate) fn push(&self, record: Record) {
        // The receiver lives as long as the queue, so this cannot fail.
        let _ = self.sender.send(record);
    }
}

type Taken = (u8, Py<PyAny>, u32, u32, u32, u64, Option<Py<PyAny>>);

#[pymethods]
impl EventQueue {
    #[new]
    fn new() -> Self {
        let (sender, receiver) = channel();
        Self { sender, receiver: Mutex::new(receiver) }
    }

    #[pyo3(signature = (kind, run, node, attempt, worker, time, payload=None))]
    #[allow(clippy::too_many_arguments)]
    fn put(
        &self,
        kind: u8,
        run: Py<PyAny>,
        node: u32,
        attempt: u32,
        worker: u32,
        time: u64,
        payload: Option<Py<PyAny>>,
    ) {
        self.push(Record { kind, run, node, attempt, worker, time, payload });
    }

    #[pyo3(signature = (timeout, limit=1024))]
    fn take(&self, py: Python<'_>, timeout: f64, limit: usize) -> Vec<Taken> {
        let timeout = Duration::try_from_secs_f64(timeout).unwrap_or(Duration::ZERO);
        let records = py.detach(|| {
            let receiver = self.receiver.lock().unwrap_or_else(PoisonError::into_inner);
            let first = match receiver.recv_timeout(timeout) {
                Ok(first) => first,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Vec::new(),
            };
            std::iter::once(first).chain(receiver.try_iter().take(limit.saturating_sub(1))).collect()
        });
        records.into_iter().map(|r: Record| (r.kind, r.run, r.node, r.attempt, r.worker, r.time, r.payload)).collect()
    }
}
