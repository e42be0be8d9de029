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
