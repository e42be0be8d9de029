//! The frame of a running attempt: its inputs, the outputs it has set so far, and how `get_input`, `set_output` and the
//! context find it.
//!
//! Frames form a stack for each thread, since an operation may run another graph on its own thread. A worker pushes the
//! frame around the call; the coroutine driver pushes it around every `send`. Child tasks of a coroutine and the threads
//! of `asyncio.to_thread` inherit a context variable instead, which names the attempt.
#![allow(unsafe_code)]

use std::cell::{Cell, UnsafeCell};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dataflow_core::ids::{InstanceId, NodeId};
use dataflow_core::ready::Task;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use pyo3::{PyTraverseError, PyVisit};
use smallvec::SmallVec;

use crate::attempt::Attempt;
use crate::body::CoreRun;
use crate::items;
use crate::kept::Kept;
use crate::limits::RunLimits;
use crate::node_spec::NodeSpec;
use crate::python_errors;
use crate::stacks;

pub(crate) type Values = SmallVec<[Option<Py<PyAny>>; 4]>;

/// The outputs of an attempt so far; null where none is set. The references are owned. Most operations have one output.
struct SetOutputs {
    first: *mut ffi::PyObject,
    others: Option<Box<[*mut ffi::PyObject]>>,
}

impl SetOutputs {
    #[inline]
    fn replace(&mut self, port: usize, value: *mut ffi::PyObject, count: usize) -> *mut ffi::PyObject {
        let place = match port {
            0 => &mut self.first,
            port => &mut self.others.get_or_insert_with(|| vec![null_mut(); count - 1].into())[port - 1],
        };
        std::mem::replace(place, value)
    }
}

/// What a live attempt reads and writes.
pub(crate) struct Frame {
    /// The frame below on this thread, while this one is pushed.
    below: Cell<*const Frame>,
    /// What the attempt belongs to: a run or, with the lowest bit set, a `Guest`.
    home: *const (),
    spec: *const NodeSpec,
    operation: *mut ffi::PyObject,
    pub(crate) task: Task,
    pub(crate) attempt: u32,
    /// Whether any input has neither value nor default.
    lacks_inputs: bool,
    /// A place for the callee of a vectorcall, then the inputs in the order of ports; null without value. They belong to
    /// the slots and constants of the run, to the spec, or to `owned`.
    places: SmallVec<[*mut ffi::PyObject; 9]>,
    #[expect(clippy::box_collection, reason = "one null pointer to look at when the frame goes: most own nothing")]
    owned: Option<Box<Vec<Py<PyAny>>>>,
    outputs: UnsafeCell<SetOutputs>,
    /// Of a coroutine, whose child tasks and `to_thread` calls may set outputs beside each other. A frame that is only on
    /// the stack of one thread needs none.
    lock: Option<Mutex<()>>,
    /// The class of an exception that was posted to the thread while this frame was on top; null for none. Relaxed: the
    /// handshake in `stacks` orders it.
    posted: AtomicPtr<ffi::PyObject>,
    /// Whether the attempt has its outcome although its code still runs. Relaxed: a hint for that code.
    set_aside: AtomicBool,
}

// SAFETY: the pointers are only followed while the run is alive, which whoever holds the frame sees to; `below` is only
// touched by the thread that has the frame on its stack, and a frame is on one stack at a time; `outputs` is only
// touched by `with_outputs`, which takes the lock of a frame that more than one thread can reach; the rest is `Sync`.
unsafe impl Sync for Frame {}
// SAFETY: as above.
unsafe impl Send for Frame {}

/// What an attempt belongs to whose run is in another process.
pub(crate) struct Guest {
    /// What stands for the record of that run here.
    pub(crate) record: Py<PyAny>,
    pub(crate) spec: Py<NodeSpec>,
    pub(crate) items: Py<PyTuple>,
}

enum Home<'f> {
    Run(&'f CoreRun),
    Guest(&'f Guest),
}

/// Both that a frame may point to have addresses without this bit.
const IS_GUEST: usize = 1;

/// Keeps a frame on the thread's stack; dropping it takes the frame off.
pub(crate) struct Pushed<'f>(&'f Frame);

impl Drop for Pushed<'_> {
    #[inline]
    fn drop(&mut self) {
        stacks::uncover(self.0.below.get());
        if self.0.take_posted().is_some() {
            stacks::take_back();
        }
    }
}

impl Frame {
    /// A frame for an attempt of `operation`, without inputs yet. The run must outlive it.
    #[inline]
    pub(crate) fn new(run: &CoreRun, spec: &NodeSpec, operation: &Bound<'_, PyAny>, task: Task, attempt: u32) -> Self {
        Self::at(std::ptr::from_ref(run).cast(), spec, operation, task, attempt)
    }

    /// A frame for an attempt of a run in another process. The guest and the spec must outlive it.
    pub(crate) fn of_guest(
        guest: &Guest,
        spec: &NodeSpec,
        operation: &Bound<'_, PyAny>,
        task: Task,
        attempt: u32,
    ) -> Self {
        let home = std::ptr::from_ref(guest).cast::<()>().map_addr(|address| address | IS_GUEST);
        Self::at(home, spec, operation, task, attempt)
    }

    #[inline]
    fn at(home: *const (), spec: &NodeSpec, operation: &Bound<'_, PyAny>, task: Task, attempt: u32) -> Self {
        let mut places = SmallVec::new();
        places.push(null_mut());
        Self {
            below: Cell::new(null()),
            home,
            spec,
            operation: operation.as_ptr(),
            task,
            attempt,
            lacks_inputs: false,
            places,
            owned: None,
            outputs: UnsafeCell::new(SetOutputs { first: null_mut(), others: None }),
            lock: spec.is_coroutine.then(Mutex::default),
            posted: AtomicPtr::new(null_mut()),
            set_aside: AtomicBool::new(false),
        }
    }

    /// What stands on the stack for a run that an operation has begun on its own thread: what is above belongs to that
    /// run, and while nothing is, the engine's own code runs.
    pub(crate) fn of_begun_run(run: &Arc<CoreRun>) -> Self {
        Self {
            below: Cell::new(null()),
            home: Arc::as_ptr(run).cast(),
            spec: null(),
            operation: null_mut(),
            task: Task { instance: InstanceId::ROOT, node: NodeId(0) },
            attempt: 0,
            lacks_inputs: false,
            places: SmallVec::new(),
            owned: None,
            outputs: UnsafeCell::new(SetOutputs { first: null_mut(), others: None }),
            lock: None,
            posted: AtomicPtr::new(null_mut()),
            set_aside: AtomicBool::new(false),
        }
    }

    /// The run, if this stands for one that an operation has begun.
    pub(crate) fn begun_run(&self) -> Option<Arc<CoreRun>> {
        self.operation.is_null().then(|| {
            // SAFETY: it came from an `Arc` that is alive as long as this is on the stack.
            unsafe {
                Arc::increment_strong_count(self.home.cast::<CoreRun>());
                Arc::from_raw(self.home.cast::<CoreRun>())
            }
        })
    }

    /// Whether this is an attempt at an operation of a run that is to stop when the run is cancelled.
    pub(crate) fn stops_with(&self, run: *const CoreRun) -> bool {
        let is_of_run = !self.operation.is_null() && std::ptr::eq(self.home.cast::<CoreRun>(), run);
        is_of_run && self.run().is_some_and(|run| !run.ignores_stop(self.task))
    }

    /// The frame below on the stack that this one is on.
    pub(crate) fn below(&self) -> *const Frame {
        self.below.get()
    }

    /// Notes what was posted to the thread.
    pub(crate) fn note_posted(&self, class: *mut ffi::PyObject) {
        self.posted.store(class, Ordering::Relaxed);
    }

    /// What was posted to the thread while this frame was on top.
    #[inline]
    pub(crate) fn take_posted(&self) -> Option<*mut ffi::PyObject> {
        let posted = self.posted.load(Ordering::Relaxed);
        if posted.is_null() {
            return None;
        }
        self.posted.store(null_mut(), Ordering::Relaxed);
        Some(posted)
    }

    /// References to the inputs, for an attempt whose code has to be left to itself when it gets its outcome.
    pub(crate) fn inputs(&self, py: Python<'_>) -> Vec<Py<PyAny>> {
        let inputs = self.places.iter().skip(1).filter(|value| !value.is_null());
        // SAFETY: the inputs of a live attempt are alive.
        inputs.map(|&value| unsafe { Bound::from_borrowed_ptr(py, value) }.unbind()).collect()
    }

    /// Says that the attempt has its outcome although its code still runs.
    pub(crate) fn set_aside(&self) {
        self.set_aside.store(true, Ordering::Relaxed);
    }

    /// Adds the value of the next input: null for none, otherwise an object that outlives the attempt.
    #[inline]
    pub(crate) fn push_input(&mut self, value: *mut ffi::PyObject) {
        self.lacks_inputs |= value.is_null();
        self.places.push(value);
    }

    /// Adds the value of the next input, made for this attempt.
    pub(crate) fn push_owned_input(&mut self, value: Py<PyAny>) {
        self.places.push(value.as_ptr());
        self.owned.get_or_insert_default().push(value);
    }

    /// Puts the frame on the calling thread's stack.
    #[inline]
    pub(crate) fn push(&self) -> Pushed<'_> {
        stacks::cover(self, &self.below);
        Pushed(self)
    }

    #[inline]
    pub(crate) fn spec<'s>(&self) -> &'s NodeSpec {
        // SAFETY: the spec belongs to the program of the run, or to a guest, and outlives the frame and all that is done
        // with it.
        unsafe { &*self.spec }
    }

    fn home(&self) -> Home<'_> {
        if self.home.addr() & IS_GUEST == 0 {
            // SAFETY: the run outlives the frame (see `new`).
            Home::Run(unsafe { &*self.home.cast() })
        } else {
            // SAFETY: the guest outlives the frame (see `of_guest`); this is its address.
            Home::Guest(unsafe { &*self.home.map_addr(|address| address & !IS_GUEST).cast() })
        }
    }

    /// The run, in the process that it belongs to.
    pub(crate) fn run(&self) -> Option<&CoreRun> {
        match self.home() {
            Home::Run(run) => Some(run),
            Home::Guest(_) => None,
        }
    }

    /// What Python knows the attempt by: the record of the run, the node, and for an item of a map its indices.
    pub(crate) fn place(&self, py: Python<'_>) -> PyResult<(Py<PyAny>, u32, Py<PyTuple>)> {
        Ok(match self.home() {
            Home::Guest(guest) => (guest.record.clone_ref(py), self.task.node.0, guest.items.clone_ref(py)),
            Home::Run(run) => {
                let (node, indices) = items::path(run, self.task);
                (run.body().record.clone_ref(py), node, PyTuple::new(py, indices)?.unbind())
            }
        })
    }

    /// The limits of the run, if it has some.
    pub(crate) fn limits(&self) -> Option<&RunLimits> {
        self.run().and_then(|run| run.body().limits.as_ref())
    }

    /// The spec of the operation that this one stands in for, if it is a fallback.
    pub(crate) fn replaced(&self) -> Option<&NodeSpec> {
        if self.task.instance.is_items() {
            return None;
        }
        let own = self.run()?.instance(self.task.instance).program().spec(self.task.node);
        (!std::ptr::eq(own, self.spec)).then_some(own)
    }

    /// The operation that runs, borrowed.
    #[inline]
    pub(crate) fn operation(&self) -> *mut ffi::PyObject {
        self.operation
    }

    /// Whether every input has a value.
    #[inline]
    pub(crate) fn has_all_inputs(&self) -> bool {
        !self.lacks_inputs
    }

    /// A free place and the inputs in the order of ports.
    #[inline]
    pub(crate) fn places(&self) -> &[*mut ffi::PyObject] {
        &self.places
    }

    /// The value of an input or its default, borrowed; null when there is neither.
    #[inline]
    pub(crate) fn input(&self, port: usize) -> *mut ffi::PyObject {
        self.places.get(port + 1).copied().unwrap_or(null_mut())
    }

    /// Puts an owned reference, or null, in the place of an output; gives what was there.
    #[inline]
    fn exchange(&self, port: usize, value: *mut ffi::PyObject) -> *mut ffi::PyObject {
        let _guard = self.lock.as_ref().map(|lock| lock.lock().unwrap_or_else(PoisonError::into_inner));
        // SAFETY: a frame without a lock is reached through the stack of the one thread that runs the attempt, and no
        // Python code runs while the reference lives.
        unsafe { &mut *self.outputs.get() }.replace(port, value, self.spec().output_flags.len())
    }

    /// Sets an output; what was set before goes away afterwards.
    #[inline]
    pub(crate) fn store(&self, port: usize, value: Bound<'_, PyAny>) {
        let py = value.py();
        let before = self.exchange(port, value.into_ptr());
        // SAFETY: an owned reference or null.
        drop(unsafe { Bound::from_owned_ptr_or_opt(py, before) });
    }

    /// Takes an output that the attempt has set.
    #[inline]
    pub(crate) fn take_output<'py>(&self, py: Python<'py>, port: usize) -> Option<Bound<'py, PyAny>> {
        // SAFETY: an owned reference or null.
        unsafe { Bound::from_owned_ptr_or_opt(py, self.exchange(port, null_mut())) }
    }

    /// An output that the attempt has set, and keeps.
    pub(crate) fn output<'py>(&self, py: Python<'py>, port: usize) -> Option<Bound<'py, PyAny>> {
        let _guard = self.lock.as_ref().map(|lock| lock.lock().unwrap_or_else(PoisonError::into_inner));
        // SAFETY: as in `exchange`; the references are owned by the frame.
        unsafe {
            let outputs = &*self.outputs.get();
            let value = match (port, &outputs.others) {
                (0, _) => outputs.first,
                (port, Some(others)) => others[port - 1],
                (_, None) => null_mut(),
            };
            Bound::from_borrowed_ptr_or_opt(py, value)
        }
    }

    /// Lets several threads and tasks reach it, whatever its operation is like.
    pub(crate) fn locked(mut self) -> Self {
        self.lock.get_or_insert_default();
        self
    }

    /// Takes what the attempt has set.
    pub(crate) fn take_outputs(&self, py: Python<'_>) -> Values {
        (0..self.spec().output_flags.len()).map(|port| self.take_output(py, port).map(Bound::unbind)).collect()
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.owned.iter().flat_map(|owned| owned.iter()).try_for_each(|value| visit.call(value))
    }
}

impl Drop for Frame {
    #[inline]
    fn drop(&mut self) {
        let outputs = self.outputs.get_mut();
        if !outputs.first.is_null() || outputs.others.is_some() {
            // Those of an attempt that failed.
            let others = outputs.others.take().into_iter().flatten();
            for value in std::iter::once(outputs.first).chain(others).filter(|value| !value.is_null()) {
                // SAFETY: an owned reference; frames end on attached threads.
                unsafe { ffi::Py_DECREF(value) };
            }
        }
    }
}

/// The frame on top of the calling thread's stack, if it is that of `operation`.
#[inline]
pub(crate) fn top_of<'f>(operation: *mut ffi::PyObject) -> Option<&'f Frame> {
    // SAFETY: as in `on_stack`.
    unsafe { stacks::top().as_ref() }.filter(|frame| frame.operation == operation)
}

/// The innermost attempt of the calling thread for which `wanted` holds.
pub(crate) fn on_stack<'f>(wanted: impl Fn(&Frame) -> bool) -> Option<&'f Frame> {
    let mut at = stacks::top();
    while !at.is_null() {
        // SAFETY: a frame on the stack of this thread is alive until its `Pushed` is dropped, which happens on this
        // thread, and not before the caller, which runs above it, returns.
        let frame = unsafe { &*at };
        if !frame.operation.is_null() && wanted(frame) {
            return Some(frame);
        }
        at = frame.below.get();
    }
    None
}

/// The context variable that names the attempt to child tasks and `to_thread`.
pub(crate) fn attempt_variable(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static VARIABLE: Kept<Py<PyAny>> = Kept::new();
    let make = || -> PyResult<Py<PyAny>> {
        let class = py.import("contextvars")?.getattr("ContextVar")?;
        Ok(class.call1(("execution_dataflow_attempt",))?.unbind())
    };
    VARIABLE.get_or_make(make).map(|variable| variable.bind(py))
}

pub(crate) fn inherited<'py>(py: Python<'py>) -> PyResult<Option<Bound<'py, Attempt>>> {
    let attempt = attempt_variable(py)?.call_method1(crate::kept::intern!(py, "get"), (py.None(),))?;
    Ok(attempt.cast_into::<Attempt>().ok().filter(|attempt| attempt.get().is_live()))
}

/// Which attempt runs here: what `current_frame` gives.
#[pyclass(frozen, get_all, name = "Frame", module = "execution_dataflow._core")]
pub(crate) struct FrameInfo {
    run: Py<PyAny>,
    node: u32,
    attempt: u32,
    operation: Py<PyAny>,
    spec: Py<NodeSpec>,
    /// Which item of a map it is: indices, that of the outermost map first; empty for a node.
    items: Py<PyTuple>,
}

fn info(py: Python<'_>, frame: &Frame) -> PyResult<FrameInfo> {
    if frame.set_aside.load(Ordering::Relaxed) {
        // Nobody waits for it any more: it is to end.
        return Err(python_errors::attempt_timed_out(py));
    }
    let (record, node, items) = frame.place(py)?;
    let task = frame.task;
    let spec = match frame.home() {
        Home::Guest(guest) => &guest.spec,
        Home::Run(run) if task.instance.is_items() => items::spec_object(run, task),
        Home::Run(run) => run.instance(task.instance).program().spec_object(task.node),
    };
    // SAFETY: the operation belongs to the program of the run, to the map that the frame is of, or to whoever runs a guest.
    let operation = unsafe { Bound::from_borrowed_ptr(py, frame.operation) };
    Ok(FrameInfo {
        run: record,
        node,
        attempt: frame.attempt,
        operation: operation.unbind(),
        spec: spec.clone_ref(py),
        items,
    })
}

/// The innermost operation that runs on this thread, or that this task or `to_thread` call belongs to.
#[pyfunction]
pub(crate) fn current_frame(py: Python<'_>) -> PyResult<Option<FrameInfo>> {
    if let Some(frame) = on_stack(|_| true) {
        return info(py, frame).map(Some);
    }
    let attempt = inherited(py)?;
    attempt.and_then(|attempt| attempt.get().frame().map(|frame| info(py, frame))).transpose()
}
