//! The state of one node in one word, with the number of its attempt: the attempt token of rules R1 and R5.
//!
//! Whoever wants to end an attempt (the worker that ran it, an event loop, a timer, a cancellation) must win one
//! compare-and-swap from `Running` with that attempt's number. One wins; what the others bring is stale.

use crate::sync::{AtomicU32, Ordering};

/// States of an operation, the numbers of which the Python package shares.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum State {
    /// Some predecessor has no outcome yet.
    Pending = 0,
    /// Waits for a worker.
    Ready = 1,
    /// An attempt is live.
    Running = 2,
    /// Waits for its next attempt.
    Retrying = 3,
    /// Its outputs are committed.
    Succeeded = 4,
    /// Its outputs came from a checkpoint.
    Restored = 5,
    /// Its last attempt failed.
    Failed = 6,
    /// Something that it needs failed.
    UpstreamFailed = 7,
    /// Something that it needs was not taken.
    Skipped = 8,
    /// The run stopped before it started.
    Cancelled = 9,
}

impl State {
    /// All states, by number.
    pub const ALL: [State; 10] = [
        State::Pending,
        State::Ready,
        State::Running,
        State::Retrying,
        State::Succeeded,
        State::Restored,
        State::Failed,
        State::UpstreamFailed,
        State::Skipped,
        State::Cancelled,
    ];

    /// Its name, as Python has it.
    pub const fn name(self) -> &'static str {
        match self {
            State::Pending => "PENDING",
            State::Ready => "READY",
            State::Running => "RUNNING",
            State::Retrying => "RETRYING",
            State::Succeeded => "SUCCEEDED",
            State::Restored => "RESTORED",
            State::Failed => "FAILED",
            State::UpstreamFailed => "UPSTREAM_FAILED",
            State::Skipped => "SKIPPED",
            State::Cancelled => "CANCELLED",
        }
    }

    /// Whether nothing follows it.
    pub const fn is_final(self) -> bool {
        self as u8 >= State::Succeeded as u8
    }

    /// Whether a run with such a node was not successful.
    pub const fn is_failure(self) -> bool {
        matches!(self, State::Failed | State::UpstreamFailed | State::Cancelled)
    }

    /// Whether a node may go from this state to `next` (rule R5, the one table).
    pub const fn may_become(self, next: State) -> bool {
        use State::*;
        match self {
            Pending => matches!(next, Ready | Restored | UpstreamFailed | Skipped | Cancelled),
            Ready => matches!(next, Running | Cancelled),
            Running => matches!(next, Succeeded | Failed | Retrying | Cancelled),
            Retrying => matches!(next, Running | Failed | Cancelled),
            Succeeded | Restored | Failed | UpstreamFailed | Skipped | Cancelled => false,
        }
    }
}

const STATE_BITS: u32 = 4;
const STATE_MASK: u32 = (1 << STATE_BITS) - 1;
/// Attempts are counted from 1; a node that never started has attempt 0.
pub const MAX_ATTEMPT: u32 = u32::MAX >> STATE_BITS;

/// State and attempt number of one node.
#[derive(Debug)]
pub struct Status(AtomicU32);

impl Default for Status {
    fn default() -> Self {
        Self(AtomicU32::new(pack(State::Pending, 0)))
    }
}

const fn pack(state: State, attempt: u32) -> u32 {
    attempt << STATE_BITS | state as u32
}

const fn unpack(word: u32) -> (State, u32) {
    (State::ALL[(word & STATE_MASK) as usize], word >> STATE_BITS)
}

impl Status {
    /// State and attempt. Relaxed: a look from outside; data that hangs on it is ordered by the pending counters, by the
    /// slots' shares or by the end of the run.
    #[inline]
    pub fn load(&self) -> (State, u32) {
        unpack(self.0.load(Ordering::Relaxed))
    }

    /// Sets the state of a node that only the caller can reach: the one that brought its pending counter to zero, or the
    /// one that popped it from a queue. Relaxed: the queue or the delivery publishes it.
    #[inline]
    pub fn set(&self, next: State) {
        let word = self.0.load(Ordering::Relaxed);
        debug_assert!(unpack(word).0.may_become(next), "{:?} -> {next:?}", unpack(word).0);
        self.0.store(word & !STATE_MASK | next as u32, Ordering::Relaxed);
    }

    /// Starts the next attempt of a node that the caller popped from a queue; gives its number.
    #[inline]
    pub fn begin(&self) -> u32 {
        let word = self.0.load(Ordering::Relaxed);
        debug_assert!(unpack(word).0.may_become(State::Running), "{:?} -> Running", unpack(word).0);
        let attempt = (word >> STATE_BITS) + 1;
        self.0.store(pack(State::Running, attempt), Ordering::Relaxed);
        attempt
    }

    /// Ends the live attempt with that number: `true` for the one caller that wins.
    ///
    /// AcqRel: the winner sees what the attempt wrote before it was handed over, and a loser that acts on its loss sees
    /// the winner's claim. Modelled in `tests/loom_protocols`.
    pub fn claim(&self, attempt: u32, next: State) -> bool {
        debug_assert!(State::Running.may_become(next));
        let (from, to) = (pack(State::Running, attempt), pack(next, attempt));
        self.0.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Takes back an attempt that nobody has begun: it does not count. `true` for the one caller that wins. AcqRel: as
    /// [`Status::claim`].
    pub fn withdraw(&self, attempt: u32, next: State) -> bool {
        debug_assert!(attempt > 0 && if attempt > 1 { State::Retrying } else { State::Ready }.may_become(next));
        let (from, to) = (pack(State::Running, attempt), pack(next, attempt - 1));
        self.0.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// As [`Status::claim`] for an attempt that only the caller can end: it runs on the caller's thread, and nobody else
    /// knows of it. Relaxed: the delivery publishes it.
    pub fn claim_own(&self, attempt: u32, next: State) {
        debug_assert!(State::Running.may_become(next));
        debug_assert_eq!(self.load(), (State::Running, attempt));
        self.0.store(pack(next, attempt), Ordering::Relaxed);
    }

    /// Ends the wait for a retry: `true` for the one caller that wins.
    pub fn claim_waiting(&self, attempt: u32, next: State) -> bool {
        debug_assert!(State::Retrying.may_become(next));
        let (from, to) = (pack(State::Retrying, attempt), pack(next, attempt));
        self.0.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_final_state_has_no_way_out() {
        for state in State::ALL {
            assert_eq!(state.is_final(), State::ALL.iter().all(|next| !state.may_become(*next)), "{state:?}");
        }
    }

    #[test]
    fn an_attempt_ends_once() {
        let status = Status::default();
        status.set(State::Ready);
        assert_eq!(status.begin(), 1);
        assert!(status.claim(1, State::Retrying));
        assert!(!status.claim(1, State::Succeeded));
        assert_eq!(status.begin(), 2);
        assert!(!status.claim(1, State::Succeeded), "the first attempt is stale");
        assert!(status.claim(2, State::Succeeded));
        assert_eq!(status.load(), (State::Succeeded, 2));
    }

    #[test]
    fn an_attempt_that_is_taken_back_does_not_count() {
        let status = Status::default();
        status.set(State::Ready);
        assert_eq!(status.begin(), 1);
        assert!(status.withdraw(1, State::Cancelled));
        assert_eq!(status.load(), (State::Cancelled, 0));
        assert!(!status.claim(1, State::Succeeded) && !status.withdraw(1, State::Cancelled));
    }
}
