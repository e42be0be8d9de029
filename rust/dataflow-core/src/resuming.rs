//! What a run may take over from an earlier one of the same plan, and which of its values are still needed.

use crate::ids::{NodeId, SlotId};
use crate::plan::{Plan, SourceKind};

/// Of the nodes that may be restored for their own part, those whose predecessors may be as well, and so all before them.
pub fn restorable(plan: &Plan, candidates: &[bool]) -> Vec<bool> {
    let mut restored = vec![false; plan.node_count()];
    for &node in plan.order() {
        let before = plan.predecessors(NodeId(node));
        restored[node as usize] = candidates[node as usize] && before.iter().all(|&node| restored[node as usize]);
    }
    restored
}

/// The output slots of restored nodes that something asks for: a node that runs, or the result. In the order of slots.
pub fn wanted(plan: &Plan, restored: &[bool], retained: impl Fn(SlotId) -> bool) -> Vec<SlotId> {
    let mut is_wanted = vec![false; plan.slot_count()];
    for node in (0..plan.node_count() as u32).map(NodeId) {
        if restored[node.index()] {
            for slot in plan.slots_of(node) {
                is_wanted[slot as usize] |= retained(SlotId(slot));
            }
        } else {
            for source in plan.sources(node) {
                if let SourceKind::Slot(slot) = source.kind() {
                    is_wanted[slot.index()] = true;
                }
            }
        }
    }
    // What a node that runs has made itself is no affair of a checkpoint.
    let of_restored = (0..plan.node_count() as u32).map(NodeId).filter(|node| restored[node.index()]);
    of_restored.flat_map(|node| plan.slots_of(node)).filter(|&slot| is_wanted[slot as usize]).map(SlotId).collect()
}
