use super::*;

const REQUIRED: u8 = 0;

fn node(graph: &mut Graph, inputs: &[u8], outputs: &[u8]) -> NodeId {
    let shape = graph.add_shape(inputs, outputs).unwrap();
    graph.add_node(shape).unwrap()
}

#[test]
fn the_same_layout_is_the_same_shape() {
    let mut graph = Graph::new();
    let first = graph.add_shape(&[REQUIRED, INPUT_OPTIONAL], &[REQUIRED]).unwrap();
    assert_eq!(graph.add_shape(&[REQUIRED, INPUT_OPTIONAL], &[REQUIRED]), Ok(first));
}

#[test]
fn layouts_that_differ_only_in_where_inputs_end_are_different_shapes() {
    let mut graph = Graph::new();
    let first = graph.add_shape(&[0, 0], &[0]).unwrap();
    let second = graph.add_shape(&[0], &[0, 0]).unwrap();
    assert_ne!(first, second);
    let node = graph.add_node(second).unwrap();
    assert_eq!((graph.input_count(node), graph.output_count(node)), (1, 2));
}

#[test]
fn nodes_are_numbered_in_order_and_keep_their_flags() {
    let mut graph = Graph::new();
    let first = node(&mut graph, &[INPUT_MANY, INPUT_MUTABLE], &[]);
    let second = node(&mut graph, &[], &[OUTPUT_OPTIONAL]);
    assert_eq!((first, second), (NodeId(0), NodeId(1)));
    assert_eq!(graph.input_flags(first), [INPUT_MANY, INPUT_MUTABLE]);
    assert_eq!(graph.output_flags(second), [OUTPUT_OPTIONAL]);
    assert_eq!((graph.node_count(), graph.output_count(first), graph.input_count(second)), (2, 0, 0));
}

#[test]
fn a_single_input_is_connected_once() {
    let mut graph = Graph::new();
    let source = node(&mut graph, &[], &[0, 0]);
    let target = node(&mut graph, &[0], &[]);
    assert_eq!(graph.connect(source, 0, target, 0), Ok(true));
    assert_eq!(graph.connect(source, 1, target, 0), Ok(false));
    assert_eq!(graph.bind(target, 0, 7), Ok(false));
    assert_eq!(graph.sources_of(target, 0), [(source, 0)]);
    assert_eq!(graph.edges_count(), 1);
}

#[test]
fn a_bound_input_is_not_connected() {
    let mut graph = Graph::new();
    let source = node(&mut graph, &[], &[0]);
    let target = node(&mut graph, &[0], &[]);
    assert_eq!(graph.bind(target, 0, 7), Ok(true));
    assert_eq!(graph.connect(source, 0, target, 0), Ok(false));
    assert_eq!(graph.sources_of(target, 0), []);
    assert_eq!(graph.edges().count(), 0);
}

#[test]
fn a_many_input_appends_edges_and_constants() {
    let mut graph = Graph::new();
    let source = node(&mut graph, &[], &[0, 0]);
    let target = node(&mut graph, &[0, INPUT_MANY], &[]);
    assert_eq!(graph.connect(source, 1, target, 1), Ok(true));
    assert_eq!(graph.bind(target, 1, 7), Ok(true));
    assert_eq!(graph.connect(source, 0, target, 0), Ok(true));
    assert_eq!(graph.connect(source, 0, target, 1), Ok(true));
    assert_eq!(graph.connect(source, 1, target, 1), Ok(true));
    assert_eq!(graph.sources_of(target, 1), [(source, 1), (source, 0), (source, 1)]);
    let edges: Vec<_> = graph.edges().map(|(_, output, _, input)| (output, input)).collect();
    assert_eq!(edges, [(1, 1), (0, 0), (0, 1), (1, 1)]);
    assert_eq!(graph.edges_count(), 4);
}

#[test]
fn order_only_edges_are_kept_in_order() {
    let mut graph = Graph::new();
    let (first, second) = (node(&mut graph, &[], &[]), node(&mut graph, &[], &[]));
    graph.order(second, first).unwrap();
    graph.order(first, second).unwrap();
    assert_eq!(graph.orders().collect::<Vec<_>>(), [(second, first), (first, second)]);
}

#[test]
fn several_nodes_are_added_at_once() {
    let mut graph = Graph::new();
    let shape = graph.add_shape(&[0], &[0, 0]).unwrap();
    assert_eq!(graph.add_nodes(shape, 3), Ok(NodeId(0)));
    assert_eq!(graph.add_nodes(shape, 2), Ok(NodeId(3)));
    assert_eq!(graph.add_nodes(shape, 0), Ok(NodeId(5)));
    assert_eq!((graph.node_count(), graph.output_count(NodeId(4))), (5, 2));
}

#[test]
fn too_many_nodes_at_once_add_none() {
    let mut graph = Graph::new();
    let wide = graph.add_shape(&[], &[0; 1 << 20]).unwrap();
    assert!(matches!(graph.add_nodes(wide, (1 << 11) + 1), Err(GraphError::TooLarge { .. })));
    assert_eq!(graph.node_count(), 0);
    assert_eq!(graph.add_nodes(wide, 1 << 11), Ok(NodeId(0)));
}

#[test]
fn what_came_after_a_mark_is_taken_back() {
    let mut graph = Graph::new();
    let source = node(&mut graph, &[], &[0]);
    let target = node(&mut graph, &[0, INPUT_MANY], &[]);
    graph.connect(source, 0, target, 1).unwrap();
    let mark = graph.mark();

    let late = node(&mut graph, &[0], &[0]);
    graph.connect(late, 0, target, 1).unwrap();
    graph.connect(late, 0, target, 0).unwrap();
    graph.bind(late, 0, 3).unwrap();
    graph.connect(source, 0, target, 1).unwrap();
    graph.order(late, source).unwrap();
    graph.roll_back(mark);

    assert_eq!((graph.node_count(), graph.edges_count(), graph.orders().len()), (2, 1, 0));
    assert_eq!(graph.sources_of(target, 1), [(source, 0)]);
    assert_eq!(graph.sources_of(target, 0), []);
    let again = node(&mut graph, &[0], &[0]);
    assert_eq!(again, late);
    assert_eq!(graph.connect(source, 0, again, 0), Ok(true));
    assert_eq!(graph.connect(again, 0, target, 0), Ok(true));
    assert_eq!(graph.sources_of(target, 0), [(again, 0)]);
}

#[test]
fn unknown_indices_are_named_and_change_nothing() {
    let mut graph = Graph::new();
    let known = node(&mut graph, &[0], &[0, 0]);
    let unknown = NodeId(1);
    let no_node = GraphError::UnknownNode { node: unknown, count: 1 };
    let no_port = |direction, count| GraphError::UnknownPort { node: known, port: u32::MAX, direction, count };

    assert_eq!(graph.connect(unknown, 0, known, 0), Err(no_node.clone()));
    assert_eq!(graph.connect(known, 0, unknown, 0), Err(no_node.clone()));
    assert_eq!(graph.connect(known, u32::MAX, known, 0), Err(no_port(Direction::Output, 2)));
    assert_eq!(graph.connect(known, 0, known, u32::MAX), Err(no_port(Direction::Input, 1)));
    assert_eq!(graph.bind(unknown, 0, 0), Err(no_node.clone()));
    assert_eq!(graph.bind(known, u32::MAX, 0), Err(no_port(Direction::Input, 1)));
    assert_eq!(graph.order(unknown, known), Err(no_node.clone()));
    assert_eq!(graph.order(known, unknown), Err(no_node));
    let no_shape = GraphError::UnknownShape { shape: ShapeId(9), count: 1 };
    assert_eq!(graph.add_node(ShapeId(9)), Err(no_shape));

    assert_eq!((graph.node_count(), graph.edges_count(), graph.orders().len()), (1, 0, 0));
    assert_eq!(graph.open_inputs().collect::<Vec<_>>(), [(known, 0)]);
    assert_eq!(graph.open_outputs(), [(known, 0), (known, 1)]);
    assert_eq!(graph.sources_of(unknown, 0), []);
    assert_eq!((graph.input_count(unknown), graph.output_count(unknown)), (0, 0));
}

#[test]
fn flags_without_a_meaning_are_refused() {
    let mut graph = Graph::new();
    let error = GraphError::UnknownFlags { port: 1, direction: Direction::Input, flags: 8, known: 7 };
    assert_eq!(graph.add_shape(&[0, 8], &[]), Err(error));
    let error = GraphError::UnknownFlags { port: 0, direction: Direction::Output, flags: 4, known: 3 };
    assert_eq!(graph.add_shape(&[], &[4]), Err(error));
}

#[test]
fn outputs_beyond_the_slot_numbers_are_refused() {
    let mut graph = Graph::new();
    let wide = graph.add_shape(&[], &[0; 1 << 20]).unwrap();
    let narrow = graph.add_shape(&[], &[0]).unwrap();
    for _ in 0..1 << 11 {
        graph.add_node(wide).unwrap();
    }
    let too_large = GraphError::TooLarge { what: Quantity::Outputs, limit: 1 << 31 };
    assert_eq!(graph.add_node(narrow), Err(too_large));
    assert_eq!(graph.node_count(), 1 << 11);
}

#[test]
fn constants_beyond_their_bits_are_refused() {
    let mut graph = Graph::new();
    let target = node(&mut graph, &[0], &[]);
    assert!(matches!(graph.bind(target, 0, MAX_CONSTANT + 1), Err(GraphError::TooLarge { .. })));
    assert_eq!(graph.bind(target, 0, MAX_CONSTANT), Ok(true));
}

#[test]
fn errors_say_what_is_wrong_and_what_to_do() {
    let error = GraphError::UnknownPort { node: NodeId(3), port: 2, direction: Direction::Output, count: 1 };
    assert_eq!(error.to_string(), "node 3 has no output port 2: it has 1");
    let error = GraphError::UnknownNode { node: NodeId(3), count: 2 };
    assert_eq!(error.to_string(), "node 3 does not exist: the graph has 2 nodes, add the node first");
    let error = GraphError::TooLarge { what: Quantity::Nodes, limit: 5 };
    assert_eq!(error.to_string(), "too many nodes: the graph can hold 5, split it into several graphs");
}
