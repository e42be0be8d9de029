//! A run: instances, a ready queue and the rule for what follows an outcome.
//!
//! Every outcome takes the same way, whoever brings it: *claim* the attempt (one winner), *put* the outputs, *deliver*.
//! Delivery gives inputs back, counts the outcome at each successor and, at zero, applies the trigger rule; outcomes that
//! the rule decides by itself (skipped, cancelled, upstream failed) are delivered by the same loop, without recursion.
#![allow(unsafe_code)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::body::Body;
use crate::ids::{InstanceId, NodeId, SlotId};
use crate::instance::{Instance, Instances};
use crate::plan::Plan;
use crate::pool::{Caller, Pool};
use crate::ready::{ReadyQueue, Seat, Task};
use crate::status::State;
use crate::sync::{AtomicBool, AtomicU8, Ordering};
use crate::timers::{Timers, Waiting};

/// What a failure does to the rest of the run (rule R4).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum FailurePolicy {
    /// Nothing new starts; what runs finishes.
    FailFast,
    /// Every branch that does not depend on the failure finishes.
    Continue,
}

/// Why nothing new starts any more.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stop {
    /// A node failed under [`FailurePolicy::FailFast`].
    Failure = 1,
    /// The run was cancelled.
    Cancellation = 2,
}

/// One execution of a plan.
pub struct Run<B: Body> {
    body: B,
    policy: FailurePolicy,
    instances: Instances<B>,
    pub(crate) queue: ReadyQueue,
    pub(crate) timers: Timers,
    pub(crate) pool: Arc<Pool<B>>,
    /// 0: not stopped, otherwise a [`Stop`].
    stop: AtomicU8,
    finished: AtomicBool,
    pub(crate) caller: Caller,
    /// Seat 0 is kept for a calling thread.
    driven: bool,
    began: Instant,
}

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

    /// Stores an output; hands the value back when nobody will ask for it.
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
struct Outcome {
    task: Task,
    state: State,
    /// It succeeded and left outputs unset.
    left_unset: bool,
}

/// Where newly ready tasks go.
enum Sink<'s, 'q> {
    /// The worker's own deque; one task is kept to be run next.
    Seat(&'s Seat<'q>, &'s mut Option<Task>),
    /// The injector, from a thread without a seat.
    Injector,
}

/// One node in the hands of a worker.
pub struct Step<'s, 'q, B: Body> {
    run: &'s Arc<Run<B>>,
    seat: &'s Seat<'q>,
    task: Task,
    attempt: u32,
    next: Option<Task>,
    now: u64,
}

impl<'s, B: Body> Step<'s, '_, B> {
    /// The run.
    pub fn run(&self) -> &'s Arc<Run<B>> {
        self.run
    }

    /// The node.
    pub fn task(&self) -> Task {
        self.task
    }

    /// The attempt, from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The seat of the worker.
    pub fn seat(&self) -> usize {
        self.seat.index()
    }

    /// When this attempt started, in nanoseconds since the run began.
    pub fn started(&self) -> u64 {
        self.now
    }

    /// The plan instance.
    pub fn instance(&self) -> &'s Instance<B> {
        self.run.instance(self.task.instance)
    }

    /// Reads the clock for the end of the attempt. The next node of this worker starts then.
    pub fn clock(&mut self) -> u64 {
        self.now = self.run.now();
        self.now
    }

    /// Delivers the outcome of this step's node.
    pub fn deliver(&mut self, claim: Claim<'_, B>) {
        let run = self.run;
        run.settle(claim, self.now, Sink::Seat(self.seat, &mut self.next));
    }

    /// Ends this attempt and starts the next one after `delay`, or at once. When the run has stopped in between, the node
    /// ends as [`Run::again`] says.
    pub fn again(&mut self, delay: Option<Duration>) {
        let run = self.run;
        run.again_into(self.task, self.attempt, delay, Sink::Seat(self.seat, &mut self.next));
    }
}

impl<B: Body> Run<B> {
    /// Prepares a run for at most `seats` workers, the calling thread included if it is to be driven by
    /// [`Pool::drive`]. `retained` says which output slots keep their value for the result.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        body: B,
        pool: Arc<Pool<B>>,
        plan: Arc<Plan>,
        program: B::Program,
        policy: FailurePolicy,
        seats: usize,
        driven: bool,
        retained: impl Fn(SlotId) -> bool,
    ) -> Self {
        Self {
            driven,
            body,
            policy,
            instances: Instances::new(Instance::new(InstanceId::ROOT, plan, program, None, retained)),
            queue: ReadyQueue::new(seats),
            timers: Timers::default(),
            pool,
            stop: AtomicU8::new(0),
            finished: AtomicBool::new(false),
            caller: Caller::default(),
            began: Instant::now(),
        }
    }

    /// What runs the nodes.
    pub fn body(&self) -> &B {
        &self.body
    }

    /// A plan instance of this run.
    pub fn instance(&self, id: InstanceId) -> &Instance<B> {
        self.instances.get(id)
    }

    /// The instance of the plan that the run was made for.
    pub fn root(&self) -> &Instance<B> {
        self.instances.get(InstanceId::ROOT)
    }

    /// All instances, the root first.
    pub fn instances(&self) -> impl Iterator<Item = &Instance<B>> {
        self.instances.iter()
    }

    /// The first seat that a pool thread may take.
    pub(crate) fn first_free_seat(&self) -> usize {
        usize::from(self.driven)
    }

    /// Nanoseconds since the run began.
    pub fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX - 1)
    }

    /// Whether every node has an outcome. Acquire: pairs with the release store at the end, so that whoever sees it sees
    /// every slot, state and time.
    pub fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Acquire)
    }

    /// Why nothing new starts, if so. SeqCst, as are the stores: see [`Run::stop`].
    pub fn stopped(&self) -> Option<Stop> {
        match self.stop.load(Ordering::SeqCst) {
            0 => None,
            1 => Some(Stop::Failure),
            _ => Some(Stop::Cancellation),
        }
    }

    /// Hands the roots to `seat`, or to whoever takes them. A run without nodes is finished at once.
    pub(crate) fn seed(&self, seat: Option<&Seat<'_>>) {
        if self.root().plan().node_count() == 0 {
            self.finish();
            return;
        }
        self.push_roots(self.root(), seat);
    }

    fn push_roots(&self, instance: &Instance<B>, seat: Option<&Seat<'_>>) {
        let tasks = instance.plan().roots().iter().map(|&node| Task { instance: instance.id(), node: NodeId(node) });
        let now = self.now();
        let mut count = 0;
        let mut push = |task: Task| {
            let state = instance.trigger(task.node, self.policy, false, now);
            debug_assert_eq!(state, State::Ready);
            count += 1;
            match seat {
                Some(seat) => seat.push(task),
                None => self.queue.inject(task),
            }
        };
        // The last task pushed to a deque is the first one taken; the injector is first in, first out.
        if seat.is_some() { tasks.rev().for_each(&mut push) } else { tasks.for_each(&mut push) }
        // The seat's owner takes one of them itself.
        self.notify(count - usize::from(seat.is_some()).min(count));
    }

    /// Works until nothing is left that this seat can find.
    pub(crate) fn work(self: &Arc<Self>, seat: &Seat<'_>, host: &mut B::Host) {
        let mut now = self.now();
        let mut was_idle = true;
        loop {
            self.push_due(seat, now);
            let Some(found) = seat.find() else { return };
            // Whoever finds work while more lies about calls the next worker: a wave of tasks spreads by doubling.
            if self.queue.has_work() {
                self.notify(1);
            } else if was_idle {
                // While this worker was idle it may have been the one that slept until some timer is due.
                self.pool.hand_over_timers();
            }
            was_idle = false;
            let mut next = Some(found);
            while let Some(task) = next {
                (next, now) = self.step(task, seat, now, host);
                self.body.between(self, host, now);
                if self.timers.earliest() <= now {
                    // This worker may go on with another task for long.
                    self.notify(self.push_due(seat, now));
                }
            }
        }
    }

    /// Takes what is due into the seat's own deque; gives the number.
    fn push_due(&self, seat: &Seat<'_>, now: u64) -> usize {
        std::iter::from_fn(|| self.timers.pop_due(now)).map(|waiting| seat.push(waiting.task)).count()
    }

    #[inline]
    fn step(self: &Arc<Self>, task: Task, seat: &Seat<'_>, now: u64, host: &mut B::Host) -> (Option<Task>, u64) {
        let instance = self.instance(task.instance);
        let status = instance.status_word(task.node);
        if self.stop.load(Ordering::Relaxed) != 0 {
            let mut next = None;
            let state = self.abandoned(status.load().0);
            status.set(state);
            self.settle_decided(task, state, now, Sink::Seat(seat, &mut next));
            return (next, now);
        }
        let attempt = status.begin();
        let now = instance.note_start(task.node, now, seat.index());
        let mut step = Step { run: self, seat, task, attempt, next: None, now };
        self.body.execute(&mut step, host);
        (step.next, step.now)
    }

    /// What becomes of a node that would have started after the run stopped: what had failed before stays failed unless
    /// the run was cancelled (rule R4; cancellation beats retries, rule R6).
    fn abandoned(&self, state: State) -> State {
        match (state, self.stopped()) {
            (State::Retrying, Some(Stop::Failure)) => State::Failed,
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

    /// Delivers a claimed outcome from a thread that is no worker of this run.
    pub fn deliver(&self, claim: Claim<'_, B>) {
        let now = self.now();
        self.settle(claim, now, Sink::Injector);
    }

    /// As [`Step::again`], from a thread that is no worker of this run; nothing happens when the attempt is stale. A run
    /// that has stopped ends the node instead: failed after a failure elsewhere, cancelled by a cancellation.
    pub fn again(&self, task: Task, attempt: u32, delay: Option<Duration>) {
        self.again_into(task, attempt, delay, Sink::Injector);
    }

    fn again_into(&self, task: Task, attempt: u32, delay: Option<Duration>, mut sink: Sink<'_, '_>) {
        let status = self.instance(task.instance).status_word(task.node);
        if !status.claim(attempt, State::Retrying) {
            return;
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
                if self.timers.add(waiting) {
                    // A sleeper must learn of the new moment.
                    self.notify(1);
                } else if let Some(state) = self.claim_waiting(waiting) {
                    self.settle_decided(task, state, now, sink);
                }
            }
        }
    }

    fn claim_waiting(&self, waiting: Waiting) -> Option<State> {
        let state = self.abandoned(State::Retrying);
        let status = self.instance(waiting.task.instance).status_word(waiting.task.node);
        status.claim_waiting(waiting.attempt, state).then_some(state)
    }

    /// Lets nothing new start. The first reason stays, except that a cancellation follows a failure.
    ///
    /// The store comes before the timers are closed, and a retry looks at `closed` under the timers' lock: it either is
    /// drained here or learns that the run has stopped. SeqCst on the flag, since it is rarely written and its order with
    /// the lock and with the queues' fences is then plain to see. Modelled in `tests/loom_protocols.rs`.
    pub fn stop(&self, reason: Stop) {
        self.stop.fetch_max(reason as u8, Ordering::SeqCst);
        let now = self.now();
        for waiting in self.timers.close() {
            if let Some(state) = self.claim_waiting(waiting) {
                self.settle_decided(waiting.task, state, now, Sink::Injector);
            }
        }
        // Those that sleep must drain the queue.
        self.notify(usize::MAX);
    }

    #[inline]
    fn settle(&self, claim: Claim<'_, B>, now: u64, sink: Sink<'_, '_>) {
        let left_unset = claim.state == State::Succeeded && claim.left_unset();
        self.settle_all(Outcome { task: claim.task, state: claim.state, left_unset }, now, sink);
    }

    /// Ends a node by the scheduler's own decision. Its status is set already.
    fn settle_decided(&self, task: Task, state: State, now: u64, sink: Sink<'_, '_>) {
        self.tell(task, state, now);
        self.settle_all(Outcome { task, state, left_unset: false }, now, sink);
    }

    fn tell(&self, task: Task, state: State, now: u64) {
        self.instance(task.instance).note_end(task.node, now);
        self.body.settled(self, task, state);
    }

    /// Delivers an outcome, and those that follow from it by the trigger rule alone.
    fn settle_all(&self, first: Outcome, now: u64, mut sink: Sink<'_, '_>) {
        // Outcomes that the trigger rule decides; most runs never allocate it.
        let mut decided = Vec::new();
        let mut held = None;
        let mut pushed = 0;
        let mut current = Some(first);
        while let Some(Outcome { task, state, left_unset }) = current {
            let instance = self.instance(task.instance);
            instance.release_inputs(task.node, drop);
            if state == State::Failed && self.policy == FailurePolicy::FailFast {
                self.stop.fetch_max(Stop::Failure as u8, Ordering::SeqCst);
                for waiting in self.timers.close() {
                    if let Some(state) = self.claim_waiting(waiting) {
                        self.tell(waiting.task, state, now);
                        decided.push(Outcome { task: waiting.task, state, left_unset: false });
                    }
                }
            }
            let stopped = self.stop.load(Ordering::Relaxed) != 0;
            // Successors come by descending rank. In reverse, the highest is held back to be run next, and a deque gives
            // the others back in that order.
            for &successor in instance.plan().successors(task.node).iter().rev() {
                let node = NodeId(successor);
                if instance.arrive(node, task.node, state, left_unset) {
                    let follower = Task { instance: task.instance, node };
                    match instance.trigger(node, self.policy, stopped, now) {
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
            if instance.count_down() {
                match instance.parent() {
                    None => self.finish(),
                    Some(_) => self.body.expanded(self, instance),
                }
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
        self.notify(pushed);
    }

    fn publish(&self, task: Task, sink: &Sink<'_, '_>) {
        match sink {
            Sink::Seat(seat, _) => seat.push(task),
            Sink::Injector => self.queue.inject(task),
        }
    }

    /// Puts a plan in the place of a live attempt: its nodes run, and then [`Body::expanded`] ends the attempt.
    pub fn expand(&self, task: Task, attempt: u32, plan: Arc<Plan>, program: B::Program, retained: impl Fn(SlotId) -> bool) {
        let child = self.instances.add(|id| Instance::new(id, plan, program, Some((task, attempt)), retained));
        if child.plan().node_count() == 0 {
            self.body.expanded(self, child);
        } else {
            self.push_roots(child, None);
        }
    }

    fn finish(&self) {
        self.body.finished(self);
        // Release: pairs with `is_finished`.
        self.finished.store(true, Ordering::Release);
        self.pool.retire(self);
        self.caller.finish();
    }

    /// Gives the run up in a process that has lost its workers (the child of a fork): nothing starts any more, and whoever
    /// waits for it stops waiting. Its values are not to be read.
    pub fn abandon(&self) {
        self.stop.fetch_max(Stop::Cancellation as u8, Ordering::SeqCst);
        self.finished.store(true, Ordering::Release);
    }

    /// Waits for the end from a thread that does not work on the run; `false` when `timeout` is over first.
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        self.caller.wait_finished(timeout)
    }

    /// Calls up to `tasks` workers for tasks that were just published.
    #[inline]
    fn notify(&self, tasks: usize) {
        if tasks > 0 {
            self.pool.notify(self, tasks);
        }
    }
}
