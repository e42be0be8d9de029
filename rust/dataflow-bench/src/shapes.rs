//! The graphs of `benches/native/taskflow.cpp`, edge for edge: what is compared must be the same.

use std::sync::Arc;

use dataflow_core::graph::{Graph, INPUT_MANY, INPUT_OPTIONAL};
use dataflow_core::ids::NodeId;
use dataflow_core::plan::Plan;

/// The graphs by name.
pub(crate) const NAMES: [&str; 5] = ["chain", "wide", "stencil", "tree", "random"];

/// SplitMix64 (G. L. Steele, D. Lea, C. H. Flood, OOPSLA 2014): the same graph on every run.
fn random(seed: u32) -> u32 {
    let mut bits = u64::from(seed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (bits ^ (bits >> 31)) as u32
}

/// What a node takes: the node before, the first, neighbours in the row of a hundred before, a parent, three of any.
fn before(shape: &str, node: u32) -> Vec<u32> {
    const WIDTH: u32 = 100;
    match (shape, node) {
        (_, 0) => Vec::new(),
        ("chain", _) => vec![node - 1],
        ("wide", _) => vec![0],
        ("stencil", 0..WIDTH) => Vec::new(),
        ("stencil", _) => {
            let above = node - WIDTH;
            let first = if node.is_multiple_of(WIDTH) { above } else { above - 1 };
            let last = if node % WIDTH == WIDTH - 1 { above } else { above + 1 };
            (first..=last).collect()
        }
        ("tree", _) => vec![(node - 1) / 2],
        ("random", _) => (0..3).map(|edge| random(node * 3 + edge) % node).collect(),
        (unknown, _) => panic!("no graph is called {unknown}: choose from {NAMES:?}"),
    }
}

/// A plan of nodes with one output each and one input that takes any number of them.
pub(crate) fn plan(shape: &str, nodes: u32) -> Arc<Plan> {
    let mut graph = Graph::new();
    let ports = graph.add_shape(&[INPUT_MANY | INPUT_OPTIONAL], &[0]).expect("flags are known");
    for _ in 0..nodes {
        graph.add_node(ports).expect("there is room");
    }
    for node in 0..nodes {
        for source in before(shape, node) {
            graph.connect(NodeId(source), 0, NodeId(node), 0).expect("both ends exist");
        }
    }
    Arc::new(Plan::compile(&graph).expect("the graph has no fault"))
}
