//! What is told of an attempt before its outputs are there for others: a checkpoint keeps them, and its changes of state.

use dataflow_core::ready::Task;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use pyo3::{PyTraverseError, PyVisit};

use crate::body::{CoreRun, PythonBody};
use crate::events::Kind;
use crate::frame::Values;
use crate::items;
use crate::missing::Missing;

/// Who is told, in a run that has somebody.
pub(crate) struct Commits(Py<PyAny>);

impl Commits {
    /// Takes a callable of node, items, attempt, values (or none, of one that was skipped), and of start and end in
    /// nanoseconds since the run began.
    pub(crate) fn new(note: Py<PyAny>) -> Self {
        Self(note)
    }

    /// Tells of an attempt that has succeeded. What this raises is its failure: nothing of it was kept.
    #[cold]
    #[inline(never)]
    pub(crate) fn note<'a, 'py: 'a>(
        &self,
        py: Python<'py>,
        run: &CoreRun,
        (task, attempt): (Task, u32),
        values: impl ExactSizeIterator<Item = Option<&'a Bound<'py, PyAny>>>,
        started: u64,
    ) -> PyResult<()> {
        let missing = Missing::object(py)?.as_any();
        let values = PyTuple::new(py, values.map(|value| value.unwrap_or(missing)))?;
        let (node, indices) = items::path(run, task);
        let indices = PyTuple::new(py, indices)?;
        self.0.bind(py).call1((node, indices, attempt, values, started, run.now())).map(drop)
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.0)
    }

    fn note_skip(&self, py: Python<'_>, run: &CoreRun, task: Task) {
        let (node, indices) = items::path(run, task);
        let told = PyTuple::new(py, indices).and_then(|indices| {
            let now = run.now();
            self.0.bind(py).call1((node, indices, 0, py.None(), now, now))
        });
        if let Err(error) = told {
            error.write_unraisable(py, Some(self.0.bind(py)));
        }
    }

    /// As `note`, of the outputs in the order of ports.
    pub(crate) fn note_values(
        &self,
        py: Python<'_>,
        run: &CoreRun,
        attempt: (Task, u32),
        values: &Values,
        started: u64,
    ) -> PyResult<()> {
        let values = values.iter().map(|value| value.as_ref().map(|value| value.bind(py)));
        self.note(py, run, attempt, values, started)
    }
}

impl PythonBody {
    /// Tells that a node was skipped: what comes after it may run all the same. Gives the event of it.
    #[cold]
    pub(crate) fn note_skip(&self, py: Python<'_>, run: &CoreRun, task: Task) -> (Kind, Option<Py<PyAny>>) {
        if let Some(commits) = &self.commits {
            commits.note_skip(py, run, task);
        }
        (Kind::Skipped, None)
    }
}
