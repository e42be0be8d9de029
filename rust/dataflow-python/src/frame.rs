//! The frame of a running attempt: its inputs, the outputs it has set so far, and how `get_input`, `set_output` and the
//! context find it.
//!
//! Frames form a stack for each thread, since an operation may run another graph on its own thread. A worker pushes the
//! frame around the call; the coroutine driver pushes it around every `send`. Child tasks of a coroutine and the threads
//! of `asyncio.to_thread` inherit a context variable instead, which names the attempt.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ptr::null;
use std::sync::{Mutex, PoisonError};

use dataflow_core::ready::Task;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyString;
use pyo3::{PyTraverseError, PyVisit};
use smallvec::SmallVec;

use crate::attempt::Attempt;
use crate::body::CoreRun;
use crate::node_spec::NodeSpec;
use crate::python_errors;

pub(crate) type Values = SmallVec<[Option<Py<PyAny>>; 4]>;

/// What a live attempt reads and writes.
pub(crate) struct Frame {
    /// The frame below on this thread, while this one is pushed.
    below: Cell<*const Frame>,
    run: *const CoreRun,
    spec: *const NodeSpec,
    operation: *mut pyo3::ffi::PyObject,
    pub(crate) task: Task,
    pub(crate) attempt: u32,
    pub(crate) inputs: Values,
    outputs: Mutex<Values>,
}

// SAFETY: the pointers are only followed while the run is alive, which whoever holds the frame sees to; `below` is only
// touched by the thread that has the frame on its stack, and a frame is on one stack at a time; the rest is `Sync`.
unsafe impl Sync for Frame {}
// SAFETY: as above.
unsafe impl Send for Frame {}

thread_local! {
    static TOP: Cell<*const Frame> = const { Cell::new(null()) };
}

/// Keeps a frame on the thread's stack; dropping it takes the frame off.
pub(crate) struct Pushed<'f>(&'f Frame);

impl Drop for Pushed<'_> {
    fn drop(&mut self) {
        TOP.set(self.0.below.get());
    }
}

impl Frame {
    /// A frame for an attempt of `operation`. The run must outlive it.
    pub(crate) fn new(
        run: &CoreRun,
        spec: &NodeSpec,
        operation: &Bound<'_, PyAny>,
        task: Task,
        attempt: u32,
        inputs: Values,
    ) -> Self {
        Self {
            below: Cell::new(null()),
            run,
            spec,
            operation: operation.as_ptr(),
            task,
            attempt,
            inputs,
            outputs: Mutex::new(Values::new()),
        }
    }

    /// Puts the frame on the calling thread's stack.
    #[inline]
    pub(crate) fn push(&self) -> Pushed<'_> {
        self.below.set(TOP.replace(self));
        Pushed(self)
    }

    pub(crate) fn spec(&self) -> &NodeSpec {
        // SAFETY: the spec belongs to the program of the run, which outlives the frame.
        unsafe { &*self.spec }
    }

    pub(crate) fn run(&self) -> &CoreRun {
        // SAFETY: the run outlives the frame (see `new`).
        unsafe { &*self.run }
    }

    /// Sets an output; what was set before goes away after the lock.
    pub(crate) fn store(&self, port: usize, value: Py<PyAny>) {
        let mut outputs = self.outputs.lock().unwrap_or_else(PoisonError::into_inner);
        if outputs.len() <= port {
            // Made by the first output that is set: functions set none.
            outputs.resize_with(self.spec().output_flags.len(), || None);
        }
        let before = outputs[port].replace(value);
        drop(outputs);
        drop(before);
    }

    /// Takes what the attempt has set.
    pub(crate) fn take_outputs(&self) -> Values {
        let mut outputs = std::mem::take(&mut *self.outputs.lock().unwrap_or_else(PoisonError::into_inner));
        outputs.resize_with(self.spec().output_flags.len(), || None);
        outputs
    }

    /// The value of an input: what came, else its default.
    pub(crate) fn input<'py>(&self, py: Python<'py>, port: usize) -> Option<Bound<'py, PyAny>> {
        let value = self.inputs.get(port).and_then(Option::as_ref).or(self.spec().input_defaults[port].as_ref());
        value.map(|value| value.bind(py).clone())
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.inputs.iter().try_for_each(|value| visit.call(value))
    }
}

/// The innermost frame of the calling thread for which `wanted` holds.
fn on_stack<'f>(wanted: impl Fn(&Frame) -> bool) -> Option<&'f Frame> {
    let mut at = TOP.get();
    while !at.is_null() {
        // SAFETY: a frame on the stack of this thread is alive until its `Pushed` is dropped, which happens on this
        // thread, and not before the caller, which runs above it, returns.
        let frame = unsafe { &*at };
        if wanted(frame) {
            return Some(frame);
        }
        at = frame.below.get();
    }
    None
}

/// The context variable that names the attempt to child tasks and `to_thread`.
pub(crate) fn attempt_variable(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static VARIABLE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let make = || -> PyResult<Py<PyAny>> {
        let class = py.import("contextvars")?.getattr("ContextVar")?;
        Ok(class.call1(("execution_dataflow_attempt",))?.unbind())
    };
    VARIABLE.get_or_try_init(py, make).map(|variable| variable.bind(py))
}

fn inherited<'py>(py: Python<'py>) -> PyResult<Option<Bound<'py, Attempt>>> {
    let attempt = attempt_variable(py)?.call_method1(pyo3::intern!(py, "get"), (py.None(),))?;
    Ok(attempt.cast_into::<Attempt>().ok().filter(|attempt| attempt.get().is_live()))
}

/// Calls `f` with the frame in which `operation` runs.
#[inline]
fn with_frame<'py, R>(
    operation: &Bound<'py, PyAny>,
    call: &str,
    port: &Bound<'py, PyString>,
    f: impl FnOnce(&Frame) -> PyResult<R>,
) -> PyResult<R> {
    let py = operation.py();
    let wanted = |frame: &Frame| frame.operation == operation.as_ptr();
    if let Some(frame) = on_stack(wanted) {
        return f(frame);
    }
    if let Some(attempt) = inherited(py)?
        && let Some(frame) = attempt.get().frame().filter(|frame| wanted(frame))
    {
        return f(frame);
    }
    let class = operation.get_type().name().map_or_else(|_| "operation".to_owned(), |name| name.to_string());
    Err(python_errors::outside_run(
        py,
        format!(
            "{call}({:?}) of {class} was called outside of a run of that operation. Ports have values only inside \
             execute(), on the thread or in the coroutine that the engine runs it in; in a thread that execute() \
             starts itself, read the inputs before and set the outputs after.",
            port.to_string_lossy()
        ),
    ))
}

/// The native base of `Operation`. It has no fields, so that instances keep CPython's compact layout.
#[pyclass(frozen, subclass, module = "execution_dataflow._core")]
pub(crate) struct OperationBase;

#[pymethods]
impl OperationBase {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, pyo3::types::PyTuple>, _kwargs: Option<&Bound<'_, pyo3::types::PyDict>>) -> Self {
        Self
    }

    fn get_input<'py>(slf: &Bound<'py, Self>, port_name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        with_frame(slf.as_any(), "get_input", port_name, |frame| {
            let spec = frame.spec();
            let names = spec.input_names.bind(py);
            let port = NodeSpec::position(names, port_name).ok_or_else(|| {
                python_errors::unknown_port(py, &spec.label, &port_name.to_string_lossy(), names, "input")
            })?;
            frame.input(py, port).ok_or_else(|| {
                python_errors::contract(
                    py,
                    format!("input {port_name:?} of {} has no value and no default", spec.label),
                )
            })
        })
    }

    fn set_output(slf: &Bound<'_, Self>, port_name: &Bound<'_, PyString>, value: Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        with_frame(slf.as_any(), "set_output", port_name, |frame| {
            let spec = frame.spec();
            let names = spec.output_names.bind(py);
            let port = NodeSpec::position(names, port_name).ok_or_else(|| {
                python_errors::unknown_port(py, &spec.label, &port_name.to_string_lossy(), names, "output")
            })?;
            check_output(spec, port, &value)?;
            frame.store(port, value.unbind());
            Ok(())
        })
    }
}

/// Raises when the value is not what the output declares.
#[inline]
pub(crate) fn check_output(spec: &NodeSpec, port: usize, value: &Bound<'_, PyAny>) -> PyResult<()> {
    match spec.output_checks[port].fault(value)? {
        None => Ok(()),
        Some(fault) => {
            let py = value.py();
            let name = spec.output_name(py, port);
            Err(python_errors::value_type(py, format!("output {name:?} of {} has a wrong value: {fault}", spec.label)))
        }
    }
}

/// Which attempt runs here: what `current_frame` gives.
#[pyclass(frozen, get_all, name = "Frame", module = "execution_dataflow._core")]
pub(crate) struct FrameInfo {
    run: Py<PyAny>,
    node: u32,
    attempt: u32,
    operation: Py<PyAny>,
    spec: Py<NodeSpec>,
}

fn info(py: Python<'_>, frame: &Frame) -> FrameInfo {
    let run = frame.run();
    let program = run.instance(frame.task.instance).program();
    FrameInfo {
        run: run.body().record.clone_ref(py),
        node: frame.task.node.0,
        attempt: frame.attempt,
        operation: program.operation(py, frame.task.node).clone().unbind(),
        spec: program.spec_object(frame.task.node).clone_ref(py),
    }
}

/// The innermost operation that runs on this thread, or that this task or `to_thread` call belongs to.
#[pyfunction]
pub(crate) fn current_frame(py: Python<'_>) -> PyResult<Option<FrameInfo>> {
    if let Some(frame) = on_stack(|_| true) {
        return Ok(Some(info(py, frame)));
    }
    let attempt = inherited(py)?;
    Ok(attempt.and_then(|attempt| attempt.get().frame().map(|frame| info(py, frame))))
}
