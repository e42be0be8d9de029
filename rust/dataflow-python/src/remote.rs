//! An attempt that runs in another process and ends when that one has answered.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use pyo3::{PyTraverseError, PyVisit};

use crate::body::CoreRun;
use crate::conclude;
use crate::events::{Kind, Moment};
use crate::frame::{Frame, Values};
use crate::items;
use crate::kept::intern;
use crate::live::LiveAttempt;
use crate::missing::Missing;
use crate::node_spec::NodeSpec;

/// What a launch costs its worker, in nanoseconds: it is that which the scheduler plans with, not how long the operation
/// takes elsewhere.
const LAUNCH_NANOSECONDS: u64 = 1_000;

/// The live attempt of an operation that runs elsewhere: what has to be sent there, and the three ways to end it, for any
/// thread. What comes after the first of these is stale and changes nothing.
#[pyclass(frozen, weakref, module = "execution_dataflow._core")]
pub(crate) struct RemoteAttempt {
    live: LiveAttempt,
    /// The values of the inputs. Taken when the attempt ends, so that a successor may have a value for itself.
    inputs: Mutex<Option<Py<PyTuple>>>,
    /// Whether the other process has begun it. Who ends it looks, after it has told all that it knows: AcqRel.
    has_begun: AtomicBool,
}

impl RemoteAttempt {
    /// Hands the attempt to the engine.
    pub(crate) fn launch(py: Python<'_>, run: &Arc<CoreRun>, frame: Frame) -> PyResult<()> {
        let spec = frame.spec();
        spec.duration.note(LAUNCH_NANOSECONDS);
        let inputs = inputs(py, &frame)?.unbind();
        let attempt =
            Self { live: LiveAttempt::new(run, frame), inputs: Mutex::new(Some(inputs)), has_begun: false.into() };
        let attempt = Py::new(py, attempt)?;
        run.body().hooks.bind(py).call_method1(intern!(py, "launch_process"), (attempt,)).map(drop)
    }

    fn take_inputs(&self) -> Option<Py<PyTuple>> {
        self.inputs.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn check_live(&self) -> PyResult<()> {
        if self.live.is_live() { Ok(()) } else { Err(PyRuntimeError::new_err("this attempt has ended")) }
    }

    /// Tells of the start, the first time.
    fn note_begin(&self, py: Python<'_>, nanoseconds_ago: u64) {
        if !self.live.is_live() || self.has_begun.swap(true, Ordering::AcqRel) {
            return;
        }
        let (run, task, attempt) = (self.live.run(), self.live.frame().task, self.live.frame().attempt);
        if task.instance.is_items() {
            return;
        }
        let (body, instance) = (run.body(), run.instance(task.instance));
        let launched = instance.timing(task.node);
        let node = instance.program().number(task.node);
        let time = run.now().saturating_sub(nanoseconds_ago).max(launched.started);
        run.note_begin(task, time);
        if attempt > 1 {
            // The exception of the attempt before becomes text, as where attempts begin at once.
            let hooks = body.hooks.bind(py);
            if let Err(error) = hooks.call_method1(intern!(py, "attempt_starts"), (node, attempt)) {
                error.write_unraisable(py, Some(hooks));
            }
        }
        body.tell(py, Kind::Started, node, attempt, Moment { seat: launched.worker, time }, None);
    }

    fn end(&self) -> bool {
        let is_first = self.live.end();
        if is_first {
            let inputs = self.take_inputs();
            drop(inputs);
        }
        is_first
    }
}

/// The values of the inputs in the order of ports: MISSING stands for a default, which the other side has too.
fn inputs<'py>(py: Python<'py>, frame: &Frame) -> PyResult<Bound<'py, PyTuple>> {
    let missing = Missing::object(py)?.as_any();
    let values = frame.spec().input_defaults.iter().enumerate().map(|(port, default)| {
        let value = frame.input(port);
        let is_default = default.as_ref().is_some_and(|default| default.as_ptr() == value);
        if value.is_null() || is_default {
            missing.clone()
        } else {
            // SAFETY: an input of a live attempt.
            unsafe { Bound::from_borrowed_ptr(py, value) }
        }
    });
    PyTuple::new(py, values)
}

#[pymethods]
impl RemoteAttempt {
    /// The spec of the operation, as an object.
    #[getter]
    fn spec(&self, py: Python<'_>) -> PyResult<Py<NodeSpec>> {
        self.check_live()?;
        let (run, task) = (self.live.run(), self.live.frame().task);
        Ok(if task.instance.is_items() {
            items::spec_object(run, task).clone_ref(py)
        } else {
            run.instance(task.instance).program().spec_object(task.node).clone_ref(py)
        })
    }

    /// The operation.
    #[getter]
    fn operation(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.check_live()?;
        // SAFETY: the operation belongs to the program of the run, or to the map of a live item.
        Ok(unsafe { Bound::from_borrowed_ptr(py, self.live.frame().operation()) }.unbind())
    }

    /// The node that this is an attempt of.
    #[getter]
    fn node(&self) -> u32 {
        items::path(self.live.run(), self.live.frame().task).0
    }

    /// Which item of a map it is: indices, that of the outermost map first; empty for a node.
    #[getter]
    fn items<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let task = self.live.frame().task;
        if !task.instance.is_items() {
            return Ok(PyTuple::empty(py));
        }
        PyTuple::new(py, items::path(self.live.run(), task).1)
    }

    /// The number of the attempt, from 1.
    #[getter]
    fn attempt(&self) -> u32 {
        self.live.frame().attempt
    }

    /// How long the attempt may take, in seconds.
    #[getter]
    fn timeout_seconds(&self) -> Option<f64> {
        self.live.frame().spec().timeout.map(|limit| limit.as_secs_f64())
    }

    /// The values of the inputs, MISSING for a default; `None` once the attempt has ended.
    #[getter]
    fn inputs(&self, py: Python<'_>) -> Option<Py<PyTuple>> {
        self.inputs.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|inputs| inputs.clone_ref(py))
    }

    /// Whether the attempt has no outcome yet.
    #[getter]
    fn is_live(&self) -> bool {
        self.live.is_live()
    }

    /// Whether nothing new is to start where it belongs: its run, or the map whose item it is, has failed or was
    /// cancelled.
    #[getter]
    fn is_unwanted(&self) -> bool {
        let (run, task) = (self.live.run(), self.live.frame().task);
        let is_closed = task.instance.is_items() && run.items(task.instance).is_closed();
        is_closed || !run.goes_on(task)
    }

    /// Whether it goes on after the run has stopped.
    #[getter]
    fn ignores_stop(&self) -> bool {
        self.live.run().ignores_stop(self.live.frame().task)
    }

    /// Says that the operation was entered, so many nanoseconds ago. Whoever ends the attempt before takes it back: it
    /// was never started.
    #[pyo3(signature = (nanoseconds_ago=0))]
    fn begin(&self, py: Python<'_>, nanoseconds_ago: u64) {
        self.note_begin(py, nanoseconds_ago);
    }

    /// Ends the attempt with its outputs in the order of ports, MISSING for one that was not set.
    fn complete(&self, py: Python<'_>, outputs: &Bound<'_, PyTuple>) -> PyResult<()> {
        let missing = Missing::object(py)?;
        let values = outputs.iter().map(|value| if value.is(missing) { None } else { Some(value.unbind()) });
        let values: Values = values.collect();
        self.note_begin(py, 0);
        if self.end() {
            let checked = conclude::received(py, self.live.frame(), values);
            self.live.conclude(py, checked);
        }
        Ok(())
    }

    /// Ends the attempt with what the operation raised, or with what became of its process.
    fn fail(&self, py: Python<'_>, error: Bound<'_, PyAny>) {
        self.note_begin(py, 0);
        if self.end() {
            self.live.conclude(py, Err(PyErr::from_value(error)));
        }
    }

    /// Ends the attempt because the run starts nothing new, or was cancelled.
    fn cancel(&self, py: Python<'_>) {
        if self.end() {
            if self.has_begun.load(Ordering::Acquire) {
                self.live.cancel(py);
            } else {
                self.live.withdraw(py);
            }
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // The inputs are left out: their lock may be held, and they go with the end of the attempt.
        self.live.frame().traverse(&visit)
    }
}
