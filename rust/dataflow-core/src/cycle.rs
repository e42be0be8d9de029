//! Topological order, and what stands in its way: strongly connected components and their shortest cycles.

mod components;
mod search;
#[cfg(test)]
mod tests;

use crate::graph::Adjacency;
use components::Components;
use search::Search;

/// How many edges the searches may visit before they settle for the cycles found so far: about a second of work.
const VISITS: usize = 100_000_000;

/// Kahn's algorithm, level by level: the level of a node is the length of the longest path to it, and within a level
/// nodes ascend. Nodes on a cycle and downstream of one are missing from the answer.
///
/// Source: A. B. Kahn, "Topological sorting of large networks", CACM 5 (1962).
pub(crate) fn topological_order(successors: &Adjacency, in_degrees: Vec<u32>) -> Vec<u32> {
    let mut waiting = in_degrees;
    let mut order = Vec::with_capacity(waiting.len());
    order.extend((0..waiting.len() as u32).filter(|&node| waiting[node as usize] == 0));
    let mut next = 0;
    while next < order.len() {
        let level_end = order.len();
        while next < level_end {
            let node = order[next];
            next += 1;
            for &successor in successors.row(node) {
                let waiting = &mut waiting[successor as usize];
                *waiting -= 1;
                if *waiting == 0 {
                    order.push(successor);
                }
            }
        }
        order[level_end..].sort_unstable();
    }
    order
}

/// One shortest cycle for every strongly connected component that has one, as the nodes along it. `acyclic_part` is
/// what [`topological_order`] made of the same graph.
///
/// Each cycle starts at its lowest node; components come in the order of their lowest nodes. Of several shortest
/// cycles the one whose lowest node is lowest is taken. Rows of `successors` are distinct and ascending, which makes
/// the answer depend on nothing but the set of edges.
///
/// A component of n nodes and m edges takes up to n breadth-first searches over m edges. The cycles are shortest ones
/// as long as n * m, summed over the components, stays below 10^8 (it seldom matters above: searches get shorter with
/// each cycle found, and a component that is a single ring needs one search). Beyond that a component gets the
/// shortest cycle through its lowest node, or a shorter one if one was met.
pub(crate) fn shortest_cycles(successors: &Adjacency, acyclic_part: &[u32]) -> Vec<Vec<u32>> {
    shortest_cycles_within(VISITS, successors, acyclic_part)
}

fn shortest_cycles_within(visits: usize, successors: &Adjacency, acyclic_part: &[u32]) -> Vec<Vec<u32>> {
    let mut is_left = vec![true; successors.len()];
    for &node in acyclic_part {
        is_left[node as usize] = false;
    }
    let left = (0..successors.len() as u32).filter(|&node| is_left[node as usize]);
    let components = Components::of(successors, left);
    let mut search = Search::new(successors, &components, visits);
    components.cyclic().map(|members| search.shortest_cycle(members)).collect()
}
