//! From a graph to a plan, in linear time but for the sorting of each node's predecessors.

use super::rank::{levels, ranks, sorted_by};
use super::{Plan, Source};
use crate::cycle::topological_order;
use crate::graph::{Adjacency, Graph, INPUT_MANY, Origin};
use crate::validate::{Fault, unconnected, validate};

impl Plan {
    /// Compiles a graph.
    ///
    /// # Errors
    /// Every fault that [`validate`] finds.
    pub fn compile(graph: &Graph) -> Result<Self, Vec<Fault>> {
        if unconnected(graph).next().is_some() {
            return Err(validate(graph));
        }
        let predecessors = Adjacency::predecessors(graph);
        let in_degrees = predecessors.degrees();
        let Some(topological) = any_topological_order(&predecessors, &in_degrees) else {
            return Err(validate(graph));
        };

        let ranks = ranks(&predecessors, &topological);
        let critical_path_length = ranks.iter().copied().max().unwrap_or(0);
        let by_rank = sorted_by(ranks.iter().map(|&rank| critical_path_length - rank));
        let order = sorted_by(levels(&predecessors, &topological).into_iter());
        let mut positions = topological;
        for (position, &node) in order.iter().enumerate() {
            positions[node as usize] = position as u32;
        }

        let sources_from = source_starts(graph);
        Ok(Self {
            layouts: graph.layouts().clone(),
            shape_of: graph.shape_of().to_vec(),
            inputs_from: graph.inputs_from().to_vec(),
            outputs_from: graph.outputs_from().to_vec(),
            sources: sources(graph, sources_from.as_deref()),
            sources_from,
            successors: predecessors.transposed(&by_rank),
            consumer_counts: consumer_counts(graph),
            roots: by_rank
                .into_iter()
                .filter(|&node| in_degrees[node as usize] == 0)
                .collect(),
            predecessors,
            in_degrees,
            order,
            positions,
            ranks,
            edge_count: graph.edges_count(),
            critical_path_length,
        })
    }
}

/// Some topological order, or nothing if there is a cycle. Graphs are mostly built from sources to sinks, so that the
/// order of addition is one.
fn any_topological_order(predecessors: &Adjacency, in_degrees: &[u32]) -> Option<Vec<u32>> {
    let nodes = 0..predecessors.len() as u32;
    let is_sorted = |node| {
        predecessors
            .row(node)
            .last()
            .is_none_or(|&before| before < node)
    };
    if nodes.clone().all(is_sorted) {
        return Some(nodes.collect());
    }
    let nodes: Vec<u32> = nodes.collect();
    let order = topological_order(&predecessors.transposed(&nodes), in_degrees.to_vec());
    (order.len() == nodes.len()).then_some(order)
}

/// Where the sources of each input start, unless each input has exactly one.
fn source_starts(graph: &Graph) -> Option<Vec<u32>> {
    let (layouts, shape_of) = (graph.layouts(), graph.shape_of());
    if !shape_of.iter().any(|&shape| layouts.has_many(shape)) {
        return None;
    }
    let flags = shape_of.iter().flat_map(|&shape| layouts.inputs(shape));
    let mut starts = vec![0];
    starts.extend(flags.map(|flag| u32::from(flag & INPUT_MANY == 0)));
    for link in graph.links() {
        let takes_many = layouts.inputs(shape_of[link.target as usize])[link.target_port as usize]
            & INPUT_MANY
            != 0;
        let input = graph.inputs_from()[link.target as usize] + link.target_port;
        starts[input as usize + 1] += u32::from(takes_many);
    }
    for input in 1..starts.len() {
        starts[input] += starts[input - 1];
    }
    Some(starts)
}

/// The sources of all inputs; links are in the order of connection, which their input keeps.
fn sources(graph: &Graph, starts: Option<&[u32]>) -> Vec<Source> {
    let (inputs_from, outputs_from) = (graph.inputs_from(), graph.outputs_from());
    let input_count = inputs_from[graph.node_count()] as usize;
    let total = starts.map_or(input_count, |starts| starts[input_count] as usize);
    let mut sources = vec![Source::UNBOUND; total];
    let mut cursors = starts.map(<[u32]>::to_vec);
    for link in graph.links() {
        let input = (inputs_from[link.target as usize] + link.target_port) as usize;
        let position = match &mut cursors {
            Some(cursors) => {
                cursors[input] += 1;
                cursors[input] as usize - 1
            }
            None => input,
        };
        sources[position] = match link.origin() {
            Origin::Output(source, port) => Source::slot(outputs_from[source as usize] + port),
            Origin::Constant(constant) => Source::constant(constant),
        };
    }
    sources
}

fn consumer_counts(graph: &Graph) -> Vec<u32> {
    let outputs_from = graph.outputs_from();
    let mut counts = vec![0; outputs_from[graph.node_count()] as usize];
    for link in graph.links() {
        if let Origin::Output(source, port) = link.origin() {
            counts[(outputs_from[source as usize] + port) as usize] += 1;
        }
    }
    counts
}
