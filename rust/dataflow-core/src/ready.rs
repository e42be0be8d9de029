//! The ready queue of one run: a deque for each seat with stealing, and an injector for tasks from elsewhere.
//!
//! A *seat* is the right to work on a run: there are as many as the run may have workers, and seat 0 belongs to the
//! thread that called `run`. A deque is made when its seat is first taken, so a small run never pays for the others.
//!
//! Nodes behind a gate (see [`Plan::gates`]) wait in a set of their own, from which whoever has nothing else takes the
//! first in the sequence.

use std::cell::Cell;
use std::sync::Arc;

use crate::deque::{Injector, Steal, Stealer, Worker};
use crate::ids::{InstanceId, NodeId};
use crate::plan::Plan;
use crate::ready_set::ReadySet;
use crate::sync::{AtomicUsize, Mutex, OnceLock, Ordering, lock};

/// A node of a plan instance.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Task {
    /// The plan instance within the run.
    pub instance: InstanceId,
    /// The node within its plan.
    pub node: NodeId,
}

#[derive(Default)]
struct Place {
    stealer: OnceLock<Stealer<Task>>,
    /// The owner's end: here while the seat is free.
    worker: Mutex<Option<Worker<Task>>>,
    /// Nodes that the seat's worker has brought to their end and not counted yet. Written by the worker alone.
    done: AtomicUsize,
}

/// The ready tasks of one run.
pub struct ReadyQueue {
    injector: Injector<Task>,
    places: Box<[Place]>,
    /// How many seats are free.
    free: AtomicUsize,
    gated: Option<Gated>,
}

/// The nodes of the root instance that are ready behind their gates.
struct Gated {
    plan: Arc<Plan>,
    ready: ReadySet,
}

/// A taken seat; dropping it frees the seat.
pub struct Seat<'q> {
    queue: &'q ReadyQueue,
    index: usize,
    /// Present until the drop.
    worker: Option<Worker<Task>>,
    gates_first: Cell<bool>,
}

impl ReadyQueue {
    /// An empty queue for at most `seats` workers at a time.
    pub fn new(seats: usize) -> Self {
        Self {
            injector: Injector::new(),
            places: (0..seats).map(|_| Place::default()).collect(),
            free: AtomicUsize::new(seats),
            gated: None,
        }
    }

    /// An empty queue for a run of a plan: its gates are kept, unless a worker alone does as well without.
    pub(crate) fn with_gates(seats: usize, plan: &Arc<Plan>) -> Self {
        let gates = if seats == 1 && plan.gates_roots_alone() { 0 } else { plan.gates().len() };
        let gated = || Gated { plan: plan.clone(), ready: ReadySet::new(gates) };
        Self { gated: (gates > 0).then(gated), ..Self::new(seats) }
    }

    /// Adds the root of that index; `false` when roots have no gates in this run.
    pub(crate) fn put_root_behind_gate(&self, index: usize, task: Task) -> bool {
        match &self.gated {
            Some(gated) if task.instance == InstanceId::ROOT => {
                gated.ready.put(gated.plan.gate(task.node).unwrap_or(index as u32));
                true
            }
            _ => false,
        }
    }

    /// Adds a task that is behind a gate and no root; `false` when it is not.
    #[inline]
    pub(crate) fn put_behind_gate(&self, task: Task) -> bool {
        let Some(gated) = &self.gated else { return false };
        if task.instance != InstanceId::ROOT {
            return false;
        }
        let Some(gate) = gated.plan.gate(task.node) else { return false };
        gated.ready.put(gate);
        true
    }

    fn take_behind_gate(&self) -> Option<Task> {
        let gated = self.gated.as_ref()?;
        let gate = gated.ready.take()?;
        Some(Task { instance: InstanceId::ROOT, node: NodeId(gated.plan.gates()[gate as usize]) })
    }

    /// Number of seats.
    pub fn seats(&self) -> usize {
        self.places.len()
    }

    /// Takes the seat if it is free.
    pub fn take_seat(&self, index: usize) -> Option<Seat<'_>> {
        let place = self.places.get(index)?;
        let mut free = lock(&place.worker);
        let worker = match free.take() {
            Some(worker) => worker,
            None if place.stealer.get().is_none() => {
                let worker = Worker::new_lifo();
                // Only who holds the lock sets it, and only once.
                let _ = place.stealer.set(worker.stealer());
                worker
            }
            None => return None,
        };
        // Relaxed: a hint that nobody acts on before a fence.
        self.free.fetch_sub(1, Ordering::Relaxed);
        Some(Seat { queue: self, index, worker: Some(worker), gates_first: Cell::new(false) })
    }

    /// Takes any free seat from `first` on.
    pub fn take_free_seat(&self, first: usize) -> Option<Seat<'_>> {
        (first..self.places.len()).find_map(|index| self.take_seat(index))
    }

    /// Number of seats that nobody has taken. Relaxed: whoever frees a seat looks for work after a fence, and whoever
    /// publishes work looks at this number after a fence, so one of them sees the other (see `Pool::notify`).
    pub fn free_seats(&self) -> usize {
        self.free.load(Ordering::Relaxed)
    }

    /// Whether a seat from `first` on is free.
    pub fn has_free_seat(&self, first: usize) -> bool {
        let mut places = self.places.iter().skip(first);
        places.any(|place| place.stealer.get().is_none() || lock(&place.worker).is_some())
    }

    /// Adds a task from a thread without a seat.
    pub fn inject(&self, task: Task) {
        self.injector.push(task);
    }

    /// Whether the injector holds a task.
    pub(crate) fn has_injected(&self) -> bool {
        !self.injector.is_empty()
    }

    /// Whether something waits in the injector or behind a gate.
    pub(crate) fn has_queued(&self) -> bool {
        self.has_injected() || self.gated.as_ref().is_some_and(|gated| gated.ready.has_any())
    }

    /// Whether there is something that another worker could take.
    pub fn has_work(&self) -> bool {
        self.has_queued() || self.stealers().any(|stealer| !stealer.is_empty())
    }

    /// Number of nodes that workers have done and not counted yet: a report, while they go on.
    pub fn done(&self) -> usize {
        self.places.iter().map(|place| place.done.load(Ordering::Relaxed)).sum()
    }

    fn stealers(&self) -> impl Iterator<Item = &Stealer<Task>> {
        self.places.iter().filter_map(|place| place.stealer.get())
    }
}

impl Seat<'_> {
    /// Which seat it is: 0 is the calling thread's.
    pub fn index(&self) -> usize {
        self.index
    }

    fn own(&self) -> &Worker<Task> {
        self.worker.as_ref().expect("a seat has its deque until it is dropped")
    }

    /// Adds a task to the seat's own deque; the last one added is the first one taken.
    #[inline]
    pub fn push(&self, task: Task) {
        self.own().push(task);
    }

    /// Whether the seat's own deque holds a task.
    pub(crate) fn has_own(&self) -> bool {
        self.queue.places[self.index].stealer.get().is_some_and(|stealer| !stealer.is_empty())
    }

    /// An injected task, whatever the seat has of its own.
    pub(crate) fn find_injected(&self) -> Option<Task> {
        let own = self.own();
        retry(|| self.queue.injector.steal_batch_and_pop(own))
    }

    /// Notes that a node has its outcome.
    #[inline]
    pub(crate) fn note_done(&self) {
        // Relaxed, and no read-modify-write: this worker alone writes it, and others only report it.
        let done = &self.queue.places[self.index].done;
        done.store(done.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// Takes the number of nodes that were noted.
    pub(crate) fn take_done(&self) -> usize {
        let done = &self.queue.places[self.index].done;
        let count = done.load(Ordering::Relaxed);
        done.store(0, Ordering::Relaxed);
        count
    }

    /// The next task: its own, injected, from behind a gate, or stolen from another seat.
    #[inline]
    pub fn find(&self) -> Option<Task> {
        self.own().pop().or_else(|| self.find_elsewhere())
    }

    /// Takes turns between the injector and the gates, so that the lanes of a map, which come back to the injector, do not
    /// keep roots waiting.
    fn find_queued(&self) -> Option<Task> {
        let gates_first = self.queue.gated.is_some() && self.gates_first.replace(!self.gates_first.get());
        let gated = gates_first.then(|| self.queue.take_behind_gate()).flatten();
        gated.or_else(|| self.find_injected()).or_else(|| self.queue.take_behind_gate())
    }

    fn find_elsewhere(&self) -> Option<Task> {
        let own = self.own();
        self.find_queued().or_else(|| {
            let others = (1..self.queue.places.len()).map(|step| (self.index + step) % self.queue.places.len());
            others
                .filter_map(|index| self.queue.places[index].stealer.get())
                .find_map(|stealer| retry(|| stealer.steal_batch_and_pop(own)))
        })
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let place = &self.queue.places[self.index];
        debug_assert_eq!(place.done.load(Ordering::Relaxed), 0, "a worker counts what it did before it leaves");
        let mut free = lock(&place.worker);
        *free = self.worker.take();
        self.queue.free.fetch_add(1, Ordering::Relaxed);
    }
}

fn retry(mut steal: impl FnMut() -> Steal<Task>) -> Option<Task> {
    loop {
        match steal() {
            Steal::Success(task) => return Some(task),
            Steal::Empty => return None,
            Steal::Retry => std::hint::spin_loop(),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn task(node: u32) -> Task {
        Task { instance: InstanceId(0), node: NodeId(node) }
    }

    #[test]
    fn a_seat_has_one_owner_at_a_time() {
        let queue = ReadyQueue::new(2);
        let first = queue.take_seat(0);
        assert!(first.is_some() && queue.take_seat(0).is_none());
        drop(first);
        assert!(queue.take_seat(0).is_some());
        assert!(queue.take_seat(2).is_none());
    }

    #[test]
    fn the_last_task_added_is_the_first_taken_and_others_may_steal() {
        let queue = ReadyQueue::new(2);
        let (mine, other) = (queue.take_seat(0).unwrap(), queue.take_seat(1).unwrap());
        (0..3).for_each(|node| mine.push(task(node)));
        assert_eq!(mine.find(), Some(task(2)));
        assert_eq!(other.find(), Some(task(0)));
        queue.inject(task(9));
        assert!(queue.has_work());
        assert_eq!(mine.find(), Some(task(1)));
        assert_eq!(mine.find(), Some(task(9)));
        assert!(mine.find().is_none() && !queue.has_work());
    }
}
