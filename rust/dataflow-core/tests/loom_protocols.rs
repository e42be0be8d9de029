//! The concurrent protocols of the core in all their interleavings, up to a bound on preemptions.
//!
//! `make loom`, or `RUSTFLAGS="--cfg loom" cargo test -p dataflow-core --release --test loom_protocols`;
//! `LOOM_MAX_PREEMPTIONS` replaces the bounds below. loom regards `SeqCst` accesses as `AcqRel` ones and models `SeqCst`
//! fences, which are what the protocols stand on. Its timed waits never time out, so a model ends only if nobody relies on
//! a timer.
#![cfg(loom)]
#![allow(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use dataflow_core::body::Body;
use dataflow_core::graph::{Graph, INPUT_OPTIONAL};
use dataflow_core::ids::{InstanceId, NodeId, SlotId};
use dataflow_core::instance::Instance;
use dataflow_core::park::Sleepers;
use dataflow_core::plan::{Plan, SourceKind};
use dataflow_core::pool::Pool;
use dataflow_core::ready::Task;
use dataflow_core::run::{FailurePolicy, Run, Step, Stop};
use dataflow_core::slots::SlotTable;
use dataflow_core::status::{State, Status};
use dataflow_core::timers::{Timers, Waiting};
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

/// Most faults of this kind show with two preemptions (Musuvathi and Qadeer, PLDI 2007).
fn model(preemptions: usize, check: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
    builder.max_branches = 10_000;
    builder.check(check);
}

const TASK: Task = Task { instance: InstanceId::ROOT, node: NodeId(0) };
const FAR: Duration = Duration::from_secs(3600);

// ---------------------------------------------------------------- one word, one table, one parking lot

#[test]
fn one_of_three_ends_an_attempt_and_the_others_see_what_it_wrote() {
    struct Attempt {
        status: Status,
        notes: [UnsafeCell<u32>; 3],
    }
    // SAFETY: who claims writes its own cell before; loom checks that readers come after.
    unsafe impl Sync for Attempt {}

    model(3, || {
        let attempt = Arc::new(Attempt { status: Status::default(), notes: [(); 3].map(|()| UnsafeCell::new(0)) });
        attempt.status.set(State::Ready);
        assert_eq!(attempt.status.begin(), 1);
        let ends = [State::Succeeded, State::Failed, State::Cancelled];
        let claimants: Vec<_> = (0..ends.len())
            .map(|who| {
                let attempt = attempt.clone();
                thread::spawn(move || {
                    // SAFETY: nobody reads the cell before this claim is won.
                    attempt.notes[who].with_mut(|note| unsafe { *note = 7 });
                    let won = attempt.status.claim(1, ends[who]);
                    let (state, _) = attempt.status.load();
                    let winner = ends.iter().position(|&end| end == state).expect("somebody has won");
                    assert_eq!(won, winner == who);
                    // SAFETY: the winner wrote before its claim and writes no more.
                    assert_eq!(attempt.notes[winner].with(|note| unsafe { *note }), 7);
                    won
                })
            })
            .collect();
        let wins = claimants.into_iter().map(|claimant| claimant.join().unwrap()).filter(|&won| won).count();
        assert_eq!(wins, 1);
    });
}

#[test]
fn the_last_of_two_consumers_takes_the_value() {
    model(3, || {
        let table = Arc::new(SlotTable::new([2].into_iter()));
        // SAFETY: this thread is the producer.
        assert_eq!(unsafe { table.put(SlotId(0), 5_u32) }, None);
        let consume = |table: &SlotTable<u32>| {
            // SAFETY: the producer delivered before the consumers began, and each owns one of the two shares.
            assert_eq!(unsafe { table.get(SlotId(0)) }, Some(&5));
            // SAFETY: as above, and the reference is gone.
            unsafe { table.release(SlotId(0)) }
        };
        let other = thread::spawn({
            let table = table.clone();
            move || consume(&table)
        });
        let taken = [consume(&table), other.join().unwrap()];
        assert_eq!(taken.into_iter().flatten().collect::<Vec<_>>(), [5]);
        assert!(!table.is_kept(SlotId(0)));
    });
}

#[test]
fn a_value_moves_only_to_a_consumer_that_is_alone() {
    model(3, || {
        let table = Arc::new(SlotTable::new([2].into_iter()));
        // SAFETY: this thread is the producer.
        assert_eq!(unsafe { table.put(SlotId(0), 5_u32) }, None);
        let other = thread::spawn({
            let table = table.clone();
            // SAFETY: after the delivery, with a share of its own.
            move || unsafe {
                assert_eq!(table.get(SlotId(0)), Some(&5));
                table.release(SlotId(0))
            }
        });
        // SAFETY: this thread owns the second share.
        let moved = unsafe { table.take_sole(SlotId(0)) };
        // SAFETY: as above.
        let left = unsafe { table.release(SlotId(0)) };
        let taken = [moved, left, other.join().unwrap()];
        assert_eq!(taken.into_iter().flatten().collect::<Vec<_>>(), [5]);
    });
}

/// Work that sleepers wait for: each worker takes one piece and ends.
fn work_for_sleepers(workers: usize, publishers: usize) {
    let sleepers = Arc::new(Sleepers::new(workers));
    let work = Arc::new(AtomicUsize::new(0));
    let take = |work: &AtomicUsize| {
        work.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |pieces| pieces.checked_sub(1)).is_ok()
    };
    let serve = move |worker: usize, sleepers: &Sleepers, work: &AtomicUsize| {
        while !take(work) {
            sleepers.announce(worker);
            if work.load(Ordering::Relaxed) == 0 {
                sleepers.park(worker, None);
            }
            sleepers.retract(worker);
        }
    };
    let publish = |sleepers: &Sleepers, work: &AtomicUsize| {
        work.fetch_add(1, Ordering::Relaxed);
        sleepers.wake_one();
    };
    let mut threads: Vec<_> = (0..workers)
        .map(|worker| {
            let (sleepers, work) = (sleepers.clone(), work.clone());
            thread::spawn(move || serve(worker, &sleepers, &work))
        })
        .collect();
    threads.extend((1..publishers).map(|_| {
        let (sleepers, work) = (sleepers.clone(), work.clone());
        thread::spawn(move || publish(&sleepers, &work))
    }));
    publish(&sleepers, &work);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn no_wake_up_is_lost() {
    model(4, || work_for_sleepers(1, 1));
}

#[test]
fn two_publishers_wake_two_workers() {
    model(2, || work_for_sleepers(2, 2));
}

#[test]
fn a_task_that_waits_when_the_run_stops_is_ended_once() {
    model(3, || {
        let shared = Arc::new((Status::default(), Timers::default(), AtomicUsize::new(0)));
        shared.0.set(State::Ready);
        assert_eq!(shared.0.begin(), 1);
        let end = |shared: &(Status, Timers, AtomicUsize), state| {
            if shared.0.claim_waiting(1, state) {
                shared.2.fetch_add(1, Ordering::Relaxed);
            }
        };
        let retry = thread::spawn({
            let shared = shared.clone();
            move || {
                assert!(shared.0.claim(1, State::Retrying));
                if !shared.1.add(Waiting { due: 1, task: TASK, attempt: 1 }) {
                    end(&shared, State::Failed);
                }
            }
        });
        let due = thread::spawn({
            let shared = shared.clone();
            move || {
                if shared.1.pop_due(1).is_some() {
                    assert_eq!(shared.0.begin(), 2);
                    shared.2.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        for waiting in shared.1.close() {
            assert_eq!(waiting.task, TASK);
            end(&shared, State::Cancelled);
        }
        retry.join().unwrap();
        due.join().unwrap();
        assert_eq!(shared.2.load(Ordering::Relaxed), 1);
    });
}

// ---------------------------------------------------------------- whole runs

/// What the node of a model does.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Act {
    /// Adds one to the sum of its inputs.
    Add,
    /// Does so, but on another thread.
    AddElsewhere,
    Fail,
    /// Waits for a retry for longer than any model runs.
    RetryLater,
    /// Puts a plan of one node in its place.
    Expand,
}

#[derive(Default)]
struct Adder {
    threads: loom::sync::Mutex<Vec<thread::JoinHandle<()>>>,
    finished: AtomicUsize,
}

impl Adder {
    fn sum(instance: &Instance<Self>, node: NodeId) -> u64 {
        let slots = instance.plan().sources(node).iter().filter_map(|source| match source.kind() {
            SourceKind::Slot(slot) => Some(slot),
            _ => None,
        });
        // SAFETY: the attempt is live, so its predecessors have delivered and its shares are not given back.
        slots.filter_map(|slot| unsafe { instance.value(slot) }).sum::<u64>() + 1
    }

    fn complete(run: &Run<Self>, task: Task, attempt: u32) {
        let Some(mut claim) = run.claim(task, attempt, State::Succeeded, 0) else { return };
        claim.put(0, Self::sum(claim.instance(), task.node));
        run.deliver(claim);
    }

    fn join(&self) {
        let threads = std::mem::take(&mut *self.threads.lock().unwrap());
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

impl Body for Adder {
    type Value = u64;
    type Program = Vec<Act>;
    type Host = ();

    fn execute(&self, step: &mut Step<'_, '_, Self>, (): &mut ()) {
        let (task, attempt) = (step.task(), step.attempt());
        match step.instance().program()[task.node.index()] {
            Act::Add => {
                let sum = Self::sum(step.instance(), task.node);
                let mut claim = step.run().claim(task, attempt, State::Succeeded, 0).expect("nobody else ends it");
                claim.put(0, sum);
                step.deliver(claim);
            }
            Act::AddElsewhere => {
                let run = step.run().clone();
                let thread = thread::spawn(move || Self::complete(&run, task, attempt));
                self.threads.lock().unwrap().push(thread);
            }
            Act::Fail => {
                let claim = step.run().claim(task, attempt, State::Failed, 0).expect("nobody else ends it");
                step.deliver(claim);
            }
            Act::RetryLater => step.again(Some(FAR)),
            Act::Expand => step.run().expand(task, attempt, plan(1, &[]), vec![Act::Add], |_| true),
        }
    }

    fn settled(&self, _run: &Run<Self>, _task: Task, _state: State) {}

    fn expanded(&self, run: &Run<Self>, child: &Instance<Self>) {
        let (task, attempt) = child.parent().expect("a child has a parent");
        // SAFETY: the child has ended, and its values are retained.
        let value = unsafe { child.value(SlotId(0)) }.copied();
        let state = if value.is_some() { State::Succeeded } else { State::Cancelled };
        let mut claim = run.claim(task, attempt, state, 0).expect("nobody else ends it");
        value.map(|value| claim.put(0, value));
        run.deliver(claim);
    }

    fn finished(&self, _run: &Run<Self>) {
        self.finished.fetch_add(1, Ordering::Relaxed);
    }

    fn between(&self, _run: &Run<Self>, (): &mut (), _now: u64) {}

    fn blocking<R: Send>((): &mut (), wait: impl FnOnce() -> R + Send) -> R {
        wait()
    }

    fn longest_wait(&self, (): &()) -> Option<Duration> {
        None
    }
}

/// Two optional inputs and one output a node; an edge goes to the first input that is free.
fn plan(nodes: u32, edges: &[(u32, u32)]) -> Arc<Plan> {
    let mut graph = Graph::new();
    let shape = graph.add_shape(&[INPUT_OPTIONAL; 2], &[0]).unwrap();
    (0..nodes).for_each(|_| assert!(graph.add_node(shape).is_ok()));
    for &(from, to) in edges {
        let connected = (0..2).any(|port| graph.connect(NodeId(from), 0, NodeId(to), port).unwrap());
        assert!(connected);
    }
    Arc::new(Plan::compile(&graph).unwrap())
}

/// A run with every value retained, and its pool.
fn prepare(acts: &[Act], edges: &[(u32, u32)], seats: usize, driven: bool) -> (Arc<Run<Adder>>, Arc<Pool<Adder>>) {
    let pool = Arc::new(Pool::new(2));
    let plan = plan(acts.len() as u32, edges);
    let last = plan.slot_count() as u32 - 1;
    let retained = move |slot: SlotId| slot.0 == last;
    let policy = FailurePolicy::FailFast;
    let run = Run::new(Adder::default(), pool.clone(), plan, acts.to_vec(), policy, seats, driven, retained);
    (Arc::new(run), pool)
}

fn start_worker(pool: &Arc<Pool<Adder>>) -> thread::JoinHandle<()> {
    assert_eq!(pool.resize(1), [0]);
    let pool = pool.clone();
    thread::spawn(move || pool.serve(0, &mut ()))
}

fn stop_worker(pool: &Pool<Adder>, worker: thread::JoinHandle<()>) {
    assert!(pool.resize(0).is_empty());
    worker.join().unwrap();
    assert_eq!(pool.serving(), 0);
}

fn states(run: &Run<Adder>) -> Vec<State> {
    assert!(run.is_finished());
    (0..run.root().plan().node_count() as u32).map(|node| run.root().status(NodeId(node)).0).collect()
}

fn last_value(run: &Run<Adder>) -> Option<u64> {
    let last = SlotId(run.root().plan().slot_count() as u32 - 1);
    // SAFETY: the run is finished.
    unsafe { run.root().value(last) }.copied()
}

#[test]
fn a_caller_and_a_worker_finish_a_diamond() {
    model(2, || {
        let (run, pool) = prepare(&[Act::Add; 4], &[(0, 1), (0, 2), (1, 3), (2, 3)], 2, true);
        let worker = start_worker(&pool);
        pool.drive(&run, &mut ());
        assert_eq!(states(&run), [State::Succeeded; 4]);
        assert_eq!(last_value(&run), Some(5));
        stop_worker(&pool, worker);
        assert_eq!(run.body().finished.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_sleeping_caller_hears_of_a_completion_elsewhere() {
    model(3, || {
        let (run, pool) = prepare(&[Act::AddElsewhere, Act::Add], &[(0, 1)], 1, true);
        pool.drive(&run, &mut ());
        assert_eq!(last_value(&run), Some(2));
        run.body().join();
    });
}

#[test]
fn two_completions_elsewhere_meet_in_one_node() {
    model(2, || {
        let (run, pool) = prepare(&[Act::AddElsewhere, Act::AddElsewhere, Act::Add], &[(0, 2), (1, 2)], 1, true);
        pool.drive(&run, &mut ());
        assert_eq!(last_value(&run), Some(3));
        run.body().join();
    });
}

#[test]
fn a_submitted_run_ends_and_its_waiter_hears_of_it() {
    model(2, || {
        let (run, pool) = prepare(&[Act::Add, Act::AddElsewhere, Act::Add], &[(0, 2), (1, 2)], 1, false);
        let worker = start_worker(&pool);
        pool.submit(&run);
        assert!(run.wait(None));
        assert_eq!(last_value(&run), Some(3));
        run.body().join();
        stop_worker(&pool, worker);
    });
}

#[test]
fn a_node_that_expands_ends_with_its_child() {
    model(2, || {
        let (run, pool) = prepare(&[Act::Expand, Act::Add], &[(0, 1)], 2, true);
        let worker = start_worker(&pool);
        pool.drive(&run, &mut ());
        assert_eq!(last_value(&run), Some(2));
        stop_worker(&pool, worker);
    });
}

#[test]
fn a_cancellation_and_a_late_completion_end_an_attempt_once() {
    model(2, || {
        let (run, pool) = prepare(&[Act::AddElsewhere, Act::Add], &[(0, 1)], 1, true);
        let cancel = thread::spawn({
            let run = run.clone();
            move || {
                run.stop(Stop::Cancellation);
                if let Some(claim) = run.claim(TASK, 1, State::Cancelled, 0) {
                    run.deliver(claim);
                }
            }
        });
        pool.drive(&run, &mut ());
        cancel.join().unwrap();
        run.body().join();
        let states = states(&run);
        match states[0] {
            State::Succeeded => assert!(matches!(states[1], State::Succeeded | State::Cancelled)),
            state => assert_eq!([state, states[1]], [State::Cancelled; 2]),
        }
        assert_eq!(last_value(&run), (states[1] == State::Succeeded).then_some(2));
        assert_eq!(run.body().finished.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_cancellation_ends_a_task_that_waits_for_a_retry() {
    model(3, || {
        let (run, pool) = prepare(&[Act::RetryLater, Act::Add], &[(0, 1)], 1, true);
        let cancel = thread::spawn({
            let run = run.clone();
            move || run.stop(Stop::Cancellation)
        });
        pool.drive(&run, &mut ());
        cancel.join().unwrap();
        assert_eq!(states(&run), [State::Cancelled; 2]);
    });
}

#[test]
fn a_failure_fails_what_waits_for_a_retry_and_cancels_what_never_started() {
    model(2, || {
        let (run, pool) = prepare(&[Act::RetryLater, Act::Fail], &[], 2, true);
        let worker = start_worker(&pool);
        pool.drive(&run, &mut ());
        let (first, attempts) = run.root().status(NodeId(0));
        assert_eq!(first, if attempts == 0 { State::Cancelled } else { State::Failed });
        assert_eq!(states(&run)[1], State::Failed);
        assert_eq!(run.stopped(), Some(Stop::Failure));
        stop_worker(&pool, worker);
    });
}

#[test]
fn a_worker_that_leaves_calls_one_that_found_no_seat() {
    model(1, || {
        let (run, pool) = prepare(&[Act::AddElsewhere, Act::Add], &[(0, 1)], 1, false);
        assert_eq!(pool.resize(2), [0, 1]);
        let [stays, leaves] = [0, 1].map(|worker| {
            let pool = pool.clone();
            thread::spawn(move || pool.serve(worker, &mut ()))
        });
        pool.submit(&run);
        assert!(pool.resize(1).is_empty());
        assert!(run.wait(None));
        assert_eq!(last_value(&run), Some(2));
        leaves.join().unwrap();
        run.body().join();
        stop_worker(&pool, stays);
    });
}
