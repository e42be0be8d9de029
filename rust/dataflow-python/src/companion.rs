//! Threads on which operations with a time limit run, each in the company of a worker that waits for it.
//!
//! A worker that begins such an operation hands its frame to a companion and waits: until the operation has ended, until
//! its time is over, or until the run was cancelled and its grace is over. Then it has an exception raised in the
//! operation (`stacks`), and where that does not help within the grace, because the operation is stuck in native code, it
//! sets the companion aside: the attempt gets its outcome from the worker, and what the companion brings later is dropped
//! there. So a worker is never lost, and the scheduler knows nothing of all this.
//!
//! The *desk* is what passes between the two. Whoever puts something on it or takes something from it holds its lock, for
//! a moment and without a call into Python: whether an operation ended in time or was set aside is decided by who comes
//! first.
#![allow(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pyo3::ffi;
use pyo3::prelude::*;

use crate::body::{CoreRun, internal_error};
use crate::call;
use crate::frame::Frame;
use crate::host::Host;
use crate::kept::intern;
use crate::stacks;

/// How long a companion waits for the next operation before its thread ends.
const IDLE: Duration = Duration::from_secs(10);

/// How often a companion looks again whose worker takes its time.
const SLACK: Duration = Duration::from_millis(100);

/// An attempt on its way through a companion.
pub(crate) struct Job {
    pub(crate) frame: Frame,
    /// The frame points into it.
    pub(crate) run: Arc<CoreRun>,
    /// How long it took, once it has ended.
    pub(crate) took: Duration,
}

type Returned = PyResult<Py<PyAny>>;

enum Slot {
    Empty,
    Given(Box<Job>),
    Running {
        frame: *const Frame,
        since: Instant,
    },
    Done(Box<Job>, Returned),
    /// The companion is left to itself, with the inputs that its operation goes on to use.
    SetAside(#[expect(dead_code, reason = "kept alive, not read")] Vec<Py<PyAny>>),
    /// The thread has left, or was never there.
    Left,
}

// SAFETY: the pointer is only followed by who holds the lock, while the job is with the companion.
unsafe impl Send for Slot {}

/// Where a worker and its companion meet.
pub(crate) struct Desk {
    slot: Mutex<Slot>,
    /// Rung for both: never more than one of them waits.
    bell: Condvar,
    /// The number of the companion's thread; 0 before it runs.
    thread: std::sync::atomic::AtomicU64,
}

/// How the operation on a desk stands.
pub(crate) enum Standing {
    NotBegun,
    Runs { since: Instant },
    Done,
}

/// How the work on a desk ended.
pub(crate) enum Outcome {
    /// With what the operation returned or raised.
    Done(Box<Job>, Returned),
    /// With the companion left to itself: the number of its thread.
    SetAside(u64),
}

impl Desk {
    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the companion something to do, unless its thread has left.
    fn give(&self, job: Box<Job>) -> Result<(), Box<Job>> {
        let mut slot = self.slot();
        if !matches!(*slot, Slot::Empty) {
            return Err(job);
        }
        *slot = Slot::Given(job);
        drop(slot);
        self.bell.notify_all();
        Ok(())
    }

    /// Waits, detached, until the operation has ended or a moment has come.
    pub(crate) fn wait(&self, until: Instant) {
        let mut slot = self.slot();
        while !matches!(*slot, Slot::Done(..)) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            slot = self.bell.wait_timeout(slot, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub(crate) fn standing(&self) -> Standing {
        match *self.slot() {
            Slot::Running { since, .. } => Standing::Runs { since },
            Slot::Done(..) => Standing::Done,
            Slot::Empty | Slot::Given(_) | Slot::SetAside(_) | Slot::Left => Standing::NotBegun,
        }
    }

    /// Calls with the frame of the operation, if it runs.
    pub(crate) fn with_running<R>(&self, call: impl FnOnce(&Frame) -> R) -> Option<R> {
        match *self.slot() {
            // SAFETY: the companion lets go of the frame only when it has had the lock.
            Slot::Running { frame, .. } => Some(call(unsafe { &*frame })),
            _ => None,
        }
    }

    /// Takes back what the companion has not begun; `false` when it has.
    fn retract(&self) -> bool {
        let mut slot = self.slot();
        let is_given = matches!(*slot, Slot::Given(_));
        let job = if is_given { Some(std::mem::replace(&mut *slot, Slot::Left)) } else { None };
        drop(slot);
        drop(job);
        is_given
    }

    /// Takes the job back with what came of it, or sets the companion aside.
    pub(crate) fn end(&self, py: Python<'_>) -> Outcome {
        let mut slot = self.slot();
        match std::mem::replace(&mut *slot, Slot::Empty) {
            Slot::Done(job, returned) => Outcome::Done(job, returned),
            Slot::Running { frame, .. } => {
                // SAFETY: as in `with_running`.
                let frame = unsafe { &*frame };
                frame.set_aside();
                *slot = Slot::SetAside(frame.inputs(py));
                Outcome::SetAside(self.thread.load(Ordering::Relaxed))
            }
            Slot::Empty | Slot::Given(_) | Slot::SetAside(_) | Slot::Left => {
                unreachable!("what was begun has not ended")
            }
        }
    }

    /// What the companion's thread waits for, detached; `None` when it is to leave.
    fn next(&self) -> Option<Box<Job>> {
        let until = Instant::now() + IDLE;
        let mut slot = self.slot();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match std::mem::replace(&mut *slot, Slot::Empty) {
                Slot::Given(job) => {
                    *slot = Slot::Running { frame: &job.frame, since: Instant::now() };
                    return Some(job);
                }
                Slot::Empty if left.is_zero() => {
                    *slot = Slot::Left;
                    return None;
                }
                Slot::Empty => {}
                // The worker has not come for it yet.
                done @ Slot::Done(..) => *slot = done,
                left @ (Slot::Running { .. } | Slot::SetAside(_) | Slot::Left) => {
                    *slot = left;
                    return None;
                }
            }
            slot = self.bell.wait_timeout(slot, left.max(SLACK)).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Puts what came of the job on the desk; gives it back when the companion was set aside.
    fn put(&self, mut job: Box<Job>, returned: Returned) -> Option<(Box<Job>, Returned)> {
        let mut slot = self.slot();
        let Slot::Running { since, .. } = *slot else { return Some((job, returned)) };
        job.took = since.elapsed();
        *slot = Slot::Done(job, returned);
        drop(slot);
        self.bell.notify_all();
        None
    }

    fn leave(&self) {
        let before = std::mem::replace(&mut *self.slot(), Slot::Left);
        drop(before);
    }
}

type Desks = Mutex<Vec<Arc<Desk>>>;

/// Companions without work, the last one that had some on top; null before the first. Never freed, as the pool.
static IDLE_DESKS: AtomicPtr<Desks> = AtomicPtr::new(std::ptr::null_mut());

fn idle_desks() -> MutexGuard<'static, Vec<Arc<Desk>>> {
    // Acquire: pairs with the release of the exchange below.
    let mut current = IDLE_DESKS.load(Ordering::Acquire);
    if current.is_null() {
        let fresh = Box::into_raw(Box::new(Desks::default()));
        match IDLE_DESKS.compare_exchange(std::ptr::null_mut(), fresh, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => current = fresh,
            Err(other) => {
                // SAFETY: `fresh` was not published.
                drop(unsafe { Box::from_raw(fresh) });
                current = other;
            }
        }
    }
    // SAFETY: published lists are never freed.
    unsafe { &*current }.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Called in the child of a fork: the threads are in the parent.
pub(crate) fn forget() {
    IDLE_DESKS.store(std::ptr::null_mut(), Ordering::Release);
}

/// Gives a job to a companion, which is started if none is free.
pub(crate) fn hire(py: Python<'_>, run: &CoreRun, mut job: Box<Job>) -> PyResult<Arc<Desk>> {
    loop {
        // Its own statement: the lock is not held while the job is given.
        let idle = idle_desks().pop();
        let Some(desk) = idle else { break };
        match desk.give(job) {
            Ok(()) => return Ok(desk),
            Err(back) => job = back,
        }
    }
    let desk = Arc::new(Desk { slot: Mutex::new(Slot::Given(job)), bell: Condvar::new(), thread: Default::default() });
    let companion = Py::new(py, Companion(desk.clone()))?;
    match run.body().hooks.bind(py).call_method1(intern!(py, "start_companion"), (companion,)) {
        Ok(_) => Ok(desk),
        Err(error) if desk.retract() => Err(error),
        // Ctrl-C came while the thread started, which it did.
        Err(error) => {
            run.body().interrupt(run, error.into_value(py));
            Ok(desk)
        }
    }
}

/// Lets a companion that has nothing to do be found by the next worker.
pub(crate) fn release(desk: Arc<Desk>) {
    idle_desks().push(desk);
}

/// Lets companions without work end.
#[pyfunction]
pub(crate) fn dismiss_companions() {
    let desks = std::mem::take(&mut *idle_desks());
    for desk in desks {
        let mut slot = desk.slot();
        if matches!(*slot, Slot::Empty) {
            *slot = Slot::Left;
        }
        drop(slot);
        desk.bell.notify_all();
    }
}

/// A thread's part of a desk.
#[pyclass(frozen, module = "execution_dataflow._core")]
pub(crate) struct Companion(Arc<Desk>);

#[pymethods]
impl Companion {
    /// Runs what it is given, until there was nothing for a while: what the thread does.
    fn serve(&self, py: Python<'_>) {
        let desk = &self.0;
        stacks::register();
        // SAFETY: it only asks the system for the number of this thread.
        #[allow(clippy::unnecessary_cast)]
        desk.thread.store(unsafe { ffi::PyThread_get_thread_ident() } as u64, Ordering::Relaxed);
        let mut host = Host::new(false);
        while let Some(job) = py.detach(|| desk.next()) {
            let caught = catch_unwind(AssertUnwindSafe(|| run(py, &job, &mut host)));
            let returned = caught.unwrap_or_else(|panic| Err(internal_error(&*panic)));
            if let Some(late) = desk.put(job, returned) {
                drop(late);
                break;
            }
        }
        idle_desks().retain(|other| !Arc::ptr_eq(other, desk));
        desk.leave();
    }
}

fn run(py: Python<'_>, job: &Job, host: &mut Host) -> Returned {
    let (frame, body) = (&job.frame, job.run.body());
    host.native_threads.follow(body.hooks.bind(py));
    host.renew_isolation(py, &body.base_context)?;
    let returned = {
        let _pushed = frame.push();
        call::call(py, frame.spec(), frame, &body.context)
    };
    let left = host.leave_isolation(py);
    let returned = returned.map(Bound::unbind);
    left.and(returned)
}
