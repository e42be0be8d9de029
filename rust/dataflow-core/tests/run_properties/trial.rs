//! One run of a script, and what must hold of it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use dataflow_core::ids::SlotId;
use dataflow_core::instance::Instance;
use dataflow_core::pool::Pool;
use dataflow_core::run::{FailurePolicy, Run, Stop};
use dataflow_core::status::State;

use crate::body::{ELSEWHERE, Execution, Scripted};
use crate::oracle::{Fate, fates};
use crate::script::Script;
use crate::watchdog::watch;

const THREADS: usize = 8;

static POOL: LazyLock<Arc<Pool<Scripted>>> = LazyLock::new(|| {
    let pool = Arc::new(Pool::new(THREADS));
    for worker in pool.resize(THREADS) {
        let pool = pool.clone();
        std::thread::spawn(move || pool.serve(worker, &mut ()));
    }
    pool
});

#[derive(Copy, Clone, Debug)]
pub(crate) struct Trial {
    pub(crate) policy: FailurePolicy,
    pub(crate) workers: usize,
    pub(crate) driven: bool,
    pub(crate) cancel_after: Option<Duration>,
}

impl Trial {
    pub(crate) fn check(self, script: &Arc<Script>) {
        let _watch = watch(format!("{self:?} {script:?}"));
        let faults = Arc::new(Mutex::new(Vec::new()));
        let body = Scripted { faults: faults.clone(), finished: AtomicU32::new(0) };
        let root = Execution::new(script, &faults);
        let retained = |slot| script.retains(slot);
        let run =
            Run::new(body, POOL.clone(), script.plan.clone(), root, self.policy, self.workers, self.driven, retained);
        let run = Arc::new(run);
        if let Some(delay) = self.cancel_after {
            let run = run.clone();
            let job = move || {
                std::thread::sleep(delay);
                run.stop(Stop::Cancellation);
            };
            ELSEWHERE.send(Box::new(job)).unwrap();
        }
        if self.driven {
            POOL.drive(&run, &mut ());
        } else {
            POOL.submit(&run);
            assert!(run.wait(None));
        }
        self.check_end(&run);
        let executions: Vec<_> = run.instances().map(|instance| instance.program().clone()).collect();
        drop(run);
        for execution in executions {
            // Workers and helpers may hold the run for a moment longer; each value holds its execution.
            let began = Instant::now();
            while Arc::strong_count(&execution) > 1 && began.elapsed() < Duration::from_secs(10) {
                std::thread::yield_now();
            }
            let counts = |counts: &[AtomicU32]| counts.iter().map(|n| n.load(Ordering::SeqCst)).collect::<Vec<_>>();
            assert_eq!(counts(&execution.made), counts(&execution.dropped), "values leaked");
        }
        assert_eq!(*faults.lock().unwrap(), Vec::<String>::new());
    }

    fn check_end(self, run: &Run<Scripted>) {
        assert!(run.is_finished());
        assert_eq!(run.body().finished.load(Ordering::SeqCst), 1);
        // A cancellation may come so late that nothing is left to stop.
        assert!(run.stopped() != Some(Stop::Cancellation) || self.cancel_after.is_some());
        assert!(run.stopped() != Some(Stop::Failure) || self.policy == FailurePolicy::FailFast);
        let failed = |instance: &Instance<Scripted>| states(instance).contains(&State::Failed);
        if self.policy == FailurePolicy::FailFast && run.instances().any(failed) {
            assert!(run.stopped().is_some());
        }
        for instance in run.instances() {
            let fates = fates(&instance.program().script);
            assert_eq!(instance.remaining(), 0);
            (0..fates.len()).for_each(|node| self.check_node(run, instance, &fates, node));
            check_values(instance, &fates);
        }
    }

    fn check_node(self, run: &Run<Scripted>, instance: &Instance<Scripted>, fates: &[Fate], index: usize) {
        let script = &instance.program().script;
        let (node, id, fate) = (&script.nodes[index], script.ids[index], &fates[index]);
        let (state, attempts) = instance.status(id);
        let before: Vec<State> =
            script.predecessors[index].iter().map(|&before| instance.status(script.ids[before]).0).collect();
        let adverse = |state: &State| matches!(state, State::Failed | State::UpstreamFailed);
        if run.stopped().is_none() {
            let blame = instance.blame(id).filter(|_| !node.always);
            assert_eq!((state, blame), (fate.state, fate.blame), "node {index}");
        }
        if node.always {
            assert_eq!((state, attempts), (fate.state, node.failures + 1), "node {index} always runs to its end");
        }
        match state {
            State::Succeeded => {
                assert_eq!((state, attempts), (fate.state, node.failures + 1));
                assert!(node.always || before.iter().all(|state| matches!(state, State::Succeeded | State::Skipped)));
            }
            // A failure elsewhere ends what waits for a retry, be it in the child of this node. A cancellation may follow.
            State::Failed if state != fate.state => {
                assert!(attempts <= node.failures || node.child.is_some());
                assert!(attempts > 0 && self.policy == FailurePolicy::FailFast && run.stopped().is_some());
            }
            State::Failed => {
                assert!(node.always || before.iter().all(|state| matches!(state, State::Succeeded | State::Skipped)));
                assert!(attempts > 0);
            }
            State::UpstreamFailed => {
                assert_eq!(attempts, 0);
                assert!(before.iter().any(adverse) && instance.blame(id).is_some());
            }
            State::Skipped => assert_eq!((state, attempts), (fate.state, 0)),
            State::Cancelled => {
                assert!(run.stopped().is_some());
                let waited = attempts <= node.failures && run.stopped() == Some(Stop::Cancellation);
                assert!(attempts == 0 || waited || node.child.is_some());
            }
            _ => panic!("{state:?} is no final state"),
        }
        let timing = instance.timing(id);
        assert_eq!(timing.worker == dataflow_core::instance::NO_WORKER, attempts == 0);
        assert!(timing.queued <= timing.ended, "{timing:?}");
        assert!(attempts == 0 || timing.queued <= timing.started && timing.started <= timing.ended, "{timing:?}");
    }
}

fn states(instance: &Instance<Scripted>) -> Vec<State> {
    let ids = &instance.program().script.ids;
    ids.iter().map(|&id| instance.status(id).0).collect()
}

fn check_values(instance: &Instance<Scripted>, fates: &[Fate]) {
    let execution = instance.program();
    let script = &execution.script;
    for slot in (0..script.plan.slot_count() as u32).map(SlotId) {
        let (owner, port) = script.plan.slot_owner(slot);
        let index = script.of_id[owner.index()];
        let is_kept = script.retains(slot);
        let succeeded = instance.status(owner).0 == State::Succeeded;
        let expected = fates[index].values[port as usize].filter(|_| succeeded);
        let made = execution.made[slot.index()].load(Ordering::SeqCst);
        assert_eq!(made, u32::from(expected.is_some()));
        assert_eq!(execution.dropped[slot.index()].load(Ordering::SeqCst), if is_kept { 0 } else { made });
        // SAFETY: the run is finished.
        let value = unsafe { instance.value(slot) }.map(|value| value.number);
        assert_eq!(value, expected.filter(|_| is_kept));
        assert_eq!(instance.slots().is_kept(slot), is_kept);
    }
}
