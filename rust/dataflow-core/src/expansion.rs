//! What a live attempt is expanded into: another plan, whose nodes run in its place.
//!
//! The attempt stays live until all nodes of the child have an outcome. That end is a task of its own in the ready queue, so
//! that a worker ends the parent, whoever brought the last outcome, and however many expansions end with the same node.
//!
//! A failure in a child that is *contained* closes the child: nothing of it starts any more, and what becomes of the run is
//! decided when the parent's attempt has failed, which may be attempted again.
#![allow(unsafe_code)]

use std::sync::Arc;

use crate::body::Body;
use crate::ids::{InstanceId, NodeId, SlotId};
use crate::instance::Instance;
use crate::outcome::{Outcome, Sink};
use crate::plan::Plan;
use crate::ready::{Seat, Task};
use crate::run::{Run, SOME_CLOSED, Step};
use crate::status::State;
use crate::sync::Ordering;

/// A plan that is to run in the place of a live attempt.
pub struct Expansion<B: Body> {
    plan: Arc<Plan>,
    program: B::Program,
    given: Vec<(NodeId, Option<B::Value>)>,
    is_contained: bool,
}

impl<B: Body> Expansion<B> {
    /// All nodes of the plan are to run.
    pub fn new(plan: Arc<Plan>, program: B::Program) -> Self {
        Self { plan, program, given: Vec::new(), is_contained: false }
    }

    /// Gives some roots, which have one output each, the value of that instead of running them; `None` leaves it unset.
    pub fn with_given(mut self, given: Vec<(NodeId, Option<B::Value>)>) -> Self {
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
        let seat = self.seat_ref();
        run.expand_into(parent, expansion, retained, Sink::Seat(seat, &mut self.next))
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
        self.expand_into((task, attempt), expansion, retained, Sink::Injector)
    }

    fn expand_into(
        &self,
        parent: (Task, u32),
        expansion: Expansion<B>,
        retained: impl Fn(SlotId) -> bool,
        mut sink: Sink<'_, '_>,
    ) -> InstanceId {
        let Expansion { plan, program, given, is_contained } = expansion;
        let shielded = self.ignores_stop(parent.0);
        let child =
            self.instances.add(|id| Instance::new(id, plan, program, Some(parent), shielded, is_contained, retained));
        let (id, now) = (child.id(), self.now());
        child.note_birth(now);
        let task = |node| Task { instance: id, node };
        // What is given has its state before anything else may look at it.
        given.iter().for_each(|(node, _)| child.status_word(*node).set(State::Restored));
        let roots = child.plan().roots().iter().map(|&node| NodeId(node));
        let roots: Vec<NodeId> = roots.filter(|&node| child.status(node).0 == State::Pending).collect();
        let count = roots.len();
        let mut ready = |node| {
            let state = child.trigger(self, node, false);
            debug_assert_eq!(state, State::Ready);
            self.publish(task(node), &sink);
        };
        // The last task pushed to a deque is the first one taken; the injector is first in, first out.
        match &sink {
            Sink::Seat(..) => roots.into_iter().rev().for_each(&mut ready),
            Sink::Injector => roots.into_iter().for_each(&mut ready),
        }
        if child.plan().node_count() == 0 {
            self.publish(end_of(child), &sink);
        }
        for (node, value) in given {
            let left_unset = value.is_none();
            if let Some(value) = value {
                // SAFETY: a given node runs nowhere, so nobody else has a right to its slot, and it is not delivered yet.
                let unwanted = unsafe { child.slots.put(child.plan().slot(node, 0), value) };
                unwanted.into_iter().for_each(|value| self.body().discard(value));
            }
            let sink = match &mut sink {
                Sink::Seat(seat, next) => Sink::Seat(seat, next),
                Sink::Injector => Sink::Injector,
            };
            self.settle_all(Outcome::given(task(node), left_unset), now, sink);
        }
        match sink {
            Sink::Injector => self.pool.call_to_roots(self, count.max(1), false),
            // As of any run, somebody is to look from time to time.
            Sink::Seat(..) if count > 1 => self.pool.call_to_roots(self, count, true),
            Sink::Seat(..) => {}
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
