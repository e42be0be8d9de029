//! A body that sets its output and does nothing else, and runs of it.

use std::sync::Arc;

use dataflow_core::body::Body;
use dataflow_core::ids::NodeId;
use dataflow_core::instance::Instance;
use dataflow_core::plan::Plan;
use dataflow_core::pool::Pool;
use dataflow_core::ready::Task;
use dataflow_core::run::{FailurePolicy, Run, Step};
use dataflow_core::status::State;

pub(crate) struct Nothing;

impl Body for Nothing {
    type Value = u32;
    type Program = ();
    type Host = ();
    type Items = ();
    type Element = ();

    fn execute(&self, step: &mut Step<'_, '_, Self>, (): &mut ()) {
        // Without a look at the clock, which C++ Taskflow does not take either: it costs as much as the rest together.
        let mut claim = step.run().claim_own(step.task(), step.attempt(), State::Succeeded, step.started());
        claim.put(0, 0);
        step.deliver(claim);
    }

    fn is_long(&self, _instance: &Instance<Self>, _node: NodeId, _now: u64) -> bool {
        false
    }

    fn settled(&self, _run: &Run<Self>, _task: Task, _state: State) {}

    fn expanded(&self, _step: &mut Step<'_, '_, Self>, _child: &Instance<Self>, _host: &mut ()) {}

    fn finished(&self, _run: &Run<Self>) {}

    fn blocking<R: Send>((): &mut (), wait: impl FnOnce() -> R + Send) -> R {
        wait()
    }
}

/// A pool with one thread beside the caller, made once.
pub(crate) fn pool() -> Arc<Pool<Nothing>> {
    let pool = Arc::new(Pool::new(1));
    for worker in pool.resize(1) {
        let pool = pool.clone();
        std::thread::spawn(move || pool.serve(worker, &mut ()));
    }
    pool
}

/// Runs a plan once and lets go of the run: all that a second or later run of a graph costs.
///
/// As soon as runs can be used again, it is here that the old one is reset instead of a new one made.
pub(crate) fn run_again(pool: &Arc<Pool<Nothing>>, plan: &Arc<Plan>, workers: usize) {
    let policy = FailurePolicy::FailFast;
    let run = Arc::new(Run::new(Nothing, pool.clone(), plan.clone(), (), policy, workers, true, |_| false));
    pool.drive(&run, &mut ());
    assert_eq!(run.root().remaining(), 0, "every node has an outcome");
}
