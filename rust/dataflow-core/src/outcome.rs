//! How an attempt ends and what follows from it.
//!
//! Every outcome takes the same way, whoever brings it: *claim* the attempt (one winner), *put* the outputs, *deliver*.
//! Delivery gives inputs back, counts the outcome at each successor and, at zero, applies the trigger rule; outcomes that
//! the rule decides by itself (skipped, cancelled, upstream failed) are delivered by the same loop, without recursion.
#![allow(unsafe_code)]

use std::time::Duration;

use crate::body::Body;
use crate::expansion::end_of;
use crate::ids::NodeId;
use crate::instance::{Instance, Timing};
use crate::ready::{Seat, Task};
use crate::run::{FailurePolicy, Run, SOME_CLOSED, Stop};
use crate::status::State;
use crate::sync::Ordering;
use crate::timers::Waiting;

/// The right to end one attempt, won by [`Run::claim`]: put the outputs, then deliver.
#[must_use = "an attempt that is claimed and not delivered hangs the run"]
pub struct Claim<'r, B: Body> {
    instance: &'r Instance<B>,
    task: Task,
    state: State,
    set: u64,
}

impl<'r, B: Body> Claim<'r, B> {
    /// The instance of the node.
    pub fn instance(&self) -> &'r Instance<B> {
        self.instance
    }

    /// The node.
    pub fn task(&self) -> Task {
        self.task
    }

    /// Stores an output; hands the value back when nobody will ask for it.
    #[inline(always)]
    pub fn put(&mut self, port: u32, value: B::Value) -> Option<B::Value> {
        debug_assert_eq!(self.state, State::Succeeded);
        // Only a claim with every output set spares the successors the look for missing inputs; ports past 63 take it.
        self.set |= 1u64.checked_shl(port).unwrap_or(0);
        // SAFETY: this claim is the one right to the node's slots, and it is not delivered yet.
        unsafe { self.instance.slots.put(self.instance.plan().slot(self.task.node, port), value) }
    }

    fn left_unset(&self) -> bool {
        let outputs = self.instance.plan().slots_of(self.task.node).len() as u32;
        outputs > 63 || self.set != (1u64 << outputs) - 1
    }
}

/// A node's outcome on its way to the successors.
pub(crate) struct Outcome {
    task: Task,
    state: State,
    /// It succeeded and left outputs unset.
    left_unset: bool,
}

impl Outcome {
    /// Of a node that was given its output, or nothing in its place.
    pub(crate) fn given(task: Task, left_unset: bool) -> Self {
        Self { task, state: State::Restored, left_unset }
    }
}

/// Where newly ready tasks go.
pub(crate) enum Sink<'s, 'q> {
    /// The worker's own deque; one task is kept to be run next.
    Seat(&'s Seat<'q>, &'s mut Option<Task>),
    /// The injector, from a thread without a seat.
    Injector,
}

impl<B: Body> Run<B> {
    /// What becomes of a node that would have started after the run stopped: what had failed before stays failed unless
    /// the run was cancelled (rule R4; cancellation beats retries, rule R6).
    pub(crate) fn abandoned(&self, state: State) -> State {
        match (state, self.stopped()) {
            // Not stopped: a failure elsewhere in its expansion has ended that.
            (State::Retrying, None | Some(Stop::Failure)) => State::Failed,
            _ => State::Cancelled,
        }
    }

    /// Ends the attempt as `state`; `None` when somebody else has ended it, and what the caller has is stale.
    pub fn claim(&self, task: Task, attempt: u32, state: State, now: u64) -> Option<Claim<'_, B>> {
        let instance = self.instance(task.instance);
        if !instance.status_word(task.node).claim(attempt, state) {
            return None;
        }
        instance.note_end(task.node, now);
        Some(Claim { instance, task, state, set: 0 })
    }

    /// As [`Run::claim`] for an attempt that runs on the calling thread and that nobody else can end.
    #[inline]
    pub fn claim_own(&self, task: Task, attempt: u32, state: State, now: u64) -> Claim<'_, B> {
        let instance = self.instance(task.instance);
        instance.status_word(task.node).claim_own(attempt, state);
        instance.note_end(task.node, now);
        Claim { instance, task, state, set: 0 }
    }

    /// Delivers a claimed outcome from a thread that is no worker of this run.
    pub fn deliver(&self, claim: Claim<'_, B>) {
        let now = self.now();
        self.settle(claim, now, Sink::Injector);
    }

    /// As [`again`](crate::run::Step::again) of a step, from a thread that is no worker of this run; nothing happens when
    /// the attempt is stale. A run that has stopped ends the node instead: failed after a failure elsewhere, cancelled by
    /// a cancellation.
    pub fn again(&self, task: Task, attempt: u32, delay: Option<Duration>) {
        self.again_into(task, attempt, delay, Sink::Injector);
    }

    pub(crate) fn again_into(&self, task: Task, attempt: u32, delay: Option<Duration>, mut sink: Sink<'_, '_>) {
        let status = self.instance(task.instance).status_word(task.node);
        if !status.claim(attempt, State::Retrying) {
            return;
        }
        if self.has_limits {
            self.body().left(self, task);
        }
        let now = self.now();
        match delay.filter(|delay| !delay.is_zero()) {
            None => match &mut sink {
                Sink::Seat(_, kept @ None) => **kept = Some(task),
                sink => {
                    self.publish(task, sink);
                    self.notify(1);
                }
            },
            Some(delay) => {
                let due = now.saturating_add(u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX)).min(u64::MAX - 1);
                let waiting = Waiting { due, task, attempt };
                if self.timers.add(waiting, self.ignores_stop(task)) {
                    // Who closes an expansion takes what waits out of the timers afterwards, under their lock: it has either
                    // found this there, or its closing is seen here.
                    if !self.goes_on(task) && !self.timers.take(|other| other == task).is_empty() {
                        if let Some(state) = self.claim_waiting(waiting) {
                            self.settle_decided(task, state, now, sink);
                        }
                        return;
                    }
                    // A sleeper must learn of the new moment.
                    self.notify(1);
                } else if let Some(state) = self.claim_waiting(waiting) {
                    self.settle_decided(task, state, now, sink);
                }
            }
        }
    }

    /// Says when an attempt began that was handed out before.
    pub fn note_begin(&self, task: Task, at: u64) {
        self.instance(task.instance).note_begin(task.node, at);
    }

    /// Takes back an attempt of a stopped run that was handed out and that nobody has begun: its node ends as though it
    /// had waited in the queue all the time. Nothing happens when the attempt is stale.
    pub fn withdraw(&self, task: Task, attempt: u32) {
        let instance = self.instance(task.instance);
        let state = self.abandoned(if attempt > 1 { State::Retrying } else { State::Ready });
        if !instance.status_word(task.node).withdraw(attempt, state) {
            return;
        }
        if attempt == 1 {
            instance.forget_start(task.node);
        }
        if self.has_limits {
            self.body().left(self, task);
        }
        self.settle_decided(task, state, self.now(), Sink::Injector);
        if self.has_limits {
            self.look_after_limits();
        }
    }

    pub(crate) fn claim_waiting(&self, waiting: Waiting) -> Option<State> {
        let state = self.abandoned(State::Retrying);
        let status = self.instance(waiting.task.instance).status_word(waiting.task.node);
        status.claim_waiting(waiting.attempt, state).then_some(state)
    }

    #[inline]
    pub(crate) fn settle(&self, claim: Claim<'_, B>, now: u64, sink: Sink<'_, '_>) {
        let left_unset = claim.state == State::Succeeded && claim.left_unset();
        let task = claim.task;
        let is_elsewhere = matches!(sink, Sink::Injector);
        match sink {
            Sink::Seat(seat, next) if claim.state == State::Succeeded && !left_unset => {
                self.settle_success(claim.instance, claim.task, now, seat, next);
            }
            sink => self.settle_all(Outcome { task, state: claim.state, left_unset }, now, sink),
        }
        if self.has_limits {
            self.body().left(self, task);
            if is_elsewhere {
                self.look_after_limits();
            }
        }
    }

    /// What [`Run::settle_all`] does, for what nearly every outcome is: a success of a worker, with every output set.
    #[inline]
    fn settle_success(&self, instance: &Instance<B>, task: Task, now: u64, seat: &Seat<'_>, next: &mut Option<Task>) {
        instance.release_inputs(task.node, |value| self.body().discard(value));
        let stopped = self.stop.load(Ordering::Relaxed) != 0;
        let mut held = next.take();
        for &successor in instance.plan().successors(task.node).iter().rev() {
            let follower = Task { instance: task.instance, node: NodeId(successor) };
            if instance.arrive(follower.node) {
                match instance.trigger(self, follower.node, stopped) {
                    State::Ready if self.queue.put_behind_gate(follower) => {}
                    State::Ready => {
                        if let Some(earlier) = held.replace(follower) {
                            seat.push(earlier);
                        }
                    }
                    state => self.settle_follower(follower, state, now, seat),
                }
            }
        }
        *next = held;
        self.count(instance, seat);
    }

    /// A follower of a success that is not to run.
    #[cold]
    fn settle_follower(&self, follower: Task, state: State, now: u64, seat: &Seat<'_>) {
        let mut next = None;
        self.settle_decided(follower, state, now, Sink::Seat(seat, &mut next));
        next.into_iter().for_each(|task| seat.push(task));
    }

    /// Ends a node by the scheduler's own decision. Its status is set already.
    pub(crate) fn settle_decided(&self, task: Task, state: State, now: u64, sink: Sink<'_, '_>) {
        self.tell(task, state, now);
        self.settle_all(Outcome { task, state, left_unset: false }, now, sink);
    }

    fn tell(&self, task: Task, state: State, now: u64) {
        let instance = self.instance(task.instance);
        // The moment is that of the outcome that this one follows from; a retry may have started and failed since.
        let Timing { queued, started, .. } = instance.timing(task.node);
        instance.note_end(task.node, now.max(queued).max(started));
        self.body().settled(self, task, state);
    }

    /// Delivers an outcome, and those that follow from it by the trigger rule alone.
    #[inline(never)]
    pub(crate) fn settle_all(&self, first: Outcome, now: u64, mut sink: Sink<'_, '_>) {
        // Outcomes that the trigger rule decides; most runs never allocate it.
        let mut decided = Vec::new();
        let mut held = None;
        let mut pushed = 0;
        let mut current = Some(first);
        while let Some(Outcome { task, state, left_unset }) = current {
            let instance = self.instance(task.instance);
            instance.release_inputs(task.node, |value| self.body().discard(value));
            if state == State::Failed && self.policy == FailurePolicy::FailFast {
                match instance.is_contained() {
                    true => self.close(instance, now, &mut decided),
                    false => self.fail_fast(now, &mut decided),
                }
            }
            let is_full_success = matches!(state, State::Succeeded | State::Restored) && !left_unset;
            let stopped = self.stop.load(Ordering::Relaxed) != 0;
            // Successors come in the order in which they are to run. In reverse, the first is held back to be run next,
            // and a deque gives the others back in that order.
            for &successor in instance.plan().successors(task.node).iter().rev() {
                let node = NodeId(successor);
                if !is_full_success {
                    instance.note_adverse(node, task.node, state);
                }
                if instance.arrive(node) {
                    let follower = Task { instance: task.instance, node };
                    match instance.trigger(self, node, stopped) {
                        State::Ready if self.queue.put_behind_gate(follower) => pushed += 1,
                        State::Ready => {
                            if let Some(earlier) = held.replace(follower) {
                                self.publish(earlier, &sink);
                                pushed += 1;
                            }
                        }
                        state => {
                            self.tell(follower, state, now);
                            decided.push(Outcome { task: follower, state, left_unset: false });
                        }
                    }
                }
            }
            match &sink {
                Sink::Seat(seat, _) => self.count(instance, seat),
                Sink::Injector => self.count_down(instance, 1),
            }
            current = decided.pop();
        }
        if let Some(task) = held {
            match &mut sink {
                Sink::Seat(_, kept @ None) => **kept = Some(task),
                sink => {
                    self.publish(task, sink);
                    pushed += 1;
                }
            }
        }
        // What a worker pushes it will come to itself; when others are called for it is `Run::step`'s to say.
        if let Sink::Injector = sink {
            self.notify(pushed);
        }
    }

    /// Lets nothing new start after a failure; what waits for a retry stays failed.
    #[cold]
    fn fail_fast(&self, now: u64, decided: &mut Vec<Outcome>) {
        self.stop.fetch_or(Stop::Failure as u8, Ordering::SeqCst);
        self.end_waiting(self.timers.close(|task| self.ignores_stop(task)), now, decided);
    }

    /// Lets nothing new of an instance start after a failure in it that is not yet one of the run.
    ///
    /// The store comes before the timers are looked through, and a retry looks whether it goes on after it is put there: see
    /// `again_into`.
    #[cold]
    fn close(&self, instance: &Instance<B>, now: u64, decided: &mut Vec<Outcome>) {
        instance.close();
        self.stop.fetch_or(SOME_CLOSED, Ordering::SeqCst);
        self.end_waiting(self.timers.take(|task| !self.goes_on(task)), now, decided);
    }

    fn end_waiting(&self, taken: Vec<Waiting>, now: u64, decided: &mut Vec<Outcome>) {
        for waiting in taken {
            if waiting.is_look() {
                continue;
            }
            if waiting.task.instance.is_items() {
                self.abandon_item(waiting.task, None);
            } else if let Some(state) = self.claim_waiting(waiting) {
                self.tell(waiting.task, state, now);
                decided.push(Outcome { task: waiting.task, state, left_unset: false });
            }
        }
        if self.has_limits {
            self.body().stopped(self);
        }
    }

    /// Counts a node with an outcome. Workers count those of the root on their seats, until they run out of work.
    #[inline]
    fn count(&self, instance: &Instance<B>, seat: &Seat<'_>) {
        if instance.parent().is_none() {
            seat.note_done();
        } else if instance.count_down(1) {
            seat.push(end_of(instance));
        }
    }

    fn count_down(&self, instance: &Instance<B>, nodes: usize) {
        if instance.count_down(nodes) {
            match instance.parent() {
                None => self.finish(),
                Some(_) => {
                    self.queue.inject(end_of(instance));
                    self.notify(1);
                }
            }
        }
    }

    /// Counts what the worker of a seat has done.
    pub(crate) fn count_done(&self, seat: &Seat<'_>) {
        let done = seat.take_done();
        if done > 0 {
            self.count_down(self.root(), done);
        }
    }

    #[inline]
    pub(crate) fn publish(&self, task: Task, sink: &Sink<'_, '_>) {
        match sink {
            Sink::Seat(seat, _) => seat.push(task),
            Sink::Injector => self.queue.inject(task),
        }
    }
}
