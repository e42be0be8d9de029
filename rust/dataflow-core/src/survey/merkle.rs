//! Digests of what nodes are computed from: each of what the node is by itself, and of the digests of those before it.

use crate::ids::NodeId;
use crate::plan::{Plan, SourceKind};

/// The length of a digest.
pub const DIGEST: usize = 16;
/// The length of what a node is by itself: two digests.
pub const OWN: usize = 2 * DIGEST;
/// The length of what a node is computed from: what it is by itself, and the digest of its inputs.
pub const WHOLE: usize = OWN + DIGEST;

/// Nothing kept a node from having its digests.
pub const NO_CAUSE: u32 = u32::MAX;

/// What came of a walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merkle {
    /// [`WHOLE`] bytes for each node; zeros for those without.
    pub digests: Vec<u8>,
    /// For each node without, the first node on the way to it that is not known by itself; else [`NO_CAUSE`].
    pub causes: Vec<u32>,
}

/// Walks from the sources of a plan to its ends.
///
/// The digest of a node's inputs is that of the whole digests of the nodes before it: for each channel in the order of
/// inputs with the number of the output and of the input, then those that it only waits for, sorted.
///
/// # Panics
/// If `own` has not [`OWN`] bytes for each node, or `unknown` names a node that the plan has not.
#[must_use]
pub fn merkle(
    plan: &Plan,
    own: &[u8],
    unknown: &[u32],
    beginning: [u8; DIGEST],
    mut digest: impl FnMut(&[u8]) -> [u8; DIGEST],
) -> Merkle {
    let count = plan.node_count();
    assert_eq!(own.len(), count * OWN, "what each node is by itself");
    let mut causes = vec![NO_CAUSE; count];
    unknown.iter().for_each(|&node| causes[node as usize] = node);
    let mut digests = vec![0; count * WHOLE];
    let (mut parts, mut data, mut waits) = (Vec::new(), Vec::new(), Vec::new());
    for &node in plan.order() {
        let id = NodeId(node);
        let first = plan.predecessors(id).iter().map(|&before| causes[before as usize]).min();
        if let Some(cause) = first.filter(|&cause| cause != NO_CAUSE) {
            causes[node as usize] = cause;
            continue;
        }
        if causes[node as usize] != NO_CAUSE {
            continue;
        }
        parts.clear();
        data.clear();
        for (input, range) in plan.input_ranges(id).enumerate() {
            for source in &plan.sources(id)[range] {
                if let SourceKind::Slot(slot) = source.kind() {
                    let (before, output) = plan.slot_owner(slot);
                    data.push(before.0);
                    parts.extend_from_slice(whole(&digests, before.0));
                    parts.extend_from_slice(&output.to_le_bytes());
                    parts.extend_from_slice(&(input as u32).to_le_bytes());
                }
            }
        }
        data.sort_unstable();
        waits.clear();
        let only_order = plan.predecessors(id).iter().filter(|before| data.binary_search(before).is_err());
        waits.extend(only_order);
        waits.sort_unstable_by(|&one, &other| whole(&digests, one).cmp(whole(&digests, other)));
        for &before in &waits {
            parts.extend_from_slice(whole(&digests, before));
            parts.extend_from_slice(&[u8::MAX; 8]);
        }
        let inputs = if parts.is_empty() { beginning } else { digest(&parts) };
        let (from, own_from) = (node as usize * WHOLE, node as usize * OWN);
        digests[from..from + OWN].copy_from_slice(&own[own_from..own_from + OWN]);
        digests[from + OWN..from + WHOLE].copy_from_slice(&inputs);
    }
    Merkle { digests, causes }
}

fn whole(digests: &[u8], node: u32) -> &[u8] {
    &digests[node as usize * WHOLE..(node as usize + 1) * WHOLE]
}
