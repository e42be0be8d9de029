use super::*;
use crate::graph::{INPUT_MANY, INPUT_OPTIONAL};

fn graph_of(inputs: &[u8], outputs: &[u8], nodes: u32) -> Graph {
    let mut graph = Graph::new();
    let shape = graph.add_shape(inputs, outputs).unwrap();
    for _ in 0..nodes {
        graph.add_node(shape).unwrap();
    }
    graph
}

fn connect(graph: &mut Graph, source: u32, source_port: u32, target: u32, target_port: u32) {
    assert_eq!(graph.connect(NodeId(source), source_port, NodeId(target), target_port), Ok(true));
}

fn unconnected(node: u32, port: u32) -> Fault {
    Fault::Unconnected { node: NodeId(node), port }
}

fn data(source: u32, source_port: u32, target: u32, target_port: u32) -> CycleEdge {
    CycleEdge {
        source: NodeId(source),
        source_port: Some(source_port),
        target: NodeId(target),
        target_port: Some(target_port),
    }
}

fn order_only(source: u32, target: u32) -> CycleEdge {
    CycleEdge { source: NodeId(source), source_port: None, target: NodeId(target), target_port: None }
}

#[test]
fn an_empty_graph_has_no_faults() {
    assert_eq!(validate(&Graph::new()), []);
}

#[test]
fn every_required_input_without_a_source_is_reported_in_order() {
    let mut graph = graph_of(&[0, INPUT_OPTIONAL, INPUT_MANY, 0], &[0], 2);
    connect(&mut graph, 0, 0, 1, 2);
    graph.bind(NodeId(0), 3, 0).unwrap();
    let expected = [unconnected(0, 0), unconnected(0, 2), unconnected(1, 0), unconnected(1, 3)];
    assert_eq!(validate(&graph), expected);
}

#[test]
fn an_optional_many_input_may_stay_empty() {
    assert_eq!(validate(&graph_of(&[INPUT_MANY | INPUT_OPTIONAL], &[], 1)), []);
}

#[test]
fn unconnected_inputs_and_cycles_are_reported_together() {
    let mut graph = graph_of(&[0, 0], &[0], 2);
    connect(&mut graph, 0, 0, 1, 1);
    connect(&mut graph, 1, 0, 0, 0);
    let cycle = Fault::Cycle { edges: vec![data(0, 0, 1, 1), data(1, 0, 0, 0)] };
    assert_eq!(validate(&graph), [unconnected(0, 1), unconnected(1, 0), cycle]);
}

#[test]
fn a_node_connected_to_itself_is_a_cycle_of_one() {
    let mut graph = graph_of(&[0], &[0, 0], 2);
    connect(&mut graph, 0, 1, 0, 0);
    graph.bind(NodeId(1), 0, 0).unwrap();
    graph.order(NodeId(1), NodeId(1)).unwrap();
    let loops = [vec![data(0, 1, 0, 0)], vec![order_only(1, 1)]];
    assert_eq!(validate(&graph), loops.map(|edges| Fault::Cycle { edges }));
}

#[test]
fn a_cycle_may_close_by_order_alone() {
    let mut graph = graph_of(&[INPUT_OPTIONAL], &[0], 3);
    connect(&mut graph, 1, 0, 2, 0);
    graph.order(NodeId(2), NodeId(1)).unwrap();
    assert_eq!(validate(&graph), [Fault::Cycle { edges: vec![data(1, 0, 2, 0), order_only(2, 1)] }]);
}

#[test]
fn of_parallel_edges_the_data_edge_connected_first_is_shown() {
    let mut graph = graph_of(&[INPUT_OPTIONAL; 2], &[0, 0], 2);
    graph.order(NodeId(0), NodeId(1)).unwrap();
    connect(&mut graph, 0, 1, 1, 1);
    connect(&mut graph, 0, 0, 1, 0);
    connect(&mut graph, 1, 0, 0, 0);
    assert_eq!(validate(&graph), [Fault::Cycle { edges: vec![data(0, 1, 1, 1), data(1, 0, 0, 0)] }]);
}

#[test]
fn a_graph_built_from_its_sinks_to_its_sources_is_no_cycle() {
    let mut graph = graph_of(&[INPUT_OPTIONAL], &[0], 3);
    connect(&mut graph, 2, 0, 1, 0);
    connect(&mut graph, 1, 0, 0, 0);
    assert_eq!(validate(&graph), []);
}
