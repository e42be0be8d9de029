//! How the items of a map are run: by lanes, each of which takes one item after another.
//!
//! # The protocol
//! A *slot* is the right to be at work on an item, and there are never more than the limit of the map. A slot is in one
//! place at a time: with a *lane* (a worker that runs items one after another, or a token in the ready queue for the next
//! worker), with an item that is under way elsewhere (a coroutine, a map within the map), with an item that waits for its
//! next attempt, or parked until somebody has pulled the next item. Whoever has a slot either takes the next item with it
//! or passes it on; it is given back only once the source has nothing more, which stays so. New slots are only made
//! while there is one. So while there may be more items somebody has a slot, and the one that gives the last slot back is
//! the one that ends the parent.
//!
//! A source of known length is a counter. A source that must be pulled is pulled by one lane at a time; others park their
//! slots in the word that also says that somebody pulls, and who ends the pull puts as many tokens into the queue as were
//! parked. A lane parks by a compare-and-swap on the very word that the end of the pull swaps out, so it is either counted
//! by that swap or sees that nobody pulls any more. Modelled in `tests/loom_protocols`.

use std::sync::Arc;
use std::time::Duration;

use crate::body::Body;
use crate::ids::NodeId;
use crate::items::{Held, ItemEnd, Items, LANE, MAX_ITEMS, PARKED};
use crate::ready::{Seat, Task};
use crate::run::{Run, Step};
use crate::sync::Ordering;
use crate::timers::Waiting;

/// A lane goes on for this long while others wait for its worker: long beside what a change of tasks costs.
const SLICE_NANOSECONDS: u64 = 200_000;
/// The clock is read once for items that together take about as long as this: a few times what a look at it costs.
const LOOK_NANOSECONDS: u64 = 2_000;
/// A lane looks at the clock at least after so many items, since the next one may take long for once.
const MOST_BETWEEN_LOOKS: u64 = 16;

enum Taken<E> {
    Item(u32, Option<E>),
    Nothing,
    Parked,
}

impl<B: Body> Step<'_, '_, B> {
    /// Puts items in the place of this live attempt: they run, at most `limit` of them at a time, and then
    /// [`Body::items_ended`] ends the attempt. Without `len` they are pulled ([`Body::pull`]).
    pub fn expand_items(&mut self, load: B::Items, len: Option<usize>, limit: usize) {
        let parent = (self.task(), self.attempt());
        let items = self.run().add_items(parent, load, len, limit);
        self.offer(items.lane());
    }

    /// As [`Run::end_item`], for the item of this step that had expanded.
    pub fn end_item(&mut self, end: ItemEnd<B::Element>) {
        let (run, task, attempt) = (self.run(), self.task(), self.attempt());
        run.end_item_into(task, attempt, end, Some(self));
    }
}

impl<B: Body> Run<B> {
    /// Ends the attempt of an item that was left live, from any thread. Nobody else may end it.
    pub fn end_item(&self, task: Task, attempt: u32, end: ItemEnd<B::Element>) {
        self.end_item_into(task, attempt, end, None);
    }

    fn end_item_into(&self, task: Task, attempt: u32, end: ItemEnd<B::Element>, step: Option<&mut Step<'_, '_, B>>) {
        let items = self.items(task.instance);
        let is_elsewhere = step.is_none();
        if self.has_limits {
            self.body().left(self, task);
        }
        match end {
            ItemEnd::Again(delay, element) => {
                items.hold(task.node.0, attempt + 1, element);
                match delay {
                    None | Some(Duration::ZERO) => self.publish_item(task, step),
                    Some(delay) => self.let_wait(items, task, attempt, delay, step),
                }
            }
            ItemEnd::Done => {
                items.done.fetch_add(1, Ordering::Relaxed);
                if items.may_have_more() {
                    items.lanes.fetch_add(1, Ordering::Relaxed);
                    self.publish_item(items.lane(), step);
                } else {
                    self.give_back(items, step);
                }
                if self.has_limits && is_elsewhere {
                    self.look_after_limits();
                }
            }
            ItemEnd::Elsewhere | ItemEnd::Expanded => debug_assert!(false, "these leave the item live"),
        }
    }

    fn publish_item(&self, task: Task, step: Option<&mut Step<'_, '_, B>>) {
        match step {
            Some(step) => step.offer(task),
            None => {
                self.queue.inject(task);
                self.notify(1);
            }
        }
    }

    /// Lets a held item wait with its slot. A run that has stopped, or a map that was closed, ends it instead.
    fn let_wait(
        &self,
        items: &Items<B>,
        task: Task,
        attempt: u32,
        delay: Duration,
        step: Option<&mut Step<'_, '_, B>>,
    ) {
        let delay = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
        let due = self.now().saturating_add(delay).min(u64::MAX - 1);
        if !self.timers.add(Waiting { due, task, attempt }, items.is_shielded()) {
            self.abandon_item(task, step);
            return;
        }
        // Who closes the map takes what waits out of the timers afterwards, under their lock: it has either found this
        // item there, or its closing is seen here.
        if items.is_closed() || !self.goes_on(task) {
            self.drop_waiting(items, step);
        }
        // A sleeper must learn of the new moment.
        self.notify(1);
    }

    /// Ends the items of a closed map that wait for another attempt.
    pub fn drop_waiting(&self, items: &Items<B>, mut step: Option<&mut Step<'_, '_, B>>) {
        for waiting in self.timers.take_of(items.id()) {
            self.abandon_item(waiting.task, step.as_deref_mut());
        }
    }

    /// Ends an item that waited for an attempt which it will not get. The caller has taken it out of the timers.
    pub(crate) fn abandon_item(&self, task: Task, step: Option<&mut Step<'_, '_, B>>) {
        let items = self.items(task.instance);
        let held = items.release(task.node.0);
        self.body().item_abandoned(self, items, task, held.attempt - 1);
        drop(held);
        self.give_back(items, step);
    }

    /// Gives a slot back: the source has nothing more. With the last one the parent ends.
    ///
    /// AcqRel: the release half publishes what the holder did with its items, the acquire half of the last one sees all of
    /// it. The partner is this same operation on another thread, and `spare_slot`.
    fn give_back(&self, items: &Items<B>, step: Option<&mut Step<'_, '_, B>>) {
        if items.slots.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        match step {
            None => self.body().items_ended(self, items, None),
            Some(step) => {
                let own = step.stand_in(items.parent());
                self.body().items_ended(self, items, Some(step));
                step.stand_in(own);
            }
        }
    }

    /// Runs items for a worker that has taken a lane, or an item that waited, out of the queue.
    #[inline(never)]
    pub(crate) fn run_items(
        self: &Arc<Self>,
        task: Task,
        seat: &Seat<'_>,
        now: u64,
        host: &mut B::Host,
    ) -> (Option<Task>, u64) {
        let items = self.items(task.instance);
        let mut step = Step::new(self, seat, items.lane(), 1, now);
        let mut again = None;
        if task.node != LANE {
            items.lanes.fetch_add(1, Ordering::Relaxed);
            let Held { attempt, element } = items.release(task.node.0);
            again = Some((task.node.0, attempt, element));
        }
        self.go_along(items, again, &mut step, host);
        (step.next, step.now)
    }

    fn go_along(
        self: &Arc<Self>,
        items: &Items<B>,
        mut again: Option<(u32, u32, Option<B::Element>)>,
        step: &mut Step<'_, '_, B>,
        host: &mut B::Host,
    ) {
        let began = step.now;
        let mut looked = step.now;
        let (mut unseen, mut runs, mut batch) = (0, 0, 1);
        loop {
            // Relaxed: a hint; who stops the run calls for the others later anyway.
            if self.stop.load(Ordering::Relaxed) != 0 && !self.goes_on(items.lane()) {
                items.close();
            }
            let (index, attempt, element) = match again.take() {
                Some((index, attempt, element)) if items.is_closed() => {
                    let task = Task { instance: items.id(), node: NodeId(index) };
                    if self.has_limits {
                        self.body().left(self, task);
                    }
                    self.body().item_abandoned(self, items, task, attempt - 1);
                    drop(element);
                    continue;
                }
                Some(held) => held,
                None => match self.take_item(items, host) {
                    Taken::Item(index, element) => (index, 1, element),
                    Taken::Nothing => {
                        items.count_done(unseen);
                        items.lanes.fetch_sub(1, Ordering::Relaxed);
                        step.clock();
                        return self.give_back(items, Some(step));
                    }
                    Taken::Parked => return self.leave(items, step, unseen),
                },
            };
            if self.queue.seats() > 1 {
                self.call_for_help(items, step.seat_ref());
            }
            let task = Task { instance: items.id(), node: NodeId(index) };
            step.begin_item(task, attempt);
            let element = match self.admit_item(items, task, attempt, element) {
                Ok(element) => element,
                // The slot waits with the item.
                Err(()) => return self.leave(items, step, unseen),
            };
            let end = self.body().run_item(step, items, element, host);
            if self.has_limits && matches!(end, ItemEnd::Done | ItemEnd::Again(..)) {
                self.body().left(self, task);
            }
            match end {
                ItemEnd::Done => unseen += 1,
                ItemEnd::Again(None | Some(Duration::ZERO), element) => again = Some((index, attempt + 1, element)),
                ItemEnd::Again(Some(delay), element) => {
                    let task = step.task();
                    items.hold(index, attempt + 1, element);
                    // The slot is the item's now, and may be given back before this returns.
                    let goes_on = items.add_slot();
                    self.let_wait(items, task, attempt, delay, goes_on.then_some(&mut *step));
                    if !goes_on {
                        return self.leave(items, step, unseen);
                    }
                }
                ItemEnd::Elsewhere => {
                    if !items.add_slot() {
                        return self.leave(items, step, unseen);
                    }
                }
                ItemEnd::Expanded => return self.leave(items, step, unseen),
            }
            runs += 1;
            if runs < batch && again.is_none() {
                continue;
            }
            let now = step.clock();
            let (took, count) = (now - looked, runs);
            runs = 0;
            self.body().items_took(items, took, count);
            items.count_done(unseen);
            unseen = 0;
            batch = (LOOK_NANOSECONDS * count / took.max(1)).clamp(1, MOST_BETWEEN_LOOKS);
            let now = self.body().between(self, host, now);
            looked = now;
            if self.timers.earliest() <= now {
                self.notify(self.push_due(step.seat_ref(), now));
            }
            if now - began >= SLICE_NANOSECONDS && again.is_none() {
                // A lane more than is of use for short items only fights with the others for what they share.
                let lanes = items.lanes.load(Ordering::Relaxed);
                let is_spare = lanes > self.queue.seats() || lanes > 1 && !self.body().items_are_long(items);
                if is_spare && items.spare_slot() {
                    items.lanes.fetch_sub(1, Ordering::Relaxed);
                    return;
                }
                if step.next.is_some() || step.seat_ref().has_own() || self.queue.has_queued() {
                    // First in, first out: everything else that waits comes before this lane.
                    self.queue.inject(items.lane());
                    return;
                }
            }
        }
    }

    /// Lets an item start, or holds it until the body resumes it.
    #[inline]
    fn admit_item(
        self: &Arc<Self>,
        items: &Items<B>,
        task: Task,
        attempt: u32,
        element: Option<B::Element>,
    ) -> Result<Option<B::Element>, ()> {
        if !self.has_limits {
            return Ok(element);
        }
        // Held before it is asked for: it may be resumed at once.
        items.hold(task.node.0, attempt, element);
        if self.body().admits(self, task) { Ok(items.release(task.node.0).element) } else { Err(()) }
    }

    /// A lane ends whose slot is with an item, or parked.
    fn leave(&self, items: &Items<B>, step: &mut Step<'_, '_, B>, unseen: u64) {
        items.count_done(unseen);
        items.lanes.fetch_sub(1, Ordering::Relaxed);
        step.clock();
    }

    fn take_item(&self, items: &Items<B>, host: &mut B::Host) -> Taken<B::Element> {
        if items.is_closed() {
            return Taken::Nothing;
        }
        match items.len() {
            // Relaxed: only the number must be one's own; the items were there before the first lane was.
            Some(len) => match items.taken.fetch_add(1, Ordering::Relaxed) {
                index if index < len => Taken::Item(index as u32, None),
                _ => Taken::Nothing,
            },
            None if items.begin_pull() => self.pull_item(items, host),
            None => Taken::Parked,
        }
    }

    /// Pulls, and puts the lanes that came meanwhile back into the queue.
    fn pull_item(&self, items: &Items<B>, host: &mut B::Host) -> Taken<B::Element> {
        // Another lane may have found the end, or closed the map, since this one looked.
        let element = if items.may_have_more() { self.body().pull(self, items, host) } else { None };
        let index = items.taken.load(Ordering::Relaxed);
        let taken = match element {
            Some(element) if index < MAX_ITEMS => {
                items.taken.store(index + 1, Ordering::Relaxed);
                Taken::Item(index as u32, Some(element))
            }
            Some(_) => {
                items.close();
                Taken::Nothing
            }
            None => {
                if !items.is_closed() {
                    items.exhausted.store(true, Ordering::Relaxed);
                }
                Taken::Nothing
            }
        };
        // AcqRel: pairs with `begin_pull`.
        let parked = items.pull.swap(0, Ordering::AcqRel) / PARKED;
        items.lanes.fetch_add(parked, Ordering::Relaxed);
        for _ in 0..parked {
            self.queue.inject(items.lane());
        }
        self.notify(parked);
        taken
    }

    #[inline]
    fn call_for_help(&self, items: &Items<B>, seat: &Seat<'_>) {
        if items.lanes.load(Ordering::Relaxed) < self.queue.seats()
            && self.body().items_are_long(items)
            && items.may_have_more()
            && items.add_slot()
        {
            items.lanes.fetch_add(1, Ordering::Relaxed);
            seat.push(items.lane());
            self.notify(1);
        }
    }
}
