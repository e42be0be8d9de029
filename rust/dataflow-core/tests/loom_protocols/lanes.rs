//! Maps of a few items: who pulls, who parks, who ends.

use std::sync::Arc;

use dataflow_core::body::Body;
use dataflow_core::graph::Graph;
use dataflow_core::ids::NodeId;
use dataflow_core::instance::Instance;
use dataflow_core::items::{ItemEnd, Items};
use dataflow_core::plan::Plan;
use dataflow_core::pool::Pool;
use dataflow_core::ready::Task;
use dataflow_core::run::{FailurePolicy, Run, Step, Stop};
use dataflow_core::status::State;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use crate::model;

/// The load is taken when the map ends, as a body does that lets its values go: nobody may look at it afterwards.
type Load = loom::cell::UnsafeCell<Option<()>>;

struct Lanes {
    is_open: bool,
    items: usize,
    limit: usize,
    /// The item that is ended by another thread.
    elsewhere: usize,
    pulled: AtomicUsize,
    ran: AtomicUsize,
    ended: AtomicUsize,
    threads: loom::sync::Mutex<Vec<thread::JoinHandle<()>>>,
}

impl Lanes {
    fn look(items: &Items<Self>) {
        items.load().with(|load| {
            // SAFETY: whoever has a slot may look; loom reports a race with the end.
            assert!(unsafe { (*load).is_some() }, "a lane goes on with a map that has ended");
        });
    }
}

impl Body for Lanes {
    type Value = ();
    type Program = ();
    type Items = Shared;
    type Element = ();
    type Host = ();

    fn execute(&self, step: &mut Step<'_, '_, Self>, (): &mut ()) {
        let load = Shared(loom::cell::UnsafeCell::new(Some(())));
        step.expand_items(load, (!self.is_open).then_some(self.items), self.limit);
    }

    fn run_item(&self, step: &mut Step<'_, '_, Self>, items: &Items<Self>, _: Option<()>, (): &mut ()) -> ItemEnd<()> {
        Self::look(items);
        self.ran.fetch_add(1, Ordering::Relaxed);
        let task = step.task();
        if task.node.index() == self.elsewhere {
            let run = step.run().clone();
            let thread = thread::spawn(move || run.end_item(task, 1, ItemEnd::Done));
            self.threads.lock().unwrap().push(thread);
            return ItemEnd::Elsewhere;
        }
        ItemEnd::Done
    }

    fn pull(&self, _run: &Run<Self>, items: &Items<Self>, (): &mut ()) -> Option<()> {
        Self::look(items);
        (self.pulled.fetch_add(1, Ordering::Relaxed) < self.items).then_some(())
    }

    fn items_ended(&self, run: &Run<Self>, items: &Items<Self>, step: Option<&mut Step<'_, '_, Self>>) {
        // SAFETY: the last slot was given back; loom reports a race with a lane that still looks.
        items.load().with_mut(|load| unsafe { *load = None });
        self.ended.fetch_add(1, Ordering::Relaxed);
        let (task, attempt) = items.parent();
        let state = if items.is_exhausted() { State::Succeeded } else { State::Cancelled };
        let claim = run.claim(task, attempt, state, 0).expect("a map ends once");
        match step {
            Some(step) => step.deliver(claim),
            None => run.deliver(claim),
        }
    }

    fn settled(&self, _run: &Run<Self>, _task: Task, _state: State) {}

    fn expanded(&self, _step: &mut Step<'_, '_, Self>, _child: &Instance<Self>, (): &mut ()) {}

    fn finished(&self, _run: &Run<Self>) {}

    fn blocking<R: Send>((): &mut (), wait: impl FnOnce() -> R + Send) -> R {
        wait()
    }
}

/// Says that the accesses are ordered, which is what the models check.
struct Shared(Load);

impl std::ops::Deref for Shared {
    type Target = Load;

    fn deref(&self) -> &Load {
        &self.0
    }
}

// SAFETY: loom's cell panics on a race.
unsafe impl Sync for Shared {}
// SAFETY: as above.
unsafe impl Send for Shared {}

fn check(is_open: bool, items: usize, limit: usize, elsewhere: usize, workers: usize, cancels: bool) {
    let pool = Arc::new(Pool::new(2));
    let mut graph = Graph::new();
    let shape = graph.add_shape(&[], &[]).unwrap();
    graph.add_node(shape).unwrap();
    let plan = Arc::new(Plan::compile(&graph).unwrap());
    let body = Lanes {
        is_open,
        items,
        limit,
        elsewhere,
        pulled: AtomicUsize::new(0),
        ran: AtomicUsize::new(0),
        ended: AtomicUsize::new(0),
        threads: Default::default(),
    };
    let policy = FailurePolicy::FailFast;
    let run = Arc::new(Run::new(body, pool.clone(), plan, (), policy, workers, true, |_| false));
    let worker = (workers > 1).then(|| {
        assert_eq!(pool.resize(1), [0]);
        let pool = pool.clone();
        thread::spawn(move || pool.serve(0, &mut ()))
    });
    let cancel = cancels.then(|| {
        let run = run.clone();
        thread::spawn(move || run.stop(Stop::Cancellation))
    });
    pool.drive(&run, &mut ());
    cancel.into_iter().for_each(|thread| thread.join().unwrap());
    let threads = std::mem::take(&mut *run.body().threads.lock().unwrap());
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(pool.resize(0).is_empty());
    worker.into_iter().for_each(|thread| thread.join().unwrap());
    let (ran, ended) = (run.body().ran.load(Ordering::Relaxed), run.body().ended.load(Ordering::Relaxed));
    let state = run.root().status(NodeId(0)).0;
    if cancels {
        assert!(ran <= items && ended <= 1 && state != State::Failed);
    } else {
        assert_eq!((ran, ended, state), (items, 1, State::Succeeded));
    }
}

const NOWHERE: usize = usize::MAX;

#[test]
fn two_lanes_share_a_sized_source_and_one_ends_the_map() {
    model(2, || check(false, 2, usize::MAX, NOWHERE, 2, false));
}

#[test]
fn a_lane_that_finds_another_one_pulling_is_put_back() {
    model(2, || check(true, 1, usize::MAX, NOWHERE, 2, false));
}

#[test]
fn an_item_that_ends_elsewhere_may_be_the_last_one() {
    model(2, || check(false, 1, usize::MAX, 0, 1, false));
}

#[test]
fn an_item_that_ends_elsewhere_gives_its_slot_to_the_next_one() {
    model(2, || check(false, 2, 1, 0, 1, false));
}

#[test]
fn a_cancelled_map_ends_once() {
    model(2, || check(false, 2, 1, 0, 1, true));
}
