//! The sequence of a plan: what holds for all of them, and what a worker makes of it.

use std::cmp::Reverse;
use std::collections::{BTreeSet, VecDeque};

use dataflow_core::graph::{Graph, INPUT_MANY, INPUT_OPTIONAL};
use dataflow_core::ids::NodeId;
use dataflow_core::plan::Plan;
use proptest::prelude::*;

type Parents = Vec<Vec<u32>>;

fn plan_of(parents: &Parents, priorities: &[(NodeId, i64)]) -> Plan {
    let mut graph = Graph::new();
    let shape = graph.add_shape(&[INPUT_MANY | INPUT_OPTIONAL], &[0]).unwrap();
    for _ in parents {
        graph.add_node(shape).unwrap();
    }
    for (node, parents) in (0..).zip(parents) {
        for &parent in parents {
            assert_eq!(graph.connect(NodeId(parent), 0, NodeId(node), 0), Ok(true));
        }
    }
    Plan::compile_prioritised(&graph, priorities).unwrap()
}

/// Nodes under construction: each takes values of earlier ones.
#[derive(Default)]
struct Nodes(Parents);

impl Nodes {
    fn add(&mut self, parents: &[u32]) -> u32 {
        self.0.push(parents.to_vec());
        self.0.len() as u32 - 1
    }

    fn roots(&mut self, count: usize) -> Vec<u32> {
        (0..count).map(|_| self.add(&[])).collect()
    }

    /// A reduction of `fan` at a time, whose leaves all come first.
    fn reduce(&mut self, mut level: Vec<u32>, fan: usize) -> u32 {
        while level.len() > 1 {
            level = level.chunks(fan).map(|part| self.add(part)).collect();
        }
        level[0]
    }
}

/// Two sources are split into parts each, and the parts joined one by one.
fn split_and_join(parts: usize) -> Parents {
    let mut nodes = Nodes::default();
    let (left, right) = (nodes.add(&[]), nodes.add(&[]));
    let left: Vec<u32> = (0..parts).map(|_| nodes.add(&[left])).collect();
    let right: Vec<u32> = (0..parts).map(|_| nodes.add(&[right])).collect();
    let joined = left.iter().zip(&right).map(|(&left, &right)| nodes.add(&[left, right])).collect();
    nodes.reduce(joined, 4);
    nodes.0
}

fn stencil(rows: u32, width: u32) -> Parents {
    let above = |node: u32| match node.checked_sub(width) {
        None => 0..0,
        Some(above) => above - u32::from(above % width > 0)..above + 1 + u32::from(above % width + 1 < width),
    };
    (0..rows * width).map(|node| above(node).collect()).collect()
}

/// How many values are alive at most when nodes run in that order.
fn peak(parents: &Parents, order: &[u32]) -> usize {
    let mut left = consumers(parents);
    let (mut alive, mut peak) = (0, 0);
    for &node in order {
        alive += 1;
        peak = peak.max(alive);
        for &parent in &parents[node as usize] {
            left[parent as usize] -= 1;
            alive -= usize::from(left[parent as usize] == 0);
        }
    }
    peak
}

fn consumers(parents: &Parents) -> Vec<usize> {
    let mut counts = vec![0; parents.len()];
    parents.iter().flatten().for_each(|&parent| counts[parent as usize] += 1);
    counts
}

/// Where a worker looks for its next node.
#[derive(Copy, Clone, Debug, PartialEq)]
enum Way {
    /// Its own stack, then the oldest of another one's; the roots lie on the first worker's.
    Stacks,
    /// Its own stack, then behind the gates, then another one's.
    Gates,
    /// The first of the sequence among all that is ready.
    Sequence,
}

/// `workers` workers that need a step for each node: the order in which nodes end, and how many values were alive at most.
fn simulate(plan: &Plan, parents: &Parents, workers: usize, way: Way) -> (Vec<u32>, usize) {
    let mut waiting = plan.in_degrees().to_vec();
    let mut left = consumers(parents);
    let mut place = vec![0; parents.len()];
    plan.sequence().iter().enumerate().for_each(|(at, &node)| place[node as usize] = at);
    let mut stacks = vec![VecDeque::new(); workers];
    let mut behind = BTreeSet::new();
    let gated = |node: u32| way == Way::Sequence || way == Way::Gates && plan.gate(NodeId(node)).is_some();
    for &root in plan.roots().iter().rev() {
        if way != Way::Stacks {
            behind.insert(place[root as usize]);
        } else {
            stacks[0].push_back(root)
        }
    }
    let (mut order, mut alive, mut peak) = (Vec::new(), 0, 0);
    while order.len() < parents.len() {
        let mut running = Vec::new();
        for worker in 0..workers {
            let own = stacks[worker].pop_back();
            let found = own.or_else(|| behind.pop_first().map(|at| plan.sequence()[at]));
            let found = found.or_else(|| (0..workers).find_map(|other| stacks[other].pop_front()));
            running.extend(found.map(|node| (worker, node)));
        }
        alive += running.len();
        peak = peak.max(alive);
        for (worker, node) in running {
            order.push(node);
            for &parent in &parents[node as usize] {
                left[parent as usize] -= 1;
                alive -= usize::from(left[parent as usize] == 0);
            }
            for &successor in plan.successors(NodeId(node)).iter().rev() {
                waiting[successor as usize] -= 1;
                if waiting[successor as usize] == 0 {
                    if gated(successor) {
                        behind.insert(place[successor as usize]);
                    } else {
                        stacks[worker].push_back(successor);
                    }
                }
            }
        }
    }
    (order, peak)
}

fn any_parents() -> impl Strategy<Value = Parents> {
    let node = |node: usize| proptest::collection::btree_set(0..node.max(1) as u32, 0..=node.min(3));
    (1..40_usize).prop_flat_map(move |count| (0..count).map(node).collect::<Vec<_>>()).prop_map(|rows| {
        rows.into_iter().enumerate().map(|(node, row)| row.into_iter().filter(|_| node > 0).collect()).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn the_sequence_is_a_topological_order_and_always_the_same(parents in any_parents()) {
        let plan = plan_of(&parents, &[]);
        let mut seen = vec![false; parents.len()];
        for &node in plan.sequence() {
            prop_assert!(!std::mem::replace(&mut seen[node as usize], true), "node {} comes twice", node);
            prop_assert!(parents[node as usize].iter().all(|&parent| seen[parent as usize]));
        }
        prop_assert!(seen.iter().all(|&seen| seen));
        let again = plan_of(&parents, &[]);
        prop_assert_eq!((plan.sequence(), plan.gates()), (again.sequence(), again.gates()));
    }

    #[test]
    fn one_worker_follows_the_sequence_or_keeps_about_as_few_values(parents in any_parents()) {
        let plan = plan_of(&parents, &[]);
        let (order, most) = simulate(&plan, &parents, 1, Way::Gates);
        if plan.gates_roots_alone() {
            let least = peak(&parents, plan.sequence());
            prop_assert!(most <= least + least / 16, "{} values instead of {}", most, least);
        } else {
            prop_assert_eq!(&order[..], plan.sequence());
        }
    }

    #[test]
    fn what_a_higher_priority_waits_for_comes_first(
        parents in any_parents(),
        priorities in proptest::collection::vec((0..40_u32, -2..3_i64), 1..6),
    ) {
        let priorities: Vec<(NodeId, i64)> =
            priorities.into_iter().map(|(node, priority)| (NodeId(node % parents.len() as u32), priority)).collect();
        let mut pulled = vec![0; parents.len()];
        priorities.iter().for_each(|&(node, priority)| pulled[node.index()] = priority);
        for (node, parents) in parents.iter().enumerate().rev() {
            parents.iter().for_each(|&parent| pulled[parent as usize] = pulled[parent as usize].max(pulled[node]));
        }
        let plan = plan_of(&parents, &priorities);
        prop_assert!(plan.sequence().is_sorted_by_key(|&node| Reverse(pulled[node as usize])));
        prop_assert_eq!(simulate(&plan, &parents, 1, Way::Gates).0, plan.sequence());
    }
}

#[test]
fn a_reduction_keeps_a_value_for_each_level() {
    let mut nodes = Nodes::default();
    let leaves = nodes.roots(256);
    nodes.reduce(leaves, 2);
    let plan = plan_of(&nodes.0, &[]);
    assert_eq!(peak(&nodes.0, plan.sequence()), 10);
    assert!(plan.gates_roots_alone(), "a worker's stack does the same");
    assert_eq!(simulate(&plan, &nodes.0, 1, Way::Stacks).1, 10);
}

#[test]
fn chains_run_one_after_the_other() {
    let mut nodes = Nodes::default();
    let ends: Vec<u32> = (0..50).map(|_| (0..10).fold(nodes.add(&[]), |before, _| nodes.add(&[before]))).collect();
    nodes.add(&ends);
    assert_eq!(peak(&nodes.0, plan_of(&nodes.0, &[]).sequence()), 51);
}

#[test]
fn a_tall_stencil_keeps_a_row_and_a_wide_one_a_cone() {
    let (tall, wide) = (stencil(60, 8), stencil(8, 60));
    assert!(peak(&tall, plan_of(&tall, &[]).sequence()) <= 2 * 8);
    // The sixty results are kept to the end.
    assert!(peak(&wide, plan_of(&wide, &[]).sequence()) <= 60 + 2 * 8);
}

#[test]
fn parts_are_not_all_split_off_before_the_first_two_are_joined() {
    let parents = split_and_join(100);
    let plan = plan_of(&parents, &[]);
    assert!(!plan.gates_roots_alone());
    assert!(simulate(&plan, &parents, 1, Way::Stacks).1 > 100);
    for workers in 1..=4 {
        let (_, most) = simulate(&plan, &parents, workers, Way::Gates);
        assert!(most <= 16 + 4 * workers, "{most} values alive with {workers} workers");
    }
}

#[test]
fn with_several_workers_gates_do_about_as_well_as_one_queue_in_the_order_of_the_sequence() {
    let mut nodes = Nodes::default();
    let leaves = nodes.roots(128);
    let mapped = leaves.iter().map(|&leaf| nodes.add(&[leaf])).collect();
    nodes.reduce(mapped, 4);
    let shapes = [("map and reduce", nodes.0), ("split and join", split_and_join(64)), ("stencil", stencil(20, 30))];
    for (name, parents) in shapes {
        let plan = plan_of(&parents, &[]);
        for workers in 1..=8 {
            let alive = |way| simulate(&plan, &parents, workers, way).1;
            let (stacks, gates, one) = (alive(Way::Stacks), alive(Way::Gates), alive(Way::Sequence));
            println!("{name}, {workers} workers: stacks {stacks}, gates {gates}, one queue {one}");
            assert!(gates <= one + one / 4 + 2 * workers, "{name}, {workers} workers: {gates} instead of {one}");
        }
    }
}

#[test]
fn a_value_with_many_consumers_is_looked_at_a_bounded_number_of_times() {
    // The first consumers wait for the end of everything, so that the row of the hub begins with what stays undone.
    const CONSUMERS: u32 = 60_000;
    let mut nodes = Nodes::default();
    let (hub, other) = (nodes.add(&[]), nodes.add(&[]));
    let first: Vec<u32> = (0..CONSUMERS).map(|_| nodes.add(&[hub, other])).collect();
    nodes.reduce(first, 7);
    let began = std::time::Instant::now();
    assert_eq!(plan_of(&nodes.0, &[]).sequence().len(), nodes.0.len());
    assert!(began.elapsed().as_secs() < 20, "quadratic would take minutes");
}
