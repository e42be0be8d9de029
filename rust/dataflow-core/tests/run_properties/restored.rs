//! Runs that are given what an earlier one has done, against that one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dataflow_core::given::Given;
use dataflow_core::ids::{NodeId, SlotId};
use dataflow_core::plan::Plan;
use dataflow_core::resuming::{restorable, wanted};
use dataflow_core::run::{FailurePolicy, Run};
use dataflow_core::status::State;

use crate::plain::{Crew, Next, Plain, plan};
use crate::script::Random;
use crate::watchdog::watch;

fn random_plan(random: &mut Random, nodes: u32) -> Arc<Plan> {
    let edges: Vec<(u32, u32)> = (1..nodes)
        .flat_map(|node| {
            let mut before: Vec<u32> = (0..random.below(4)).map(|_| random.below(u64::from(node)) as u32).collect();
            before.sort_unstable();
            before.dedup();
            before.into_iter().map(move |before| (before, node))
        })
        .collect();
    plan(nodes, edges)
}

/// A run of which every value is retained, with the number of nodes that it ran.
fn run(crew: &Crew, plan: &Arc<Plan>, seats: usize, driven: bool, given: Vec<Given<u64>>) -> (Arc<Run<Plain>>, usize) {
    let ran = Arc::new(AtomicUsize::new(0));
    let counted = ran.clone();
    let body = Plain::new(move |_, task, _| {
        counted.fetch_add(1, Ordering::Relaxed);
        Next::Add(u64::from(task.node.0) + 1)
    });
    let run = Run::new(body, crew.pool.clone(), plan.clone(), (), FailurePolicy::FailFast, seats, driven, |_| true);
    let run = Arc::new(run);
    run.restore(given);
    if driven {
        crew.pool.drive(&run, &mut ());
    } else {
        crew.pool.submit(&run);
        assert!(run.wait(None));
    }
    (run, ran.load(Ordering::Relaxed))
}

fn values(run: &Run<Plain>) -> Vec<Option<u64>> {
    // SAFETY: the run is finished, and its values are retained.
    (0..run.root().plan().slot_count() as u32).map(|slot| unsafe { run.root().value(SlotId(slot)) }.copied()).collect()
}

#[test]
fn a_resumed_run_ends_as_an_undisturbed_one_and_runs_only_what_is_left() {
    let _watch = watch("resumed runs");
    let crew = Crew::of(2);
    let mut random = Random(20_261_123);
    for round in 0..300 {
        let nodes = random.below(60) as u32 + 1;
        let plan = random_plan(&mut random, nodes);
        let (seats, driven) = (random.below(3) as usize + 1, round % 2 == 0);
        let (first, ran) = run(&crew, &plan, seats, driven, Vec::new());
        assert_eq!(ran, nodes as usize);
        let expected = values(&first);
        // From none to all.
        let chance = [0, 30, 70, 95, 100][round % 5];
        let candidates: Vec<bool> = (0..nodes).map(|_| random.chance(chance)).collect();
        let restored = restorable(&plan, &candidates);
        let needed = wanted(&plan, &restored, |_| true);
        let given = (0..nodes).map(NodeId).filter(|node| restored[node.index()]).map(|node| {
            let slot = plan.slot(node, 0);
            assert!(needed.contains(&slot));
            Given::one(node, expected[slot.index()])
        });
        let (resumed, ran) = run(&crew, &plan, seats, driven, given.collect());
        assert_eq!(values(&resumed), expected);
        assert_eq!(ran, restored.iter().filter(|&&is_restored| !is_restored).count());
        for node in (0..nodes).map(NodeId) {
            let state = if restored[node.index()] { State::Restored } else { State::Succeeded };
            assert_eq!(resumed.root().status(node).0, state);
        }
    }
}

#[test]
fn a_resumed_run_needs_only_the_values_at_the_edge_of_what_runs() {
    let _watch = watch("values at the edge");
    let plan = plan(4, [(0, 1), (1, 2), (2, 3)]);
    let restored = restorable(&plan, &[true, true, false, true]);
    assert_eq!(restored, [true, true, false, false]);
    assert_eq!(wanted(&plan, &restored, |slot| slot.0 == 3), [plan.slot(NodeId(1), 0)]);
    let crew = Crew::of(0);
    let given = vec![Given::new(NodeId(0), vec![], false), Given::one(NodeId(1), Some(100))];
    let (resumed, ran) = run(&crew, &plan, 1, true, given);
    assert_eq!((ran, values(&resumed)[3]), (2, Some(100 + 3 + 4)));
}
