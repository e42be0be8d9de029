//! What a node expands into when it runs once for each item of a source: a map. How its items are run is said in
//! `lanes.rs`.

use std::collections::HashMap;
use std::time::Duration;

use crate::body::Body;
use crate::ids::{InstanceId, NodeId};
use crate::ready::Task;
use crate::sync::{AtomicBool, AtomicU32, AtomicUsize, Mutex, Ordering, lock};

/// In the place of an item's index: a lane.
pub(crate) const LANE: NodeId = NodeId(u32::MAX);
/// Most items of one map.
pub const MAX_ITEMS: usize = u32::MAX as usize - 1;
/// Somebody pulls; the number of parked slots is in the bits above.
pub(crate) const PULLING: usize = 1;
pub(crate) const PARKED: usize = 2;

/// How the attempt of an item ended, for now.
#[derive(Debug, PartialEq, Eq)]
pub enum ItemEnd<E> {
    /// It has its outcome.
    Done,
    /// Another attempt follows, after a delay or at once, with the element that was pulled for it.
    Again(Option<Duration>, Option<E>),
    /// Somebody ends it later with [`Run::end_item`](crate::run::Run::end_item); the lane goes on with the next item.
    Elsewhere,
    /// It expanded itself ([`Step::expand_items`](crate::run::Step::expand_items)) and ends with what it expanded into.
    Expanded,
}

/// An item that waits for its next attempt.
pub(crate) struct Held<E> {
    pub(crate) attempt: u32,
    pub(crate) element: Option<E>,
}

/// A live attempt of a node, expanded into items.
pub struct Items<B: Body> {
    id: InstanceId,
    parent: (Task, u32),
    load: B::Items,
    /// `None` for a source that must be pulled.
    len: Option<usize>,
    limit: usize,
    pub(crate) taken: AtomicUsize,
    pub(crate) done: AtomicU32,
    pub(crate) slots: AtomicUsize,
    /// How many of the slots are with lanes. A hint: it is counted apart from them.
    pub(crate) lanes: AtomicUsize,
    pub(crate) pull: AtomicUsize,
    closed: AtomicBool,
    pub(crate) exhausted: AtomicBool,
    held: Mutex<HashMap<u32, Held<B::Element>>>,
    shielded: bool,
}

impl<B: Body> Items<B> {
    pub(crate) fn new(
        id: InstanceId,
        parent: (Task, u32),
        load: B::Items,
        len: Option<usize>,
        limit: usize,
        shielded: bool,
    ) -> Self {
        debug_assert!(limit > 0 && len.is_none_or(|len| len <= MAX_ITEMS));
        Self {
            id,
            parent,
            load,
            len,
            limit,
            taken: AtomicUsize::new(0),
            done: AtomicU32::new(0),
            slots: AtomicUsize::new(1),
            lanes: AtomicUsize::new(1),
            pull: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            exhausted: AtomicBool::new(false),
            held: Mutex::new(HashMap::new()),
            shielded,
        }
    }

    /// The number that stands in the place of an instance in the tasks of the items.
    pub fn id(&self) -> InstanceId {
        self.id
    }

    /// The task and the attempt that expanded: a node, or an item of another map.
    pub fn parent(&self) -> (Task, u32) {
        self.parent
    }

    /// What the body knows of the items.
    pub fn load(&self) -> &B::Items {
        &self.load
    }

    /// The number of items, if it is known from the start.
    pub fn len(&self) -> Option<usize> {
        self.len
    }

    /// Whether it is known that there are no items.
    pub fn is_empty(&self) -> bool {
        self.len == Some(0)
    }

    /// How many items have an outcome: a report, a little behind.
    pub fn done(&self) -> usize {
        self.done.load(Ordering::Relaxed) as usize
    }

    /// How many items were taken from the source.
    pub fn taken(&self) -> usize {
        let taken = self.taken.load(Ordering::Relaxed);
        self.len.map_or(taken, |len| taken.min(len))
    }

    /// Whether every item of the source was taken.
    pub fn is_exhausted(&self) -> bool {
        match self.len {
            Some(len) => self.taken.load(Ordering::Relaxed) >= len,
            None => self.exhausted.load(Ordering::Relaxed),
        }
    }

    /// Whether they go on after the run has stopped: those of a node that always runs.
    pub(crate) fn is_shielded(&self) -> bool {
        self.shielded
    }

    /// Lets no further item be taken, and no further attempt of one start.
    ///
    /// Release: pairs with the acquire in `is_closed`, so that whoever finds it closed sees why.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Whether nothing more is taken: an item failed, the run stopped, or the source raised.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// `false` once there is nothing more to take, for ever.
    pub(crate) fn may_have_more(&self) -> bool {
        !self.is_closed() && !self.is_exhausted()
    }

    pub(crate) fn lane(&self) -> Task {
        Task { instance: self.id, node: LANE }
    }

    /// Makes another slot, unless none is left: a lane whose slot has gone with an item may come here after that item was
    /// the last one. Relaxed: it hands nothing over, and it is part of the release sequence of those that give back.
    pub(crate) fn add_slot(&self) -> bool {
        let more = |slots| (slots > 0 && slots < self.limit).then(|| slots + 1);
        self.slots.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// Gives a slot back unless it is the only one. AcqRel: as in `Run::give_back`.
    pub(crate) fn spare_slot(&self) -> bool {
        let fewer = |slots| (slots > 1).then(|| slots - 1);
        self.slots.fetch_update(Ordering::AcqRel, Ordering::Relaxed, fewer).is_ok()
    }

    /// `true` for the one lane that is to pull; the slot of any other one is parked.
    ///
    /// AcqRel: the lane that pulls sees what the last one left (the swap in `Run::pull_item`); a lane that parks lets
    /// whoever goes on with its slot see what it did.
    pub(crate) fn begin_pull(&self) -> bool {
        let next = |word: usize| Some(if word == 0 { PULLING } else { word + PARKED });
        self.pull.fetch_update(Ordering::AcqRel, Ordering::Acquire, next) == Ok(0)
    }

    pub(crate) fn hold(&self, index: u32, attempt: u32, element: Option<B::Element>) {
        lock(&self.held).insert(index, Held { attempt, element });
    }

    pub(crate) fn release(&self, index: u32) -> Held<B::Element> {
        lock(&self.held).remove(&index).expect("an item that waits was put there, and is taken once")
    }

    /// Counts items that have their outcome.
    pub(crate) fn count_done(&self, items: u64) {
        if items > 0 {
            self.done.fetch_add(items as u32, Ordering::Relaxed);
        }
    }
}
