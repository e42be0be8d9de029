//! Levels and ranks: how far a node is from the first and from the last ones.

use crate::graph::Adjacency;

/// For each node the number of nodes on the longest path that leads to it, itself excluded.
pub(crate) fn levels(predecessors: &Adjacency, topological: &[u32]) -> Vec<u32> {
    let mut levels = vec![0; predecessors.len()];
    for &node in topological {
        let below = predecessors
            .row(node)
            .iter()
            .map(|&before| levels[before as usize] + 1);
        levels[node as usize] = below.max().unwrap_or(0);
    }
    levels
}

/// For each node the number of nodes on the longest path from it to a sink, itself included.
pub(crate) fn ranks(predecessors: &Adjacency, topological: &[u32]) -> Vec<u32> {
    let mut ranks = vec![1; predecessors.len()];
    for &node in topological.iter().rev() {
        let above = ranks[node as usize] + 1;
        for &before in predecessors.row(node) {
            let rank = &mut ranks[before as usize];
            *rank = above.max(*rank);
        }
    }
    ranks
}

/// Node indices by ascending key, then ascending index: a counting sort, since no key exceeds the number of nodes.
pub(crate) fn sorted_by(keys: impl ExactSizeIterator<Item = u32> + Clone) -> Vec<u32> {
    let nodes = keys.len();
    let mut cursors = vec![0_u32; nodes + 2];
    keys.clone().for_each(|key| cursors[key as usize + 1] += 1);
    let mut total = 0;
    for cursor in &mut cursors {
        total += *cursor;
        *cursor = total;
    }
    let mut sorted = vec![0_u32; nodes];
    keys.enumerate().for_each(|(node, key)| {
        let cursor = &mut cursors[key as usize];
        sorted[*cursor as usize] = node as u32;
        *cursor += 1;
    });
    sorted
}
