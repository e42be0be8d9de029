//! Ranks: how many nodes are still to come on the longest path from each node.

use std::cmp::Reverse;

use crate::graph::Adjacency;

/// For each node the number of nodes on the longest path from it to a sink, itself included. Nodes are numbered in a
/// topological order. Along the way every row of `successors` is sorted: by descending rank, then ascending number.
pub(super) fn rank(successors: &mut Adjacency) -> Vec<u32> {
    let mut ranks = vec![0; successors.len()];
    for node in (0..successors.len() as u32).rev() {
        let row = successors.row_mut(node);
        row.sort_unstable_by_key(|&successor| (Reverse(ranks[successor as usize]), successor));
        ranks[node as usize] = row.first().map_or(0, |&first| ranks[first as usize]) + 1;
    }
    ranks
}
