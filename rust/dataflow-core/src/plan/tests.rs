use super::*;
use crate::graph::{Graph, INPUT_MANY, INPUT_OPTIONAL};
use crate::validate::Fault;

struct Builder(Graph);

impl Builder {
    fn node(&mut self, inputs: &[u8], outputs: &[u8]) -> NodeId {
        let shape = self.0.add_shape(inputs, outputs).unwrap();
        self.0.add_node(shape).unwrap()
    }

    fn connect(&mut self, source: NodeId, source_port: u32, target: NodeId, target_port: u32) {
        assert_eq!(self.0.connect(source, source_port, target, target_port), Ok(true));
    }

    fn compile(&self) -> Plan {
        Plan::compile(&self.0).unwrap()
    }
}

/// A diamond with a long arm: 0 -> 1 -> 3, 0 -> 2 -> 4 -> 3, numbered as added.
fn diamond() -> Plan {
    let mut graph = Builder(Graph::new());
    let root = graph.node(&[], &[0, 0]);
    let short = graph.node(&[0], &[0]);
    let long = graph.node(&[0], &[0]);
    let join = graph.node(&[0, 0], &[]);
    let middle = graph.node(&[0], &[0]);
    graph.connect(root, 0, short, 0);
    graph.connect(root, 1, long, 0);
    graph.connect(short, 0, join, 0);
    graph.connect(long, 0, middle, 0);
    graph.connect(middle, 0, join, 1);
    graph.compile()
}

fn kinds(sources: &[Source]) -> Vec<SourceKind> {
    sources.iter().map(|source| source.kind()).collect()
}

#[test]
fn an_empty_graph_is_an_empty_plan() {
    let plan = Builder(Graph::new()).compile();
    assert_eq!((plan.node_count(), plan.slot_count(), plan.edge_count(), plan.dependency_count()), (0, 0, 0, 0));
    assert_eq!((plan.roots(), plan.order(), plan.critical_path_length()), (&[][..], &[][..], 0));
}

#[test]
fn a_graph_with_faults_has_no_plan() {
    let mut graph = Builder(Graph::new());
    graph.node(&[0], &[]);
    let fault = Fault::Unconnected { node: NodeId(0), port: 0 };
    assert_eq!(Plan::compile(&graph.0).err(), Some(vec![fault]));

    let mut graph = Builder(Graph::new());
    let node = graph.node(&[0], &[0]);
    graph.connect(node, 0, node, 0);
    assert!(matches!(Plan::compile(&graph.0).err().as_deref(), Some([Fault::Cycle { .. }])));
}

#[test]
fn ranks_are_the_lengths_of_the_longest_paths_to_a_sink() {
    let plan = diamond();
    let ranks: Vec<u32> = (0..5).map(|node| plan.rank(NodeId(node))).collect();
    assert_eq!(ranks, [4, 2, 3, 1, 2]);
    assert_eq!(plan.critical_path_length(), 4);
}

#[test]
fn successors_on_the_longest_path_come_first() {
    let plan = diamond();
    assert_eq!(plan.successors(NodeId(0)), [2, 1]);
    assert_eq!(plan.predecessors(NodeId(3)), [1, 4]);
    assert_eq!(plan.in_degrees(), [0, 1, 1, 2, 1]);
}

#[test]
fn successors_come_in_the_order_of_the_sequence() {
    let mut graph = Builder(Graph::new());
    // More than the twenty or so for which an unstable sort happens to be a stable one.
    let nodes: Vec<NodeId> = (0..200).map(|_| graph.node(&[0], &[0])).collect();
    let root = graph.node(&[], &[0]);
    for &node in nodes.iter().rev() {
        graph.connect(root, 0, node, 0);
    }
    let plan = graph.compile();
    let expected: Vec<u32> = (0..200).collect();
    assert_eq!((plan.successors(root), &plan.sequence()[1..]), (&expected[..], &expected[..]));
}

#[test]
fn the_order_goes_level_by_level() {
    let plan = diamond();
    assert_eq!(plan.order(), [0, 1, 2, 4, 3]);
    assert_eq!((plan.position(NodeId(4)), plan.position(NodeId(3))), (3, 4));
}

#[test]
fn the_part_with_the_longest_path_comes_first() {
    let mut graph = Builder(Graph::new());
    let (idle, root) = (graph.node(&[], &[0]), graph.node(&[], &[0]));
    let (other, sink) = (graph.node(&[], &[0]), graph.node(&[0], &[]));
    graph.connect(root, 0, sink, 0);
    assert_eq!(graph.compile().roots(), [root.0, idle.0, other.0]);
}

#[test]
fn slots_are_consecutive_and_know_their_owner() {
    let plan = diamond();
    assert_eq!((plan.slots_of(NodeId(0)), plan.slots_of(NodeId(3))), (0..2, 4..4));
    assert_eq!(plan.slot(NodeId(4), 0), SlotId(4));
    assert_eq!(plan.slot_owner(SlotId(1)), (NodeId(0), 1));
    assert_eq!(plan.slot_owner(SlotId(4)), (NodeId(4), 0), "node 3 has no slot and is passed over");
}

#[test]
#[should_panic(expected = "node 3 has no output port 0")]
fn the_slot_of_an_output_that_does_not_exist_is_not_that_of_another_node() {
    let _ = diamond().slot(NodeId(3), 0);
}

#[test]
#[should_panic(expected = "node 1 has no input port 1")]
fn the_sources_of_an_input_that_does_not_exist_are_not_those_of_another_node() {
    let _ = diamond().port_sources(NodeId(1), 1);
}

#[test]
fn a_node_that_reads_a_slot_twice_counts_twice_but_is_one_successor() {
    let mut graph = Builder(Graph::new());
    let source = graph.node(&[], &[0, 0]);
    let target = graph.node(&[0, 0], &[]);
    graph.connect(source, 1, target, 0);
    graph.connect(source, 1, target, 1);
    graph.0.order(source, target).unwrap();
    let plan = graph.compile();
    assert_eq!(plan.consumer_counts(), [0, 2]);
    assert_eq!((plan.successors(source), plan.in_degree(target)), (&[target.0][..], 1));
    assert_eq!((plan.edge_count(), plan.dependency_count()), (2, 1));
}

#[test]
fn an_order_only_edge_is_a_dependency_without_a_consumer() {
    let mut graph = Builder(Graph::new());
    let (last, first) = (graph.node(&[], &[]), graph.node(&[], &[0]));
    graph.0.order(first, last).unwrap();
    let plan = graph.compile();
    assert_eq!((plan.order(), plan.predecessors(last)), (&[1, 0][..], &[1][..]));
    assert_eq!(plan.consumer_counts(), [0]);
}

#[test]
fn single_inputs_have_one_source_each() {
    let mut graph = Builder(Graph::new());
    let source = graph.node(&[], &[0]);
    let target = graph.node(&[INPUT_OPTIONAL, 0, 0], &[]);
    graph.connect(source, 0, target, 2);
    graph.0.bind(target, 1, 9).unwrap();
    let plan = graph.compile();
    let expected = [SourceKind::Unbound, SourceKind::Constant(9), SourceKind::Slot(SlotId(0))];
    assert_eq!(kinds(plan.sources(target)), expected);
    assert_eq!(kinds(plan.port_sources(target, 1)), [SourceKind::Constant(9)]);
    assert!(!plan.has_many(target));
    assert_eq!(plan.input_flags(target), [INPUT_OPTIONAL, 0, 0]);
    assert_eq!(plan.output_flags(source), [0]);
}

#[test]
fn a_many_input_keeps_the_order_of_connection() {
    let mut graph = Builder(Graph::new());
    let source = graph.node(&[], &[0, 0]);
    let target = graph.node(&[INPUT_MANY, INPUT_MANY | INPUT_OPTIONAL, 0], &[]);
    graph.connect(source, 1, target, 0);
    graph.0.bind(target, 2, 3).unwrap();
    graph.0.bind(target, 0, crate::graph::MAX_CONSTANT).unwrap();
    graph.connect(source, 0, target, 0);
    let plan = graph.compile();
    let expected =
        [SourceKind::Slot(SlotId(1)), SourceKind::Constant(crate::graph::MAX_CONSTANT), SourceKind::Slot(SlotId(0))];
    assert_eq!(kinds(plan.port_sources(target, 0)), expected);
    assert_eq!(plan.port_sources(target, 1), []);
    assert_eq!(kinds(plan.port_sources(target, 2)), [SourceKind::Constant(3)]);
    assert_eq!(plan.sources(target).len(), 4);
    assert_eq!(plan.input_ranges(target).collect::<Vec<_>>(), [0..3, 3..3, 3..4]);
    assert_eq!((plan.has_many(target), plan.has_many(source)), (true, false));
}

#[test]
fn a_long_chain_compiles_without_recursion() {
    let mut graph = Builder(Graph::new());
    let mut before = graph.node(&[], &[0]);
    for _ in 1..300_000 {
        let node = graph.node(&[0], &[0]);
        graph.connect(before, 0, node, 0);
        before = node;
    }
    let plan = graph.compile();
    assert_eq!((plan.critical_path_length(), plan.roots()), (300_000, &[0][..]));
}

#[test]
fn the_nodes_that_always_run_are_those_that_were_named() {
    let mut graph = Graph::new();
    let shape = graph.add_shape(&[], &[]).unwrap();
    graph.add_nodes(shape, 130).unwrap();
    let plain = Plan::compile(&graph).unwrap();
    assert!((0..130).all(|node| !plain.always_runs(NodeId(node))));
    let named = [0, 63, 64, 129];
    let plan = plain.with_always_run(named.map(NodeId));
    assert!((0..130).all(|node| plan.always_runs(NodeId(node)) == named.contains(&node)));
}
