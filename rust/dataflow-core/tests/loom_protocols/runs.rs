//! Whole runs of a few nodes.

use std::sync::Arc;
use std::time::Duration;

use dataflow_core::body::Body;
use dataflow_core::expansion::Expansion;
use dataflow_core::graph::{Graph, INPUT_OPTIONAL};
use dataflow_core::ids::{InstanceId, NodeId, SlotId};
use dataflow_core::instance::Instance;
use dataflow_core::plan::{Plan, SourceKind};
use dataflow_core::pool::Pool;
use dataflow_core::ready::Task;
use dataflow_core::run::{FailurePolicy, Run, Step, Stop};
use dataflow_core::status::State;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use crate::model;

const TASK: Task = Task { instance: InstanceId::ROOT, node: NodeId(0) };
const FAR: Duration = Duration::from_secs(3600);

/// What the node of a model does.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Act {
    /// Adds one to the sum of its inputs.
    Add,
    /// Does so, but on another thread.
    AddElsewhere,
    /// Does so too, and leaves the pool one thread; the end of the run leaves it none.
    ShrinkPool,
    Fail,
    /// Waits for a retry for longer than any model runs.
    RetryLater,
    /// As [`Act::Add`], at the second attempt, and whatever happened before.
    CleanUp,
    /// Puts a plan of one node in its place.
    Expand,
}

struct Adder {
    pool: Arc<Pool<Self>>,
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
    type Items = ();
    type Element = ();
    type Host = ();

    fn execute(&self, step: &mut Step<'_, '_, Self>, (): &mut ()) {
        let (task, attempt) = (step.task(), step.attempt());
        match step.instance().program()[task.node.index()] {
            Act::CleanUp if attempt == 1 => step.again(None),
            Act::Add | Act::CleanUp => {
                let sum = Self::sum(step.instance(), task.node);
                let mut claim = step.run().claim(task, attempt, State::Succeeded, 0).expect("nobody else ends it");
                claim.put(0, sum);
                step.deliver(claim);
            }
            Act::AddElsewhere | Act::ShrinkPool => {
                if step.instance().program()[task.node.index()] == Act::ShrinkPool {
                    assert!(self.pool.resize(1).is_empty());
                }
                let run = step.run().clone();
                let thread = thread::spawn(move || Self::complete(&run, task, attempt));
                self.threads.lock().unwrap().push(thread);
            }
            Act::Fail => {
                let claim = step.run().claim(task, attempt, State::Failed, 0).expect("nobody else ends it");
                step.deliver(claim);
            }
            Act::RetryLater => step.again(Some(FAR)),
            Act::Expand => {
                step.expand(Expansion::new(plan(1, &[]), vec![Act::Add]), |_| true);
            }
        }
    }

    fn settled(&self, _run: &Run<Self>, _task: Task, _state: State) {}

    fn expanded(&self, step: &mut Step<'_, '_, Self>, child: &Instance<Self>, (): &mut ()) {
        let (run, task, attempt) = (step.run(), step.task(), step.attempt());
        // SAFETY: the child has ended, and its values are retained.
        let value = unsafe { child.value(SlotId(0)) }.copied();
        let state = if value.is_some() { State::Succeeded } else { State::Cancelled };
        let mut claim = run.claim(task, attempt, state, 0).expect("nobody else ends it");
        value.map(|value| claim.put(0, value));
        step.deliver(claim);
    }

    fn finished(&self, run: &Run<Self>) {
        self.finished.fetch_add(1, Ordering::Relaxed);
        if run.root().program().contains(&Act::ShrinkPool) {
            assert!(self.pool.resize(0).is_empty());
        }
    }

    fn blocking<R: Send>((): &mut (), wait: impl FnOnce() -> R + Send) -> R {
        wait()
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
    let always = (0..acts.len() as u32).filter(|&node| acts[node as usize] == Act::CleanUp).map(NodeId);
    let plan = Arc::new(Plan::clone(&plan(acts.len() as u32, edges)).with_always_run(always));
    let last = plan.slot_count() as u32 - 1;
    let retained = move |slot: SlotId| slot.0 == last;
    let policy = FailurePolicy::FailFast;
    let adder = Adder { pool: pool.clone(), threads: Default::default(), finished: AtomicUsize::new(0) };
    let run = Run::new(adder, pool.clone(), plan, acts.to_vec(), policy, seats, driven, retained);
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
    // With two preemptions it takes more than a minute, longer than all others: LOOM_MAX_PREEMPTIONS=2 has them.
    model(1, || {
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
    // Two minutes of interleavings with two preemptions.
    model(1, || {
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
    model(2, || {
        let (run, pool) = prepare(&[Act::ShrinkPool, Act::Add], &[(0, 1)], 1, false);
        assert_eq!(pool.resize(2), [0, 1]);
        pool.submit(&run);
        let leaves = thread::spawn({
            let pool = pool.clone();
            move || pool.serve(1, &mut ())
        });
        pool.serve(0, &mut ());
        assert_eq!(last_value(&run), Some(2));
        leaves.join().unwrap();
        run.body().join();
        assert_eq!(pool.serving(), 0);
    });
}

#[test]
fn a_clean_up_runs_whether_a_cancellation_comes_before_it_or_amidst() {
    model(2, || {
        let (run, pool) = prepare(&[Act::AddElsewhere, Act::CleanUp], &[(0, 1)], 1, true);
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
        assert_eq!(states[1], State::Succeeded);
        assert_eq!(last_value(&run), Some(1 + u64::from(states[0] == State::Succeeded)));
        assert_eq!(run.body().finished.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_clean_up_runs_after_a_failure_that_stops_the_run_on_another_worker() {
    // Its two attempts make for minutes of interleavings with two preemptions.
    model(1, || {
        let (run, pool) = prepare(&[Act::Fail, Act::CleanUp], &[], 2, true);
        let worker = start_worker(&pool);
        pool.drive(&run, &mut ());
        assert_eq!(states(&run), [State::Failed, State::Succeeded]);
        stop_worker(&pool, worker);
    });
}
