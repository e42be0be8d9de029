//! From a graph to a plan.

use super::alive::Values;
use super::gates::{Stack, along_the_ranks, roots};
use super::rank::rank;
use super::sequence::{Terrain, sequence};
use super::urgency::Urgency;
use super::{Plan, Source};
use crate::cycle::topological_order;
use crate::graph::{Adjacency, Graph, INPUT_MANY, Origin};
use crate::ids::NodeId;
use crate::validate::{Fault, unconnected, validate};

/// The feeder of an input that reads a constant or nothing.
const NONE: u32 = u32::MAX;

impl Plan {
    /// Compiles a graph: linear time, but for the sorting of each node's neighbours and of each level.
    ///
    /// # Errors
    /// Every fault that [`validate`] finds.
    pub fn compile(graph: &Graph) -> Result<Self, Vec<Fault>> {
        Self::compile_prioritised(graph, &[])
    }

    /// As [`Plan::compile`], with priorities: among nodes that could run, those of a higher priority come first, with
    /// all that they wait for. Nodes that are not named have priority 0; of several for one node the last one counts.
    ///
    /// # Errors
    /// Every fault that [`validate`] finds.
    ///
    /// # Panics
    /// If a priority is for a node that the graph does not have.
    pub fn compile_prioritised(graph: &Graph, priorities: &[(NodeId, i64)]) -> Result<Self, Vec<Fault>> {
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

        let positions = places(&order);
        let values = values(graph, &consumer_counts, &order);
        let numbered = priorities.iter().map(|&(node, priority)| (positions[node.index()], priority));
        let Ordering { ranks, sequence, gates } =
            Ordering::of(&values, numbered, &predecessors, &mut successors, &order, &positions);
        let is_root = |&node: &u32| in_degrees[node as usize] == 0;
        let roots: Vec<u32> = sequence.iter().copied().filter(is_root).collect();
        let node_count = graph.node_count();
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
            critical_path_length: ranks.iter().copied().max().unwrap_or(0),
            order,
            positions,
            ranks,
            sequence,
            gate_numbers: if gates == roots { Vec::new() } else { numbers(&gates, node_count) },
            gates,
            roots,
            edge_count: graph.edges_count(),
            always_run: Vec::new(),
        })
    }
}

/// Graphs of more nodes than this follow the critical path alone, unless priorities are given: to look for an order of
/// few values takes longer than all the rest of their compilation.
const LARGEST: usize = 400_000;

/// In which order the nodes run.
struct Ordering {
    ranks: Vec<u32>,
    sequence: Vec<u32>,
    gates: Vec<u32>,
}

impl Ordering {
    /// Everything is worked out with nodes numbered by their positions in the topological order, and named at the end.
    /// Every row of `successors` is sorted by the sequence.
    fn of(
        values: &[Values],
        priorities: impl ExactSizeIterator<Item = (u32, i64)>,
        predecessors: &Adjacency,
        successors: &mut Adjacency,
        order: &[u32],
        positions: &[u32],
    ) -> Self {
        let before = predecessors.renumbered(order, positions);
        let mut after = before.transposed();
        let ranks = rank(&mut after);
        let urgency = Urgency::new(priorities, &after);
        let (sequence, gates) = if order.len() > LARGEST && urgency.is_even() {
            let sequence = along_the_ranks(&ranks, &before, &after);
            let gates = roots(&sequence, &before);
            (sequence, gates)
        } else {
            let terrain = Terrain { predecessors: &before, successors: &after, values, urgency: &urgency };
            let (sequence, peak) = sequence(&terrain);
            let places = places(&sequence);
            for node in 0..order.len() as u32 {
                after.row_mut(node).sort_unstable_by_key(|&successor| places[successor as usize]);
            }
            let stack = Stack { sequence: &sequence, predecessors: &before, successors: &after };
            let suffices = urgency.is_even() && stack.stays_within(peak, values);
            let gates = if suffices { roots(&sequence, &before) } else { stack.gates() };
            (sequence, gates)
        };
        let name = |position: u32| order[position as usize];
        for (position, &node) in order.iter().enumerate() {
            let row = after.row(position as u32);
            successors.row_mut(node).iter_mut().zip(row).for_each(|(named, &position)| *named = name(position));
        }
        Self {
            ranks: positions.iter().map(|&position| ranks[position as usize]).collect(),
            sequence: sequence.into_iter().map(name).collect(),
            gates: gates.into_iter().map(name).collect(),
        }
    }
}

/// The number of each gated node among the gates, and [`NONE`] for the others.
fn numbers(gates: &[u32], node_count: usize) -> Vec<u32> {
    let mut numbers = vec![NONE; node_count];
    for (number, &node) in gates.iter().enumerate() {
        numbers[node as usize] = number as u32;
    }
    numbers
}

/// The place of each node in an order.
fn places(order: &[u32]) -> Vec<u32> {
    let mut places = vec![0; order.len()];
    for (place, &node) in order.iter().enumerate() {
        places[node as usize] = place as u32;
    }
    places
}

/// How many values each node makes, and how many of them somebody reads, in the topological order.
fn values(graph: &Graph, consumer_counts: &[u32], order: &[u32]) -> Vec<Values> {
    let from = graph.outputs_from();
    let slots = order.iter().map(|&node| from[node as usize] as usize..from[node as usize + 1] as usize);
    let values = slots.map(|slots| Values {
        made: slots.len() as u32,
        read: consumer_counts[slots].iter().map(|&consumers| u32::from(consumers > 0)).sum(),
    });
    values.collect()
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
