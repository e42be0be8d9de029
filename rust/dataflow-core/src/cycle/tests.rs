use super::*;

fn adjacency(nodes: usize, edges: &[(u32, u32)]) -> Adjacency {
    Adjacency::grouped(nodes, edges.iter().copied()).distinct()
}

fn cycles_within(visits: usize, nodes: usize, edges: &[(u32, u32)]) -> Vec<Vec<u32>> {
    let successors = adjacency(nodes, edges);
    let order = topological_order(&successors, successors.in_degrees());
    shortest_cycles_within(visits, &successors, &order)
}

fn cycles(nodes: usize, edges: &[(u32, u32)]) -> Vec<Vec<u32>> {
    cycles_within(VISITS, nodes, edges)
}

fn ring(nodes: u32) -> Vec<(u32, u32)> {
    (0..nodes).map(|node| (node, (node + 1) % nodes)).collect()
}

#[test]
fn the_topological_order_goes_level_by_level_and_ascends_within_a_level() {
    let successors = adjacency(5, &[(4, 3), (3, 1), (3, 0), (2, 0)]);
    assert_eq!(topological_order(&successors, successors.in_degrees()), [2, 4, 3, 0, 1]);
}

#[test]
fn nodes_on_a_cycle_and_behind_it_are_missing_from_the_topological_order() {
    let successors = adjacency(4, &[(0, 1), (1, 2), (2, 1), (2, 3)]);
    assert_eq!(topological_order(&successors, successors.in_degrees()), [0]);
}

#[test]
fn nodes_behind_a_cycle_are_not_part_of_it() {
    assert_eq!(cycles(5, &[(0, 1), (1, 2), (2, 1), (2, 3), (3, 4)]), [[1, 2]]);
}

#[test]
fn a_shortest_cycle_is_reported_for_every_component() {
    let edges = [(5, 4), (4, 3), (3, 5), (5, 3), (0, 1), (1, 2), (2, 0), (2, 3)];
    assert_eq!(cycles(6, &edges), [vec![0, 1, 2], vec![3, 5]]);
}

#[test]
fn a_shortest_cycle_need_not_hold_the_lowest_node() {
    assert_eq!(cycles(5, &[(0, 1), (1, 2), (2, 0), (2, 3), (3, 4), (4, 3), (4, 0)]), [[3, 4]]);
}

#[test]
fn a_loop_is_shorter_than_any_other_cycle() {
    assert_eq!(cycles(3, &[(0, 1), (1, 2), (2, 0), (1, 0), (2, 2)]), [[2]]);
}

#[test]
fn of_equally_short_cycles_the_one_with_the_lowest_node_is_taken() {
    assert_eq!(cycles(4, &[(2, 3), (3, 2), (0, 1), (1, 0), (1, 2), (3, 0)]), [[0, 1]]);
}

#[test]
fn without_visits_left_a_cycle_through_the_lowest_node_is_taken() {
    let edges = [(0, 1), (1, 2), (2, 0), (2, 3), (3, 4), (4, 3), (4, 0)];
    assert_eq!(cycles_within(0, 5, &edges), [[0, 1, 2]]);
}

#[test]
fn a_long_ring_takes_one_search_and_no_recursion() {
    let nodes = 300_000;
    let expected: Vec<u32> = (0..nodes).collect();
    assert_eq!(cycles_within(0, nodes as usize, &ring(nodes)), [expected]);
}

#[test]
fn a_short_cycle_far_along_a_ring_is_found() {
    let mut edges = ring(1000);
    edges.push((900, 800));
    let expected: Vec<u32> = (800..=900).collect();
    assert_eq!(cycles(1000, &edges), [expected]);
}
