//! Tasks that wait for a moment: retries with a delay. Nobody sleeps for them: workers look at the earliest moment
//! between two nodes and when they park.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::ids::{InstanceId, NodeId};
use crate::ready::Task;
use crate::sync::{AtomicU64, Mutex, Ordering, lock};

/// One task that waits.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Waiting {
    /// When it is due, in nanoseconds since the run began.
    pub due: u64,
    /// What waits.
    pub task: Task,
    /// The attempt that failed; the next one is live when it wakes. 0 for a moment at which the body wants to look at its
    /// limits.
    pub attempt: u32,
}

impl Waiting {
    /// Nothing that waits for an attempt: a moment at which the body looks again at what it holds back.
    pub(crate) fn look(due: u64) -> Self {
        Self { due, task: Task { instance: InstanceId::ROOT, node: NodeId(0) }, attempt: 0 }
    }

    pub(crate) fn is_look(&self) -> bool {
        self.attempt == 0
    }
}

struct Heap {
    waiting: BinaryHeap<Reverse<Waiting>>,
    closed: bool,
}

/// The tasks of one run that wait.
pub struct Timers {
    heap: Mutex<Heap>,
    earliest: AtomicU64,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            heap: Mutex::new(Heap { waiting: BinaryHeap::new(), closed: false }),
            earliest: AtomicU64::new(u64::MAX),
        }
    }
}

impl Timers {
    /// Lets a task wait; `false` when the run has stopped, in which case the caller ends the task itself, unless it is to
    /// wait even then.
    #[must_use]
    pub fn add(&self, waiting: Waiting, even_when_closed: bool) -> bool {
        let mut heap = lock(&self.heap);
        if heap.closed && !even_when_closed {
            return false;
        }
        heap.waiting.push(Reverse(waiting));
        self.note_earliest(&heap);
        true
    }

    /// The earliest moment, `u64::MAX` when nothing waits. Relaxed: who adds a timer also wakes a sleeper, and a busy
    /// worker that reads an old value reads again after its next node.
    #[inline]
    pub fn earliest(&self) -> u64 {
        self.earliest.load(Ordering::Relaxed)
    }

    /// Takes one task that is due.
    pub fn pop_due(&self, now: u64) -> Option<Waiting> {
        if self.earliest() > now {
            return None;
        }
        let mut heap = lock(&self.heap);
        let due = heap.waiting.peek().is_some_and(|Reverse(first)| first.due <= now);
        let popped = if due { heap.waiting.pop() } else { None };
        self.note_earliest(&heap);
        popped.map(|Reverse(waiting)| waiting)
    }

    /// Takes everything that waits, but what is to stay, and lets nothing else wait any more. Whoever adds under the same
    /// lock later is refused, so no task is left behind by a run that stops.
    pub fn close(&self, stays: impl Fn(Task) -> bool) -> Vec<Waiting> {
        let mut heap = lock(&self.heap);
        heap.closed = true;
        self.take_from(&mut heap, |waiting| !stays(waiting.task))
    }

    /// Takes what waits of one instance, the earliest first.
    pub fn take_of(&self, instance: InstanceId) -> Vec<Waiting> {
        self.take(|task| task.instance == instance)
    }

    /// Takes what waits for an attempt at certain tasks, the earliest first.
    pub fn take(&self, goes: impl Fn(Task) -> bool) -> Vec<Waiting> {
        self.take_from(&mut lock(&self.heap), |waiting| !waiting.is_look() && goes(waiting.task))
    }

    /// Takes what is to be taken, the earliest first.
    fn take_from(&self, heap: &mut Heap, goes: impl Fn(&Waiting) -> bool) -> Vec<Waiting> {
        let waiting = std::mem::take(&mut heap.waiting).into_iter().map(|Reverse(waiting)| waiting);
        let (mut taken, left): (Vec<_>, Vec<_>) = waiting.partition(goes);
        heap.waiting = left.into_iter().map(Reverse).collect();
        self.note_earliest(heap);
        taken.sort_unstable();
        taken
    }

    fn note_earliest(&self, heap: &Heap) {
        let earliest = heap.waiting.peek().map_or(u64::MAX, |Reverse(first)| first.due);
        self.earliest.store(earliest, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::ids::{InstanceId, NodeId};

    fn waiting(due: u64, node: u32) -> Waiting {
        Waiting { due, task: Task { instance: InstanceId(0), node: NodeId(node) }, attempt: 1 }
    }

    #[test]
    fn tasks_come_back_in_the_order_in_which_they_are_due() {
        let timers = Timers::default();
        for (due, node) in [(30, 0), (10, 1), (20, 2)] {
            assert!(timers.add(waiting(due, node), false));
        }
        assert_eq!(timers.earliest(), 10);
        assert_eq!(timers.pop_due(5), None);
        let order: Vec<u32> = std::iter::from_fn(|| timers.pop_due(30)).map(|w| w.task.node.0).collect();
        assert_eq!(order, [1, 2, 0]);
        assert_eq!(timers.earliest(), u64::MAX);
    }

    #[test]
    fn what_waits_of_one_instance_is_taken_and_the_rest_stays() {
        let timers = Timers::default();
        let other = Waiting { task: Task { instance: InstanceId(7), node: NodeId(9) }, ..waiting(5, 9) };
        assert!(timers.add(waiting(30, 0), false) && timers.add(other, false) && timers.add(waiting(10, 1), false));
        assert_eq!(timers.take_of(InstanceId(7)), [other]);
        assert_eq!(timers.earliest(), 10);
        assert_eq!(timers.take_of(InstanceId(0)).iter().map(|w| w.task.node.0).collect::<Vec<_>>(), [1, 0]);
        assert_eq!(timers.earliest(), u64::MAX);
    }

    #[test]
    fn a_stopped_run_lets_nothing_wait() {
        let timers = Timers::default();
        assert!(timers.add(waiting(20, 0), false) && timers.add(waiting(10, 1), false));
        assert_eq!(timers.close(|_| false).iter().map(|w| w.task.node.0).collect::<Vec<_>>(), [1, 0]);
        assert!(!timers.add(waiting(1, 2), false));
    }

    #[test]
    fn what_waits_even_then_stays_in_a_stopped_run() {
        let timers = Timers::default();
        assert!(timers.add(waiting(20, 0), false) && timers.add(waiting(30, 1), true));
        let stays = |task: Task| task.node == NodeId(1);
        assert_eq!(timers.close(stays).iter().map(|w| w.task.node.0).collect::<Vec<_>>(), [0]);
        assert!(timers.add(waiting(10, 1), true));
        assert_eq!(timers.earliest(), 10);
        assert_eq!(timers.close(|_| false).len(), 2);
    }
}
