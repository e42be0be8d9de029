//! Which of the inputs that a node lacks are made first.

use std::cmp::Reverse;

use super::sequence::Terrain;
use crate::graph::Adjacency;

/// Sorts every row of predecessors by how many values their making needs at once, most first: while the later ones are
/// made, the earlier ones are held.
///
/// The number is exact for trees, as in R. Sethi and J. D. Ullman, "The generation of optimal code for arithmetic
/// expressions", JACM 17 (1970); where values are shared it is too high.
pub(super) fn by_need(rows: &mut Adjacency, terrain: &Terrain<'_>) {
    let mut needs = vec![(0_u32, 0_u32); rows.len()];
    for node in 0..rows.len() as u32 {
        let row = rows.row_mut(node);
        // Of equal ones the deepest: it is the one on the critical path.
        row.sort_unstable_by_key(|&before| (Reverse(needs[before as usize]), before));
        let (mut need, mut held, mut depth) = (0, 0_u32, 0);
        for &before in &*row {
            let (need_before, depth_before) = needs[before as usize];
            need = need.max(need_before.saturating_add(held));
            held = held.saturating_add(terrain.values[before as usize].read);
            depth = depth.max(depth_before + 1);
        }
        needs[node as usize] = (need.max(held.saturating_add(terrain.values[node as usize].made)), depth);
    }
}

/// Sorts every row of predecessors by the longest path to them, longest first.
pub(super) fn by_depth(rows: &mut Adjacency) {
    let mut depths = vec![0_u32; rows.len()];
    for node in 0..rows.len() as u32 {
        let row = rows.row_mut(node);
        row.sort_unstable_by_key(|&before| (Reverse(depths[before as usize]), before));
        depths[node as usize] = row.first().map_or(0, |&deepest| depths[deepest as usize] + 1);
    }
}
