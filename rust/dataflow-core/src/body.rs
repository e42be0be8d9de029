//! What runs a node. The scheduler knows nothing of it; Python is one body, a native no-op in the benches another.

use std::sync::Arc;

use crate::ids::NodeId;
use crate::instance::Instance;
use crate::items::{ItemEnd, Items};
use crate::ready::Task;
use crate::run::{Run, Step};
use crate::status::State;

/// Runs nodes for a [`Run`].
pub trait Body: Sized + Send + Sync + 'static {
    /// What a slot holds.
    type Value: Send + Sync;
    /// What the body knows of a plan's nodes; one for each plan instance.
    type Program: Send + Sync;
    /// What the body knows of the items that a node expanded into: their sources and results.
    type Items: Send + Sync;
    /// An item that was pulled from a source.
    type Element: Send;
    /// What a worker brings along (for Python: the attached thread state).
    type Host;

    /// Whether short nodes run faster on two threads than on one. Where they take turns, as under an interpreter's lock, a
    /// second worker comes to a run only when it is called, or when the first does not get on.
    const SPREADS: bool = true;

    /// Runs one attempt of a node. The body ends it by claiming it ([`Run::claim`]) and delivering the claim through
    /// `step`, lets it wait ([`Step::again`]), or leaves it live, for somebody to claim later from any thread.
    fn execute(&self, step: &mut Step<'_, '_, Self>, host: &mut Self::Host);

    /// Whether a node that starts `now` is expected to take so long that another worker is worth calling for what else lies
    /// about; `true` when nothing is known.
    fn is_long(&self, _instance: &Instance<Self>, _node: NodeId, _now: u64) -> bool {
        true
    }

    /// Asked before each start in a run with limits ([`Run::with_limits`]). `false` when the task has to wait: the body
    /// keeps it and calls [`Run::resume`] once, after which it is asked again. It is asked until the attempt begins, and
    /// told by [`Body::left`] when what it let through has ended, or has not begun after all.
    fn admits(&self, _run: &Arc<Run<Self>>, _task: Task) -> bool {
        true
    }

    /// Called in a run with limits when an attempt has ended, and for a task that was resumed and will not start.
    fn left(&self, _run: &Run<Self>, _task: Task) {}

    /// Called in a run with limits when nothing new starts any more: what waits to be admitted is to be resumed.
    fn stopped(&self, _run: &Run<Self>) {}

    /// Called in a run with limits when it has nothing to do, while others may be at work on it.
    fn idles(&self, _run: &Run<Self>) {}

    /// Called at a moment that was asked for with [`Run::look_again`].
    fn looks_again(&self, _run: &Run<Self>) {}

    /// Lets go of a value that nobody will ask for any more.
    fn discard(&self, value: Self::Value) {
        drop(value);
    }

    /// Called when a worker has found nothing more to do, before it counts what it did.
    fn rests(&self, _host: &mut Self::Host) {}

    /// Called for a node whose outcome the scheduler decided: skipped, cancelled, upstream failed, or failed while it
    /// waited for a retry. Comes before the outcome reaches the successors.
    fn settled(&self, run: &Run<Self>, task: Task, state: State);

    /// Called by a worker when all nodes of an expanded instance have an outcome. The body ends the parent's attempt, for
    /// which `step` stands, or expands it once more. A parent that is an item is ended with [`Step::end_item`].
    fn expanded(&self, step: &mut Step<'_, '_, Self>, child: &Instance<Self>, host: &mut Self::Host);

    /// Runs one attempt of an item: [`Step::task`] is the items' id and its index. `element` is what was pulled for it.
    fn run_item(
        &self,
        _step: &mut Step<'_, '_, Self>,
        _items: &Items<Self>,
        _element: Option<Self::Element>,
        _host: &mut Self::Host,
    ) -> ItemEnd<Self::Element> {
        unreachable!("a body that expands nodes into items runs them")
    }

    /// The next item of a source of unknown length, `None` at its end; called by one thread at a time. A body that
    /// cannot go on closes the items ([`Items::close`]).
    fn pull(&self, _run: &Run<Self>, _items: &Items<Self>, _host: &mut Self::Host) -> Option<Self::Element> {
        None
    }

    /// Whether items are expected to take so long that another worker is worth calling for them.
    fn items_are_long(&self, _items: &Items<Self>) -> bool {
        true
    }

    /// Called with the time that the last `count` items of a lane took together.
    fn items_took(&self, _items: &Items<Self>, _nanoseconds: u64, _count: u64) {}

    /// Called for an item whose attempt failed and that will not get another one, since the run has stopped or the items
    /// were closed.
    fn item_abandoned(&self, _run: &Run<Self>, _items: &Items<Self>, _task: Task, _attempt: u32) {}

    /// Called when all items that were taken are done. The body ends the parent's attempt: through `step`, which stands
    /// for it, if there is one. A parent that is an item itself is ended with [`Step::end_item`] or [`Run::end_item`].
    fn items_ended(&self, _run: &Run<Self>, _items: &Items<Self>, _step: Option<&mut Step<'_, '_, Self>>) {
        unreachable!("a body that expands nodes into items ends them")
    }

    /// Called once, by the thread that brought the last outcome.
    fn finished(&self, run: &Run<Self>);

    /// Called when a thread of the pool begins to work for a run, in a seat.
    fn joins(&self, _seat: usize, _host: &mut Self::Host) {}

    /// Called when it ends that work.
    fn leaves(&self, _host: &mut Self::Host) {}

    /// Called between two nodes of one worker, with the nanoseconds since the run began; gives them back, read anew when it
    /// took its time.
    fn between(&self, _run: &Run<Self>, _host: &mut Self::Host, now: u64) -> u64 {
        now
    }

    /// Runs a wait, with nothing held that others may need.
    fn blocking<R>(host: &mut Self::Host, wait: impl FnOnce() -> R + Send) -> R
    where
        R: Send;

    /// The longest time that this worker may sleep in one go, `None` for no limit.
    fn longest_wait(&self, _host: &Self::Host) -> Option<std::time::Duration> {
        None
    }
}
