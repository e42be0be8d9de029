//! The process's pool of worker threads. Python makes the threads, so that debuggers, profilers and coverage see them.
#![allow(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

use dataflow_core::pool::Pool;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::body::PythonBody;
use crate::companion;
use crate::host::Host;
use crate::native_threads;
use crate::stacks;

/// More threads than this serve nobody.
pub(crate) const MAX_WORKERS: usize = 1024;

type Shared = Arc<Pool<PythonBody>>;

/// The pool of this process; null before the first use. A pool is never freed: the child of a fork makes its own and
/// leaves its parent's, whose threads do not exist there, alone.
static POOL: AtomicPtr<Shared> = AtomicPtr::new(std::ptr::null_mut());

/// The pool of this process.
pub(crate) fn pool() -> Shared {
    // Acquire: pairs with the release of the exchange below.
    let mut current = POOL.load(Ordering::Acquire);
    if current.is_null() {
        let fresh = Box::into_raw(Box::new(Arc::new(Pool::new(MAX_WORKERS))));
        match POOL.compare_exchange(std::ptr::null_mut(), fresh, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => current = fresh,
            Err(other) => {
                // SAFETY: `fresh` was not published.
                drop(unsafe { Box::from_raw(fresh) });
                current = other;
            }
        }
    }
    // SAFETY: published pools are never freed.
    unsafe { (*current).clone() }
}

/// The thread on which signal handlers run; 0 before anybody has said so.
static MAIN_THREAD: AtomicU64 = AtomicU64::new(0);

/// Says which thread is the one on which signal handlers run.
#[pyfunction]
pub(crate) fn note_main_thread(thread: u64) {
    // Relaxed: whoever asks is the thread itself, or another one, and gets the right answer from any value that was.
    MAIN_THREAD.store(thread, Ordering::Relaxed);
}

/// What the calling thread brings along when it works on a run.
pub(crate) fn host_of_this_thread() -> Host {
    // SAFETY: it only asks the system for the number of this thread.
    let this = unsafe { ffi::PyThread_get_thread_ident() };
    // `c_ulong`, which has 32 bits on Windows.
    #[allow(clippy::unnecessary_cast)]
    let this = this as u64;
    stacks::register();
    Host::new(this == MAIN_THREAD.load(Ordering::Relaxed))
}

/// Sets how many threads the pool shall have; gives the numbers of those to start.
#[pyfunction]
pub(crate) fn resize_pool(threads: usize) -> Vec<usize> {
    pool().resize(threads)
}

/// How many threads serve or are about to leave.
#[pyfunction]
pub(crate) fn serving_threads() -> usize {
    pool().serving()
}

/// Says that a thread could not be started.
#[pyfunction]
pub(crate) fn worker_gone(worker: usize) {
    pool().gone(worker);
}

/// Serves runs until the pool wants fewer threads: what a worker thread does.
#[pyfunction]
pub(crate) fn serve(worker: usize) {
    stacks::register();
    pool().serve(worker, &mut Host::new(false));
    // Relaxed: whoever posts is attached between this store and the exception, and so are we from here on.
    if POSTED.load(Ordering::Relaxed) {
        // SAFETY: attached. What was meant for an operation that has ended in the meantime hits nobody else.
        unsafe { ffi::PyThreadState_SetAsyncExc(ffi::PyThread_get_thread_ident() as _, std::ptr::null_mut()) };
    }
}

/// Whether an exception was ever posted to a worker.
static POSTED: AtomicBool = AtomicBool::new(false);

/// Raises an exception of a class in a thread, when it next runs Python code; `False` when there is no such thread.
#[pyfunction]
pub(crate) fn post_exception(thread: std::ffi::c_ulong, exception: Bound<'_, PyType>) -> bool {
    POSTED.store(true, Ordering::Relaxed);
    // SAFETY: attached; the callee takes a reference of its own.
    unsafe { ffi::PyThreadState_SetAsyncExc(thread as _, exception.as_ptr()) > 0 }
}

/// Called in the child of a fork: forgets the parent's threads.
#[pyfunction]
pub(crate) fn forget_pool() {
    native_threads::forget();
    companion::forget();
    stacks::forget();
    POOL.store(std::ptr::null_mut(), Ordering::Release);
}
