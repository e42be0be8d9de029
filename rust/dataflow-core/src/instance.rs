//! One execution of one plan: the pending counters, states, slots and times of its nodes.
//!
//! A run is a tree of instances. The root runs the graph that the user gave; a node that expands (a map, a loop, a graph
//! made at run time) has a child instance, which ends the node when all its own nodes have an outcome.
#![allow(unsafe_code)]

use std::cmp;
use std::sync::Arc;

pub(crate) use crate::arena::Arena;
use crate::body::Body;
use crate::ids::{InstanceId, NodeId, SlotId};
use crate::plan::{Plan, SourceKind};
use crate::prefetch::prefetch;
use crate::ready::Task;
use crate::run::{FailurePolicy, Run};
use crate::slots::SlotTable;
use crate::status::{State, Status};
use crate::sync::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

/// Worker number of a node that never ran.
pub const NO_WORKER: u32 = u32::MAX;

/// When a node was queued, started and ended, in nanoseconds since the run began, and who ran it last.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Timing {
    /// When its last predecessor had an outcome.
    pub queued: u64,
    /// When its last attempt started.
    pub started: u64,
    /// When it had its outcome.
    pub ended: u64,
    /// The seat that started its last attempt, [`NO_WORKER`] if none did.
    pub worker: u32,
}

/// What changes while a node waits and runs: half a cache line, touched by its predecessors and by the worker that runs it.
#[repr(align(32))]
struct Cell {
    /// How many predecessors have no outcome yet; 1 when the last of them has brought its own.
    pending: AtomicU32,
    status: Status,
    started: AtomicU64,
    ended: AtomicU64,
    /// What went wrong upstream, in the high bits; who ran the node last, as its seat plus one, in the low ones.
    marks: AtomicU32,
    /// `u32::MAX - position` of the first failed ancestor in topological order; 0 when there is none.
    blame: AtomicU32,
}

const SAW_SKIP: u32 = 1 << 29;
const SAW_FAILURE: u32 = 1 << 30;
const SAW_CANCEL: u32 = 1 << 31;
const SAW_ANYTHING: u32 = SAW_SKIP | SAW_FAILURE | SAW_CANCEL;

impl Cell {
    fn new(pending: u32) -> Self {
        Self {
            pending: AtomicU32::new(pending),
            status: Status::default(),
            started: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            marks: AtomicU32::new(0),
            blame: AtomicU32::new(0),
        }
    }
}

/// Of how many successors at most the state is fetched early: more would push out what the node itself needs.
const APPROACHED: usize = 8;
/// From how many nodes on: the state of fewer stays in the caches by itself.
const APPROACHED_FROM: usize = 8192;

/// A plan in execution.
pub struct Instance<B: Body> {
    id: InstanceId,
    plan: Arc<Plan>,
    program: B::Program,
    parent: Option<(Task, u32)>,
    /// When its roots were queued.
    born: AtomicU64,
    cells: Box<[Cell]>,
    pub(crate) slots: SlotTable<B::Value>,
    remaining: AtomicUsize,
    /// It stands in the place of a node that runs whatever happens, and no stop of the run ends its nodes.
    shielded: bool,
    /// A failure in it ends it, and its parent's attempt, but not at once the run.
    contained: bool,
    closed: AtomicBool,
}

impl<B: Body> Instance<B> {
    pub(crate) fn new(
        id: InstanceId,
        plan: Arc<Plan>,
        program: B::Program,
        parent: Option<(Task, u32)>,
        shielded: bool,
        contained: bool,
        retained: impl Fn(SlotId) -> bool,
    ) -> Self {
        let nodes = plan.node_count();
        let slots = SlotTable::new(
            plan.consumer_counts()
                .iter()
                .enumerate()
                .map(|(slot, &consumers)| consumers + u32::from(retained(SlotId(slot as u32)))),
        );
        Self {
            id,
            program,
            parent,
            born: AtomicU64::new(0),
            cells: plan.in_degrees().iter().map(|&degree| Cell::new(degree)).collect(),
            slots,
            remaining: AtomicUsize::new(nodes),
            shielded,
            contained,
            closed: AtomicBool::new(false),
            plan,
        }
    }

    /// Its number within the run.
    pub fn id(&self) -> InstanceId {
        self.id
    }

    /// The plan that it executes.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// What the body knows of the plan's nodes.
    pub fn program(&self) -> &B::Program {
        &self.program
    }

    /// The task and the attempt that expanded into this instance; `None` for the root.
    pub fn parent(&self) -> Option<(Task, u32)> {
        self.parent
    }

    /// State and attempt of a node.
    pub fn status(&self, node: NodeId) -> (State, u32) {
        self.status_word(node).load()
    }

    /// Whether a node goes on after the run has stopped: one that always runs, and what such a node expanded into.
    pub fn ignores_stop(&self, node: NodeId) -> bool {
        self.shielded || self.plan.always_runs(node)
    }

    /// Whether no stop of the run ends its nodes.
    pub(crate) fn is_shielded(&self) -> bool {
        self.shielded
    }

    /// Whether a failure in it ends it, and its parent's attempt, but not at once the run.
    pub fn is_contained(&self) -> bool {
        self.contained
    }

    /// Lets none of its nodes start any more. Release: pairs with `is_closed`.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Whether a failure has ended it.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    #[inline]
    fn cell(&self, node: NodeId) -> &Cell {
        &self.cells[node.index()]
    }

    #[inline]
    pub(crate) fn status_word(&self, node: NodeId) -> &Status {
        &self.cell(node).status
    }

    /// The times of a node.
    pub fn timing(&self, node: NodeId) -> Timing {
        let cell = self.cell(node);
        let queued = match self.status(node).0 {
            State::Pending => 0,
            _ => self.queued(node),
        };
        // The worker that brought the last outcome may have read its clock before another one ended: the difference is
        // taken away here, where it costs nothing.
        let later = |moment: &AtomicU64, than: u64| match moment.load(Ordering::Relaxed) {
            0 => 0,
            moment => moment.max(than),
        };
        let started = later(&cell.started, queued);
        Timing {
            queued,
            started,
            ended: later(&cell.ended, started.max(queued)),
            worker: (cell.marks.load(Ordering::Relaxed) & !SAW_ANYTHING).wrapping_sub(1),
        }
    }

    /// When the last predecessor had its outcome: not stored, since it is seldom asked for.
    fn queued(&self, node: NodeId) -> u64 {
        let ends = self.plan.predecessors(node).iter().map(|&before| &self.cells[before as usize].ended);
        ends.map(|ended| ended.load(Ordering::Relaxed)).max().unwrap_or_else(|| self.born.load(Ordering::Relaxed))
    }

    /// Notes when the roots are queued.
    pub(crate) fn note_birth(&self, now: u64) {
        self.born.store(now, Ordering::Relaxed);
    }

    /// Notes who starts an attempt, and when.
    #[inline]
    pub(crate) fn note_start(&self, node: NodeId, now: u64, seat: usize) {
        let cell = self.cell(node);
        cell.started.store(now, Ordering::Relaxed);
        // No predecessor is left that would set a bit in between.
        let marks = cell.marks.load(Ordering::Relaxed) & SAW_ANYTHING;
        cell.marks.store(marks | (seat as u32 + 1), Ordering::Relaxed);
    }

    /// Notes that an attempt which was handed out has begun only now.
    pub(crate) fn note_begin(&self, node: NodeId, now: u64) {
        self.cell(node).started.store(now, Ordering::Relaxed);
    }

    /// Forgets who was given a first attempt that has not begun.
    pub(crate) fn forget_start(&self, node: NodeId) {
        let cell = self.cell(node);
        cell.started.store(0, Ordering::Relaxed);
        // No predecessor is left that would set a bit in between.
        cell.marks.store(cell.marks.load(Ordering::Relaxed) & SAW_ANYTHING, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn note_end(&self, node: NodeId, now: u64) {
        self.cell(node).ended.store(now, Ordering::Relaxed);
    }

    /// The failed ancestor that comes first in topological order.
    pub fn blame(&self, node: NodeId) -> Option<NodeId> {
        match self.cell(node).blame.load(Ordering::Relaxed) {
            0 => None,
            inverse => Some(NodeId(self.plan.order()[(u32::MAX - inverse) as usize])),
        }
    }

    /// The value of an output slot that a live attempt takes as input, or that a finished run kept.
    ///
    /// # Safety
    /// As [`SlotTable::get`].
    pub unsafe fn value(&self, slot: SlotId) -> Option<&B::Value> {
        // SAFETY: the caller's promise is the same.
        unsafe { self.slots.get(slot) }
    }

    /// Takes the value of an input whose last consumer the live attempt is: the move of rule D2.
    ///
    /// # Safety
    /// As [`SlotTable::take_sole`]; the attempt is the node's last.
    pub unsafe fn take_input(&self, slot: SlotId) -> Option<B::Value> {
        // SAFETY: the caller's promise is the same.
        unsafe { self.slots.take_sole(slot) }
    }

    /// The slots, for a body that visits or clears the values of a finished run.
    pub fn slots(&self) -> &SlotTable<B::Value> {
        &self.slots
    }

    /// Counts a predecessor's outcome at `node`; `true` for the last one.
    ///
    /// Whoever finds that one is pending is that one: the others have come, and nobody counts but predecessors. So the
    /// last arrival, the only one of most nodes, is a load. AcqRel: each arrival releases its producer's slots and notes;
    /// the last one acquires all of them, by the load as by the subtraction. The partner is this same operation on another
    /// thread. Modelled in `tests/loom_protocols`.
    #[inline]
    pub(crate) fn arrive(&self, node: NodeId) -> bool {
        let pending = &self.cell(node).pending;
        pending.load(Ordering::Acquire) == 1 || pending.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Has a node that will not run expect an outcome that never comes. Relaxed: nothing of the instance is published yet.
    pub(crate) fn expect_one_more(&self, node: NodeId) {
        self.cell(node).pending.fetch_add(1, Ordering::Relaxed);
    }

    /// Has the processor fetch what the outcome of `node` will touch at its successors, while the node runs. Each arrival
    /// there is a barrier that would wait for its cache line alone.
    #[inline(always)]
    pub(crate) fn approach_successors(&self, node: NodeId) {
        if self.cells.len() < APPROACHED_FROM {
            return;
        }
        let successors = self.plan.successors(node);
        // The arrival at a node with one predecessor is no barrier.
        if successors.len() > 1 {
            successors.iter().take(APPROACHED).for_each(|&successor| prefetch(&self.cells[successor as usize]));
        }
    }

    /// Notes for `node` what an outcome other than a full success means for it. Before [`Instance::arrive`].
    ///
    /// Relaxed: the release half of the pending counter publishes the notes to whoever brings it to zero.
    #[cold]
    pub(crate) fn note_adverse(&self, node: NodeId, from: NodeId, outcome: State) {
        let cell = self.cell(node);
        let mark = match outcome {
            State::Failed | State::UpstreamFailed => {
                let first = match outcome {
                    State::Failed => u32::MAX - self.plan.position(from),
                    _ => self.cell(from).blame.load(Ordering::Relaxed),
                };
                cell.blame.fetch_max(first, Ordering::Relaxed);
                SAW_FAILURE
            }
            State::Cancelled => SAW_CANCEL,
            // A success that left outputs unset is one.
            State::Skipped | State::Succeeded | State::Restored => SAW_SKIP,
            State::Pending | State::Ready | State::Running | State::Retrying => {
                debug_assert!(false, "{outcome:?} is no outcome");
                return;
            }
        };
        cell.marks.fetch_or(mark, Ordering::Relaxed);
    }

    /// The trigger rule, applied when every predecessor has an outcome.
    ///
    /// Failure outranks everything under the policy `continue`. Where nothing starts any more, what has not started is
    /// cancelled, the dependents of the failure that was the reason among them (rule R4). A node that always runs is ready
    /// at any rate.
    #[inline]
    pub(crate) fn trigger(&self, run: &Run<B>, node: NodeId, stopped: bool) -> State {
        let cell = self.cell(node);
        // Relaxed: the caller brought the pending counter to zero and so acquired every note.
        let marks = cell.marks.load(Ordering::Relaxed);
        let state = if marks == 0 && !stopped { State::Ready } else { self.judge(run, node, marks) };
        cell.status.set(state);
        state
    }

    #[cold]
    fn judge(&self, run: &Run<B>, node: NodeId, marks: u32) -> State {
        if self.plan.always_runs(node) {
            State::Ready
        } else if marks & SAW_FAILURE != 0 && run.policy == FailurePolicy::Continue {
            State::UpstreamFailed
        } else if marks & (SAW_CANCEL | SAW_FAILURE) != 0 || run.is_over_for(self) {
            State::Cancelled
        } else if marks & SAW_SKIP != 0 && self.lacks_input(node) {
            State::Skipped
        } else {
            State::Ready
        }
    }

    /// Whether an input that the node requires has no value because its sources were skipped.
    fn lacks_input(&self, node: NodeId) -> bool {
        let is_missing = |source: &crate::plan::Source| match source.kind() {
            // SAFETY: every producer has delivered and this node has given nothing back yet.
            SourceKind::Slot(slot) => unsafe { self.slots.get(slot) }.is_none(),
            SourceKind::Constant(_) | SourceKind::Unbound => false,
        };
        self.plan.input_flags(node).iter().enumerate().any(|(port, &flags)| {
            let sources = self.plan.port_sources(node, port as u32);
            let optional = flags & crate::graph::INPUT_OPTIONAL != 0;
            !optional && !sources.is_empty() && sources.iter().all(is_missing)
        })
    }

    /// Gives the node's shares of its inputs back; what leaves goes to `discard`.
    #[inline]
    pub(crate) fn release_inputs(&self, node: NodeId, discard: impl Fn(B::Value)) {
        for source in self.plan.sources(node) {
            if let SourceKind::Slot(slot) = source.kind() {
                // SAFETY: the node has its outcome, so its attempt uses no input any more; each source entry is one
                // share, given back once, by whoever set the outcome.
                if let Some(value) = unsafe { self.slots.release(slot) } {
                    discard(value);
                }
            }
        }
    }

    /// Counts nodes with an outcome; `true` for who counts the last one.
    pub(crate) fn count_down(&self, nodes: usize) -> bool {
        // AcqRel: the last one sees all that the others wrote, and publishes it with the end of the run.
        self.remaining.fetch_sub(nodes, Ordering::AcqRel) == nodes
    }

    /// Whether every node has delivered its outcome. Acquire: pairs with `count_down`.
    pub fn has_all_outcomes(&self) -> bool {
        self.remaining.load(Ordering::Acquire) == 0
    }

    /// Number of nodes whose outcome is not counted yet: workers count what they did when they run out of work.
    pub fn remaining(&self) -> usize {
        self.remaining.load(Ordering::Relaxed)
    }
}

impl<B: Body> Run<B> {
    /// Whether a node, or an item of a map, goes on after the run has stopped: see [`Plan::with_always_run`].
    pub fn ignores_stop(&self, task: Task) -> bool {
        if task.instance.is_items() {
            self.items(task.instance).is_shielded()
        } else {
            self.instance(task.instance).ignores_stop(task.node)
        }
    }

    /// The expanded instance that `order` finds equal to what is looked for. It is found quickly where the order of
    /// expansions is the one that is asked for, but for some, and by looking at all of them otherwise.
    pub fn find_instance(&self, order: impl Fn(&Instance<B>) -> cmp::Ordering) -> Option<&Instance<B>> {
        let children = &self.instances.children;
        children.search(&order).or_else(|| children.iter().find(|instance| order(instance).is_eq()))
    }
}

/// The instances of a run.
pub(crate) struct Instances<B: Body> {
    root: Instance<B>,
    children: Arena<Instance<B>>,
}

impl<B: Body> Instances<B> {
    pub(crate) fn new(root: Instance<B>) -> Self {
        Self { root, children: Arena::new() }
    }

    #[inline]
    pub(crate) fn get(&self, id: InstanceId) -> &Instance<B> {
        if id == InstanceId::ROOT { &self.root } else { self.children.get(id.0) }
    }

    /// Adds the instance that `make` makes of its number.
    pub(crate) fn add(&self, make: impl FnOnce(InstanceId) -> Instance<B>) -> &Instance<B> {
        self.children.add(|number| make(InstanceId(number)))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Instance<B>> {
        std::iter::once(&self.root).chain(self.children.iter())
    }
}
