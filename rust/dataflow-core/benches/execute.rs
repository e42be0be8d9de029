//! What the scheduler costs a node: runs of a native body that does nothing, on one worker and on two.

#[cfg(not(loom))]
mod execute {
    use std::hint::black_box;
    use std::sync::Arc;

    use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
    use dataflow_core::body::Body;
    use dataflow_core::graph::{Graph, INPUT_MANY, INPUT_OPTIONAL};
    use dataflow_core::ids::NodeId;
    use dataflow_core::instance::Instance;
    use dataflow_core::plan::Plan;
    use dataflow_core::pool::Pool;
    use dataflow_core::ready::Task;
    use dataflow_core::run::{FailurePolicy, Run, Step};
    use dataflow_core::status::State;

    const NODES: u32 = 100_000;

    /// Sets its output and nothing else.
    struct Nothing;

    impl Body for Nothing {
        type Value = u32;
        type Program = ();
        type Items = ();
        type Element = ();
        type Host = ();

        fn execute(&self, step: &mut Step<'_, '_, Self>, (): &mut ()) {
            let now = step.clock();
            let claim = step.run().claim(step.task(), step.attempt(), State::Succeeded, now);
            let mut claim = claim.expect("nobody else ends it");
            claim.put(0, 0);
            step.deliver(claim);
        }

        fn settled(&self, _run: &Run<Self>, _task: Task, _state: State) {}

        fn expanded(&self, _step: &mut Step<'_, '_, Self>, _child: &Instance<Self>, _host: &mut ()) {}

        fn finished(&self, _run: &Run<Self>) {}

        fn blocking<R: Send>((): &mut (), wait: impl FnOnce() -> R + Send) -> R {
            wait()
        }
    }

    /// A plan of nodes with one output each and one input that takes the outputs of `before(node)`.
    fn plan<I: IntoIterator<Item = u32>>(before: impl Fn(u32) -> I) -> Arc<Plan> {
        let mut graph = Graph::new();
        let shape = graph.add_shape(&[INPUT_MANY | INPUT_OPTIONAL], &[0]).expect("flags are known");
        for _ in 0..NODES {
            graph.add_node(shape).expect("there is room");
        }
        for node in 0..NODES {
            for before in before(node) {
                graph.connect(NodeId(before), 0, NodeId(node), 0).expect("both ends exist");
            }
        }
        Arc::new(Plan::compile(&graph).expect("the graph has no fault"))
    }

    /// SplitMix64 (G. L. Steele, D. Lea, C. H. Flood, OOPSLA 2014): the same graph on every run.
    fn random(seed: u32) -> u32 {
        let mut bits = u64::from(seed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (bits ^ (bits >> 31)) as u32
    }

    /// Three neighbours in the row of a hundred before.
    fn neighbours(node: u32) -> std::ops::Range<u32> {
        const WIDTH: u32 = 100;
        match node.checked_sub(WIDTH) {
            None => 0..0,
            Some(above) => above.saturating_sub(1)..above + 2.min(WIDTH - node % WIDTH),
        }
    }

    fn shapes() -> [(&'static str, Arc<Plan>); 5] {
        [
            ("chain", plan(|node| node.checked_sub(1))),
            ("wide", plan(|node| (node > 0).then_some(0))),
            ("stencil", plan(neighbours)),
            ("tree", plan(|node| node.checked_sub(1).map(|below| below / 2))),
            ("random", plan(|node| (0..if node == 0 { 0 } else { 3 }).map(move |edge| random(node * 3 + edge) % node))),
        ]
    }

    pub(crate) fn runs(criterion: &mut Criterion) {
        let pool = Arc::new(Pool::new(1));
        for worker in pool.resize(1) {
            let pool = pool.clone();
            std::thread::spawn(move || pool.serve(worker, &mut ()));
        }
        let prepare = |plan: &Arc<Plan>, workers: usize| {
            let policy = FailurePolicy::FailFast;
            Arc::new(Run::new(Nothing, pool.clone(), plan.clone(), (), policy, workers, true, |_| false))
        };
        let shapes = shapes();
        // A prepared run shows what a node costs; with its making and its end, what the user pays.
        let mut group = criterion.benchmark_group("execute");
        group.throughput(Throughput::Elements(u64::from(NODES))).sample_size(20);
        for (name, plan) in &shapes {
            for workers in [1, 2] {
                group.bench_function(BenchmarkId::new(*name, workers), |bencher| {
                    let run = |run: &mut Arc<Run<Nothing>>| pool.drive(black_box(run), &mut ());
                    bencher.iter_batched_ref(|| prepare(plan, workers), run, BatchSize::PerIteration);
                });
            }
        }
        group.finish();
        let mut group = criterion.benchmark_group("prepare, execute and drop");
        group.throughput(Throughput::Elements(u64::from(NODES))).sample_size(20);
        for (name, plan) in &shapes {
            group.bench_function(BenchmarkId::new(*name, 1), |bencher| {
                bencher.iter(|| pool.drive(&prepare(plan, 1), &mut ()));
            });
        }
        group.finish();
        let mut group = criterion.benchmark_group("small");
        let one = {
            let mut graph = Graph::new();
            let shape = graph.add_shape(&[], &[0]).expect("flags are known");
            graph.add_node(shape).expect("there is room");
            Arc::new(Plan::compile(&graph).expect("the graph has no fault"))
        };
        for workers in [1, 2] {
            group.bench_function(BenchmarkId::new("one node", workers), |bencher| {
                bencher.iter(|| pool.drive(&prepare(&one, workers), &mut ()));
            });
        }
        group.finish();
    }
}

#[cfg(not(loom))]
mod groups {
    #![allow(missing_docs)]
    criterion::criterion_group!(execute, super::execute::runs);
}

#[cfg(not(loom))]
criterion::criterion_main!(groups::execute);

#[cfg(loom)]
fn main() {}
