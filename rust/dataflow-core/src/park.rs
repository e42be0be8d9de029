//! How workers sleep and are woken, with no wake-up lost.
//!
//! # The protocol
//! A worker that finds nothing *announces* itself (sets its bit), then looks once more, then parks. Who makes work
//! *publishes* it (pushes to a queue), then looks for announced workers and wakes one. Both put a `SeqCst` fence between
//! their write and their read, so in the one order of all fences either the worker's second look comes after the
//! publication and finds the work, or the publisher's look comes after the announcement and finds the worker. Neither
//! can miss the other. A wake-up that finds nothing to do costs a look; a lost one would hang the run.
//!
//! A worker is woken by whoever clears its bit, so two publishers never wake one worker for two pieces of work: the
//! second takes the next bit. The token in [`Parker`] keeps a wake-up that comes before the sleep.
//!
//! Modelled in `tests/loom_protocols`.

use std::time::Duration;

use crate::sync::{AtomicU64, AtomicUsize, Condvar, Mutex, Ordering, fence, lock};

/// Where one thread sleeps.
#[derive(Debug, Default)]
pub struct Parker {
    token: Mutex<bool>,
    wake: Condvar,
}

impl Parker {
    /// Sleeps until [`Parker::unpark`] or until `timeout` is over; returns at once when the token is already there.
    pub fn park(&self, timeout: Option<Duration>) {
        let mut token = lock(&self.token);
        match timeout {
            None => {
                while !*token {
                    token = self.wake.wait(token).unwrap_or_else(std::sync::PoisonError::into_inner);
                }
            }
            Some(timeout) => {
                if !*token {
                    token = match self.wake.wait_timeout(token, timeout) {
                        Ok((token, _)) => token,
                        Err(poisoned) => poisoned.into_inner().0,
                    };
                }
            }
        }
        *token = false;
    }

    /// Leaves a token, and wakes the sleeper.
    pub fn unpark(&self) {
        *lock(&self.token) = true;
        self.wake.notify_one();
    }
}

/// Workers that have announced that they sleep, a bit each.
#[derive(Debug)]
pub struct Sleepers {
    announced: Box<[AtomicU64]>,
    /// How many of the words were ever used.
    used: AtomicUsize,
    parkers: Box<[Parker]>,
}

impl Sleepers {
    /// Room for `capacity` workers.
    pub fn new(capacity: usize) -> Self {
        Self {
            used: AtomicUsize::new(0),
            announced: (0..capacity.div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
            parkers: (0..capacity).map(|_| Parker::default()).collect(),
        }
    }

    /// Number of workers that fit.
    pub fn capacity(&self) -> usize {
        self.parkers.len()
    }

    /// Says that the worker is about to sleep. It must look for work once more before it parks.
    pub fn announce(&self, worker: usize) {
        self.used.fetch_max(worker / 64 + 1, Ordering::Relaxed);
        self.announced[worker / 64].fetch_or(1 << (worker % 64), Ordering::Relaxed);
        // Pairs with the fence in `wake_one`: see the protocol above.
        fence(Ordering::SeqCst);
    }

    /// Takes the announcement back (the second look found work, or the worker woke).
    pub fn retract(&self, worker: usize) {
        self.announced[worker / 64].fetch_and(!(1 << (worker % 64)), Ordering::Relaxed);
    }

    /// Sleeps until woken or until `timeout` is over.
    pub fn park(&self, worker: usize, timeout: Option<Duration>) {
        self.parkers[worker].park(timeout);
    }

    /// Wakes one announced worker; `false` when there is none. To be called after the work was published.
    pub fn wake_one(&self) -> bool {
        // Pairs with the fence in `announce`: see the protocol above.
        fence(Ordering::SeqCst);
        for (index, word) in self.announced.iter().enumerate().take(self.used.load(Ordering::Relaxed)) {
            let mut bits = word.load(Ordering::Relaxed);
            while bits != 0 {
                let bit = bits.trailing_zeros();
                let before = word.fetch_and(!(1 << bit), Ordering::Relaxed);
                if before & (1 << bit) != 0 {
                    self.parkers[index * 64 + bit as usize].unpark();
                    return true;
                }
                bits = before & !(1 << bit);
            }
        }
        false
    }

    /// Wakes the workers below a number, announced or not.
    pub fn wake_all(&self, workers: usize) {
        for word in self.announced.iter().take(workers.div_ceil(64)) {
            // A swap, since loom keeps no single order of plain stores among read-modify-writes.
            word.swap(0, Ordering::Relaxed);
        }
        for parker in self.parkers.iter().take(workers) {
            parker.unpark();
        }
    }
}
