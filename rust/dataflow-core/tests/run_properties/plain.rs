//! A body that asks a closure, for runs without a script.

use std::sync::Arc;
use std::time::Duration;

use dataflow_core::body::Body;
use dataflow_core::expansion::Expansion;
use dataflow_core::given::Given;
use dataflow_core::graph::{Graph, INPUT_MANY, INPUT_OPTIONAL};
use dataflow_core::ids::{NodeId, SlotId};
use dataflow_core::instance::Instance;
use dataflow_core::plan::{Plan, SourceKind};
use dataflow_core::pool::Pool;
use dataflow_core::ready::Task;
use dataflow_core::run::{FailurePolicy, Run, Step};
use dataflow_core::status::State;

/// How an attempt goes on.
pub(crate) enum Next {
    /// The sum of the inputs and this.
    Add(u64),
    Fail,
    Again(Duration),
    Expand(Arc<Plan>),
    /// With what its roots are given, and contained.
    ExpandContained(Arc<Plan>, Vec<(NodeId, Option<u64>)>),
}

type Act = dyn Fn(&Arc<Run<Plain>>, Task, u32) -> Next + Send + Sync;

pub(crate) struct Plain(Box<Act>);

impl Plain {
    pub(crate) fn new(act: impl Fn(&Arc<Run<Self>>, Task, u32) -> Next + Send + Sync + 'static) -> Self {
        Self(Box::new(act))
    }

    fn add(run: &Run<Self>, task: Task, attempt: u32, number: u64) -> dataflow_core::outcome::Claim<'_, Self> {
        let instance = run.instance(task.instance);
        let values = instance.plan().sources(task.node).iter().filter_map(|source| match source.kind() {
            // SAFETY: the attempt is live, and its producers have delivered.
            SourceKind::Slot(slot) => unsafe { instance.value(slot) },
            _ => None,
        });
        let sum = values.fold(number, |sum, value| sum.wrapping_add(*value));
        let mut claim = run.claim(task, attempt, State::Succeeded, 0).expect("nobody else ends it");
        claim.put(0, sum);
        claim
    }
}

impl Body for Plain {
    type Value = u64;
    type Program = ();
    type Items = ();
    type Element = ();
    type Host = ();

    fn execute(&self, step: &mut Step<'_, '_, Self>, (): &mut ()) {
        let (run, task, attempt) = (step.run(), step.task(), step.attempt());
        match (self.0)(run, task, attempt) {
            Next::Add(number) => step.deliver(Self::add(run, task, attempt, number)),
            Next::Fail => step.deliver(run.claim(task, attempt, State::Failed, 0).expect("nobody else ends it")),
            Next::Again(delay) => step.again(Some(delay)),
            Next::Expand(plan) => {
                run.expand(task, attempt, Expansion::new(plan, ()), |_| true);
            }
            Next::ExpandContained(plan, given) => {
                let given = given.into_iter().map(|(node, value)| Given::one(node, value)).collect();
                step.expand(Expansion::new(plan, ()).with_given(given).contained(), |_| true);
            }
        }
    }

    fn settled(&self, _run: &Run<Self>, _task: Task, _state: State) {}

    fn expanded(&self, step: &mut Step<'_, '_, Self>, child: &Instance<Self>, (): &mut ()) {
        let (run, task, attempt) = (step.run(), step.task(), step.attempt());
        let nodes = (0..child.plan().node_count() as u32).map(|node| child.status(NodeId(node)).0);
        if child.is_contained() && attempt == 1 && nodes.clone().any(State::is_failure) {
            return step.again(None);
        }
        let claim = if nodes.clone().any(State::is_failure) {
            run.claim(task, attempt, State::Failed, 0).expect("nobody else ends it")
        } else {
            let slots = (0..child.plan().slot_count() as u32).map(SlotId);
            // SAFETY: the child has ended, and its values are retained.
            let total = slots.filter_map(|slot| unsafe { child.value(slot) }).sum();
            Self::add(run, task, attempt, total)
        };
        step.deliver(claim);
    }

    fn finished(&self, _run: &Run<Self>) {}

    fn blocking<R: Send>((): &mut (), wait: impl FnOnce() -> R + Send) -> R {
        wait()
    }
}

/// Nodes with one optional input that takes many sources and one output.
pub(crate) fn plan(nodes: u32, edges: impl IntoIterator<Item = (u32, u32)>) -> Arc<Plan> {
    let mut graph = Graph::new();
    let shape = graph.add_shape(&[INPUT_MANY | INPUT_OPTIONAL], &[0]).unwrap();
    for _ in 0..nodes {
        graph.add_node(shape).unwrap();
    }
    for (before, after) in edges {
        assert!(graph.connect(NodeId(before), 0, NodeId(after), 0).unwrap());
    }
    Arc::new(Plan::compile(&graph).unwrap())
}

pub(crate) fn chain(nodes: u32) -> Arc<Plan> {
    plan(nodes, (1..nodes).map(|node| (node - 1, node)))
}

/// One node before and one after all others.
pub(crate) fn wide(nodes: u32) -> Arc<Plan> {
    let last = nodes - 1;
    plan(nodes, (1..last).flat_map(|node| [(0, node), (node, last)]))
}

/// The value of the last node is retained.
pub(crate) fn prepare(
    pool: &Arc<Pool<Plain>>,
    plan: &Arc<Plan>,
    seats: usize,
    driven: bool,
    policy: FailurePolicy,
    body: Plain,
) -> Arc<Run<Plain>> {
    let last = plan.slot_count() as u32;
    let retained = |slot: SlotId| slot.0 + 1 == last;
    Arc::new(Run::new(body, pool.clone(), plan.clone(), (), policy, seats, driven, retained))
}

pub(crate) fn last_value(run: &Run<Plain>) -> Option<u64> {
    assert!(run.is_finished());
    // SAFETY: the run is finished.
    unsafe { run.root().value(SlotId(run.root().plan().slot_count() as u32 - 1)) }.copied()
}

pub(crate) fn count(run: &Run<Plain>, state: State) -> usize {
    (0..run.root().plan().node_count() as u32).filter(|&node| run.root().status(NodeId(node)).0 == state).count()
}

/// Threads that serve a pool until this is dropped.
pub(crate) struct Crew {
    pub(crate) pool: Arc<Pool<Plain>>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Crew {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { pool: Arc::new(Pool::new(capacity)), threads: Vec::new() }
    }

    pub(crate) fn of(threads: usize) -> Self {
        let mut crew = Self::new(threads);
        crew.resize(threads);
        crew
    }

    pub(crate) fn resize(&mut self, threads: usize) {
        for worker in self.pool.resize(threads) {
            let pool = self.pool.clone();
            self.threads.push(std::thread::spawn(move || pool.serve(worker, &mut ())));
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.resize(0);
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
        assert_eq!(self.pool.serving(), 0);
    }
}
