//! A compiled graph: flat immutable arrays that a run reads and never changes.

mod alive;
mod compile;
mod demand;
mod gates;
mod rank;
mod sequence;
mod source;
#[cfg(test)]
mod tests;
mod urgency;

use std::ops::Range;

pub use source::{Source, SourceKind};

use crate::graph::{Adjacency, Layouts};
use crate::ids::{NodeId, SlotId};

/// A compiled graph. Nodes keep the indices that they have in the graph.
///
/// Methods that take a node panic when the plan has no such node: indices come from the graph that was compiled.
#[derive(Clone, Debug)]
pub struct Plan {
    layouts: Layouts,
    shape_of: Vec<u32>,
    inputs_from: Vec<u32>,
    outputs_from: Vec<u32>,
    sources: Vec<Source>,
    /// Where the sources of each input start. Without ports that take many, source i belongs to input i.
    sources_from: Option<Vec<u32>>,
    predecessors: Adjacency,
    successors: Adjacency,
    in_degrees: Vec<u32>,
    consumer_counts: Vec<u32>,
    order: Vec<u32>,
    positions: Vec<u32>,
    ranks: Vec<u32>,
    sequence: Vec<u32>,
    gates: Vec<u32>,
    /// Empty when the roots alone have gates.
    gate_numbers: Vec<u32>,
    roots: Vec<u32>,
    edge_count: usize,
    critical_path_length: u32,
    /// The nodes that run whatever happened before, a bit each; empty when there is none.
    always_run: Vec<u64>,
}

impl Plan {
    /// The number of nodes.
    #[inline]
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.shape_of.len()
    }

    /// Lets these nodes run whatever becomes of the nodes that they wait for, and of the run.
    ///
    /// # Panics
    /// If the plan has no such node.
    #[must_use]
    pub fn with_always_run(mut self, nodes: impl IntoIterator<Item = NodeId>) -> Self {
        for node in nodes {
            assert!(node.index() < self.node_count(), "the plan has no node {}", node.0);
            self.always_run.resize(self.shape_of.len().div_ceil(64), 0);
            self.always_run[node.index() / 64] |= 1 << (node.index() % 64);
        }
        self
    }

    /// Whether a node runs whatever becomes of the nodes that it waits for, and of the run.
    #[must_use]
    pub fn always_runs(&self, node: NodeId) -> bool {
        self.always_run.get(node.index() / 64).is_some_and(|bits| bits & 1 << (node.index() % 64) != 0)
    }

    /// The number of output slots of all nodes.
    #[inline]
    #[must_use]
    pub fn slot_count(&self) -> usize {
        self.consumer_counts.len()
    }

    /// The number of data edges.
    #[inline]
    #[must_use]
    pub fn edge_count(&self) -> usize {
        self.edge_count
    }

    /// The number of pairs of nodes of which one waits for the other.
    #[inline]
    #[must_use]
    pub fn dependency_count(&self) -> usize {
        self.predecessors.total()
    }

    /// The slots of a node, one for each output in order.
    #[inline]
    #[must_use]
    pub fn slots_of(&self, node: NodeId) -> Range<u32> {
        self.outputs_from[node.index()]..self.outputs_from[node.index() + 1]
    }

    /// The slot of one output.
    ///
    /// # Panics
    /// If the node has no such output.
    #[inline]
    #[must_use]
    pub fn slot(&self, node: NodeId, port: u32) -> SlotId {
        let slots = self.slots_of(node);
        assert!(port < slots.end - slots.start, "node {} has no output port {port}", node.0);
        SlotId(slots.start + port)
    }

    /// The node and the output that a slot belongs to, by binary search.
    ///
    /// # Panics
    /// If the plan has no such slot.
    #[must_use]
    pub fn slot_owner(&self, slot: SlotId) -> (NodeId, u32) {
        assert!(slot.index() < self.slot_count(), "the plan has no slot {}", slot.0);
        let node = self.outputs_from.partition_point(|&first| first <= slot.0) - 1;
        (NodeId(node as u32), slot.0 - self.outputs_from[node])
    }

    /// The distinct nodes that wait for a node, by data or order alone, in the order of [`Plan::sequence`].
    #[inline]
    #[must_use]
    pub fn successors(&self, node: NodeId) -> &[u32] {
        self.successors.row(node.0)
    }

    /// The distinct nodes that a node waits for, by data or order alone, in ascending order.
    #[inline]
    #[must_use]
    pub fn predecessors(&self, node: NodeId) -> &[u32] {
        self.predecessors.row(node.0)
    }

    /// How many distinct nodes a node waits for.
    #[inline]
    #[must_use]
    pub fn in_degree(&self, node: NodeId) -> u32 {
        self.in_degrees[node.index()]
    }

    /// How many distinct nodes each node waits for.
    #[inline]
    #[must_use]
    pub fn in_degrees(&self) -> &[u32] {
        &self.in_degrees
    }

    /// What the inputs of a node read, in the order of ports. An input that takes many owns any number of sources in
    /// the order of connection, any other one exactly one.
    #[inline(always)]
    #[must_use]
    pub fn sources(&self, node: NodeId) -> &[Source] {
        let start = self.sources_start(self.inputs_from[node.index()]);
        let end = self.sources_start(self.inputs_from[node.index() + 1]);
        &self.sources[start..end]
    }

    /// What one input of a node reads.
    ///
    /// # Panics
    /// If the node has no such input.
    #[inline]
    #[must_use]
    pub fn port_sources(&self, node: NodeId, port: u32) -> &[Source] {
        let inputs = self.inputs_from[node.index()]..self.inputs_from[node.index() + 1];
        assert!(port < inputs.end - inputs.start, "node {} has no input port {port}", node.0);
        let input = inputs.start + port;
        &self.sources[self.sources_start(input)..self.sources_start(input + 1)]
    }

    /// For each input of a node in order, its part of [`Plan::sources`].
    #[inline]
    pub fn input_ranges(&self, node: NodeId) -> impl ExactSizeIterator<Item = Range<usize>> + '_ {
        let inputs = self.inputs_from[node.index()]..self.inputs_from[node.index() + 1];
        let first = self.sources_start(inputs.start);
        inputs.map(move |input| self.sources_start(input) - first..self.sources_start(input + 1) - first)
    }

    /// Whether an input of the node takes many sources. If not, item i of [`Plan::sources`] is that of input i.
    #[inline]
    #[must_use]
    pub fn has_many(&self, node: NodeId) -> bool {
        self.layouts.has_many(self.shape_of[node.index()])
    }

    /// The flags of the inputs of a node.
    #[inline]
    #[must_use]
    pub fn input_flags(&self, node: NodeId) -> &[u8] {
        self.layouts.inputs(self.shape_of[node.index()])
    }

    /// The flags of the outputs of a node.
    #[inline]
    #[must_use]
    pub fn output_flags(&self, node: NodeId) -> &[u8] {
        self.layouts.outputs(self.shape_of[node.index()])
    }

    /// For each slot the number of data edges that read it: a node that reads it twice counts twice.
    #[inline]
    #[must_use]
    pub fn consumer_counts(&self) -> &[u32] {
        &self.consumer_counts
    }

    /// A topological order: level by level, where the level of a node is the length of the longest path to it, and
    /// by ascending index within a level. It depends on nothing but the set of dependencies.
    #[inline]
    #[must_use]
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// The index of a node in [`Plan::order`].
    #[inline]
    #[must_use]
    pub fn position(&self, node: NodeId) -> u32 {
        self.positions[node.index()]
    }

    /// The number of nodes on the longest path from a node to a sink, itself included.
    #[inline]
    #[must_use]
    pub fn rank(&self, node: NodeId) -> u32 {
        self.ranks[node.index()]
    }

    /// The number of nodes on the longest path of the graph, zero without nodes.
    #[inline]
    #[must_use]
    pub fn critical_path_length(&self) -> u32 {
        self.critical_path_length
    }

    /// The order in which one worker runs the nodes when none fails, waits or is run elsewhere: topological, the same
    /// for the same graph, by priority and then such that few values are alive at a time.
    #[inline]
    #[must_use]
    pub fn sequence(&self) -> &[u32] {
        &self.sequence
    }

    /// The nodes that a worker takes only when it has nothing else of its own, the first of them that is ready: every
    /// root, and what would otherwise run long before its turn, where that matters. In the order of [`Plan::sequence`].
    #[inline]
    #[must_use]
    pub fn gates(&self) -> &[u32] {
        &self.gates
    }

    /// Whether [`Plan::gates`] are the roots and nothing else: a worker alone that takes what it made ready last, and
    /// the roots in their order, then keeps about as few values alive as the sequence.
    #[inline]
    #[must_use]
    pub fn gates_roots_alone(&self) -> bool {
        self.gate_numbers.is_empty()
    }

    /// The index of a node in [`Plan::gates`], unless those are the roots alone.
    #[inline]
    #[must_use]
    pub fn gate(&self, node: NodeId) -> Option<u32> {
        self.gate_numbers.get(node.index()).copied().filter(|&number| number != u32::MAX)
    }

    /// The nodes that wait for nothing, in the order of [`Plan::sequence`].
    #[inline]
    #[must_use]
    pub fn roots(&self) -> &[u32] {
        &self.roots
    }

    #[inline(always)]
    fn sources_start(&self, input: u32) -> usize {
        match &self.sources_from {
            Some(starts) => starts[input as usize] as usize,
            None => input as usize,
        }
    }
}
