//! Strongly connected components, with a stack of our own in place of recursion.

use crate::graph::Adjacency;

const NONE: u32 = u32::MAX;

/// The components of a part of a graph.
pub(super) struct Components {
    /// The component of each node, or none for a node outside of the part.
    component_of: Vec<u32>,
    /// The nodes of the components with a cycle, end to end; each component ascending, by lowest node.
    members: Vec<u32>,
    ends: Vec<u32>,
}

impl Components {
    /// Tarjan's algorithm over a set of nodes that is closed under successors.
    ///
    /// Source: R. Tarjan, "Depth-first search and linear graph algorithms", SIAM J. Comput. 1 (1972).
    pub(super) fn of(successors: &Adjacency, nodes: impl Iterator<Item = u32>) -> Self {
        let mut walk = Walk {
            numbers: vec![NONE; successors.len()],
            lows: vec![NONE; successors.len()],
            component_of: vec![NONE; successors.len()],
            open: Vec::new(),
            path: Vec::new(),
            visited: 0,
            components: 0,
        };
        let mut found = Vec::new();
        let mut cyclic = Vec::new();
        for root in nodes {
            if walk.numbers[root as usize] == NONE {
                walk.explore(root, successors, &mut |members| {
                    if let &[node] = members
                        && successors.row(node).binary_search(&node).is_err()
                    {
                        return;
                    }
                    let start = found.len();
                    found.extend_from_slice(members);
                    found[start..].sort_unstable();
                    cyclic.push(start..found.len());
                });
            }
        }
        cyclic.sort_unstable_by_key(|range| found[range.start]);
        let mut members = Vec::with_capacity(found.len());
        let mut ends = Vec::with_capacity(cyclic.len());
        for range in cyclic {
            members.extend_from_slice(&found[range]);
            ends.push(members.len() as u32);
        }
        Self { component_of: walk.component_of, members, ends }
    }

    /// The component of a node, comparable with that of another one.
    #[inline]
    pub(super) fn of_node(&self, node: u32) -> u32 {
        self.component_of[node as usize]
    }

    /// The members of every component with a cycle.
    pub(super) fn cyclic(&self) -> impl Iterator<Item = &[u32]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.members[start as usize..end as usize])
    }
}

struct Walk {
    /// The order of discovery.
    numbers: Vec<u32>,
    /// The lowest number that is known to be reachable within the component.
    lows: Vec<u32>,
    component_of: Vec<u32>,
    /// Discovered nodes whose component is not known yet.
    open: Vec<u32>,
    /// The path from the root: a node and how many of its successors are done.
    path: Vec<(u32, usize)>,
    visited: u32,
    components: u32,
}

impl Walk {
    fn explore(&mut self, root: u32, successors: &Adjacency, emit: &mut impl FnMut(&[u32])) {
        self.enter(root);
        while let Some((node, done)) = self.path.last_mut() {
            let node = *node;
            let Some(&next) = successors.row(node).get(*done) else {
                self.leave(node, emit);
                continue;
            };
            *done += 1;
            if self.numbers[next as usize] == NONE {
                self.enter(next);
            } else if self.component_of[next as usize] == NONE {
                self.lower(node, self.numbers[next as usize]);
            }
        }
    }

    fn enter(&mut self, node: u32) {
        self.numbers[node as usize] = self.visited;
        self.lows[node as usize] = self.visited;
        self.visited += 1;
        self.open.push(node);
        self.path.push((node, 0));
    }

    fn leave(&mut self, node: u32, emit: &mut impl FnMut(&[u32])) {
        self.path.pop();
        let low = self.lows[node as usize];
        if let Some(&(parent, _)) = self.path.last() {
            self.lower(parent, low);
        }
        if low != self.numbers[node as usize] {
            return;
        }
        let start = self.open.iter().rposition(|&open| open == node).unwrap_or(0);
        for &member in &self.open[start..] {
            self.component_of[member as usize] = self.components;
        }
        self.components += 1;
        emit(&self.open[start..]);
        self.open.truncate(start);
    }

    fn lower(&mut self, node: u32, number: u32) {
        let low = &mut self.lows[node as usize];
        *low = number.min(*low);
    }
}
