//! Graphs, faults and plans against naive oracles.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use dataflow_core::graph::{Graph, INPUT_MANY, INPUT_OPTIONAL};
use dataflow_core::ids::{NodeId, SlotId};
use dataflow_core::plan::{Plan, SourceKind};
use dataflow_core::validate::{CycleEdge, Fault, validate};
use proptest::prelude::*;

/// One call on a graph, with numbers that are reduced to what exists.
#[derive(Clone, Debug)]
enum Call {
    Connect(u32, u32, u32, u32),
    Bind(u32, u32, u32),
    Order(u32, u32),
}

/// A graph and the plainest account of what it should hold.
#[derive(Debug, Default)]
struct Model {
    graph: Graph,
    inputs: Vec<Vec<u8>>,
    outputs: Vec<Vec<u8>>,
    /// Sources of each input.
    sources: BTreeMap<(u32, u32), Vec<SourceOf>>,
    edges: Vec<(NodeId, u32, NodeId, u32)>,
    orders: Vec<(NodeId, NodeId)>,
}

#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum SourceOf {
    Output(u32, u32),
    Constant(u32),
}

impl Model {
    fn new(ports: Vec<(Vec<u8>, Vec<u8>)>, calls: &[Call], upwards: bool) -> Self {
        let mut model = Self::default();
        for (inputs, outputs) in ports {
            let shape = model.graph.add_shape(&inputs, &outputs).unwrap();
            model.graph.add_node(shape).unwrap();
            model.inputs.push(inputs);
            model.outputs.push(outputs);
        }
        for call in calls {
            model.call(call, upwards);
        }
        model
    }

    fn len(&self) -> u32 {
        self.inputs.len() as u32
    }

    /// Acyclic graphs get no edge from a higher to a lower node.
    fn call(&mut self, call: &Call, upwards: bool) {
        let nodes = self.len();
        match *call {
            Call::Connect(source, output, target, input) => {
                let (source, target) = (source % nodes, target % nodes);
                let outputs = self.outputs[source as usize].len() as u32;
                let inputs = self.inputs[target as usize].len() as u32;
                if outputs == 0 || inputs == 0 || upwards && source >= target {
                    return;
                }
                let (output, input) = (output % outputs, input % inputs);
                let edge = (NodeId(source), output, NodeId(target), input);
                let connected = self.graph.connect(edge.0, edge.1, edge.2, edge.3).unwrap();
                assert_eq!(connected, self.accept(target, input, SourceOf::Output(source, output)));
                if connected {
                    self.edges.push(edge);
                }
            }
            Call::Bind(node, input, constant) => {
                let node = node % nodes;
                let inputs = self.inputs[node as usize].len() as u32;
                if inputs > 0 {
                    let bound = self.graph.bind(NodeId(node), input % inputs, constant).unwrap();
                    assert_eq!(bound, self.accept(node, input % inputs, SourceOf::Constant(constant)));
                }
            }
            Call::Order(before, after) => {
                let (before, after) = (before % nodes, after % nodes);
                if !upwards || before < after {
                    self.graph.order(NodeId(before), NodeId(after)).unwrap();
                    self.orders.push((NodeId(before), NodeId(after)));
                }
            }
        }
    }

    fn accept(&mut self, node: u32, input: u32, source: SourceOf) -> bool {
        let takes_many = self.inputs[node as usize][input as usize] & INPUT_MANY != 0;
        let sources = self.sources.entry((node, input)).or_default();
        let accepted = takes_many || sources.is_empty();
        if accepted {
            sources.push(source);
        }
        accepted
    }

    fn successors(&self) -> Vec<BTreeSet<u32>> {
        let mut successors = vec![BTreeSet::new(); self.inputs.len()];
        let data = self.edges.iter().map(|&(source, _, target, _)| (source, target));
        for (source, target) in data.chain(self.orders.iter().copied()) {
            successors[source.index()].insert(target.0);
        }
        successors
    }

    fn unconnected(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (node, flags) in (0..).zip(&self.inputs) {
            for (port, flag) in (0..).zip(flags) {
                let is_empty = self.sources.get(&(node, port)).is_none_or(Vec::is_empty);
                if flag & INPUT_OPTIONAL == 0 && is_empty {
                    faults.push(Fault::Unconnected { node: NodeId(node), port });
                }
            }
        }
        faults
    }

    /// The edge that a cycle shows for two nodes: the first data edge, or order alone.
    fn edge(&self, source: u32, target: u32) -> CycleEdge {
        let (source, target) = (NodeId(source), NodeId(target));
        let data = self.edges.iter().find(|edge| (edge.0, edge.2) == (source, target));
        CycleEdge { source, source_port: data.map(|edge| edge.1), target, target_port: data.map(|edge| edge.3) }
    }
}

/// Edges on the shortest path from one node back to itself or on to another.
fn distance(successors: &[BTreeSet<u32>], from: u32, to: u32) -> Option<usize> {
    let mut distances = BTreeMap::new();
    let mut queue = VecDeque::from([(from, 0)]);
    while let Some((node, steps)) = queue.pop_front() {
        for &next in &successors[node as usize] {
            if let std::collections::btree_map::Entry::Vacant(entry) = distances.entry(next) {
                entry.insert(steps + 1);
                queue.push_back((next, steps + 1));
            }
        }
    }
    distances.get(&to).copied()
}

/// For each component with a cycle: its lowest node and the length of its shortest cycle.
fn shortest_lengths(successors: &[BTreeSet<u32>]) -> BTreeMap<u32, usize> {
    let nodes = 0..successors.len() as u32;
    let mut lengths = BTreeMap::new();
    for node in nodes.clone() {
        if let Some(length) = distance(successors, node, node) {
            let lowest = lowest_of_component(successors, node);
            let shortest = lengths.entry(lowest).or_insert(length);
            *shortest = length.min(*shortest);
        }
    }
    lengths
}

fn lowest_of_component(successors: &[BTreeSet<u32>], node: u32) -> u32 {
    let is_with = |&other: &u32| {
        other == node || distance(successors, node, other).is_some() && distance(successors, other, node).is_some()
    };
    (0..).find(is_with).unwrap()
}

/// Longest paths by recursion: nodes from here to a sink.
fn naive_rank(successors: &[BTreeSet<u32>], node: u32) -> u32 {
    let after = successors[node as usize].iter().map(|&next| naive_rank(successors, next));
    after.max().unwrap_or(0) + 1
}

/// Longest paths by recursion: edges from a root to here.
fn naive_level(successors: &[BTreeSet<u32>], node: u32) -> u32 {
    let nodes = 0..successors.len() as u32;
    let before = nodes.filter(|&before| successors[before as usize].contains(&node));
    before.map(|before| naive_level(successors, before) + 1).max().unwrap_or(0)
}

fn ports(required: bool) -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let flags = if required { 0..8_u8 } else { 0..4_u8 };
    let input = flags.prop_map(move |flag| if required { flag } else { flag << 1 | INPUT_OPTIONAL });
    (prop::collection::vec(input, 0..4), prop::collection::vec(0..2_u8, 0..3))
}

fn call() -> impl Strategy<Value = Call> {
    let any = any::<u32>;
    prop_oneof![
        6 => (any(), any(), any(), any()).prop_map(|(a, b, c, d)| Call::Connect(a, b, c, d)),
        1 => (any(), any(), 0..5_u32).prop_map(|(a, b, c)| Call::Bind(a, b, c)),
        1 => (any(), any()).prop_map(|(a, b)| Call::Order(a, b)),
    ]
}

/// Any graph, most of them with faults.
fn any_graph() -> impl Strategy<Value = Model> {
    let nodes = prop::collection::vec(ports(true), 1..12);
    (nodes, prop::collection::vec(call(), 0..40)).prop_map(|(ports, calls)| Model::new(ports, &calls, false))
}

/// A graph without faults; nodes may be numbered against the direction of its edges.
fn sound_graph() -> impl Strategy<Value = Model> {
    let nodes = prop::collection::vec(ports(false), 1..10);
    let calls = prop::collection::vec(call(), 0..40);
    (nodes, calls, any::<bool>()).prop_map(|(ports, calls, downwards)| {
        let last = ports.len() as u32 - 1;
        if !downwards {
            return Model::new(ports, &calls, true);
        }
        // The mirror image of an upward graph: made upward, then every node renamed.
        let upward = Model::new(ports.iter().rev().cloned().collect(), &calls, true);
        let mut mirrored: Vec<Call> = Vec::new();
        for &(source, output, target, input) in &upward.edges {
            mirrored.push(Call::Connect(last - source.0, output, last - target.0, input));
        }
        for &(before, after) in &upward.orders {
            mirrored.push(Call::Order(last - before.0, last - after.0));
        }
        Model::new(ports, &mirrored, false)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn a_graph_holds_what_was_connected(model in any_graph()) {
        let graph = &model.graph;
        prop_assert_eq!(graph.edges().collect::<Vec<_>>(), model.edges.clone());
        prop_assert_eq!(graph.edges_count(), model.edges.len());
        prop_assert_eq!(graph.orders().collect::<Vec<_>>(), model.orders.clone());
        for node in 0..model.len() {
            prop_assert_eq!(graph.input_flags(NodeId(node)), &model.inputs[node as usize][..]);
            prop_assert_eq!(graph.output_flags(NodeId(node)), &model.outputs[node as usize][..]);
            for port in 0..graph.input_count(NodeId(node)) as u32 {
                let sources = model.sources.get(&(node, port)).into_iter().flatten();
                let expected: Vec<_> = sources
                    .filter_map(|source| match *source {
                        SourceOf::Output(node, port) => Some((NodeId(node), port)),
                        SourceOf::Constant(_) => None,
                    })
                    .collect();
                prop_assert_eq!(graph.sources_of(NodeId(node), port), expected);
            }
        }
    }

    #[test]
    fn every_fault_is_reported_and_nothing_else(model in any_graph()) {
        let faults = validate(&model.graph);
        let unconnected = model.unconnected();
        prop_assert_eq!(&faults[..unconnected.len()], &unconnected[..]);

        let successors = model.successors();
        let mut lengths = shortest_lengths(&successors).into_iter();
        for fault in &faults[unconnected.len()..] {
            let Fault::Cycle { edges } = fault else { panic!("an unconnected input too many: {fault:?}") };
            let (lowest, length) = lengths.next().expect("no more cycles than components");
            prop_assert_eq!(edges.len(), length, "the cycle is a shortest one");
            let nodes: Vec<u32> = edges.iter().map(|edge| edge.source.0).collect();
            prop_assert_eq!(nodes.iter().min(), nodes.first(), "it starts at its lowest node");
            prop_assert_eq!(lowest_of_component(&successors, nodes[0]), lowest, "components are in order");
            for (position, edge) in edges.iter().enumerate() {
                let next = nodes[(position + 1) % nodes.len()];
                prop_assert!(successors[edge.source.index()].contains(&next));
                prop_assert_eq!(*edge, model.edge(edge.source.0, next));
            }
        }
        prop_assert_eq!(lengths.next(), None, "no component is left out");
        prop_assert_eq!(Plan::compile(&model.graph).err().unwrap_or_default(), faults);
    }

    #[test]
    fn a_plan_orders_and_ranks_as_the_naive_way_does(model in sound_graph()) {
        let plan = Plan::compile(&model.graph).unwrap();
        let successors = model.successors();
        let nodes = 0..model.len();
        let place = |&node: &u32| plan.sequence().iter().position(|&other| other == node);
        for node in nodes.clone().map(NodeId) {
            prop_assert_eq!(plan.rank(node), naive_rank(&successors, node.0));
            prop_assert_eq!(plan.order()[plan.position(node) as usize], node.0);
            let mut expected: Vec<u32> = successors[node.index()].iter().copied().collect();
            expected.sort_by_key(place);
            prop_assert_eq!(plan.successors(node), &expected[..]);
            let before = nodes.clone().filter(|&before| successors[before as usize].contains(&node.0));
            let expected: Vec<u32> = before.collect();
            prop_assert_eq!(plan.predecessors(node), &expected[..]);
            prop_assert_eq!(plan.in_degree(node) as usize, expected.len());
            for &next in &successors[node.index()] {
                prop_assert!(plan.position(node) < plan.position(NodeId(next)));
            }
        }
        let mut order: Vec<u32> = nodes.clone().collect();
        order.sort_by_key(|&node| naive_level(&successors, node));
        prop_assert_eq!(plan.order(), &order[..]);
        let mut roots: Vec<u32> = nodes.clone().filter(|&node| plan.in_degrees()[node as usize] == 0).collect();
        roots.sort_by_key(place);
        prop_assert_eq!(plan.roots(), &roots[..]);
        let longest = nodes.map(|node| naive_rank(&successors, node)).max();
        prop_assert_eq!(Some(plan.critical_path_length()), longest);
        prop_assert_eq!(plan.dependency_count(), successors.iter().map(BTreeSet::len).sum::<usize>());
    }

    #[test]
    fn a_plan_wires_what_was_connected(model in sound_graph()) {
        let plan = Plan::compile(&model.graph).unwrap();
        let mut slots = 0;
        let mut consumers = BTreeMap::new();
        for &(source, output, _, _) in &model.edges {
            *consumers.entry((source, output)).or_insert(0) += 1;
        }
        for node in (0..model.len()).map(NodeId) {
            prop_assert_eq!(plan.slots_of(node).start, slots);
            for port in 0..model.outputs[node.index()].len() as u32 {
                let slot = plan.slot(node, port);
                prop_assert_eq!(slot, SlotId(slots));
                prop_assert_eq!(plan.slot_owner(slot), (node, port));
                let expected = consumers.get(&(node, port)).copied().unwrap_or(0);
                prop_assert_eq!(plan.consumer_counts()[slot.index()], expected);
                slots += 1;
            }
            prop_assert_eq!(plan.slots_of(node).end, slots);

            let flags = &model.inputs[node.index()];
            prop_assert_eq!(plan.input_flags(node), &flags[..]);
            prop_assert_eq!(plan.has_many(node), flags.iter().any(|flag| flag & INPUT_MANY != 0));
            let mut all = Vec::new();
            for ((port, flag), range) in (0..).zip(flags).zip(plan.input_ranges(node)) {
                let sources = model.sources.get(&(node.0, port)).into_iter().flatten();
                let mut expected: Vec<SourceKind> = sources
                    .map(|source| match *source {
                        SourceOf::Output(node, port) => SourceKind::Slot(plan.slot(NodeId(node), port)),
                        SourceOf::Constant(constant) => SourceKind::Constant(constant),
                    })
                    .collect();
                if expected.is_empty() && flag & INPUT_MANY == 0 {
                    expected.push(SourceKind::Unbound);
                }
                let actual = plan.port_sources(node, port);
                prop_assert_eq!(actual, &plan.sources(node)[range]);
                prop_assert_eq!(actual.iter().map(|source| source.kind()).collect::<Vec<_>>(), expected);
                all.extend_from_slice(actual);
            }
            prop_assert_eq!(plan.sources(node), &all[..]);
        }
        prop_assert_eq!(plan.slot_count(), slots as usize);
        prop_assert_eq!(plan.edge_count(), model.edges.len());
    }
}
