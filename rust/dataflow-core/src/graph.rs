//! A graph under construction: nodes, port layouts and edges as integers in flat arrays.
//!
//! A node costs 12 bytes, an input port 4, and an edge 20. Nothing here allocates per node.

mod adjacency;
mod identities;
mod shapes;
#[cfg(test)]
mod tests;

pub(crate) use adjacency::Adjacency;
pub use identities::Identities;
pub(crate) use shapes::Layouts;
use shapes::Shapes;

use crate::error::{Direction, GraphError, Quantity};
use crate::ids::{NodeId, ShapeId};

/// Flag of an input that may stay without a source.
pub const INPUT_OPTIONAL: u8 = 1;
/// Flag of an input that takes any number of sources.
pub const INPUT_MANY: u8 = 2;
/// Flag of an input whose consumer changes the value in place.
pub const INPUT_MUTABLE: u8 = 4;
/// Flag of an output that may stay without a value.
pub const OUTPUT_OPTIONAL: u8 = 1;
/// Flag of an output whose value nobody else has a reference to, nor to any part of it.
pub const OUTPUT_FRESH: u8 = 2;

/// The largest constant index: a plan marks constants with the top bit and keeps all ones for "unbound".
pub(crate) const MAX_CONSTANT: u32 = (1 << 31) - 2;
/// The largest number of output ports in a graph, for the same reason.
const MAX_OUTPUTS: u32 = 1 << 31;
/// All ones: no link, and the source of a link that binds a constant.
const NONE: u32 = u32::MAX;

/// One source of one input.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Link {
    source: u32,
    source_port: u32,
    pub(crate) target: u32,
    pub(crate) target_port: u32,
    /// The link that the same input got before this one.
    previous: u32,
}

/// Where a link comes from.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Origin {
    /// A node and the index of its output.
    Output(u32, u32),
    /// The index of a constant.
    Constant(u32),
}

impl Link {
    #[inline]
    pub(crate) fn origin(&self) -> Origin {
        match self.source {
            NONE => Origin::Constant(self.source_port),
            source => Origin::Output(source, self.source_port),
        }
    }
}

/// How far a graph had grown; see [`Graph::roll_back`].
#[derive(Copy, Clone, Debug)]
pub struct Mark {
    nodes: usize,
    links: usize,
    orders: usize,
    edges: usize,
}

/// A graph under construction. It grows, and goes back to a [`Mark`] when a step of many parts fails half-way.
#[derive(Clone, Debug)]
pub struct Graph {
    shapes: Shapes,
    shape_of: Vec<u32>,
    /// The first input of each node in the numbering of all inputs, and the end of the last one.
    inputs_from: Vec<u32>,
    /// The same for outputs.
    outputs_from: Vec<u32>,
    links: Vec<Link>,
    /// The latest link of each input.
    latest: Vec<u32>,
    orders: Vec<(u32, u32)>,
    edges: usize,
}

impl Default for Graph {
    fn default() -> Self {
        Self::new()
    }
}

impl Graph {
    /// A graph without nodes.
    #[must_use]
    pub fn new() -> Self {
        Self {
            shapes: Shapes::default(),
            shape_of: Vec::new(),
            inputs_from: vec![0],
            outputs_from: vec![0],
            links: Vec::new(),
            latest: Vec::new(),
            orders: Vec::new(),
            edges: 0,
        }
    }

    /// Declares a port layout, one byte of flags a port. The same layout has the same index again.
    ///
    /// # Errors
    /// [`GraphError::UnknownFlags`] for a flag that means nothing, [`GraphError::TooLarge`].
    pub fn add_shape(&mut self, inputs: &[u8], outputs: &[u8]) -> Result<ShapeId, GraphError> {
        self.shapes.intern(inputs, outputs)
    }

    /// Adds a node with that port layout.
    ///
    /// # Errors
    /// [`GraphError::UnknownShape`], [`GraphError::TooLarge`].
    pub fn add_node(&mut self, shape: ShapeId) -> Result<NodeId, GraphError> {
        let layouts = self.shapes.layouts();
        if shape.index() >= layouts.len() {
            return Err(GraphError::UnknownShape { shape, count: layouts.len() });
        }
        let (inputs, outputs) = (layouts.inputs(shape.0).len(), layouts.outputs(shape.0).len());
        check_room(self.shape_of.len(), 1, NONE, Quantity::Nodes)?;
        check_room(self.output_total(), outputs, MAX_OUTPUTS, Quantity::Outputs)?;
        check_room(self.input_room_taken(), inputs, NONE, Quantity::Inputs)?;

        let node = NodeId(self.shape_of.len() as u32);
        self.outputs_from.push((self.output_total() + outputs) as u32);
        self.latest.resize(self.latest.len() + inputs, NONE);
        self.inputs_from.push(self.latest.len() as u32);
        self.shape_of.push(shape.0);
        Ok(node)
    }

    /// Adds several nodes with that port layout, and returns the first; all of them or none.
    ///
    /// # Errors
    /// [`GraphError::UnknownShape`], [`GraphError::TooLarge`].
    pub fn add_nodes(&mut self, shape: ShapeId, count: usize) -> Result<NodeId, GraphError> {
        let mark = self.mark();
        // What is wanted may be absurd: room is made while there are nodes to fill it.
        let room = count.min(1 << 20);
        self.shape_of.reserve(room);
        self.inputs_from.reserve(room);
        self.outputs_from.reserve(room);
        for _ in 0..count {
            if let Err(error) = self.add_node(shape) {
                self.roll_back(mark);
                return Err(error);
            }
        }
        Ok(NodeId(mark.nodes as u32))
    }

    /// How far the graph has grown.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark { nodes: self.node_count(), links: self.links.len(), orders: self.orders.len(), edges: self.edges }
    }

    /// Takes back all nodes, connections and constants since a mark of this graph. Layouts stay.
    pub fn roll_back(&mut self, mark: Mark) {
        let kept = mark.links.min(self.links.len());
        for link in self.links.drain(kept..).rev() {
            let input = self.inputs_from[link.target as usize] + link.target_port;
            self.latest[input as usize] = link.previous;
        }
        self.orders.truncate(mark.orders);
        self.edges = mark.edges;
        self.shape_of.truncate(mark.nodes);
        self.outputs_from.truncate(mark.nodes + 1);
        self.inputs_from.truncate(mark.nodes + 1);
        self.latest.truncate(self.inputs_from[self.shape_of.len()] as usize);
    }

    /// Connects an output to an input. An input that takes many sources appends it; for any other one that already
    /// has its source the answer is `false` and nothing changes.
    ///
    /// # Errors
    /// [`GraphError::UnknownNode`], [`GraphError::UnknownPort`], [`GraphError::TooLarge`].
    pub fn connect(
        &mut self,
        source: NodeId,
        source_port: u32,
        target: NodeId,
        target_port: u32,
    ) -> Result<bool, GraphError> {
        self.check_port(source, source_port, Direction::Output)?;
        let connected = self.link(source.0, source_port, target, target_port)?;
        self.edges += usize::from(connected);
        Ok(connected)
    }

    /// Gives an input a constant, under the rules of [`Graph::connect`].
    ///
    /// # Errors
    /// [`GraphError::UnknownNode`], [`GraphError::UnknownPort`], [`GraphError::TooLarge`].
    pub fn bind(&mut self, node: NodeId, port: u32, constant: u32) -> Result<bool, GraphError> {
        if constant > MAX_CONSTANT {
            return Err(GraphError::TooLarge { what: Quantity::Constants, limit: MAX_CONSTANT + 1 });
        }
        self.link(NONE, constant, node, port)
    }

    /// Lets a node run only after another one, without handing over a value.
    ///
    /// # Errors
    /// [`GraphError::UnknownNode`], [`GraphError::TooLarge`].
    pub fn order(&mut self, before: NodeId, after: NodeId) -> Result<(), GraphError> {
        self.check_node(before)?;
        self.check_node(after)?;
        check_room(self.input_room_taken(), 1, NONE, Quantity::Inputs)?;
        self.orders.push((before.0, after.0));
        Ok(())
    }

    /// The outputs that feed one input, in the order of connection. Empty for a port that does not exist.
    #[must_use]
    pub fn sources_of(&self, node: NodeId, port: u32) -> Vec<(NodeId, u32)> {
        let outputs = self.origins_of(node, port).into_iter().filter_map(|origin| match origin {
            Origin::Output(source, source_port) => Some((NodeId(source), source_port)),
            Origin::Constant(_) => None,
        });
        outputs.collect()
    }

    /// What feeds one input, in the order of connection. Empty for a port that does not exist.
    #[must_use]
    pub fn origins_of(&self, node: NodeId, port: u32) -> Vec<Origin> {
        let mut origins = Vec::new();
        let Ok(input) = self.check_port(node, port, Direction::Input) else {
            return origins;
        };
        let mut position = self.latest[input];
        while let Some(link) = self.links.get(position as usize) {
            origins.push(link.origin());
            position = link.previous;
        }
        origins.reverse();
        origins
    }

    /// Data edges and bound constants in the order in which they were made: where from, target, its input.
    pub fn sources(&self) -> impl Iterator<Item = (Origin, NodeId, u32)> + Clone + '_ {
        self.links.iter().map(|link| (link.origin(), NodeId(link.target), link.target_port))
    }

    /// Required inputs without a source, in the order of nodes and ports.
    pub fn open_inputs(&self) -> impl Iterator<Item = (NodeId, u32)> + '_ {
        let nodes = self.shape_of.iter().zip(&self.inputs_from).enumerate();
        nodes.flat_map(move |(node, (&shape, &first))| {
            let flags = self.layouts().inputs(shape).iter().enumerate();
            let lacking = flags
                .filter(move |&(port, flag)| flag & INPUT_OPTIONAL == 0 && self.latest[first as usize + port] == NONE);
            lacking.map(move |(port, _)| (NodeId(node as u32), port as u32))
        })
    }

    /// Outputs that no edge leaves, in the order of nodes and ports.
    #[must_use]
    pub fn open_outputs(&self) -> Vec<(NodeId, u32)> {
        let mut is_used = vec![false; self.output_total()];
        for (source, port, ..) in self.edges() {
            is_used[(self.outputs_from[source.index()] + port) as usize] = true;
        }
        let nodes = self.outputs_from.windows(2).enumerate();
        let ports = nodes.flat_map(|(node, range)| (range[0]..range[1]).map(move |slot| (node, slot, slot - range[0])));
        let open = ports.filter(|&(_, slot, _)| !is_used[slot as usize]);
        open.map(|(node, _, port)| (NodeId(node as u32), port)).collect()
    }

    /// Data edges in the order of connection: source, its output, target, its input.
    pub fn edges(&self) -> impl Iterator<Item = (NodeId, u32, NodeId, u32)> + Clone + '_ {
        self.links.iter().filter_map(|link| match link.origin() {
            Origin::Output(source, port) => Some((NodeId(source), port, NodeId(link.target), link.target_port)),
            Origin::Constant(_) => None,
        })
    }

    /// Order-only edges in the order of declaration: before, after.
    pub fn orders(&self) -> impl ExactSizeIterator<Item = (NodeId, NodeId)> + Clone + '_ {
        self.orders.iter().map(|&(before, after)| (NodeId(before), NodeId(after)))
    }

    /// The number of nodes.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.shape_of.len()
    }

    /// The number of data edges.
    #[must_use]
    pub fn edges_count(&self) -> usize {
        self.edges
    }

    /// The number of input ports of a node, zero for one that does not exist.
    #[must_use]
    pub fn input_count(&self, node: NodeId) -> usize {
        self.input_flags(node).len()
    }

    /// The number of output ports of a node, zero for one that does not exist.
    #[must_use]
    pub fn output_count(&self, node: NodeId) -> usize {
        self.output_flags(node).len()
    }

    /// The flags of the inputs of a node, empty for one that does not exist.
    #[must_use]
    pub fn input_flags(&self, node: NodeId) -> &[u8] {
        match self.shape_of.get(node.index()) {
            Some(&shape) => self.layouts().inputs(shape),
            None => &[],
        }
    }

    /// The flags of the outputs of a node, empty for one that does not exist.
    #[must_use]
    pub fn output_flags(&self, node: NodeId) -> &[u8] {
        match self.shape_of.get(node.index()) {
            Some(&shape) => self.layouts().outputs(shape),
            None => &[],
        }
    }

    /// Every dependency as a pair of nodes: data edges, then order-only ones, with repetitions.
    pub(crate) fn arcs(&self) -> impl Iterator<Item = (u32, u32)> + Clone + '_ {
        let data = self.links.iter().filter(|link| link.source != NONE);
        data.map(|link| (link.source, link.target)).chain(self.orders.iter().copied())
    }

    /// Data edges and bound constants in the order in which they were made.
    pub(crate) fn links(&self) -> &[Link] {
        &self.links
    }

    pub(crate) fn layouts(&self) -> &Layouts {
        self.shapes.layouts()
    }

    pub(crate) fn shape_of(&self) -> &[u32] {
        &self.shape_of
    }

    pub(crate) fn inputs_from(&self) -> &[u32] {
        &self.inputs_from
    }

    pub(crate) fn outputs_from(&self) -> &[u32] {
        &self.outputs_from
    }

    fn link(&mut self, source: u32, source_port: u32, target: NodeId, target_port: u32) -> Result<bool, GraphError> {
        let input = self.check_port(target, target_port, Direction::Input)?;
        let previous = self.latest[input];
        let takes_many = self.input_flags(target)[target_port as usize] & INPUT_MANY != 0;
        if previous != NONE && !takes_many {
            return Ok(false);
        }
        check_room(self.input_room_taken(), 1, NONE, Quantity::Inputs)?;
        self.latest[input] = self.links.len() as u32;
        self.links.push(Link { source, source_port, target: target.0, target_port, previous });
        Ok(true)
    }

    fn check_node(&self, node: NodeId) -> Result<(), GraphError> {
        let count = self.node_count();
        if node.index() < count { Ok(()) } else { Err(GraphError::UnknownNode { node, count }) }
    }

    /// The number of a port among all ports of its direction.
    fn check_port(&self, node: NodeId, port: u32, direction: Direction) -> Result<usize, GraphError> {
        self.check_node(node)?;
        let from = match direction {
            Direction::Input => &self.inputs_from,
            Direction::Output => &self.outputs_from,
        };
        let count = from[node.index() + 1] - from[node.index()];
        if port < count {
            return Ok((from[node.index()] + port) as usize);
        }
        Err(GraphError::UnknownPort { node, port, direction, count: count as usize })
    }

    fn output_total(&self) -> usize {
        self.outputs_from[self.node_count()] as usize
    }

    /// A plan numbers the sources of all inputs and the neighbours of all nodes with 32 bits: this bounds both.
    fn input_room_taken(&self) -> usize {
        self.latest.len() + self.links.len() + self.orders.len()
    }
}

fn check_room(taken: usize, wanted: usize, limit: u32, what: Quantity) -> Result<(), GraphError> {
    if taken.saturating_add(wanted) > limit as usize { Err(GraphError::TooLarge { what, limit }) } else { Ok(()) }
}
