//! Priorities as classes: a node is as urgent as the most urgent one that waits for it.

use crate::graph::Adjacency;

/// The classes of all nodes, 0 the most urgent, and the goals of a walk.
pub(super) struct Urgency {
    /// Nothing when all nodes are alike.
    classes: Vec<u32>,
    goals: Vec<u32>,
}

impl Urgency {
    /// Nodes are numbered in a topological order; of several priorities of a node the last one counts.
    pub(super) fn new(priorities: impl ExactSizeIterator<Item = (u32, i64)>, successors: &Adjacency) -> Self {
        let nodes = 0..successors.len() as u32;
        if priorities.len() == 0 {
            let mut goals: Vec<u32> = nodes.filter(|&node| successors.row(node).is_empty()).collect();
            longest_parts_first(&mut goals, successors);
            return Self { classes: Vec::new(), goals };
        }
        let mut urgent = vec![0; successors.len()];
        for (node, priority) in priorities {
            urgent[node as usize] = priority;
        }
        for node in nodes.clone().rev() {
            let own = urgent[node as usize];
            let pulled = successors.row(node).iter().map(|&successor| urgent[successor as usize]);
            urgent[node as usize] = pulled.fold(own, i64::max);
        }
        let mut distinct = urgent.clone();
        distinct.sort_unstable_by_key(|&priority| std::cmp::Reverse(priority));
        distinct.dedup();
        let class = |priority| distinct.partition_point(|&higher| higher > priority) as u32;
        let classes: Vec<u32> = urgent.into_iter().map(class).collect();
        // A node of whose successors none is as urgent as itself ends what its class is to do.
        let ends = |&node: &u32| {
            let mut successors = successors.row(node).iter();
            successors.all(|&successor| classes[successor as usize] != classes[node as usize])
        };
        let mut goals: Vec<u32> = nodes.filter(ends).collect();
        goals.sort_by_key(|&node| classes[node as usize]);
        Self { classes, goals }
    }

    /// Whether all nodes are alike.
    pub(super) fn is_even(&self) -> bool {
        self.classes.is_empty()
    }

    /// The class of a node.
    #[inline]
    pub(super) fn class(&self, node: u32) -> u32 {
        self.classes.get(node as usize).copied().unwrap_or(0)
    }

    /// Nodes of which every node is one or comes before one: by class, then by number.
    pub(super) fn goals(&self) -> &[u32] {
        &self.goals
    }
}

/// Sorts sinks so that of parts of a graph that have nothing to do with each other the one with the longest path comes
/// first. Numbers ascend with the depth of a node, so that this is the one with the highest sink.
fn longest_parts_first(sinks: &mut [u32], successors: &Adjacency) {
    if sinks.len() < 2 {
        return;
    }
    // The highest node of each part stands for it.
    let mut parts: Vec<u32> = (0..successors.len() as u32).collect();
    for node in 0..parts.len() as u32 {
        for &successor in successors.row(node) {
            let (one, other) = (find(&mut parts, node), find(&mut parts, successor));
            parts[one.min(other) as usize] = one.max(other);
        }
    }
    let part_of: Vec<u32> = sinks.iter().map(|&sink| find(&mut parts, sink)).collect();
    let depth = depths(successors);
    let place: Vec<usize> = part_of.iter().map(|&part| depth[part as usize] as usize).collect();
    let mut sorted: Vec<usize> = (0..sinks.len()).collect();
    sorted.sort_by_key(|&index| (std::cmp::Reverse(place[index]), part_of[index]));
    let named: Vec<u32> = sorted.into_iter().map(|index| sinks[index]).collect();
    sinks.copy_from_slice(&named);
}

/// The part that a node belongs to. Source: path halving, R. E. Tarjan and J. van Leeuwen, JACM 31 (1984).
fn find(parts: &mut [u32], mut node: u32) -> u32 {
    while parts[node as usize] != node {
        parts[node as usize] = parts[parts[node as usize] as usize];
        node = parts[node as usize];
    }
    node
}

/// The number of nodes before each one on the longest path to it.
fn depths(successors: &Adjacency) -> Vec<u32> {
    let mut depths = vec![0; successors.len()];
    for node in 0..successors.len() as u32 {
        for &successor in successors.row(node) {
            depths[successor as usize] = depths[successor as usize].max(depths[node as usize] + 1);
        }
    }
    depths
}
