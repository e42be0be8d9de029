//! An attempt that outlives the call that started it: a coroutine on an event loop, or the undoing of an operation.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dataflow_core::ready::Task;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit, intern};

use crate::body::CoreRun;
use crate::call;
use crate::conclude;
use crate::frame::{Frame, attempt_variable};
use crate::gate;
use crate::gather::gather_instead;
use crate::isolation;
use crate::live::LiveAttempt;
use crate::node_spec::NodeSpec;
use crate::python_errors;

/// The live attempt of a coroutine operation, and the awaitable that drives it: every `send` into the coroutine happens
/// with the attempt's frame on the stack of the loop's thread.
#[pyclass(frozen, weakref, module = "execution_dataflow._core")]
pub(crate) struct Attempt {
    live: LiveAttempt,
    /// Taken when the attempt ends.
    coroutine: Mutex<Option<Py<PyAny>>>,
    entered: AtomicBool,
    /// What the frame of a revert points to.
    reverts: Option<(Py<NodeSpec>, Py<PyAny>)>,
}

impl Attempt {
    /// Makes the coroutine and hands it to the engine's event loop.
    pub(crate) fn launch(py: Python<'_>, run: &Arc<CoreRun>, frame: Frame) -> PyResult<()> {
        let body = run.body();
        let called = {
            let _pushed = frame.push();
            call::call(py, frame.spec(), &frame, &body.context)
        };
        let coroutine = called?;
        if !coroutine.hasattr(intern!(py, "send")).unwrap_or(false) {
            let label = &frame.spec().label;
            let text = format!("{label} was taken for a coroutine function, but its call gave no coroutine");
            return Err(python_errors::contract(py, text));
        }
        let context = isolation::copy(py, &body.base_context)?;
        let attempt = Self {
            live: LiveAttempt::new(run, frame),
            coroutine: Mutex::new(Some(coroutine.unbind())),
            entered: AtomicBool::new(false),
            reverts: None,
        };
        body.hooks.bind(py).call_method1(intern!(py, "launch"), (Py::new(py, attempt)?, context)).map(drop)
    }

    /// The frame in which a succeeded operation is reverted: its inputs and outputs as they were.
    pub(crate) fn of_revert<'py>(
        py: Python<'py>,
        run: &Arc<CoreRun>,
        task: Task,
        spec: &Bound<'py, NodeSpec>,
        operation: &Bound<'py, PyAny>,
        inputs: &[i32],
        error: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, Self>> {
        let instance = run.instance(task.instance);
        let mut frame = Frame::new(run, spec.get(), operation, task, instance.status(task.node).1).locked();
        gather_instead(py, instance, &mut frame, inputs, error)?;
        let (names, own) = (spec.get().output_names.bind(py), instance.program().spec(task.node));
        for (port, name) in own.output_names.bind(py).iter().enumerate() {
            let slot = instance.plan().slot(task.node, port as u32);
            // SAFETY: the caller's run has finished, and what is read here was kept for it.
            let value = unsafe { instance.value(slot) };
            if let Some((place, value)) = NodeSpec::position(names, name.cast()?).zip(value) {
                frame.store(place, value.bind(py).clone());
            }
        }
        let attempt = Self {
            live: LiveAttempt::new(run, frame),
            coroutine: Mutex::new(None),
            entered: AtomicBool::new(false),
            reverts: Some((spec.clone().unbind(), operation.clone().unbind())),
        };
        Bound::new(py, attempt)
    }

    /// Whether the attempt has no outcome yet.
    pub(crate) fn is_live(&self) -> bool {
        self.live.is_live()
    }

    /// The frame of the live attempt.
    pub(crate) fn frame(&self) -> Option<&Frame> {
        self.is_live().then(|| self.live.frame())
    }

    fn coroutine<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let coroutine = self.coroutine.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|c| c.clone_ref(py));
        coroutine.map(|c| c.into_bound(py)).ok_or_else(|| PyRuntimeError::new_err("this attempt has ended"))
    }

    /// `true` for the one caller that ends the attempt.
    fn end(&self) -> bool {
        let first = self.live.end();
        let coroutine = self.coroutine.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(coroutine);
        first
    }

    fn resume<'py>(
        slf: &Bound<'py, Self>,
        method: &Bound<'py, pyo3::types::PyString>,
        arguments: &[Bound<'py, PyAny>],
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let attempt = slf.get();
        let coroutine = attempt.coroutine(py)?;
        if !attempt.entered.swap(true, Ordering::Relaxed) {
            attempt_variable(py)?.call_method1(intern!(py, "set"), (slf,))?;
        }
        let _pushed = attempt.live.frame().push();
        gate::method(&coroutine, method, arguments)
    }
}

#[pymethods]
impl Attempt {
    /// The node that this is an attempt of.
    #[getter]
    fn node(&self) -> u32 {
        self.live.frame().task.node.0
    }

    /// Whether it goes on after the run has stopped.
    #[getter]
    fn ignores_stop(&self) -> bool {
        self.live.run().ignores_stop(self.live.frame().task)
    }

    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        Self::resume(slf, intern!(py, "send"), &[py.None().into_bound(py)])
    }

    fn send<'py>(slf: &Bound<'py, Self>, value: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        Self::resume(slf, intern!(slf.py(), "send"), &[value])
    }

    #[pyo3(signature = (*arguments))]
    fn throw<'py>(slf: &Bound<'py, Self>, arguments: &Bound<'py, pyo3::types::PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        Self::resume(slf, intern!(slf.py(), "throw"), arguments.as_slice())
    }

    fn close(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let attempt = slf.get();
        match attempt.coroutine(py) {
            Ok(coroutine) => {
                let _pushed = attempt.live.frame().push();
                gate::method(&coroutine, intern!(py, "close"), &[]).map(drop)
            }
            Err(_) => Ok(()),
        }
    }

    /// Calls the `revert` of its operation; the frame then stays for the coroutine that an asynchronous one gives.
    fn revert<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let Some((_, operation)) = &self.reverts else {
            return Err(PyRuntimeError::new_err("this attempt reverts nothing"));
        };
        let _pushed = self.live.frame().push();
        let context = &self.live.run().body().context;
        let returned = operation.bind(py).call_method1(intern!(py, "revert"), (context,))?;
        if returned.hasattr(intern!(py, "send")).unwrap_or(false) {
            *self.coroutine.lock().unwrap_or_else(PoisonError::into_inner) = Some(returned.clone().unbind());
        }
        Ok(returned)
    }

    /// Ends a revert: its ports cannot be read any more.
    fn leave(&self) {
        if self.reverts.is_some() {
            self.end();
        }
    }

    /// Ends the attempt with what the coroutine returned.
    fn complete(&self, py: Python<'_>, value: Bound<'_, PyAny>) {
        let outputs = conclude::outputs_of(py, self.live.frame(), value);
        if self.end() {
            self.live.conclude(py, outputs);
        }
    }

    /// Ends the attempt with what the coroutine raised.
    fn fail(&self, py: Python<'_>, error: Bound<'_, PyAny>) {
        if self.end() {
            self.live.conclude(py, Err(PyErr::from_value(error)));
        }
    }

    /// Ends the attempt because the run was cancelled.
    fn cancel(&self, py: Python<'_>) {
        if self.end() {
            self.live.cancel(py);
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // The coroutine is left out: its lock may be held, and it goes with the end of the attempt.
        if let Some((spec, operation)) = &self.reverts {
            visit.call(spec)?;
            visit.call(operation)?;
        }
        self.live.frame().traverse(&visit)
    }
}
