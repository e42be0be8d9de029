//! An attempt that outlives the call that started it: a coroutine on an event loop, or the undoing of an operation.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dataflow_core::ready::Task;
use pyo3::exceptions::{PyRuntimeError, PyStopIteration};
use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};
use pyo3::{PyTraverseError, PyVisit};

use crate::body::CoreRun;
use crate::call;
use crate::conclude;
use crate::expansion;
use crate::frame::{Frame, attempt_variable};
use crate::gate::{self, Sent};
use crate::gather::gather_instead;
use crate::isolation;
use crate::items;
use crate::kept::{Kept, intern};
use crate::live::LiveAttempt;
use crate::node_spec::{Expands, NodeSpec};
use crate::python_errors;
use crate::stacks::{self, Target};

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
    /// How many steps it has begun. Relaxed: a hint for who looks from time to time whether it is still in the same one.
    steps: AtomicU32,
    /// The inputs that a coroutine goes on to use which was left to itself.
    kept: Mutex<Vec<Py<PyAny>>>,
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
            steps: AtomicU32::new(0),
            kept: Mutex::default(),
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
            steps: AtomicU32::new(0),
            kept: Mutex::default(),
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

    /// What a task does before each of its steps.
    fn enter(slf: &Bound<'_, Self>) -> PyResult<()> {
        stacks::register();
        slf.get().steps.fetch_add(1, Ordering::Relaxed);
        if !slf.get().entered.swap(true, Ordering::Relaxed) {
            let py = slf.py();
            attempt_variable(py)?.call_method1(intern!(py, "set"), (slf,))?;
        }
        Ok(())
    }

    fn send_in<'py>(slf: &Bound<'py, Self>, value: &Bound<'py, PyAny>) -> PyResult<Sent<'py>> {
        let attempt = slf.get();
        let coroutine = attempt.coroutine(slf.py())?;
        Self::enter(slf)?;
        let _pushed = attempt.live.frame().push();
        gate::send(&coroutine, value)
    }

    fn throw_in<'py>(slf: &Bound<'py, Self>, arguments: &[Bound<'py, PyAny>]) -> PyResult<Sent<'py>> {
        let py = slf.py();
        let attempt = slf.get();
        let coroutine = attempt.coroutine(py)?;
        Self::enter(slf)?;
        let thrown = {
            let _pushed = attempt.live.frame().push();
            gate::method(&coroutine, intern!(py, "throw"), arguments)
        };
        match thrown {
            Ok(yielded) => Ok(Sent::Yielded(yielded)),
            Err(error) if error.is_instance_of::<PyStopIteration>(py) => {
                Ok(Sent::Returned(error.value(py).getattr(intern!(py, "value"))?))
            }
            Err(error) => Err(error),
        }
    }

    /// What a step gives to the task. An attempt with a time limit is awaited by a coroutine that concludes it; any other
    /// one is its task's own coroutine and concludes itself: a frame and a half of Python less for each step.
    fn answer<'py>(slf: &Bound<'py, Self>, sent: PyResult<Sent<'py>>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let attempt = slf.get();
        // A revert is awaited too, by what undoes the run.
        let concludes_itself = attempt.live.frame().spec().timeout.is_none() && attempt.reverts.is_none();
        match sent {
            Ok(Sent::Yielded(yielded)) => return Ok(yielded),
            Ok(Sent::Returned(value)) if !concludes_itself => return Err(returned(py, value)),
            Ok(Sent::Returned(value)) => Self::complete_committed(slf, value)?,
            Err(error) if !concludes_itself => return Err(error),
            Err(error) => attempt.conclude_error(py, error)?,
        }
        let hooks = attempt.live.run().body().hooks.bind(py);
        hooks.call_method1(intern!(py, "end_task"), (slf,))?;
        Err(returned(py, py.None().into_bound(py)))
    }

    /// Where what it commits may have to wait for a store, the loop goes on meanwhile.
    fn complete_committed(slf: &Bound<'_, Self>, value: Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        let attempt = slf.get();
        let body = attempt.live.run().body();
        if body.commits.is_none() || attempt.live.frame().spec().expands == Expands::Graph {
            attempt.complete(py, value);
        } else if let Err(error) = body.hooks.bind(py).call_method1(intern!(py, "complete"), (slf, value)) {
            attempt.conclude_error(py, error)?;
        }
        Ok(())
    }

    fn conclude_error(&self, py: Python<'_>, error: PyErr) -> PyResult<()> {
        let hooks = self.live.run().body().hooks.bind(py);
        let ignores_stop = self.ignores_stop();
        let is_of_run = || Ok::<_, PyErr>(!ignores_stop && hooks.getattr(intern!(py, "is_cancelled"))?.is_truthy()?);
        match is_cancellation(py, &error).and_then(|is_cancelled| Ok(is_cancelled && is_of_run()?)) {
            Ok(false) => self.fail(py, error.into_value(py).into_bound(py).into_any()),
            Ok(true) => self.cancel(py),
            Err(fault) => {
                // Ctrl-C in the one line of Python above: it must not leave the attempt without an outcome.
                self.cancel(py);
                return Err(fault);
            }
        }
        Ok(())
    }
}

/// `StopIteration` with a value, whatever that is: an exception that was given as the argument would be raised itself.
fn returned(py: Python<'_>, value: Bound<'_, PyAny>) -> PyErr {
    match py.get_type::<PyStopIteration>().call1((value,)) {
        Ok(stop) => PyErr::from_value(stop),
        Err(error) => error,
    }
}

fn is_cancellation(py: Python<'_>, error: &PyErr) -> PyResult<bool> {
    static CLASS: Kept<Py<PyType>> = Kept::new();
    Ok(error.is_instance(py, CLASS.import(py, "asyncio", "CancelledError")?))
}

#[pymethods]
impl Attempt {
    /// The node that this is an attempt of, or of an item of which.
    #[getter]
    fn node(&self) -> u32 {
        items::path(self.live.run(), self.live.frame().task).0
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
        Self::answer(slf, Self::send_in(slf, &slf.py().None().into_bound(slf.py())))
    }

    fn send<'py>(slf: &Bound<'py, Self>, value: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        Self::answer(slf, Self::send_in(slf, &value))
    }

    #[pyo3(signature = (*arguments))]
    fn throw<'py>(slf: &Bound<'py, Self>, arguments: &Bound<'py, pyo3::types::PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        Self::answer(slf, Self::throw_in(slf, arguments.as_slice()))
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
        if self.live.frame().spec().expands == Expands::Graph {
            if self.end() {
                expansion::begin(py, self.live.run(), self.live.frame(), value);
            }
            return;
        }
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

    /// The outputs that it has set so far, `None` for those that it has not.
    fn outputs_set<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let frame = self.live.frame();
        PyTuple::new(py, (0..frame.spec().output_flags.len()).map(|port| frame.output(py, port)))
    }

    /// The longest that it may take, in seconds.
    #[getter]
    fn timeout_seconds(&self) -> Option<f64> {
        self.live.frame().spec().timeout.map(|limit| limit.as_secs_f64())
    }

    /// The number of the attempt, from 1.
    #[getter]
    fn number(&self) -> u32 {
        self.live.frame().attempt
    }

    /// Which item of a map it is: indices, that of the outermost map first; empty for a node.
    #[getter]
    fn items(&self) -> Vec<u32> {
        items::path(self.live.run(), self.live.frame().task).1
    }

    /// The coroutine, while the attempt is live.
    #[getter]
    fn running<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.coroutine(py).ok()
    }

    /// How many steps it has begun.
    #[getter]
    fn steps(&self) -> u32 {
        self.steps.load(Ordering::Relaxed)
    }

    /// Raises an exception in the coroutine if it runs right now: it does not let its event loop go.
    fn interrupt(&self, py: Python<'_>) -> PyResult<()> {
        let (own, outer) = (python_errors::timed_out_class(py)?, python_errors::outer_class(py)?);
        stacks::post(&Target::Frame(self.live.frame()), own, outer).interrupt_begun(py)
    }

    /// Ends the attempt although its coroutine does not: as a failure, or, without an error, as cancelled.
    #[pyo3(signature = (error=None))]
    fn set_aside(&self, py: Python<'_>, error: Option<Bound<'_, PyAny>>) {
        // The coroutine stays: to let it go would end it here and now.
        if !self.live.end() {
            return;
        }
        self.live.frame().set_aside();
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = self.live.frame().inputs(py);
        match error {
            Some(error) => self.live.conclude(py, Err(PyErr::from_value(error))),
            None => self.live.cancel(py),
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
