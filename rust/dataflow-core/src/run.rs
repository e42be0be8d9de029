//! A run: instances, a ready queue, and the workers' way through it.

use std::sync::Arc;
use std::time::Duration;

use crate::body::Body;
use crate::clock::Clock;
use crate::given::Given;
use crate::ids::{InstanceId, NodeId, SlotId};
use crate::instance::{Arena, Instance, Instances};
use crate::items::Items;
use crate::outcome::{Claim, Sink};
use crate::plan::Plan;
use crate::pool::{Caller, Pool};
use crate::ready::{ReadyQueue, Seat, Task};
use crate::status::State;
use crate::sync::{AtomicBool, AtomicU8, Mutex, Ordering, lock};
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

/// Beside the reasons for a stop: some instance was closed, and whoever starts a node looks whether it is in that one.
pub(crate) const SOME_CLOSED: u8 = 4;

/// How often a worker with enough to do of its own looks at what waits in the injector.
const LOOK_ELSEWHERE_NANOSECONDS: u64 = 2_000_000;

/// One execution of a plan.
pub struct Run<B: Body> {
    body: B,
    pub(crate) policy: FailurePolicy,
    pub(crate) instances: Instances<B>,
    items: Arena<Items<B>>,
    /// Whether a node was ever expanded into items, whose lanes wait in the injector for their turn.
    has_items: AtomicBool,
    pub(crate) queue: ReadyQueue,
    pub(crate) timers: Timers,
    pub(crate) pool: Arc<Pool<B>>,
    /// 0: everything starts; otherwise bits, of each [`Stop`] that came and [`SOME_CLOSED`].
    pub(crate) stop: AtomicU8,
    finished: AtomicBool,
    pub(crate) caller: Caller,
    /// Seat 0 is kept for a calling thread.
    driven: bool,
    /// Starts have to be admitted.
    pub(crate) has_limits: bool,
    /// What its nodes are given, until it starts.
    pub(crate) restored: Mutex<Vec<Given<B::Value>>>,
    clock: Clock,
}

/// One node in the hands of a worker.
pub struct Step<'s, 'q, B: Body> {
    run: &'s Arc<Run<B>>,
    seat: &'s Seat<'q>,
    task: Task,
    attempt: u32,
    pub(crate) next: Option<Task>,
    started: u64,
    pub(crate) now: u64,
}

impl<'s, 'q, B: Body> Step<'s, 'q, B> {
    pub(crate) fn new(run: &'s Arc<Run<B>>, seat: &'s Seat<'q>, task: Task, attempt: u32, now: u64) -> Self {
        Self { run, seat, task, attempt, next: None, started: now, now }
    }

    pub(crate) fn seat_ref(&self) -> &'s Seat<'q> {
        self.seat
    }

    /// Goes on with an item.
    #[inline]
    pub(crate) fn begin_item(&mut self, task: Task, attempt: u32) {
        (self.task, self.attempt, self.started) = (task, attempt, self.now);
    }

    /// Stands for another live attempt; gives the one before.
    pub(crate) fn stand_in(&mut self, (task, attempt): (Task, u32)) -> (Task, u32) {
        (std::mem::replace(&mut self.task, task), std::mem::replace(&mut self.attempt, attempt))
    }

    /// Adds a task for this worker to go on with.
    pub(crate) fn offer(&mut self, task: Task) {
        if let Some(earlier) = self.next.replace(task) {
            self.seat.push(earlier);
        }
    }

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
        self.started
    }

    /// The plan instance.
    pub fn instance(&self) -> &'s Instance<B> {
        self.run.instance(self.task.instance)
    }

    /// Reads the clock for the end of the attempt. The next node of this worker starts then.
    #[inline]
    pub fn clock(&mut self) -> u64 {
        self.now = self.run.now();
        self.now
    }

    /// Delivers the outcome of this step's node.
    #[inline]
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
            has_limits: false,
            body,
            policy,
            queue: ReadyQueue::with_gates(seats, &plan),
            instances: Instances::new(Instance::new(InstanceId::ROOT, plan, program, None, false, false, retained)),
            items: Arena::new(),
            has_items: AtomicBool::new(false),
            timers: Timers::default(),
            pool,
            stop: AtomicU8::new(0),
            finished: AtomicBool::new(false),
            caller: Caller::default(),
            restored: Mutex::new(Vec::new()),
            clock: Clock::start(),
        }
    }

    /// Has the body asked before each start ([`Body::admits`]).
    pub fn with_limits(mut self) -> Self {
        self.has_limits = true;
        self
    }

    /// What runs the nodes.
    pub fn body(&self) -> &B {
        &self.body
    }

    /// What a failure does to the rest of the run.
    pub fn policy(&self) -> FailurePolicy {
        self.policy
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

    /// What a node, or an item of another map, was expanded into.
    #[inline]
    pub fn items(&self, id: InstanceId) -> &Items<B> {
        self.items.get(id.items_number())
    }

    /// Everything that was expanded into items.
    pub fn all_items(&self) -> impl Iterator<Item = &Items<B>> {
        self.items.iter()
    }

    pub(crate) fn add_items(&self, parent: (Task, u32), load: B::Items, len: Option<usize>, limit: usize) -> &Items<B> {
        // Relaxed: a hint for workers that go on for long.
        self.has_items.store(true, Ordering::Relaxed);
        let shielded = self.ignores_stop(parent.0);
        self.items.add(|number| Items::new(InstanceId::of_items(number), parent, load, len, limit, shielded))
    }

    /// The first seat that a pool thread may take.
    pub(crate) fn first_free_seat(&self) -> usize {
        usize::from(self.driven)
    }

    /// Nanoseconds since the run began.
    #[inline]
    pub fn now(&self) -> u64 {
        self.clock.now()
    }

    /// Number of nodes without an outcome.
    pub fn remaining(&self) -> usize {
        // Counted in between, a node may be missed by both looks or met by both: a report, not a decision.
        self.root().remaining().saturating_sub(self.queue.done())
    }

    /// Whether every node has an outcome. Acquire: pairs with the release store at the end, so that whoever sees it sees
    /// every slot, state and time.
    pub fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Acquire)
    }

    /// Why nothing new starts, if so. SeqCst, as are the stores: see [`Run::stop`].
    pub fn stopped(&self) -> Option<Stop> {
        match self.stop.load(Ordering::SeqCst) & !SOME_CLOSED {
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
        let given = std::mem::take(&mut *lock(&self.restored));
        if given.is_empty() {
            return self.push_roots(self.root(), seat, |_| true);
        }
        let root = self.root();
        self.begin_with(root, given, seat, || {
            self.push_roots(root, seat, |node| root.status(node).0 == State::Pending);
        });
    }

    fn push_roots(&self, instance: &Instance<B>, seat: Option<&Seat<'_>>, runs: impl Fn(NodeId) -> bool) {
        let roots = instance.plan().roots().iter().enumerate().filter(|&(_, &node)| runs(NodeId(node)));
        let tasks = roots.map(|(index, &node)| (index, Task { instance: instance.id(), node: NodeId(node) }));
        instance.note_birth(self.now());
        let mut count = 0;
        let mut push = |(index, task): (usize, Task)| {
            count += 1;
            let state = instance.trigger(self, task.node, false);
            debug_assert_eq!(state, State::Ready);
            match seat {
                _ if self.queue.put_root_behind_gate(index, task) => {}
                Some(seat) => seat.push(task),
                None => self.queue.inject(task),
            }
        };
        // The last task pushed to a deque is the first one taken; the injector is first in, first out.
        if seat.is_some() {
            tasks.rev().for_each(&mut push)
        } else {
            tasks.for_each(&mut push)
        }
        self.pool.call_to_roots(self, count, seat.is_some());
    }

    /// Works until nothing is left that this seat can find; `false` when there was nothing from the start.
    pub(crate) fn work(self: &Arc<Self>, seat: &Seat<'_>, host: &mut B::Host) -> bool {
        let mut now = self.now();
        let mut was_idle = true;
        let mut looked = now;
        loop {
            self.push_due(seat, now);
            // What comes from another worker may have become ready since this one last read its clock: see
            // `Instance::timing`, which tells no time before that.
            let Some(found) = seat.find() else { break };
            let mut next = Some(found);
            if was_idle {
                // While this worker was idle it may have been the one that slept until some timer is due.
                self.pool.hand_over_timers();
                was_idle = false;
            }
            while let Some(task) = next {
                (next, now) = self.step(task, seat, now, host);
                now = self.body.between(self, host, now);
                if now.wrapping_sub(looked) >= LOOK_ELSEWHERE_NANOSECONDS {
                    now = self.clock.check();
                    looked = now;
                    // A chain whose nodes follow each other on this worker must not keep a map waiting for ever.
                    if self.has_items.load(Ordering::Relaxed)
                        && let Some(injected) = seat.find_injected()
                    {
                        next.replace(injected).into_iter().for_each(|task| seat.push(task));
                    }
                }
                if self.timers.earliest() <= now {
                    // This worker may go on with another task for long.
                    self.notify(self.push_due(seat, now));
                }
            }
        }
        self.body.rests(host);
        if self.has_limits {
            self.look_after_limits();
        }
        self.count_done(seat);
        !was_idle
    }

    /// Takes what is due into the seat's own deque; gives the number.
    #[inline]
    pub(crate) fn push_due(&self, seat: &Seat<'_>, now: u64) -> usize {
        if self.timers.earliest() > now {
            return 0;
        }
        let mut pushed = 0;
        while let Some(waiting) = self.timers.pop_due(now) {
            if waiting.is_look() {
                self.body.looks_again(self);
            } else {
                seat.push(waiting.task);
                pushed += 1;
            }
        }
        pushed
    }

    /// Tells the body when nothing is left to be found. What others still have in their hands ends with a look of theirs.
    pub(crate) fn look_after_limits(&self) {
        if !self.queue.has_work() {
            self.body.idles(self);
        }
    }

    /// Publishes a task that the body has kept from starting.
    pub fn resume(&self, task: Task) {
        self.queue.inject(task);
        self.notify(1);
    }

    /// Has [`Body::looks_again`] called after `delay` nanoseconds, unless the run stops before.
    pub fn look_again(&self, delay: u64) {
        let due = self.now().saturating_add(delay).min(u64::MAX - 1);
        // Even in a run that has stopped, what always runs may have to wait to be admitted.
        if self.timers.add(Waiting::look(due), true) {
            // A sleeper must learn of the new moment.
            self.notify(1);
        }
    }

    #[inline]
    fn step(self: &Arc<Self>, task: Task, seat: &Seat<'_>, now: u64, host: &mut B::Host) -> (Option<Task>, u64) {
        if task.instance.is_special() {
            return self.run_special(task, seat, now, host);
        }
        let instance = self.instance(task.instance);
        let status = instance.status_word(task.node);
        if self.stop.load(Ordering::Relaxed) != 0 && !self.goes_on(task) {
            return (self.pass_over(task, seat, now), now);
        }
        if self.has_limits && !self.body.admits(self, task) {
            return (None, now);
        }
        let attempt = status.begin();
        instance.note_start(task.node, now, seat.index());
        // A worker that will be busy for long calls another one for what else lies about, and that one the next: a wave
        // of tasks spreads by doubling. What it gets through in no time is not worth the waking of anybody; idle workers
        // look by themselves from time to time (`pool::Patience`), should it turn out to take long after all.
        if self.queue.seats() > 1 && self.body.is_long(instance, task.node, now) && self.queue.has_work() {
            self.notify(1);
        }
        instance.approach_successors(task.node);
        let mut step = Step::new(self, seat, task, attempt, now);
        self.body.execute(&mut step, host);
        (step.next, step.now)
    }

    /// Ends a task that would have started after the run stopped.
    #[cold]
    fn pass_over(&self, task: Task, seat: &Seat<'_>, now: u64) -> Option<Task> {
        if self.has_limits {
            self.body.left(self, task);
        }
        let status = self.instance(task.instance).status_word(task.node);
        let mut next = None;
        let state = self.abandoned(status.load().0);
        status.set(state);
        self.settle_decided(task, state, now, Sink::Seat(seat, &mut next));
        next
    }

    /// Lets nothing new start but what always runs. The first reason stays, except that a cancellation follows a failure.
    ///
    /// The store comes before the timers are closed, and a retry looks at `closed` under the timers' lock: it either is
    /// drained here or learns that the run has stopped. SeqCst on the flag, since it is rarely written and its order with
    /// the lock and with the queues' fences is then plain to see. Modelled in `tests/loom_protocols`.
    pub fn stop(&self, reason: Stop) {
        self.stop.fetch_or(reason as u8, Ordering::SeqCst);
        let now = self.now();
        for waiting in self.timers.close(|task| self.ignores_stop(task)) {
            if waiting.is_look() {
                continue;
            }
            if waiting.task.instance.is_items() {
                self.abandon_item(waiting.task, None);
            } else if let Some(state) = self.claim_waiting(waiting) {
                self.settle_decided(waiting.task, state, now, Sink::Injector);
            }
        }
        if self.has_limits {
            self.body.stopped(self);
        }
        // Those that sleep must drain the queue.
        self.notify(usize::MAX);
    }

    pub(crate) fn finish(&self) {
        self.body.finished(self);
        // Release: pairs with `is_finished`.
        self.finished.store(true, Ordering::Release);
        self.pool.retire(self);
        self.caller.finish();
    }

    /// Gives the run up in a process that has lost its workers (the child of a fork): nothing starts any more, and whoever
    /// waits for it stops waiting. Its values are not to be read.
    pub fn abandon(&self) {
        self.stop.fetch_or(Stop::Cancellation as u8, Ordering::SeqCst);
        self.finished.store(true, Ordering::Release);
    }

    /// Waits for the end from a thread that does not work on the run; `false` when `timeout` is over first.
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        // An abandoned run has finished, and nobody says so: the lock may have been held when the process forked.
        self.is_finished() || self.caller.wait_finished(timeout)
    }

    /// Calls up to `tasks` workers for tasks that were just published.
    #[inline]
    pub(crate) fn notify(&self, tasks: usize) {
        if tasks > 0 {
            self.pool.notify(self, tasks);
        }
    }
}
