//! Gates: where a worker's own stack would leave the sequence.
//!
//! A worker runs what it made ready last, and that is the next node of the sequence nearly always. It is not where a
//! node becomes ready long before its turn: one part of a thousand that are split off at once, say, while the other
//! input of each part's consumer has yet to be made. In a plan where that costs memory, such a node gets a gate. Every
//! root has one, so that a second worker begins with the root that is next and not with one from the far end. What is ready
//! behind a gate is taken only by a worker that has nothing else of its own, the first in the sequence first.

use std::cmp::Reverse;

use super::alive::{Alive, Peak, Values};
use crate::graph::Adjacency;

/// A worker alone, with its stack of ready nodes.
pub(super) struct Stack<'p> {
    pub(super) sequence: &'p [u32],
    pub(super) predecessors: &'p Adjacency,
    /// Rows in the order of the sequence.
    pub(super) successors: &'p Adjacency,
}

impl Stack<'_> {
    /// Whether no more values than about `peak` are alive when the worker follows its stack alone.
    pub(super) fn stays_within(&self, peak: Peak, values: &[Values]) -> bool {
        let mut waiting = self.predecessors.degrees();
        let mut left = self.successors.degrees();
        let mut alive = Alive::default();
        let mut stack: Vec<u32> =
            self.sequence.iter().rev().copied().filter(|&node| waiting[node as usize] == 0).collect();
        while let Some(node) = stack.pop() {
            alive.make(values[node as usize]);
            if !alive.peak().is_about(peak) {
                return false;
            }
            for &before in self.predecessors.row(node) {
                let left = &mut left[before as usize];
                *left -= 1;
                if *left == 0 {
                    alive.free(values[before as usize].read);
                }
            }
            self.push_ready(node, &mut waiting, &mut stack);
        }
        true
    }

    /// Which nodes have a gate, in the order of the sequence.
    ///
    /// Follows the worker along the sequence: a node that it would take from its stack out of turn is gated, and so is
    /// all that lies on the stack where something behind a gate has to come next. With these gates the worker's way is
    /// the sequence.
    pub(super) fn gates(&self) -> Vec<u32> {
        let mut waiting = self.predecessors.degrees();
        let mut is_gated: Vec<bool> = waiting.iter().map(|&degree| degree == 0).collect();
        let mut stack: Vec<u32> = Vec::new();
        for &node in self.sequence {
            while let Some(top) = stack.pop() {
                if top == node {
                    break;
                }
                is_gated[top as usize] = true;
            }
            self.push_ready(node, &mut waiting, &mut stack);
        }
        self.sequence.iter().copied().filter(|&node| is_gated[node as usize]).collect()
    }

    #[inline]
    fn push_ready(&self, node: u32, waiting: &mut [u32], stack: &mut Vec<u32>) {
        push_ready(self.successors.row(node), waiting, stack);
    }
}

#[inline]
fn push_ready(successors: &[u32], waiting: &mut [u32], stack: &mut Vec<u32>) {
    for &successor in successors.iter().rev() {
        let waiting = &mut waiting[successor as usize];
        *waiting -= 1;
        if *waiting == 0 {
            stack.push(successor);
        }
    }
}

/// The nodes that wait for nothing, in the order of the sequence.
pub(super) fn roots(sequence: &[u32], predecessors: &Adjacency) -> Vec<u32> {
    sequence.iter().copied().filter(|&node| predecessors.row(node).is_empty()).collect()
}

/// The way of a worker alone that begins with the roots of the highest rank, and of the successors that a node makes ready
/// runs those of the highest rank first. Rows are sorted so.
pub(super) fn along_the_ranks(ranks: &[u32], predecessors: &Adjacency, successors: &Adjacency) -> Vec<u32> {
    let mut waiting = predecessors.degrees();
    let mut stack: Vec<u32> = (0..ranks.len() as u32).filter(|&node| waiting[node as usize] == 0).collect();
    stack.sort_unstable_by_key(|&root| (ranks[root as usize], Reverse(root)));
    let mut sequence = Vec::with_capacity(ranks.len());
    while let Some(node) = stack.pop() {
        sequence.push(node);
        push_ready(successors.row(node), &mut waiting, &mut stack);
    }
    sequence
}
