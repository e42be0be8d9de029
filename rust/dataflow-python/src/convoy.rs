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

/// How long to stay away: a few times what it takes a thread to wake up and to take the interpreter.
const STAY_AWAY: Duration = Duration::from_micros(40);
/// The shortest time between two tries; twice as long after each one that was in vain.
const PAUSE_NANOSECONDS: u64 = 20_000;
const LONGEST_PAUSE: u64 = 2_000_000;

/// The operations of one run that take long, while they run.
#[derive(Default)]
pub(crate) struct Convoy {
    running: AtomicU32,
    ended: AtomicU32,
    /// When the one that started last ought to end, in nanoseconds since the run began.
    due: AtomicU64,
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
        Self { not_before: 0, pause: PAUSE_NANOSECONDS }
    }
}

impl Convoy {
    /// Notes an operation that starts now and ought to end at `due`.
    pub(crate) fn enter(&self, due: u64) -> Passage<'_> {
        self.due.store(due, Ordering::Relaxed);
        self.running.fetch_add(1, Ordering::Relaxed);
        Passage(self)
    }

    /// Whether somebody probably waits for the interpreter.
    #[inline]
    pub(crate) fn is_due(&self, courtesy: &Courtesy, now: u64) -> bool {
        self.running.load(Ordering::Relaxed) != 0
            && now >= courtesy.not_before
            && now >= self.due.load(Ordering::Relaxed)
    }

    /// Lets the interpreter go until an operation has ended, for a short time at most.
    #[cold]
    pub(crate) fn give_way(&self, py: Python<'_>, courtesy: &mut Courtesy, now: u64) {
        let before = self.ended.load(Ordering::Relaxed);
        let is_over = || self.ended.load(Ordering::Relaxed) != before;
        let began = Instant::now();
        py.detach(|| {
            while !is_over() && began.elapsed() < STAY_AWAY {
                std::thread::yield_now();
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
