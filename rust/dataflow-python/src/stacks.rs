//! The stacks of frames of all threads, and how an operation that runs on another thread is interrupted.
//!
//! # The handshake
//! CPython raises an exception in another thread (`PyThreadState_SetAsyncExc`) when that thread next looks at its eval
//! breaker, whatever it runs by then. It must hit the operation that it is meant for, or nobody. So:
//!
//! 1. Who posts looks at the stack of frames of the thread first, and posts only while the code of an operation is on
//!    top of it and what is to be interrupted is on the stack. It notes in the frame on top what it posted.
//! 2. A frame that leaves its stack (and a run that begins within an operation, whose frame then is not on top any more)
//!    looks at that note, and takes back what was posted and not raised before anything else runs.
//! 3. A look and what follows from it must not overlap with a frame that leaves.
//!
//! With the interpreter's lock, 3 holds by itself: who looks is attached and does not let go in between, and frames come
//! and go on attached threads only. Without the lock, who looks says so (`looked_at`), puts a `SeqCst` fence, and reads
//! the top. Who leaves writes the top, puts a `SeqCst` fence, and reads `looked_at`. In the one order of all fences
//! either the look comes later and finds the frame gone, or the leaving thread sees that it is looked at and waits until
//! that is over, with its frame still there. The look ends with a release store that this wait acquires, so that the
//! note is seen. A frame that comes needs no fence: what it covers stays on the stack. Who looks takes no step at which
//! the interpreter could stop it, so the wait is short.
//!
//! One at a time posts: the registry is locked meanwhile, and a thread that ends takes itself out of it first.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dataflow_core::run::Stop;
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::body::CoreRun;
use crate::frame::Frame;
use crate::python_errors;

/// Whether threads run Python code at the same time.
const FREE_THREADED: bool = cfg!(Py_GIL_DISABLED);

/// How the top of a stack is written for those that look from another thread: with the interpreter's lock, which orders
/// everything, as cheaply as can be. Release: pairs with the acquire load in `post`.
const PUBLISH: Ordering = if FREE_THREADED { Ordering::Release } else { Ordering::Relaxed };

/// The frames of one thread.
pub(crate) struct Stack {
    top: AtomicPtr<Frame>,
    looked_at: AtomicBool,
}

thread_local! {
    static STACK: Stack = const { Stack { top: AtomicPtr::new(null_mut()), looked_at: AtomicBool::new(false) } };
    static REGISTERED: Registered = const { Registered(Cell::new(0)) };
}

/// The frame on top of the calling thread's stack, or null.
#[inline]
pub(crate) fn top() -> *const Frame {
    STACK.with(|stack| stack.top.load(Ordering::Relaxed))
}

/// Puts a frame on top; gives the one that was.
#[inline]
pub(crate) fn cover(frame: &Frame, below: &Cell<*const Frame>) {
    STACK.with(|stack| {
        below.set(stack.top.load(Ordering::Relaxed));
        stack.top.store(std::ptr::from_ref(frame).cast_mut(), PUBLISH);
    });
}

/// Takes the frame on top away. Afterwards nobody looks at it any more.
#[inline]
pub(crate) fn uncover(below: *const Frame) {
    STACK.with(|stack| {
        stack.top.store(below.cast_mut(), PUBLISH);
        if FREE_THREADED {
            // Pairs with the fence in `post`: the handshake above.
            fence(Ordering::SeqCst);
            while stack.looked_at.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
        }
    });
}

struct Thread {
    ident: std::ffi::c_ulong,
    stack: *const Stack,
}

// SAFETY: the stack is a thread-local without a destructor; the thread takes the entry out before its memory goes.
unsafe impl Send for Thread {}

type Threads = Mutex<Vec<Thread>>;

/// The threads that may have frames; null before the first. Never freed: in the child of a fork its lock may be taken by
/// a thread that does not exist there.
static THREADS: AtomicPtr<Threads> = AtomicPtr::new(null_mut());
/// How often the process has forked, and 1: a thread knows by it whether it is registered here.
static GENERATION: AtomicU32 = AtomicU32::new(1);

fn threads() -> MutexGuard<'static, Vec<Thread>> {
    // Acquire: pairs with the release of the exchange below.
    let mut current = THREADS.load(Ordering::Acquire);
    if current.is_null() {
        let fresh = Box::into_raw(Box::new(Threads::default()));
        match THREADS.compare_exchange(null_mut(), fresh, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => current = fresh,
            Err(other) => {
                // SAFETY: `fresh` was not published.
                drop(unsafe { Box::from_raw(fresh) });
                current = other;
            }
        }
    }
    // SAFETY: published registries are never freed.
    unsafe { &*current }.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The generation in which the thread was registered, 0 for none; dropped when the thread ends.
struct Registered(Cell<u32>);

impl Drop for Registered {
    fn drop(&mut self) {
        if self.0.get() == GENERATION.load(Ordering::Relaxed) {
            let own = STACK.with(std::ptr::from_ref);
            threads().retain(|thread| !std::ptr::eq(thread.stack, own));
        }
    }
}

/// Lets the operations of this thread be interrupted; to be called before they begin.
#[inline]
pub(crate) fn register() {
    // Relaxed: only a fork changes it, when there is one thread.
    let generation = GENERATION.load(Ordering::Relaxed);
    // A thread that is about to end has no operations any more.
    let _ = REGISTERED.try_with(|registered| {
        if registered.0.replace(generation) != generation {
            // SAFETY: it only asks the system for the number of this thread.
            let ident = unsafe { ffi::PyThread_get_thread_ident() };
            threads().push(Thread { ident: ident as _, stack: STACK.with(std::ptr::from_ref) });
        }
    });
}

/// Called in the child of a fork: the other threads are in the parent. The calling one, which may be in the middle of an
/// operation, is registered again.
pub(crate) fn forget() {
    THREADS.store(null_mut(), Ordering::Release);
    GENERATION.fetch_add(1, Ordering::Relaxed);
    if !top().is_null() {
        register();
    }
}

/// How many runs that wait for one another are ended in one go; the next go ends more.
const MOST_NESTED: usize = 1000;

/// What is to be interrupted.
pub(crate) enum Target {
    /// Every operation of a run, but those that always run.
    Run(*const CoreRun),
    /// One attempt.
    Frame(*const Frame),
}

/// What was found of it.
#[derive(Default)]
pub(crate) struct Found {
    /// On how many threads it runs.
    pub(crate) threads: usize,
    /// The runs that it has begun and waits for, in the place of which nothing was posted.
    pub(crate) waits_for: Vec<Arc<CoreRun>>,
}

impl Found {
    /// Ends the runs in the place of which nothing was posted, and interrupts their operations at once: they raise what
    /// ended them in the operation that has begun them.
    pub(crate) fn interrupt_begun(mut self, py: Python<'_>) -> PyResult<()> {
        let (own, outer) = (python_errors::cancelled_class(py)?, python_errors::outer_class(py)?);
        // Runs wait for others that began later, so this comes to an end; no deeper than a stack of frames could be.
        for _ in 0..MOST_NESTED {
            let Some(run) = self.waits_for.pop() else { break };
            if run.stopped() != Some(Stop::Cancellation) {
                run.body().interrupt(&run, PyErr::from_value(outer.call0()?).into_value(py));
            }
            self.waits_for.extend(post(&Target::Run(Arc::as_ptr(&run)), own, outer).waits_for);
        }
        Ok(())
    }
}

/// Raises an exception in the code of what is to be interrupted, on whatever threads it runs: one of class `own`, or one
/// of class `outer` where the code on top is an operation of another run, which it has begun.
pub(crate) fn post(target: &Target, own: &Bound<'_, PyType>, outer: &Bound<'_, PyType>) -> Found {
    let mut found = Found::default();
    // Nothing between here and the end may let the interpreter go.
    for thread in threads().iter() {
        // SAFETY: the thread takes its entry out, under the lock that is held, before its memory goes.
        let stack = unsafe { &*thread.stack };
        if FREE_THREADED {
            stack.looked_at.store(true, Ordering::Relaxed);
            // Pairs with the fence in `uncover`: the handshake above.
            fence(Ordering::SeqCst);
        }
        // Acquire: pairs with the publication in `cover`.
        let top = stack.top.load(Ordering::Acquire);
        // SAFETY: frames on the stack stay there while it is looked at, and with them all that is below.
        let frames = std::iter::successors(unsafe { top.as_ref() }, |frame| unsafe { frame.below().as_ref() });
        let is_meant = |frame: &Frame| match *target {
            Target::Run(run) => frame.stops_with(run),
            Target::Frame(meant) => std::ptr::eq(frame, meant),
        };
        let mut frames = frames.peekable();
        if let Some(&first) = frames.peek()
            && frames.any(is_meant)
        {
            found.threads += 1;
            match first.begun_run() {
                Some(run) => found.waits_for.push(run),
                None => {
                    let class = if is_meant(first) { own } else { outer };
                    first.note_posted(class.as_ptr());
                    // SAFETY: attached; the callee takes a reference of its own, and lets that of a class go, which
                    // lives as long as the module that defines it.
                    unsafe { ffi::PyThreadState_SetAsyncExc(thread.ident as _, class.as_ptr()) };
                }
            }
        }
        if FREE_THREADED {
            // Pairs with the acquire load in `uncover`.
            stack.looked_at.store(false, Ordering::Release);
        }
    }
    found
}

/// Takes back what was posted to the calling thread and not raised yet.
///
/// By having it raised, in a function that does nothing: to post null in its place would leave the interpreter of
/// CPython 3.11 and 3.12 with the belief that something is posted, and slow for ever.
#[cold]
pub(crate) fn take_back() {
    // SAFETY: called where frames leave the stack, or where a run begins: attached.
    let py = unsafe { Python::assume_attached() };
    let Err(error) = python_errors::absorb(py).and_then(|absorb| absorb.call0()) else { return };
    if error.is_instance_of::<PyKeyboardInterrupt>(py) {
        // A signal came at this moment: it is for whoever runs next.
        // SAFETY: it only sets a flag.
        unsafe { ffi::PyErr_SetInterrupt() };
    } else if !python_errors::is_attempt_cancelled(py, &error) {
        error.write_unraisable(py, None);
    }
}

/// What was posted to the operation that calls us, in the place of which it is to be raised here and now: it would reach
/// code that it is not meant for.
#[inline]
pub(crate) fn take_posted(py: Python<'_>) -> Option<PyErr> {
    // SAFETY: the frame on top of the calling thread's stack is alive.
    let frame = unsafe { top().as_ref() }?;
    let class = frame.take_posted()?;
    take_back();
    // SAFETY: exception classes that are posted live as long as the module that defines them.
    let class = unsafe { Bound::from_borrowed_ptr(py, class) };
    Some(class.cast_into::<PyType>().map_or_else(PyErr::from, |class| PyErr::from_type(class, ())))
}

/// What stands on the thread's stack for a run that an operation begins or waits for there. An exception that was posted
/// to the operation is raised now: the run is not to start.
pub(crate) fn begun_here(py: Python<'_>, core: &Arc<CoreRun>) -> PyResult<Option<Frame>> {
    match take_posted(py) {
        Some(error) => Err(error),
        None => Ok((!top().is_null()).then(|| Frame::of_begun_run(core))),
    }
}
