//! Nodes that run once for each item of a source.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dataflow_core::body::Body;
use dataflow_core::ids::{NodeId, SlotId};
use dataflow_core::instance::Instance;
use dataflow_core::items::{ItemEnd, Items};
use dataflow_core::pool::Pool;
use dataflow_core::ready::Task;
use dataflow_core::run::{FailurePolicy, Run, Step, Stop};
use dataflow_core::status::State;
use proptest::prelude::*;

use crate::body::ELSEWHERE;
use crate::plain::{chain, wide};
use crate::script::mix;
use crate::watchdog::watch;

/// What the items of a map do.
#[derive(Copy, Clone, Debug)]
struct Plan {
    items: u32,
    is_open: bool,
    limit: usize,
    /// One in so many items ends on another thread, waits for a retry, is retried at once; 0 for none.
    elsewhere: u32,
    waits: u32,
    retries: u32,
    /// Items of the map are maps of this many items.
    inner: u32,
    /// The item that closes the map.
    fails_at: Option<u32>,
}

/// A map under way: what its items have done.
struct Load {
    plan: Plan,
    pulled: AtomicUsize,
    pulling: AtomicBool,
    inside: AtomicUsize,
    ended: AtomicUsize,
    abandoned: AtomicUsize,
    seen: Mutex<HashSet<u32>>,
}

impl Load {
    fn new(plan: Plan) -> Self {
        Self {
            plan,
            pulled: AtomicUsize::new(0),
            pulling: AtomicBool::new(false),
            inside: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
            abandoned: AtomicUsize::new(0),
            seen: Mutex::default(),
        }
    }

    fn enter(&self) {
        let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        assert!(inside <= self.plan.limit, "{inside} items at once, and the limit is {}", self.plan.limit);
    }

    fn leave(&self) {
        self.inside.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Mapper(Plan);

fn one_in(odds: u32, index: u32, salt: u64) -> bool {
    odds > 0 && mix(u64::from(index) ^ salt << 32).is_multiple_of(u64::from(odds))
}

impl Body for Mapper {
    type Value = u64;
    type Program = ();
    type Items = Load;
    type Element = u32;
    type Host = ();

    fn execute(&self, step: &mut Step<'_, '_, Self>, (): &mut ()) {
        if step.task().node == NodeId(1) {
            let plan = self.0;
            step.expand_items(Load::new(plan), (!plan.is_open).then_some(plan.items as usize), plan.limit);
            return;
        }
        let claim = step.run().claim(step.task(), step.attempt(), State::Succeeded, 0);
        let mut claim = claim.expect("nobody else ends it");
        claim.put(0, 1);
        step.deliver(claim);
    }

    fn run_item(
        &self,
        step: &mut Step<'_, '_, Self>,
        items: &Items<Self>,
        element: Option<u32>,
        (): &mut (),
    ) -> ItemEnd<u32> {
        let load = items.load();
        let (task, attempt, index) = (step.task(), step.attempt(), step.task().node.0);
        assert_eq!(element, load.plan.is_open.then_some(index), "the element is that of the item, in every attempt");
        load.enter();
        if attempt == 1 {
            assert!(load.seen.lock().unwrap().insert(index), "item {index} began twice");
        }
        if load.plan.fails_at == Some(index) {
            items.close();
            step.run().drop_waiting(items, None);
        } else if attempt == 1 && one_in(load.plan.waits, index, 1) {
            load.leave();
            return ItemEnd::Again(Some(Duration::from_micros(50)), element);
        } else if attempt < 3 && one_in(load.plan.retries, index, 2) {
            load.leave();
            return ItemEnd::Again(None, element);
        }
        if load.plan.inner > 0 {
            let plan = Plan { items: load.plan.inner, is_open: false, inner: 0, fails_at: None, ..load.plan };
            step.expand_items(Load::new(plan), Some(plan.items as usize), plan.limit);
            return ItemEnd::Expanded;
        }
        if one_in(load.plan.elsewhere, index, 3) {
            let run = step.run().clone();
            let job = move || {
                let load = run.items(task.instance).load();
                load.ended.fetch_add(1, Ordering::SeqCst);
                load.leave();
                run.end_item(task, attempt, ItemEnd::Done);
            };
            ELSEWHERE.send(Box::new(job)).unwrap();
            return ItemEnd::Elsewhere;
        }
        load.ended.fetch_add(1, Ordering::SeqCst);
        load.leave();
        ItemEnd::Done
    }

    fn pull(&self, _run: &Run<Self>, items: &Items<Self>, (): &mut ()) -> Option<u32> {
        let load = items.load();
        assert!(!load.pulling.swap(true, Ordering::SeqCst), "two lanes pull at once");
        let index = load.pulled.fetch_add(1, Ordering::SeqCst) as u32;
        if index.is_multiple_of(5) {
            std::thread::yield_now();
        }
        load.pulling.store(false, Ordering::SeqCst);
        (index < load.plan.items).then_some(index)
    }

    fn item_abandoned(&self, _run: &Run<Self>, items: &Items<Self>, _task: Task, _attempt: u32) {
        items.load().abandoned.fetch_add(1, Ordering::SeqCst);
    }

    fn items_ended(&self, run: &Run<Self>, items: &Items<Self>, step: Option<&mut Step<'_, '_, Self>>) {
        let load = items.load();
        assert_eq!(load.inside.load(Ordering::SeqCst), 0, "the map ended before its items");
        let (ended, abandoned) = (load.ended.load(Ordering::SeqCst), load.abandoned.load(Ordering::SeqCst));
        assert_eq!(ended + abandoned, items.taken(), "an item that was taken has no outcome");
        let (parent, attempt) = items.parent();
        if parent.instance.is_items() {
            let outer = run.items(parent.instance).load();
            outer.ended.fetch_add(1, Ordering::SeqCst);
            outer.leave();
            match step {
                Some(step) => step.end_item(ItemEnd::Done),
                None => run.end_item(parent, attempt, ItemEnd::Done),
            }
            return;
        }
        let is_whole =
            items.is_exhausted() && abandoned == 0 && load.plan.fails_at.is_none_or(|at| at >= load.plan.items);
        let state = match run.stopped() {
            _ if is_whole => State::Succeeded,
            Some(Stop::Cancellation) => State::Cancelled,
            _ => State::Failed,
        };
        let mut claim = run.claim(parent, attempt, state, run.now()).expect("a map ends once");
        if state == State::Succeeded {
            claim.put(0, ended as u64);
        }
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

/// Threads that serve a pool until this is dropped.
struct Crew(Arc<Pool<Mapper>>, Vec<std::thread::JoinHandle<()>>);

impl Crew {
    fn of(threads: usize) -> Self {
        let pool = Arc::new(Pool::new(threads.max(1)));
        let serve = |worker| {
            let pool: Arc<Pool<Mapper>> = pool.clone();
            std::thread::spawn(move || pool.serve(worker, &mut ()))
        };
        let threads = pool.resize(threads).into_iter().map(serve).collect();
        Self(pool, threads)
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.0.resize(0);
        self.1.drain(..).for_each(|thread| thread.join().unwrap());
    }
}

fn check(plan: Plan, workers: usize, is_wide: bool, cancel_after: Option<Duration>) {
    let _watch = watch(format!("{plan:?} on {workers} workers, cancelled after {cancel_after:?}"));
    let crew = Crew::of(workers - 1);
    let graph = if is_wide { wide(6) } else { chain(3) };
    let last = graph.slot_count() as u32 - 1;
    let retained = move |slot: SlotId| slot.0 == 1 || slot.0 == last;
    let policy = FailurePolicy::FailFast;
    let run = Arc::new(Run::new(Mapper(plan), crew.0.clone(), graph, (), policy, workers, true, retained));
    let cancels = cancel_after.map(|delay| {
        let run = run.clone();
        std::thread::spawn(move || {
            std::thread::sleep(delay);
            run.stop(Stop::Cancellation);
        })
    });
    crew.0.drive(&run, &mut ());
    cancels.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(run.is_finished());
    let state = run.root().status(NodeId(1)).0;
    if state == State::Succeeded {
        // SAFETY: the run is finished.
        assert_eq!(unsafe { run.root().value(SlotId(1)) }, Some(&u64::from(plan.items)));
    } else {
        assert!(plan.fails_at.is_some() || cancel_after.is_some(), "{state:?}");
    }
    for items in run.all_items().filter(|items| state == State::Succeeded || items.parent().0.instance.is_items()) {
        assert!(items.done() <= items.taken());
    }
}

fn plans() -> impl Strategy<Value = Plan> {
    let odds = || prop_oneof![Just(0), 1..6_u32];
    let limit = prop_oneof![Just(usize::MAX), 1..5_usize];
    let inner = prop_oneof![3 => Just(0), 1 => 1..6_u32];
    let fails_at = prop_oneof![4 => Just(None), 1 => (0..40_u32).prop_map(Some)];
    (0..60_u32, any::<bool>(), limit, odds(), odds(), odds(), inner, fails_at).prop_map(
        |(items, is_open, limit, elsewhere, waits, retries, inner, fails_at)| Plan {
            items,
            is_open,
            limit,
            elsewhere,
            waits,
            retries,
            inner,
            fails_at,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_item_runs_once_within_the_limit_and_the_last_one_ends_the_map(
        plan in plans(),
        workers in 1..5_usize,
        is_wide in any::<bool>(),
        cancel_after in prop_oneof![3 => Just(None), 1 => (0..500_u64).prop_map(|at| Some(Duration::from_micros(at)))],
    ) {
        check(plan, workers, is_wide, cancel_after);
    }
}

#[test]
fn a_hundred_thousand_items_run_on_three_workers() {
    let plan = Plan {
        items: 100_000,
        is_open: false,
        limit: usize::MAX,
        elsewhere: 1000,
        waits: 1000,
        retries: 50,
        inner: 0,
        fails_at: None,
    };
    check(plan, 3, true, None);
    check(Plan { is_open: true, limit: 5, ..plan }, 3, true, None);
}
