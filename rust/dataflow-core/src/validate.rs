//! Every fault of a graph at once.

use crate::cycle::{shortest_cycles, topological_order};
use crate::graph::{Adjacency, Graph, Origin};
use crate::ids::NodeId;

#[cfg(test)]
mod tests;

/// A reason why a graph cannot run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fault {
    /// A required input has neither a source nor a constant.
    Unconnected {
        /// The node that lacks it.
        node: NodeId,
        /// The index of the input.
        port: u32,
    },
    /// Nodes wait for each other.
    Cycle {
        /// The way around: each edge starts where the one before it ends, and the last one ends where the first
        /// starts.
        edges: Vec<CycleEdge>,
    },
}

/// One step of a cycle. An order-only edge has no ports.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct CycleEdge {
    /// The node that is waited for.
    pub source: NodeId,
    /// Its output.
    pub source_port: Option<u32>,
    /// The node that waits.
    pub target: NodeId,
    /// Its input.
    pub target_port: Option<u32>,
}

/// Every fault of a graph: first unconnected required inputs in the order of nodes and ports, then one shortest cycle
/// for each strongly connected component that has one, in the order of their lowest nodes.
///
/// A cycle starts at its lowest node. Where two nodes are joined by several edges, the data edge that was connected
/// first is shown. Cycles are shortest ones while nodes times edges, summed over the strongly connected components,
/// stays below 10^8; beyond that a component may show the shortest cycle through its lowest node instead.
///
/// An acyclic graph takes linear time, and one whose edges all lead from lower to higher indices a single pass.
#[must_use]
pub fn validate(graph: &Graph) -> Vec<Fault> {
    let mut faults: Vec<Fault> = unconnected(graph).collect();
    if graph.arcs().all(|(source, target)| source < target) {
        return faults;
    }
    let successors = Adjacency::successors(graph);
    let order = topological_order(&successors, successors.in_degrees());
    if order.len() < graph.node_count() {
        let cycles = shortest_cycles(&successors.distinct(), &order);
        faults.extend(with_ports(graph, &cycles));
    }
    faults
}

/// Required inputs without a source, in the order of nodes and ports.
pub(crate) fn unconnected(graph: &Graph) -> impl Iterator<Item = Fault> {
    graph.open_inputs().map(|(node, port)| Fault::Unconnected { node, port })
}

/// Names the edges of cycles. No node is on two of them, since each is in a component of its own.
fn with_ports(graph: &Graph, cycles: &[Vec<u32>]) -> Vec<Fault> {
    let mut edge_of: Vec<Option<CycleEdge>> = vec![None; graph.node_count()];
    for cycle in cycles {
        for (&source, &target) in cycle.iter().zip(cycle.iter().cycle().skip(1)) {
            let (source, target) = (NodeId(source), NodeId(target));
            edge_of[source.index()] = Some(CycleEdge { source, source_port: None, target, target_port: None });
        }
    }
    for link in graph.links() {
        let Origin::Output(source, port) = link.origin() else {
            continue;
        };
        if let Some(edge) = &mut edge_of[source as usize]
            && edge.target.0 == link.target
            && edge.source_port.is_none()
        {
            edge.source_port = Some(port);
            edge.target_port = Some(link.target_port);
        }
    }
    let named = |cycle: &Vec<u32>| cycle.iter().filter_map(|&node| edge_of[node as usize]).collect();
    cycles.iter().map(|cycle| Fault::Cycle { edges: named(cycle) }).collect()
}
