//! Ranks: how many nodes are still to come on the longest path from each node.

use std::cmp::Reverse;

use crate::graph::Adjacency;

/// For each node the number of nodes on the longest path from it to a sink, itself included. Along the way every row
/// of `successors` gets its final order: by descending rank, then ascending index.
pub(super) fn rank(successors: &mut Adjacency, topological: &[u32]) -> Vec<u32> {
    let mut ranks = vec![0; topological.len()];
    for &node in topological.iter().rev() {
        let row = successors.row_mut(node);
        sort_by_rank(row, &ranks);
        ranks[node as usize] = row.first().map_or(0, |&first| ranks[first as usize]) + 1;
    }
    ranks
}

/// Sorts nodes by descending rank, then ascending index.
pub(super) fn sort_by_rank(nodes: &mut [u32], ranks: &[u32]) {
    nodes.sort_unstable_by_key(|&node| (Reverse(ranks[node as usize]), node));
}
