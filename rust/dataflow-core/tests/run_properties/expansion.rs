//! Nodes that put a plan in their place.

use std::sync::Arc;
use std::time::Duration;

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

#[test]
fn what_is_given_runs_nowhere_and_feeds_its_successors() {
    let _watch = watch("given values");
    let pool = Arc::new(Pool::new(0));
    let body = Plain::new(|_, task, _| match (task.instance, task.node) {
        (InstanceId::ROOT, NodeId(0)) => {
            let given = vec![(NodeId(0), Some(5)), (NodeId(1), None)];
            Next::ExpandContained(plan(3, [(0, 2), (1, 2)]), given)
        }
        (InstanceId::ROOT, _) => Next::Add(0),
        (_, NodeId(2)) => Next::Add(1),
        _ => panic!("{task:?} was given its value"),
    });
    let run = prepare(&pool, &chain(2), 1, true, FailurePolicy::FailFast, body);
    pool.drive(&run, &mut ());
    let child = run.instance(InstanceId(1));
    let states = [0, 1, 2].map(|node| child.status(NodeId(node)).0);
    assert_eq!(states, [State::Restored, State::Restored, State::Succeeded]);
    // 5 was given, and the last node makes 6 of it.
    assert_eq!(last_value(&run), Some(5 + 6));
}

#[test]
fn a_child_of_given_nodes_alone_ends_at_once() {
    let _watch = watch("given values alone");
    let pool = Arc::new(Pool::new(0));
    let body = Plain::new(|_, task, _| match (task.instance, task.node) {
        (InstanceId::ROOT, NodeId(0)) => Next::ExpandContained(plan(1, []), vec![(NodeId(0), Some(7))]),
        _ => Next::Add(0),
    });
    let run = prepare(&pool, &chain(1), 1, true, FailurePolicy::FailFast, body);
    pool.drive(&run, &mut ());
    assert_eq!(last_value(&run), Some(7));
}

#[test]
fn a_contained_failure_ends_its_child_and_not_the_run() {
    let _watch = watch("a contained failure");
    for seats in [1, 3] {
        let crew = crate::plain::Crew::of(2);
        // Node 1 waits for its next attempt for ever, 2 fails when that is so, 3 is after it; a child within has not begun.
        let child = plan(6, [(0, 1), (1, 2), (2, 3), (0, 4), (3, 5)]);
        let body = Plain::new(move |run, task, attempt| match (task.instance, task.node, attempt) {
            (InstanceId::ROOT, NodeId(0), 1) => Next::ExpandContained(child.clone(), vec![]),
            (InstanceId::ROOT, ..) => Next::Add(1),
            (_, NodeId(4), 1) => Next::Again(Duration::from_secs(3600)),
            (instance, NodeId(1), _) if run.instance(instance).plan().node_count() == 6 => Next::Expand(chain(2)),
            (instance, NodeId(2), _) if run.instance(instance).plan().node_count() == 6 => {
                while run.instance(instance).status(NodeId(4)).0 != State::Retrying {
                    if seats == 1 {
                        break;
                    }
                    std::thread::yield_now();
                }
                Next::Fail
            }
            _ => Next::Add(1),
        });
        let run = prepare(&crew.pool, &plan(4, [(0, 1), (2, 3)]), seats, true, FailurePolicy::FailFast, body);
        crew.pool.drive(&run, &mut ());
        assert_eq!((run.stopped(), count(&run, State::Succeeded)), (None, 4));
        let child = run.instance(InstanceId(1));
        let [failed, after, waited] = [2, 3, 4].map(|node| child.status(NodeId(node)).0);
        assert_eq!((failed, after), (State::Failed, State::Cancelled));
        assert!(matches!(waited, State::Failed | State::Cancelled), "{waited:?}");
    }
}

#[test]
fn a_thousand_levels_end_on_a_small_stack() {
    let _watch = watch("a thousand levels");
    let levels = |run: &dataflow_core::run::Run<Plain>, instance: InstanceId| {
        let parents =
            std::iter::successors(Some(instance), |&id| run.instance(id).parent().map(|(task, _)| task.instance));
        parents.count()
    };
    let body = Plain::new(
        move |run, task, _| if levels(run, task.instance) < 1000 { Next::Expand(chain(1)) } else { Next::Add(1) },
    );
    let pool = Arc::new(Pool::new(0));
    let run = prepare(&pool, &chain(1), 1, true, FailurePolicy::FailFast, body);
    let driving = {
        let (pool, run) = (pool.clone(), run.clone());
        std::thread::Builder::new().stack_size(256 * 1024).spawn(move || pool.drive(&run, &mut ())).unwrap()
    };
    driving.join().unwrap();
    assert_eq!((run.instances().count(), last_value(&run)), (1000, Some(1)));
}
