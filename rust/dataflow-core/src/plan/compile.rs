//! From a graph to a plan.

use super::rank::{rank, sort_by_rank};
use super::{Plan, Source};
use crate::cycle::topological_order;
use crate::graph::{Adjacency, Graph, INPUT_MANY, Origin};
use crate::validate::{Fault, unconnected, validate};

/// The feeder of an input that reads a constant or nothing.
const NONE: u32 = u32::MAX;

impl Plan {
    /// Compiles a graph: linear time, but for the sorting of each node's neighbours and of each level.
    ///
    /// # Errors
    /// Every fault that [`validate`] finds.
    pub fn compile(graph: &Graph) -> Result<Self, Vec<Fault>> {
        if unconnected(graph).next().is_some() {
            return Err(validate(graph));
        }
        let Wiring { sources, sources_from, feeders, consumer_counts } = Wiring::of(graph);
        let predecessors = predecessors(graph, &feeders, sources_from.as_deref());
        drop(feeders);
        let mut successors = predecessors.transposed();
        let in_degrees = predecessors.degrees();
        let order = topological_order(&successors, in_degrees.clone());
        if order.len() < graph.node_count() {
            return Err(validate(graph));
        }

        let mut positions = vec![0; order.len()];
        for (position, &node) in order.iter().enumerate() {
            positions[node as usize] = position as u32;
        }
        let ranks = rank(&mut successors, &order);
        let is_root = |&node: &u32| in_degrees[node as usize] == 0;
        let mut roots: Vec<u32> = order.iter().copied().take_while(is_root).collect();
        sort_by_rank(&mut roots, &ranks);
        Ok(Self {
            layouts: graph.layouts().clone(),
            shape_of: graph.shape_of().to_vec(),
            inputs_from: graph.inputs_from().to_vec(),
            outputs_from: graph.outputs_from().to_vec(),
            sources,
            sources_from,
            predecessors,
            successors,
            in_degrees,
            consumer_counts,
            critical_path_length: roots.first().map_or(0, |&root| ranks[root as usize]),
            order,
            positions,
            ranks,
            roots,
            edge_count: graph.edges_count(),
        })
    }
}

/// What every input reads and what every slot is read by.
struct Wiring {
    sources: Vec<Source>,
    sources_from: Option<Vec<u32>>,
    /// The node of each source.
    feeders: Vec<u32>,
    consumer_counts: Vec<u32>,
}

impl Wiring {
    /// One pass over the links, which are in the order of connection.
    fn of(graph: &Graph) -> Self {
        let (inputs_from, outputs_from) = (graph.inputs_from(), graph.outputs_from());
        let (input_count, output_count) = (inputs_from[graph.node_count()], outputs_from[graph.node_count()]);
        let sources_from = source_starts(graph);
        let mut cursors = sources_from.clone();
        let total = sources_from.as_ref().map_or(input_count, |starts| starts[input_count as usize]) as usize;
        let mut sources = vec![Source::UNBOUND; total];
        let mut feeders = vec![NONE; total];
        let mut consumer_counts = vec![0; output_count as usize];
        for link in graph.links() {
            let mut position = (inputs_from[link.target as usize] + link.target_port) as usize;
            if let Some(cursors) = &mut cursors {
                let cursor = &mut cursors[position];
                position = *cursor as usize;
                *cursor += 1;
            }
            sources[position] = match link.origin() {
                Origin::Output(node, port) => {
                    let slot = outputs_from[node as usize] + port;
                    feeders[position] = node;
                    consumer_counts[slot as usize] += 1;
                    Source::slot(slot)
                }
                Origin::Constant(constant) => Source::constant(constant),
            };
        }
        Self { sources, sources_from, feeders, consumer_counts }
    }
}

/// Where the sources of each input start, unless each input has exactly one.
fn source_starts(graph: &Graph) -> Option<Vec<u32>> {
    let (layouts, shape_of) = (graph.layouts(), graph.shape_of());
    if !shape_of.iter().any(|&shape| layouts.has_many(shape)) {
        return None;
    }
    let flags = shape_of.iter().flat_map(|&shape| layouts.inputs(shape));
    let mut starts = Vec::with_capacity(graph.inputs_from()[graph.node_count()] as usize + 1);
    starts.push(0);
    starts.extend(flags.map(|flag| u32::from(flag & INPUT_MANY == 0)));
    for link in graph.links() {
        let flags = layouts.inputs(shape_of[link.target as usize])[link.target_port as usize];
        let input = graph.inputs_from()[link.target as usize] + link.target_port;
        starts[input as usize + 1] += u32::from(flags & INPUT_MANY != 0);
    }
    for input in 1..starts.len() {
        starts[input] += starts[input - 1];
    }
    Some(starts)
}

/// For each node the nodes that it waits for: distinct, ascending.
fn predecessors(graph: &Graph, feeders: &[u32], sources_from: Option<&[u32]>) -> Adjacency {
    let nodes = graph.node_count();
    let orders = graph.orders().map(|(before, after)| (after.0, before.0));
    let ordered = (orders.len() > 0).then(|| Adjacency::grouped(nodes, orders.clone()));
    let start = |input: u32| sources_from.map_or(input, |starts| starts[input as usize]) as usize;
    let mut predecessors = Adjacency::with_capacity(nodes, graph.edges_count() + orders.len());
    for (node, inputs) in graph.inputs_from().windows(2).enumerate() {
        let data = feeders[start(inputs[0])..start(inputs[1])].iter().filter(|&&feeder| feeder != NONE);
        match &ordered {
            Some(ordered) => predecessors.push_distinct(data.chain(ordered.row(node as u32)).copied()),
            None => predecessors.push_distinct(data.copied()),
        }
    }
    predecessors
}
