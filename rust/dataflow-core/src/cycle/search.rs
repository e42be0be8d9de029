//! Shortest cycles by breadth-first search from each node of a component in turn.

use super::components::Components;
use crate::graph::Adjacency;

/// Searches that share their scratch space and a budget of edge visits.
pub(super) struct Search<'a> {
    successors: &'a Adjacency,
    components: &'a Components,
    visits_left: usize,
    /// The number of the last search that met a node.
    met_by: Vec<u32>,
    searches: u32,
    /// Where that search met it from.
    parents: Vec<u32>,
    queue: Vec<u32>,
}

impl<'a> Search<'a> {
    pub(super) fn new(successors: &'a Adjacency, components: &'a Components, visits: usize) -> Self {
        let nodes = successors.len();
        Self {
            successors,
            components,
            visits_left: visits,
            met_by: vec![0; nodes],
            searches: 0,
            parents: vec![0; nodes],
            queue: Vec::new(),
        }
    }

    /// A shortest cycle of a component with at least one cycle, given by its members in ascending order.
    pub(super) fn shortest_cycle(&mut self, members: &[u32]) -> Vec<u32> {
        let has_loop = |&&node: &&u32| self.successors.row(node).binary_search(&node).is_ok();
        if let Some(&node) = members.iter().find(has_loop) {
            return vec![node];
        }
        let mut best = Vec::new();
        let is_ring = self.inner_edges(members) == members.len();
        for &start in members {
            let is_first = best.is_empty();
            // Only a loop is shorter than two nodes, and there is none.
            if !is_first && (is_ring || best.len() == 2 || self.visits_left == 0) {
                break;
            }
            let limit = if is_first { usize::MAX } else { best.len() };
            if let Some(shorter) = self.cycle_from(start, limit) {
                best = shorter;
            }
        }
        best
    }

    fn inner_edges(&self, members: &[u32]) -> usize {
        let edges = |&node: &u32| {
            let component = self.components.of_node(node);
            self.successors.row(node).iter().filter(|&&next| self.components.of_node(next) == component).count()
        };
        members.iter().map(edges).sum()
    }

    /// The shortest of the cycles that have `start` as their lowest node and fewer than `limit` nodes.
    ///
    /// A shortest cycle is found from its own lowest node, so every search may leave out the nodes below its start.
    fn cycle_from(&mut self, start: u32, limit: usize) -> Option<Vec<u32>> {
        let component = self.components.of_node(start);
        self.searches += 1;
        self.queue.clear();
        self.queue.push(start);
        let (mut next_up, mut length) = (0, 1);
        while next_up < self.queue.len() && length < limit {
            let level_end = self.queue.len();
            while next_up < level_end {
                let node = self.queue[next_up];
                next_up += 1;
                let row = self.successors.row(node);
                self.visits_left = self.visits_left.saturating_sub(row.len());
                for &next in row {
                    if next == start {
                        return Some(self.path_to(node, start));
                    }
                    let is_outside = next < start || self.components.of_node(next) != component;
                    if !is_outside && self.met_by[next as usize] != self.searches {
                        self.met_by[next as usize] = self.searches;
                        self.parents[next as usize] = node;
                        self.queue.push(next);
                    }
                }
            }
            length += 1;
        }
        None
    }

    fn path_to(&self, last: u32, start: u32) -> Vec<u32> {
        let step = |&node: &u32| (node != start).then(|| self.parents[node as usize]);
        let mut path: Vec<u32> = std::iter::successors(Some(last), step).collect();
        path.reverse();
        path
    }
}
