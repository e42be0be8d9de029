//! Nodes that put a plan in their place.

use std::sync::Arc;

use dataflow_core::ids::{InstanceId, NodeId};
use dataflow_core::pool::Pool;
use dataflow_core::run::FailurePolicy;
use dataflow_core::status::State;

use crate::plain::{Next, Plain, chain, count, last_value, plan, prepare, wide};
use crate::watchdog::watch;

#[test]
fn a_child_within_a_child_ends_its_parents() {
    let _watch = watch("two levels of children");
    for seats in [1, 3] {
        let crew = crate::plain::Crew::of(2);
        let (middle, inner) = (wide(5), chain(4));
        let body = Plain::new(move |run, task, _| match (task.instance, task.node) {
            (InstanceId::ROOT, NodeId(1)) => Next::Expand(middle.clone()),
            (InstanceId::ROOT, _) => Next::Add(1),
            (child, NodeId(2)) if run.instance(child).plan().node_count() == 5 => Next::Expand(inner.clone()),
            _ => Next::Add(1),
        });
        let run = prepare(&crew.pool, &chain(3), seats, true, FailurePolicy::Continue, body);
        crew.pool.drive(&run, &mut ());
        assert_eq!(run.instances().count(), 3);
        assert!(run.instances().all(|instance| instance.remaining() == 0));
        // The inner chain holds 1, 2, 3, 4; its parent adds its input 1 to their sum. The middle has 1, 2, 11, 2, 16, and the
        // root's second node adds 1 to their sum.
        assert_eq!(last_value(&run), Some(1 + (1 + 2 + 11 + 2 + 16) + 1));
    }
}

#[test]
fn a_failure_in_a_child_fails_its_parent() {
    let _watch = watch("a failure in a child");
    for (policy, after) in
        [(FailurePolicy::Continue, State::UpstreamFailed), (FailurePolicy::FailFast, State::Cancelled)]
    {
        let pool = Arc::new(Pool::new(0));
        let body = Plain::new(move |_, task, _| match (task.instance, task.node) {
            (InstanceId::ROOT, NodeId(0)) => Next::Expand(chain(3)),
            (InstanceId::ROOT, _) => Next::Add(1),
            (_, NodeId(1)) => Next::Fail,
            _ => Next::Add(1),
        });
        let run = prepare(&pool, &chain(2), 1, true, policy, body);
        pool.drive(&run, &mut ());
        let child = run.instance(InstanceId(1));
        assert_eq!([0, 1, 2].map(|node| child.status(NodeId(node)).0), [State::Succeeded, State::Failed, after]);
        assert_eq!([0, 1].map(|node| run.root().status(NodeId(node)).0), [State::Failed, after]);
    }
}

#[test]
fn an_empty_child_ends_at_once() {
    let _watch = watch("an empty child");
    let pool = Arc::new(Pool::new(0));
    let body = Plain::new(|_, task, _| match task.node {
        NodeId(0) => Next::Expand(plan(0, [])),
        _ => Next::Add(1),
    });
    let run = prepare(&pool, &chain(2), 1, true, FailurePolicy::FailFast, body);
    pool.drive(&run, &mut ());
    assert_eq!((count(&run, State::Succeeded), last_value(&run)), (2, Some(1)));
}

#[test]
fn ten_thousand_children_are_found_again() {
    let _watch = watch("many children");
    let crew = crate::plain::Crew::of(2);
    let child = chain(2);
    let body = Plain::new(move |_, task, _| match (task.instance, task.node) {
        (InstanceId::ROOT, NodeId(1..=10_000)) => Next::Expand(child.clone()),
        _ => Next::Add(1),
    });
    let run = prepare(&crew.pool, &wide(10_002), 3, true, FailurePolicy::FailFast, body);
    crew.pool.drive(&run, &mut ());
    assert_eq!(run.instances().count(), 10_001);
    assert_eq!(last_value(&run), Some(10_000 * (1 + 2 + 1) + 1));
}
