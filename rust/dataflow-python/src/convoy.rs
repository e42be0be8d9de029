//! No convoy behind the interpreter's lock.
//!
//! A worker that comes back from native code asks for the interpreter, and CPython lets whoever has it go on for 5 ms. A
//! worker with a stream of tiny operations would make every kernel of another worker, however short, take 5 ms. So a
//! worker that goes through operations in no time gives way when one that takes long ought to have come back: it lets the
//! interpreter go and stays away until that operation has ended, or until waiting longer would cost more than it brings.
//!
//! All atomics are hints and relaxed: a wrong one costs some microseconds.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

/// How long to stay away at most: a few times what it takes to wake a thread, which is 5 µs on idle metal and 50 µs on a
/// virtual machine.
const STAY_AWAY: Duration = Duration::from_micros(150);
/// How long somebody who has taken the interpreter needs to conclude an operation and to begin with the next one. Who asks
/// for the interpreter earlier than that falls asleep.
const CONCLUDE: Duration = Duration::from_micros(15);
/// How long the next operation needs to let the interpreter go.
const BEGIN: Duration = Duration::from_micros(2);
/// The shortest time between two tries; twice as long after each one that was in vain.
const PAUSE_NANOSECONDS: u64 = 20_000;
/// When the first try is made, from the start of a run.
const FIRST_NANOSECONDS: u64 = 500_000;
const LONGEST_PAUSE: u64 = 2_000_000;

/// Workers that were woken and ask for the interpreter, and how many have got it.
static ARRIVING: AtomicU32 = AtomicU32::new(0);
static ARRIVED: AtomicU32 = AtomicU32::new(0);

/// Waits without the interpreter; who has it learns when the wait is over.
pub(crate) fn wait_detached<R: Send>(py: Python<'_>, wait: impl FnOnce() -> R + Send) -> R {
    let result = py.detach(|| {
        let result = wait();
        ARRIVING.fetch_add(1, Ordering::Relaxed);
        result
    });
    ARRIVING.fetch_sub(1, Ordering::Relaxed);
    ARRIVED.fetch_add(1, Ordering::Relaxed);
    result
}

/// The operations of one run that take long, while they run.
pub(crate) struct Convoy {
    running: AtomicU32,
    ended: AtomicU32,
    /// When the one that started last ought to end, in nanoseconds since the run began.
    due: AtomicU64,
    /// Whether the plan has operations that took long in earlier runs: a worker that joins is worth giving way to.
    has_long: bool,
}

/// One operation that takes long; dropped when it has ended and its worker has the interpreter again.
pub(crate) struct Passage<'c>(&'c Convoy);

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// When a worker may give way again.
pub(crate) struct Courtesy {
    not_before: u64,
    pause: u64,
}

impl Courtesy {
    pub(crate) fn new() -> Self {
        // A run that is shorter than this wakes a worker in vain, and need not wait for it.
        Self { not_before: FIRST_NANOSECONDS, pause: PAUSE_NANOSECONDS }
    }
}

impl Convoy {
    pub(crate) fn new(has_long: bool) -> Self {
        Self { running: AtomicU32::new(0), ended: AtomicU32::new(0), due: AtomicU64::new(0), has_long }
    }

    /// Notes an operation that starts now and ought to end at `due`.
    pub(crate) fn enter(&self, due: u64) -> Passage<'_> {
        self.due.store(due, Ordering::Relaxed);
        self.running.fetch_add(1, Ordering::Relaxed);
        Passage(self)
    }

    /// Whether somebody probably waits for the interpreter.
    #[inline]
    pub(crate) fn is_due(&self, courtesy: &Courtesy, now: u64) -> bool {
        let is_overdue = self.running.load(Ordering::Relaxed) != 0 && now >= self.due.load(Ordering::Relaxed);
        (is_overdue || self.has_long && ARRIVING.load(Ordering::Relaxed) != 0) && now >= courtesy.not_before
    }

    /// Lets the interpreter go until somebody has taken it, for a short time at most.
    #[cold]
    pub(crate) fn give_way(&self, py: Python<'_>, courtesy: &mut Courtesy, now: u64) {
        let taken = || (self.ended.load(Ordering::Relaxed), ARRIVED.load(Ordering::Relaxed));
        let before = taken();
        let is_over = || taken() != before;
        let began = Instant::now();
        py.detach(|| {
            let wait = |until: Duration, is_met: &dyn Fn() -> bool| {
                let began = Instant::now();
                while !is_met() && began.elapsed() < until {
                    std::thread::yield_now();
                }
            };
            wait(STAY_AWAY, &is_over);
            if is_over() {
                wait(CONCLUDE, &|| self.running.load(Ordering::Relaxed) != 0);
                wait(BEGIN, &|| false);
            }
        });
        courtesy.pause = if is_over() { PAUSE_NANOSECONDS } else { (courtesy.pause * 2).min(LONGEST_PAUSE) };
        courtesy.not_before = now + began.elapsed().as_nanos() as u64 + courtesy.pause;
    }
}

/// Whether there is a lock to stand in line for. Asked once: it may not change while threads run.
pub(crate) fn has_interpreter_lock(py: Python<'_>) -> bool {
    static FREE: AtomicBool = AtomicBool::new(false);
    static ASKED: AtomicBool = AtomicBool::new(false);
    if !ASKED.swap(true, Ordering::Relaxed) {
        let is_enabled = py.import("sys").and_then(|sys| sys.call_method0("_is_gil_enabled"));
        // Before CPython 3.13 there is no such function, and always a lock.
        let is_free = is_enabled.and_then(|answer| answer.is_truthy()).is_ok_and(|enabled| !enabled);
        FREE.store(is_free, Ordering::Relaxed);
    }
    !FREE.load(Ordering::Relaxed)
}
