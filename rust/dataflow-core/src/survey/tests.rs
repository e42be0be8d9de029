use super::*;
use crate::graph::Graph;

/// 0 makes two values; 1 and 2 read one each, 3 reads 1 and 2, 4 waits for 0 alone and makes nothing that is read.
fn diamond() -> Plan {
    let mut graph = Graph::new();
    let mut node = |inputs: &[u8], outputs: &[u8]| {
        let shape = graph.add_shape(inputs, outputs).unwrap();
        graph.add_node(shape).unwrap()
    };
    let nodes = [node(&[], &[0, 0]), node(&[0], &[0]), node(&[0], &[0]), node(&[0, 0], &[0]), node(&[], &[0])];
    for (source, output, target, input) in [(0, 0, 1, 0), (0, 1, 2, 0), (1, 0, 3, 0), (2, 0, 3, 1)] {
        assert_eq!(graph.connect(nodes[source], output, nodes[target], input), Ok(true));
    }
    graph.order(nodes[0], nodes[4]).unwrap();
    Plan::compile(&graph).unwrap()
}

#[test]
fn levels_count_the_nodes_before() {
    assert_eq!(levels(&diamond()), [0, 1, 1, 2, 1]);
}

#[test]
fn the_critical_path_weighs_most() {
    assert_eq!(critical_path(&diamond(), &[1.0, 2.0, 3.0, 1.0, 1.0]), (vec![0, 2, 3], 5.0));
    assert_eq!(critical_path(&diamond(), &[1.0, 1.0, 1.0, 1.0, 9.0]), (vec![0, 4], 10.0));
    assert_eq!(critical_path(&diamond(), &[0.0; 5]).1, 0.0);
}

#[test]
fn an_empty_plan_has_no_path_and_no_peak() {
    let plan = Plan::compile(&Graph::new()).unwrap();
    assert_eq!(critical_path(&plan, &[]), (vec![], 0.0));
    assert_eq!(peak(&plan, &[]), Peak::default());
}

#[test]
fn lineage_follows_data_and_if_wanted_order() {
    let plan = diamond();
    assert_eq!(lineage(&plan, &[3], Direction::Upstream, false), [0, 1, 2]);
    assert_eq!(lineage(&plan, &[0], Direction::Downstream, false), [1, 2, 3]);
    assert_eq!(lineage(&plan, &[0], Direction::Downstream, true), [1, 2, 4, 3]);
    assert_eq!(lineage(&plan, &[4], Direction::Upstream, false), []);
    assert_eq!(lineage(&plan, &[4], Direction::Upstream, true), [0]);
    assert_eq!(lineage(&plan, &[1, 3], Direction::Upstream, false), [0, 1, 2]);
}

#[test]
fn a_shortest_path_has_both_ends() {
    let plan = diamond();
    assert_eq!(shortest_path(&plan, 0, 3), Some(vec![0, 1, 3]));
    assert_eq!(shortest_path(&plan, 2, 2), Some(vec![2]));
    assert_eq!((shortest_path(&plan, 0, 4), shortest_path(&plan, 3, 0)), (None, None));
}

#[test]
fn edges_between_groups_are_counted() {
    let bundles = quotient(&diamond(), &[0, 1, 1, 2, 1]);
    let facts: Vec<_> = bundles.iter().map(|bundle| (bundle.groups, bundle.channels, bundle.orders)).collect();
    assert_eq!(facts, [((0, 1), 2, 1), ((1, 2), 2, 0)]);
}

#[test]
fn edges_are_counted_with_and_without_data() {
    assert_eq!(edge_counts(&diamond()), (4, 1));
}

#[test]
fn kinds_of_channels_are_counted() {
    let found = channel_kinds(&diamond(), &[0, 1, 1, 2, 3]);
    assert_eq!(found, [((0, 0, 1, 0), 1), ((0, 1, 1, 0), 1), ((1, 0, 2, 0), 1), ((1, 0, 2, 1), 1)]);
}

#[test]
fn the_peak_is_what_values_hold_along_the_sequence() {
    let plan = diamond();
    let found = peak(&plan, &[10, 10, 1, 1, 5, 0]);
    // The two of node 0 and the first that is made of them.
    assert_eq!((found.bytes, found.node.is_some()), (21, true));
    assert!((3..=4).contains(&found.values));
}

/// As a digest, the first bytes of a checksum: what changes for every byte that does.
fn checksum(bytes: &[u8]) -> [u8; merkle::DIGEST] {
    let fold = |seed: u64| bytes.iter().fold(seed, |sum, &byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mut made = [0; merkle::DIGEST];
    made[..8].copy_from_slice(&fold(1).to_le_bytes());
    made[8..].copy_from_slice(&fold(2).to_le_bytes());
    made
}

fn digests_of(own: [u8; 5], unknown: &[u32]) -> merkle::Merkle {
    let own: Vec<u8> = own.iter().flat_map(|&byte| [byte; merkle::OWN]).collect();
    merkle::merkle(&diamond(), &own, unknown, [7; merkle::DIGEST], checksum)
}

/// The nodes whose digests are not the same.
fn changed(one: &merkle::Merkle, other: &merkle::Merkle) -> Vec<usize> {
    let pairs = one.digests.chunks(merkle::WHOLE).zip(other.digests.chunks(merkle::WHOLE)).enumerate();
    pairs.filter(|(_, (one, other))| one != other).map(|(node, _)| node).collect()
}

#[test]
fn what_a_node_is_counts_for_all_behind_it_by_data_or_order() {
    let found = digests_of([1, 2, 3, 4, 5], &[]);
    assert_eq!(found.digests[..merkle::WHOLE], [[1; merkle::OWN].as_slice(), &[7; merkle::DIGEST]].concat());
    assert_eq!(changed(&found, &digests_of([1, 2, 3, 4, 5], &[])), []);
    assert_eq!(changed(&found, &digests_of([9, 2, 3, 4, 5], &[])), [0, 1, 2, 3, 4]);
    assert_eq!(changed(&found, &digests_of([1, 2, 9, 4, 5], &[])), [2, 3]);
    assert_eq!(changed(&found, &digests_of([1, 2, 3, 4, 9], &[])), [4]);
}

#[test]
fn outputs_and_inputs_count() {
    let found = digests_of([1, 2, 2, 4, 5], &[]);
    // Nodes 1 and 2 are alike and read different outputs of node 0.
    assert_ne!(found.digests[merkle::WHOLE..2 * merkle::WHOLE], found.digests[2 * merkle::WHOLE..3 * merkle::WHOLE]);
    // Node 3 reads two other nodes, each through another input.
    assert_eq!(changed(&digests_of([1, 2, 3, 4, 5], &[]), &digests_of([1, 3, 2, 4, 5], &[])), [1, 2, 3]);
}

#[test]
fn what_follows_an_unknown_node_names_it() {
    let none = merkle::NO_CAUSE;
    assert_eq!(digests_of([1, 2, 3, 4, 5], &[2]).causes, [none, none, 2, 2, none]);
    assert_eq!(digests_of([1, 2, 3, 4, 5], &[0, 3]).causes, [0, 0, 0, 0, 0]);
    assert_eq!(digests_of([1, 2, 3, 4, 5], &[]).causes, [none; 5]);
}
