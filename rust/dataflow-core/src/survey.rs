//! What a plan comes to as a whole, for those who look at it: how deep it is, what its longest path is, what lies before
//! and behind a node, how much memory its values need. Nothing of it is stored; each question costs about one look at
//! every node and edge.

pub mod merkle;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use crate::ids::{NodeId, SlotId};
use crate::plan::{Plan, Source, SourceKind};

/// No node.
const NONE: u32 = u32::MAX;

/// The outputs that a node reads, each as often as it does.
fn reads(plan: &Plan, node: u32) -> impl Iterator<Item = SlotId> + '_ {
    plan.sources(NodeId(node)).iter().filter_map(|source: &Source| match source.kind() {
        SourceKind::Slot(slot) => Some(slot),
        SourceKind::Constant(_) | SourceKind::Unbound => None,
    })
}

/// For each node the number of nodes before it on the longest path to it: 0 for those that wait for nothing.
#[must_use]
pub fn levels(plan: &Plan) -> Vec<u32> {
    let mut levels = vec![0; plan.node_count()];
    for &node in plan.order() {
        let before = plan.predecessors(NodeId(node)).iter().map(|&before| levels[before as usize] + 1);
        levels[node as usize] = before.max().unwrap_or(0);
    }
    levels
}

/// The path whose nodes weigh most together, and that weight; of several the one whose nodes come first.
///
/// # Panics
/// If there is not a weight for each node.
#[must_use]
pub fn critical_path(plan: &Plan, weights: &[f64]) -> (Vec<u32>, f64) {
    assert_eq!(weights.len(), plan.node_count(), "a weight for each node");
    let mut finish = vec![0.0_f64; weights.len()];
    let mut through = vec![NONE; weights.len()];
    let (mut last, mut longest) = (NONE, f64::NEG_INFINITY);
    for &node in plan.order() {
        let mut start = 0.0;
        for &before in plan.predecessors(NodeId(node)) {
            if through[node as usize] == NONE || finish[before as usize] > start {
                start = finish[before as usize];
                through[node as usize] = before;
            }
        }
        finish[node as usize] = start + weights[node as usize];
        if finish[node as usize] > longest {
            (last, longest) = (node, finish[node as usize]);
        }
    }
    let mut path = Vec::new();
    while last != NONE {
        path.push(last);
        last = through[last as usize];
    }
    path.reverse();
    (path, longest.max(0.0))
}

/// Which way to look from a node.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Direction {
    /// What it depends on.
    Upstream,
    /// What depends on it.
    Downstream,
}

/// The nodes that lie before or behind some others, in topological order; those themselves only where one of them lies
/// before or behind another.
///
/// # Panics
/// If the plan has no such node.
#[must_use]
pub fn lineage(plan: &Plan, start: &[u32], direction: Direction, with_order: bool) -> Vec<u32> {
    let mut seen = vec![false; plan.node_count()];
    let mut found = Vec::new();
    let mut waiting = start.to_vec();
    while let Some(node) = waiting.pop() {
        let mut visit = |next: u32| {
            if !std::mem::replace(&mut seen[next as usize], true) {
                found.push(next);
                waiting.push(next);
            }
        };
        match (direction, with_order) {
            (Direction::Upstream, true) => plan.predecessors(NodeId(node)).iter().copied().for_each(visit),
            (Direction::Upstream, false) => reads(plan, node).for_each(|slot| visit(plan.slot_owner(slot).0.0)),
            (Direction::Downstream, true) => plan.successors(NodeId(node)).iter().copied().for_each(visit),
            (Direction::Downstream, false) => {
                let after = plan.successors(NodeId(node)).iter();
                after.copied().filter(|&after| feeds(plan, node, after)).for_each(visit);
            }
        }
    }
    found.sort_unstable_by_key(|&node| plan.position(NodeId(node)));
    found
}

fn feeds(plan: &Plan, node: u32, after: u32) -> bool {
    let slots = plan.slots_of(NodeId(node));
    reads(plan, after).any(|slot| slots.contains(&slot.0))
}

/// The nodes of a shortest path of data edges from one node to another, both included; none if there is no path.
///
/// # Panics
/// If the plan has no such node.
#[must_use]
pub fn shortest_path(plan: &Plan, from: u32, to: u32) -> Option<Vec<u32>> {
    let mut next = vec![NONE; plan.node_count()];
    let earliest = plan.position(NodeId(from));
    let mut queue = std::collections::VecDeque::from([to]);
    next[to as usize] = to;
    while let Some(node) = queue.pop_front() {
        if node == from {
            let mut path = vec![from];
            while *path.last()? != to {
                path.push(next[*path.last()? as usize]);
            }
            return Some(path);
        }
        for slot in reads(plan, node) {
            let before = plan.slot_owner(slot).0;
            if next[before.index()] == NONE && plan.position(before) >= earliest {
                next[before.index()] = node;
                queue.push_back(before.0);
            }
        }
    }
    None
}

/// How many data edges there are, and how many pairs of nodes of which one waits for the other without data.
#[must_use]
pub fn edge_counts(plan: &Plan) -> (u64, u64) {
    let mut orders = plan.dependency_count() as u64;
    let mut owners = Vec::new();
    for node in 0..plan.node_count() as u32 {
        owners.clear();
        owners.extend(reads(plan, node).map(|slot| plan.slot_owner(slot).0.0));
        owners.sort_unstable();
        owners.dedup();
        orders -= owners.len() as u64;
    }
    (plan.edge_count() as u64, orders)
}

/// All edges from one group of nodes to another.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// The groups.
    pub groups: (u32, u32),
    /// How many data edges there are.
    pub channels: u64,
    /// How many pairs of nodes of which one waits for the other without data.
    pub orders: u64,
}

/// The edges between groups of nodes, in the order in which nodes and their sources name them; those within a group are
/// left out.
///
/// # Panics
/// If there is not a group for each node.
#[must_use]
pub fn quotient(plan: &Plan, groups: &[u32]) -> Vec<Bundle> {
    assert_eq!(groups.len(), plan.node_count(), "a group for each node");
    let mut places: HashMap<(u32, u32), usize> = HashMap::new();
    let mut bundles: Vec<Bundle> = Vec::new();
    let mut owners = Vec::new();
    for node in 0..groups.len() as u32 {
        let group = groups[node as usize];
        owners.clear();
        owners.extend(reads(plan, node).map(|slot| plan.slot_owner(slot).0.0));
        let orders = plan.predecessors(NodeId(node)).iter().filter(|before| !owners.contains(before));
        for (before, is_channel) in owners.iter().map(|&before| (before, true)).chain(orders.map(|&b| (b, false))) {
            let pair = (groups[before as usize], group);
            if pair.0 == pair.1 {
                continue;
            }
            let place = *places.entry(pair).or_insert_with(|| {
                bundles.push(Bundle { groups: pair, channels: 0, orders: 0 });
                bundles.len() - 1
            });
            bundles[place].channels += u64::from(is_channel);
            bundles[place].orders += u64::from(!is_channel);
        }
    }
    bundles
}

/// How many data edges lead from an output of one kind of node to an input of another: (kind, output, kind, input).
pub type ChannelKind = ((u32, u32, u32, u32), u64);

/// The kinds of data edges, in the order in which nodes name them.
///
/// # Panics
/// If there is not a kind for each node.
#[must_use]
pub fn channel_kinds(plan: &Plan, kinds: &[u32]) -> Vec<ChannelKind> {
    assert_eq!(kinds.len(), plan.node_count(), "a kind for each node");
    let mut places: HashMap<(u32, u32, u32, u32), usize> = HashMap::new();
    let mut found: Vec<ChannelKind> = Vec::new();
    for (node, &kind) in kinds.iter().enumerate() {
        let node = NodeId(node as u32);
        for input in 0..plan.input_flags(node).len() as u32 {
            for source in plan.port_sources(node, input) {
                let SourceKind::Slot(slot) = source.kind() else { continue };
                let (before, output) = plan.slot_owner(slot);
                let key = (kinds[before.index()], output, kind, input);
                let place = *places.entry(key).or_insert_with(|| {
                    found.push((key, 0));
                    found.len() - 1
                });
                found[place].1 += 1;
            }
        }
    }
    found
}

/// What the values of a run hold when they hold most.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Peak {
    /// The sum of their sizes.
    pub bytes: u64,
    /// The node whose outputs make it so much; none without a size.
    pub node: Option<NodeId>,
    /// The most values that are there at a time, whatever their sizes.
    pub values: u64,
}

/// What values hold at most when one worker runs the nodes in the order of [`Plan::sequence`]: a value is there from the
/// end of its node to that of its last reader, and to the end of the run if it has none.
///
/// # Panics
/// If there is not a size for each slot.
#[must_use]
pub fn peak(plan: &Plan, sizes: &[u64]) -> Peak {
    assert_eq!(sizes.len(), plan.slot_count(), "a size for each slot");
    let mut left = plan.consumer_counts().to_vec();
    let mut peak = Peak::default();
    let (mut bytes, mut values) = (0_u64, 0_u64);
    for &node in plan.sequence() {
        for slot in plan.slots_of(NodeId(node)) {
            bytes = bytes.saturating_add(sizes[slot as usize]);
            values += 1;
        }
        peak.values = peak.values.max(values);
        if bytes > peak.bytes {
            (peak.bytes, peak.node) = (bytes, Some(NodeId(node)));
        }
        for slot in reads(plan, node) {
            left[slot.index()] -= 1;
            if left[slot.index()] == 0 {
                bytes = bytes.saturating_sub(sizes[slot.index()]);
                values -= 1;
            }
        }
    }
    peak
}
