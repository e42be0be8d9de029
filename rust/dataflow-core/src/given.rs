//! Nodes that have their outputs before their instance starts: what a checkpoint restores, and what a loop carries on.
//!
//! All predecessors of a given node are given too, or will be skipped, as they were when it ran. What they bring is counted,
//! and triggers nothing: a given node expects one outcome more than there are predecessors.
#![allow(unsafe_code)]

use crate::body::Body;
use crate::ids::NodeId;
use crate::instance::Instance;
use crate::outcome::{Outcome, Sink};
use crate::ready::{Seat, Task};
use crate::run::Run;
use crate::status::State;
use crate::sync::lock;

/// A node that is given its outputs instead of running.
pub struct Given<V> {
    node: NodeId,
    values: Vec<(u32, V)>,
    left_unset: bool,
}

impl<V> Given<V> {
    /// The values of those outputs that anybody will ask for. `left_unset` says that the node left some output unset when
    /// it ran: what requires that is skipped.
    pub fn new(node: NodeId, values: Vec<(u32, V)>, left_unset: bool) -> Self {
        Self { node, values, left_unset }
    }

    /// The value of its one output, or nothing in its place.
    pub fn one(node: NodeId, value: Option<V>) -> Self {
        let left_unset = value.is_none();
        Self::new(node, value.map(|value| (0, value)).into_iter().collect(), left_unset)
    }
}

impl<B: Body> Run<B> {
    /// Gives nodes of the run's own plan their outputs. Before the run starts; each node once, and with all its predecessors.
    pub fn restore(&self, given: Vec<Given<B::Value>>) {
        lock(&self.restored).extend(given);
    }

    /// Gives a new instance what it is given, and has `push_roots` publish the others of its roots.
    pub(crate) fn begin_with(
        &self,
        instance: &Instance<B>,
        given: Vec<Given<B::Value>>,
        seat: Option<&Seat<'_>>,
        push_roots: impl FnOnce(),
    ) {
        // What is given has its state before anybody may look at it.
        for each in &given {
            instance.status_word(each.node).set(State::Restored);
            instance.expect_one_more(each.node);
        }
        push_roots();
        let (now, mut next) = (self.now(), None);
        // Every value is there before the first share of one is given back, by a given consumer.
        let outcomes: Vec<Outcome> = given.into_iter().map(|each| self.put_given(instance, each, now)).collect();
        for outcome in outcomes {
            let sink = match seat {
                Some(seat) => Sink::Seat(seat, &mut next),
                None => Sink::Injector,
            };
            self.settle_all(outcome, now, sink);
        }
        if let (Some(task), Some(seat)) = (next, seat) {
            seat.push(task);
        }
    }

    fn put_given(&self, instance: &Instance<B>, given: Given<B::Value>, now: u64) -> Outcome {
        let Given { node, values, left_unset } = given;
        instance.note_end(node, now);
        for (port, value) in values {
            // SAFETY: a given node runs nowhere, so nobody else has a right to its slots, and it is not delivered yet.
            let unwanted = unsafe { instance.slots.put(instance.plan().slot(node, port), value) };
            unwanted.into_iter().for_each(|value| self.body().discard(value));
        }
        Outcome::given(Task { instance: instance.id(), node }, left_unset)
    }
}
