//! The workers of a process and the runs that they serve.
//!
//! There is one pool of threads for all runs. The thread that calls [`Pool::drive`] works on its own run in seat 0 and on
//! nothing else, so a nested run never waits for a thread; the pool's threads go wherever there is work and a free seat.
//! How they sleep and wake is argued in [`crate::park`]; the caller of a run follows the same protocol with one flag.

use std::sync::Arc;
use std::time::Duration;

use crate::body::Body;
use crate::park::{Parker, Sleepers};
use crate::run::Run;
use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Condvar, Mutex, Ordering, fence, lock};

/// The thread that drives a run, and those that wait for its end.
#[derive(Default)]
pub(crate) struct Caller {
    asleep: AtomicBool,
    parker: Parker,
    finished: Mutex<bool>,
    ended: Condvar,
    calls: Calls,
}

/// How many workers were called to a run and have not come, and how far the run was then. Relaxed throughout: who calls
/// does so before it wakes anybody, and a call that is missed is met by the next look; the rest are hints.
#[derive(Default)]
struct Calls {
    open: AtomicUsize,
    done: AtomicUsize,
    time: AtomicU64,
}

impl Calls {
    fn add<B: Body>(&self, run: &Run<B>, workers: usize) {
        let seen = Seen::of(run);
        self.done.store(seen.done, Ordering::Relaxed);
        self.time.store(seen.time, Ordering::Relaxed);
        self.open.fetch_max(workers, Ordering::Relaxed);
    }

    /// What the run was like when a worker was called that has not come.
    fn last(&self) -> Option<Seen> {
        (self.open.load(Ordering::Relaxed) > 0)
            .then(|| Seen { done: self.done.load(Ordering::Relaxed), time: self.time.load(Ordering::Relaxed) })
    }

    /// Counts a worker that has come.
    fn answer(&self) {
        let _ = self.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |calls| calls.checked_sub(1));
    }
}

/// How far a run is, and when.
#[derive(Copy, Clone)]
struct Seen {
    done: usize,
    time: u64,
}

impl Seen {
    fn of<B: Body>(run: &Run<B>) -> Self {
        Self { done: run.queue.done(), time: run.now() }
    }

    /// Whether those at work have got through their nodes quickly since `before`.
    fn gets_on_since(self, before: Self) -> bool {
        let done = self.done.abs_diff(before.done) as u64;
        self.time.saturating_sub(before.time) < done.saturating_mul(SHORT_NANOSECONDS)
    }
}

impl Caller {
    fn announce(&self) {
        self.asleep.store(true, Ordering::Relaxed);
        // Pairs with the fence in `Pool::notify` and in `finish`: the protocol of `park`.
        fence(Ordering::SeqCst);
    }

    /// Wakes the driving thread if it sleeps.
    fn wake(&self) -> bool {
        let woken = self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::Relaxed);
        if woken {
            self.parker.unpark();
        }
        woken
    }

    pub(crate) fn finish(&self) {
        // Pairs with the fence in `announce`: the store to the run's `finished` comes before, its look after.
        fence(Ordering::SeqCst);
        self.wake();
        *lock(&self.finished) = true;
        self.ended.notify_all();
    }

    pub(crate) fn wait_finished(&self, timeout: Option<Duration>) -> bool {
        let mut finished = lock(&self.finished);
        // A moment that the clock cannot express never comes.
        match timeout.and_then(|timeout| std::time::Instant::now().checked_add(timeout)) {
            None => {
                while !*finished {
                    finished = self.ended.wait(finished).unwrap_or_else(std::sync::PoisonError::into_inner);
                }
            }
            Some(deadline) => {
                while !*finished {
                    let left = deadline.saturating_duration_since(std::time::Instant::now());
                    if left.is_zero() {
                        break;
                    }
                    finished = match self.ended.wait_timeout(finished, left) {
                        Ok((finished, _)) => finished,
                        Err(poisoned) => poisoned.into_inner().0,
                    };
                }
            }
        }
        *finished
    }
}

/// How long a thread that helps a run naps when it finds nothing to do: short beside what a person notices.
const HELPER_NAP: Duration = Duration::from_millis(5);

/// How long an idle worker naps before it looks for work that it was not called for: a worker that expects to be through
/// with its tasks in no time calls nobody, and may be wrong. Twice as long after each look in vain.
struct Patience {
    next_nap: Duration,
    /// The run that it looked at last, by its address.
    seen: Option<(usize, Seen)>,
}

/// Of nodes that take less a second worker makes nothing faster where workers take turns: a few times what it costs to
/// wake a thread and to hand it the interpreter.
pub const SHORT_NANOSECONDS: u64 = 5_000;

/// Short beside what a person notices, long beside what a wake-up costs.
const SHORTEST_NAP: Duration = Duration::from_millis(5);
/// The first nap of a worker that comes only when it is called or others do not get on: it may be the first to learn of a
/// long node, and its looks cost those at work nothing.
const WATCH_NAP: Duration = Duration::from_micros(200);
/// An idle worker of a run that goes on costs ten looks a second.
const LONGEST_NAP: Duration = Duration::from_millis(100);

impl Default for Patience {
    fn default() -> Self {
        Self { next_nap: SHORTEST_NAP, seen: None }
    }
}

impl Patience {
    /// That of a worker thread.
    fn of_worker<B: Body>() -> Self {
        let next_nap = if B::SPREADS { SHORTEST_NAP } else { WATCH_NAP };
        Self { next_nap, seen: None }
    }

    fn nap(&mut self) -> Duration {
        let nap = self.next_nap;
        self.next_nap = (nap * 2).min(LONGEST_NAP);
        nap
    }

    /// Whether those at work on a run get on with it; a run that was not looked at before has that to its credit.
    fn sees_progress<B: Body>(&mut self, run: &Run<B>) -> bool {
        let (address, now) = (std::ptr::from_ref(run).addr(), Seen::of(run));
        let Some((_, before)) = self.seen.filter(|(seen, _)| *seen == address) else {
            *self = Self { seen: Some((address, now)), ..Self::of_worker::<B>() };
            return true;
        };
        if now.gets_on_since(before) {
            self.seen = Some((address, now));
            return true;
        }
        // Two looks in a row say nothing.
        u128::from(now.time.saturating_sub(before.time)) < WATCH_NAP.as_nanos() / 2
    }
}

/// Worker threads and active runs.
pub struct Pool<B: Body> {
    active: Mutex<Vec<Arc<Run<B>>>>,
    sleepers: Sleepers,
    /// Threads with this number or a higher one leave.
    wanted: AtomicUsize,
    /// Which numbers have a thread.
    serving: Mutex<Vec<bool>>,
}

impl<B: Body> Pool<B> {
    /// A pool without threads, for at most `capacity` of them.
    pub fn new(capacity: usize) -> Self {
        Self {
            active: Mutex::new(Vec::new()),
            sleepers: Sleepers::new(capacity),
            wanted: AtomicUsize::new(0),
            serving: Mutex::new(vec![false; capacity]),
        }
    }

    /// Sets how many threads the pool shall have, and gives the numbers of those that the caller must start: each has to
    /// call [`Pool::serve`], or [`Pool::gone`] if it could not be started.
    pub fn resize(&self, threads: usize) -> Vec<usize> {
        let threads = threads.min(self.sleepers.capacity());
        let mut serving = lock(&self.serving);
        self.wanted.store(threads, Ordering::SeqCst);
        let missing: Vec<usize> = (0..threads).filter(|&worker| !serving[worker]).collect();
        missing.iter().for_each(|&worker| serving[worker] = true);
        // The capacity is far above the number of threads that there ever are.
        let served = serving.iter().rposition(|&serves| serves).map_or(0, |last| last + 1);
        drop(serving);
        if served > threads {
            self.sleepers.wake_all(served);
        }
        missing
    }

    /// Number of threads that the pool shall have.
    pub fn wanted(&self) -> usize {
        self.wanted.load(Ordering::SeqCst)
    }

    /// Number of threads that serve, or were told to and are on their way out.
    pub fn serving(&self) -> usize {
        lock(&self.serving).iter().filter(|&&serves| serves).count()
    }

    /// Says that the thread with this number does not serve.
    pub fn gone(&self, worker: usize) {
        lock(&self.serving)[worker] = false;
    }

    /// Serves runs until the pool wants fewer threads.
    pub fn serve(&self, worker: usize, host: &mut B::Host) {
        let mut patience = Patience::of_worker::<B>();
        loop {
            if self.may_leave(worker) {
                // It may have been woken for work that it now leaves behind.
                self.sleepers.wake_one();
                return;
            }
            if self.join_a_run(host, &mut patience) {
                patience = Patience::of_worker::<B>();
                continue;
            }
            let wait = self.announce_and_look(worker, &mut patience);
            if wait != Some(Duration::ZERO) {
                // Looks, and naps between them, without what workers share: those at work must not wait for that.
                B::blocking(host, || self.sleep(worker, wait, &mut patience));
            }
            self.sleepers.retract(worker);
        }
    }

    /// Announces a sleeper, and takes the second look of the protocol: what was published before is seen here. Gives how
    /// long it may sleep.
    fn announce_and_look(&self, worker: usize, patience: &mut Patience) -> Option<Duration> {
        self.sleepers.announce(worker);
        if worker >= self.wanted() { Some(Duration::ZERO) } else { self.wait_for_work(patience) }
    }

    /// Sleeps until there is something to do.
    fn sleep(&self, worker: usize, mut wait: Option<Duration>, patience: &mut Patience) {
        while wait != Some(Duration::ZERO) {
            self.sleepers.park(worker, wait);
            wait = self.announce_and_look(worker, patience);
        }
    }

    fn may_leave(&self, worker: usize) -> bool {
        if worker < self.wanted() {
            return false;
        }
        // Under the lock that `resize` holds: either it sees that this number is free, or we see that it is wanted.
        let mut serving = lock(&self.serving);
        let leaves = worker >= self.wanted();
        if leaves {
            serving[worker] = false;
        }
        leaves
    }

    /// Works for the first run that has something to do and a seat; `false` when there is none.
    fn join_a_run(&self, host: &mut B::Host, patience: &mut Patience) -> bool {
        loop {
            // One run at a time: a worker that is busy for long must not keep the values of another run that ends.
            let found = lock(&self.active).iter().find(|run| self.can_help(run, patience)).cloned();
            let Some(run) = found else { return false };
            // Without a seat somebody else was faster, and the next look counts that.
            let Some(seat) = run.queue.take_free_seat(run.first_free_seat()) else { continue };
            run.caller.calls.answer();
            run.body().joins(seat.index(), host);
            run.work(&seat, host);
            run.body().leaves(host);
            drop(seat);
            // Work and timers that came while every seat was taken have found nobody to call: those that looked went to
            // sleep. This worker may go elsewhere now, so it calls one of them. The fence stands between the freeing of
            // the seat and this look; its partner is the one in `notify`, between a publication and its look at the
            // seats.
            fence(Ordering::SeqCst);
            if run.queue.has_work() || run.timers.earliest() != u64::MAX {
                self.notify(&run, 1);
            }
            return true;
        }
    }

    /// Calls somebody to wait for the timers in the place of a worker that has found something to do.
    pub(crate) fn hand_over_timers(&self) {
        if lock(&self.active).iter().any(|run| run.timers.earliest() != u64::MAX) {
            self.sleepers.wake_one();
        }
    }

    fn can_help(&self, run: &Run<B>, patience: &mut Patience) -> bool {
        if !run.queue.has_free_seat(run.first_free_seat()) {
            return false;
        }
        run.timers.earliest() <= run.now() || run.queue.has_work() && self.is_wanted(run, patience)
    }

    /// Whether a run that has work gains from one more worker. What is ready belongs to a worker that comes to it, as long
    /// as one is at work; that it gets on is looked at from time to time.
    fn is_wanted(&self, run: &Run<B>, patience: &mut Patience) -> bool {
        B::SPREADS
            || run.queue.free_seats() == run.queue.seats()
            || run.caller.calls.last().is_some_and(|call| !Seen::of(run).gets_on_since(call))
            || !patience.sees_progress(run)
    }

    /// How long there will be nothing to do: zero for something now, `None` until somebody wakes us.
    fn wait_for_work(&self, patience: &mut Patience) -> Option<Duration> {
        let active = lock(&self.active);
        if active.is_empty() {
            return None;
        }
        let mut wait = patience.nap();
        for run in active.iter() {
            if self.can_help(run, patience) {
                return Some(Duration::ZERO);
            }
            let due = run.timers.earliest();
            if due != u64::MAX && run.queue.has_free_seat(run.first_free_seat()) {
                wait = wait.min(Duration::from_nanos(due.saturating_sub(run.now())));
            }
        }
        Some(wait)
    }

    /// Runs on the calling thread, with the pool's threads in the other seats, until every node has an outcome.
    pub fn drive(&self, run: &Arc<Run<B>>, host: &mut B::Host) {
        let seat = run.queue.take_seat(0).expect("a run is driven by the one thread that made it");
        if run.queue.seats() > 1 {
            lock(&self.active).push(run.clone());
        }
        run.seed(Some(&seat));
        let mut patience = Patience::default();
        loop {
            if run.work(&seat, host) {
                patience = Patience::default();
            }
            if run.is_finished() {
                return;
            }
            // Alone, it is called for whatever comes.
            let nap = (run.queue.seats() > 1).then(|| patience.nap());
            run.caller.announce();
            // The second look of the protocol.
            let due = run.timers.earliest().saturating_sub(run.now());
            if !run.is_finished() && !run.queue.has_work() && due > 0 {
                let until_due = (due < u64::MAX / 2).then(|| Duration::from_nanos(due));
                let slice = run.body().longest_wait(host);
                let wait = [until_due, slice, nap].into_iter().flatten().min();
                B::blocking(host, || run.caller.parker.park(wait));
            }
            run.caller.asleep.store(false, Ordering::Relaxed);
            run.body().between(run, host, run.now());
        }
    }

    /// Works on a submitted run until it has finished, in whatever seat is free: for a worker that would otherwise block
    /// its thread on it. Without a free seat others are at work, and it looks again soon.
    pub fn help(&self, run: &Arc<Run<B>>, host: &mut B::Host) {
        while !run.is_finished() {
            // A seat is taken only for work: those that publish call nobody while every seat is taken.
            let has_work = run.queue.has_work() || run.timers.earliest() <= run.now();
            match has_work.then(|| run.queue.take_free_seat(run.first_free_seat())).flatten() {
                Some(seat) => {
                    run.work(&seat, host);
                }
                None => {
                    B::blocking(host, || run.wait(Some(HELPER_NAP)));
                    run.body().between(run, host, run.now());
                }
            }
        }
    }

    /// Hands the run to the pool's threads, of which there must be at least one.
    pub fn submit(&self, run: &Arc<Run<B>>) {
        lock(&self.active).push(run.clone());
        run.seed(None);
    }

    pub(crate) fn retire(&self, run: &Run<B>) {
        lock(&self.active).retain(|other| !std::ptr::eq(Arc::as_ptr(other), run));
    }

    /// Calls up to `tasks` sleepers for tasks of `run` that were just published.
    pub(crate) fn notify(&self, run: &Run<B>, tasks: usize) {
        // Pairs with the fences in `Caller::announce`, `Sleepers::announce` and `join_a_run`.
        fence(Ordering::SeqCst);
        // Bounded, since those that wake early may announce themselves again before the last one is called.
        let mut left = tasks.min(self.sleepers.capacity() + 1) - usize::from(run.caller.wake());
        if run.queue.free_seats() > 0 && left > 0 {
            // Before the wake-ups: whoever is woken finds its call. One that nobody was there for stays for whoever is about
            // to sleep, should the look at the sleepers have come just before its announcement.
            run.caller.calls.add(run, left);
            while left > 0 && self.sleepers.wake_one() {
                left -= 1;
            }
        }
    }

    /// Calls workers to the roots of a run. The owner of a seat comes to its own itself. But somebody has to be awake, or to
    /// look from time to time, from the start: the first task may be one that takes long for once.
    pub(crate) fn call_to_roots(&self, run: &Run<B>, roots: usize, have_owner: bool) {
        let several = run.queue.seats() > 1;
        let called = match (have_owner, B::SPREADS) {
            (false, true) => roots,
            (false, false) => roots.min(1),
            (true, true) => roots.min(usize::from(several)),
            (true, false) => 0,
        };
        run.notify(called);
        if several && !B::SPREADS {
            self.sleepers.wake_one();
        }
    }
}
