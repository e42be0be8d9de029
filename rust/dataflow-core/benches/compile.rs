//! How long a million nodes take to validate and to compile.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use dataflow_core::graph::{Graph, INPUT_MANY, INPUT_OPTIONAL};
use dataflow_core::ids::NodeId;
use dataflow_core::plan::Plan;
use dataflow_core::validate::validate;

const NODES: u32 = 1_000_000;
/// Nodes a layer: wide enough that predecessors are spread over memory.
const WIDTH: u32 = 10_000;

/// SplitMix64 (G. L. Steele, D. Lea, C. H. Flood, OOPSLA 2014): the same graphs on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((bits ^ (bits >> 31)) % u64::from(bound)) as u32
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u32 + 1) as usize);
        }
    }
}

/// Three edges into every node below the first layer, from anywhere in the layer above it.
fn layered(inputs: &[u8], shuffled: bool) -> Graph {
    let mut random = Random(1);
    let mut names: Vec<u32> = (0..NODES).collect();
    let mut edges = Vec::new();
    for target in WIDTH..NODES {
        let above = (target / WIDTH - 1) * WIDTH;
        edges.extend((0..3).map(|port| (above + random.below(WIDTH), target, port)));
    }
    if shuffled {
        random.shuffle(&mut names);
        random.shuffle(&mut edges);
    }
    let mut graph = Graph::new();
    let shape = graph.add_shape(inputs, &[0]).expect("flags are known");
    for _ in 0..NODES {
        graph.add_node(shape).expect("there is room");
    }
    for (source, target, port) in edges {
        let (source, target) = (NodeId(names[source as usize]), NodeId(names[target as usize]));
        let port = port % inputs.len() as u32;
        assert!(graph.connect(source, 0, target, port).expect("both ends exist"));
    }
    graph
}

fn chain() -> Graph {
    let mut graph = Graph::new();
    let shape = graph.add_shape(&[INPUT_OPTIONAL], &[0]).expect("flags are known");
    let mut before = graph.add_node(shape).expect("there is room");
    for _ in 1..NODES {
        let node = graph.add_node(shape).expect("there is room");
        graph.connect(before, 0, node, 0).expect("both ends exist");
        before = node;
    }
    graph
}

/// The chain closed to a ring: the longest shortest cycle.
fn ring() -> Graph {
    let mut graph = chain();
    graph.connect(NodeId(NODES - 1), 0, NodeId(0), 0).expect("both ends exist");
    graph
}

fn definition(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("definition");
    group.sample_size(10);
    group.bench_function("build chain 1M", |bencher| bencher.iter(chain));

    let single = [INPUT_OPTIONAL; 3];
    let many = [INPUT_OPTIONAL | INPUT_MANY];
    let graphs = [
        ("layered 1M nodes 3M edges", layered(&single, false)),
        ("layered 1M nodes 3M edges, one many port", layered(&many, false)),
        ("layered 1M nodes 3M edges, shuffled", layered(&single, true)),
        ("chain 1M", chain()),
    ];
    for (name, graph) in &graphs {
        assert!(validate(graph).is_empty());
        group.bench_function(format!("validate {name}"), |bencher| {
            bencher.iter(|| validate(black_box(graph)));
        });
        group.bench_function(format!("compile {name}"), |bencher| {
            bencher.iter(|| Plan::compile(black_box(graph)));
        });
    }
    let ring = ring();
    assert_eq!(validate(&ring).len(), 1);
    group.bench_function("validate ring 1M", |bencher| bencher.iter(|| validate(black_box(&ring))));
    group.finish();
}

mod groups {
    #![allow(missing_docs)]
    use super::*;
    criterion_group!(compile, definition);
}
criterion_main!(groups::compile);
