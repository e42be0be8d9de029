//! What a live attempt is expanded into: another plan, whose nodes run in its place.
//!
//! The attempt stays live until all nodes of the child have an outcome. That end is a task of its own in the ready queue, so
//! that a worker ends the parent, whoever brought the last outcome, and however many expansions end with the same node.
//!
//! A failure in a child that is *contained* closes the child: nothing of it starts any more, and what becomes of the run is
//! decided when the parent's attempt has failed, which may be attempted again.

use std::sync::Arc;

use crate::body::Body;
use crate::given::Given;
use crate::ids::{InstanceId, NodeId, SlotId};
use crate::instance::Instance;
use crate::plan::Plan;
use crate::ready::{Seat, Task};
use crate::run::{Run, SOME_CLOSED, Step};
use crate::status::State;
use crate::sync::Ordering;

/// A plan that is to run in the place of a live attempt.
pub struct Expansion<B: Body> {
    plan: Arc<Plan>,
    program: B::Program,
    given: Vec<Given<B::Value>>,
    is_contained: bool,
}

impl<B: Body> Expansion<B> {
    /// All nodes of the plan are to run.
    pub fn new(plan: Arc<Plan>, program: B::Program) -> Self {
        Self { plan, program, given: Vec::new(), is_contained: false }
    }

    /// Gives some nodes their outputs instead of running them: each with all its predecessors.
    pub fn with_given(mut self, given: Vec<Given<B::Value>>) -> Self {
        self.given = given;
        self
    }

    /// Lets a failure end what is expanded, but not yet the run.
    pub fn contained(mut self) -> Self {
        self.is_contained = true;
        self
    }
}

/// The task that stands for the end of an instance.
pub(crate) fn end_of<B: Body>(instance: &Instance<B>) -> Task {
    Task { instance: instance.id().end(), node: NodeId(0) }
}

impl<B: Body> Step<'_, '_, B> {
    /// Puts a plan in the place of this live attempt: its nodes run, and then [`Body::expanded`] ends the attempt.
    pub fn expand(&mut self, expansion: Expansion<B>, retained: impl Fn(SlotId) -> bool) -> InstanceId {
        // What it expands into starts now, and not when the attempt did.
        self.clock();
        let (run, parent) = (self.run(), (self.task(), self.attempt()));
        run.expand_into(parent, expansion, retained, Some(self.seat_ref()))
    }
}

impl<B: Body> Run<B> {
    /// As [`Step::expand`], from a thread that is no worker of this run.
    pub fn expand(
        &self,
        task: Task,
        attempt: u32,
        expansion: Expansion<B>,
        retained: impl Fn(SlotId) -> bool,
    ) -> InstanceId {
        self.expand_into((task, attempt), expansion, retained, None)
    }

    fn expand_into(
        &self,
        parent: (Task, u32),
        expansion: Expansion<B>,
        retained: impl Fn(SlotId) -> bool,
        seat: Option<&Seat<'_>>,
    ) -> InstanceId {
        let Expansion { plan, program, given, is_contained } = expansion;
        let shielded = self.ignores_stop(parent.0);
        let child =
            self.instances.add(|id| Instance::new(id, plan, program, Some(parent), shielded, is_contained, retained));
        let id = child.id();
        child.note_birth(self.now());
        let mut count = 0;
        self.begin_with(child, given, seat, || {
            let roots = child.plan().roots().iter().map(|&node| NodeId(node));
            let roots: Vec<NodeId> = roots.filter(|&node| child.status(node).0 == State::Pending).collect();
            count = roots.len();
            let publish = |node| {
                let state = child.trigger(self, node, false);
                debug_assert_eq!(state, State::Ready);
                match seat {
                    Some(seat) => seat.push(Task { instance: id, node }),
                    None => self.queue.inject(Task { instance: id, node }),
                }
            };
            // The last task pushed to a deque is the first one taken; the injector is first in, first out.
            match seat {
                Some(_) => roots.into_iter().rev().for_each(publish),
                None => roots.into_iter().for_each(publish),
            }
            if child.plan().node_count() == 0 {
                match seat {
                    Some(seat) => seat.push(end_of(child)),
                    None => self.queue.inject(end_of(child)),
                }
            }
        });
        match seat {
            None => self.pool.call_to_roots(self, count.max(1), false),
            // As of any run, somebody is to look from time to time.
            Some(_) if count > 1 => self.pool.call_to_roots(self, count, true),
            Some(_) => {}
        }
        id
    }

    /// Runs what is in the ready queue and no node: items of a map, or the end of an expansion.
    #[inline(never)]
    pub(crate) fn run_special(
        self: &Arc<Self>,
        task: Task,
        seat: &Seat<'_>,
        now: u64,
        host: &mut B::Host,
    ) -> (Option<Task>, u64) {
        if task.instance.is_items() {
            return self.run_items(task, seat, now, host);
        }
        let child = self.instance(task.instance.of_end());
        let (parent, attempt) = child.parent().expect("what was expanded has a parent");
        let mut step = Step::new(self, seat, parent, attempt, now);
        self.body().expanded(&mut step, child, host);
        (step.next, step.now)
    }

    /// The node that a task belongs to: that of the map, for an item.
    pub fn node_of(&self, task: Task) -> Task {
        let mut task = task;
        while task.instance.is_items() {
            task = self.items(task.instance).parent().0;
        }
        task
    }

    /// Whether an attempt at a node, or at an item of a map, may still start: the run has not stopped, or does not stop
    /// this, and no failure has closed the expansion that it is in.
    #[cold]
    pub fn goes_on(&self, task: Task) -> bool {
        if self.stopped().is_some() && !self.ignores_stop(task) {
            return false;
        }
        let node = self.node_of(task);
        let instance = self.instance(node.instance);
        instance.plan().always_runs(node.node) || !self.is_in_closed(instance)
    }

    /// Whether nothing starts in an instance any more, but what always runs.
    #[cold]
    pub(crate) fn is_over_for(&self, instance: &Instance<B>) -> bool {
        self.stopped().is_some() && !instance.is_shielded() || self.is_in_closed(instance)
    }

    /// Whether a failure has closed an instance, or one that it is a part of. Relaxed: who closes one calls nobody back, and
    /// what waits for a retry is found under the timers' lock.
    fn is_in_closed(&self, instance: &Instance<B>) -> bool {
        if self.stop.load(Ordering::Relaxed) & SOME_CLOSED == 0 {
            return false;
        }
        let mut at = instance;
        loop {
            if at.is_closed() {
                return true;
            }
            let Some((parent, _)) = at.parent() else { return false };
            let node = self.node_of(parent);
            at = self.instance(node.instance);
            if at.plan().always_runs(node.node) {
                return false;
            }
        }
    }
}
