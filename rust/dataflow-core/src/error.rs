//! What can be wrong with one call that defines a graph.

use std::fmt;

use thiserror::Error;

use crate::ids::{NodeId, ShapeId};

/// A call that would have made a malformed graph; the graph is unchanged.
#[derive(Clone, Debug, Eq, PartialEq, Error)]
pub enum GraphError {
    /// The graph has no node of that index.
    #[error("node {} does not exist: the graph has {count} nodes, add the node first", node.0)]
    UnknownNode {
        /// The index that was asked for.
        node: NodeId,
        /// How many nodes there are.
        count: usize,
    },
    /// The node has no port of that index.
    #[error("node {} has no {direction} port {port}: it has {count}", node.0)]
    UnknownPort {
        /// The node that was asked.
        node: NodeId,
        /// The index that was asked for.
        port: u32,
        /// Whether an input or an output was meant.
        direction: Direction,
        /// How many ports the node has in that direction.
        count: usize,
    },
    /// The graph has no port layout of that index.
    #[error("shape {} does not exist: the graph has {count} shapes, add the shape first", shape.0)]
    UnknownShape {
        /// The index that was asked for.
        shape: ShapeId,
        /// How many layouts there are.
        count: usize,
    },
    /// A port of a layout has flags that mean nothing.
    #[error("{direction} port {port} has the flags {flags:#04x}, of which only {known:#04x} are known")]
    UnknownFlags {
        /// The index of the port in the layout.
        port: u32,
        /// Whether it is an input or an output.
        direction: Direction,
        /// The flags that were given.
        flags: u8,
        /// Every flag that the direction knows.
        known: u8,
    },
    /// An index would no longer fit its 32 bits.
    #[error("too many {what}: the graph can hold {limit}, split it into several graphs")]
    TooLarge {
        /// What there is too much of.
        what: Quantity,
        /// How many there may be.
        limit: u32,
    },
}

/// Which side of a node a port is on.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Direction {
    /// The node reads from it.
    Input,
    /// The node writes to it.
    Output,
}

impl fmt::Display for Direction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Input => "input",
            Self::Output => "output",
        })
    }
}

/// What a graph counts with 32 bits.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Quantity {
    /// Nodes.
    Nodes,
    /// Flags of all distinct port layouts together.
    Layouts,
    /// Output ports of all nodes together.
    Outputs,
    /// Input ports of all nodes, data edges, bound constants and order-only edges together.
    Inputs,
    /// Constants that inputs can be bound to.
    Constants,
}

impl fmt::Display for Quantity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Nodes => "nodes",
            Self::Layouts => "ports in distinct shapes",
            Self::Outputs => "output ports",
            Self::Inputs => "input ports and edges",
            Self::Constants => "constants",
        })
    }
}
