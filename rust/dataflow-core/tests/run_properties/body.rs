//! A body that follows a script and writes down whatever breaks a rule.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use dataflow_core::body::Body;
use dataflow_core::expansion::Expansion;
use dataflow_core::ids::{NodeId, SlotId};
use dataflow_core::instance::Instance;
use dataflow_core::outcome::Claim;
use dataflow_core::plan::SourceKind;
use dataflow_core::ready::Task;
use dataflow_core::run::{Run, Step};
use dataflow_core::status::State;

use crate::script::{Script, Way, compute, constant, mix};

type Job = Box<dyn FnOnce() + Send>;

/// Two threads that complete attempts from outside.
pub(crate) static ELSEWHERE: LazyLock<Sender<Job>> = LazyLock::new(|| {
    let (sender, receiver) = channel::<Job>();
    let receiver: Arc<Mutex<Receiver<Job>>> = Arc::new(Mutex::new(receiver));
    for _ in 0..2 {
        let receiver = receiver.clone();
        std::thread::spawn(move || {
            loop {
                let Ok(job) = receiver.lock().unwrap().recv() else { return };
                job();
            }
        });
    }
    sender
});

/// One instance of a script: what happened so far.
pub(crate) struct Execution {
    pub(crate) script: Arc<Script>,
    faults: Arc<Mutex<Vec<String>>>,
    live: Vec<AtomicBool>,
    ended: Vec<AtomicBool>,
    succeeded: Vec<AtomicU32>,
    pub(crate) made: Vec<AtomicU32>,
    pub(crate) dropped: Vec<AtomicU32>,
}

impl Execution {
    pub(crate) fn new(script: &Arc<Script>, faults: &Arc<Mutex<Vec<String>>>) -> Arc<Self> {
        let (nodes, slots) = (script.plan.node_count(), script.plan.slot_count());
        let flags = || (0..nodes).map(|_| AtomicBool::new(false)).collect();
        let counts = |number| (0..number).map(|_| AtomicU32::new(0)).collect();
        Arc::new(Self {
            script: script.clone(),
            faults: faults.clone(),
            live: flags(),
            ended: flags(),
            succeeded: counts(nodes),
            made: counts(slots),
            dropped: counts(slots),
        })
    }

    fn expect(&self, holds: bool, node: NodeId, what: &str) {
        if !holds {
            self.faults.lock().unwrap().push(format!("node {}: {what}", node.0));
        }
    }

    fn begins(&self, node: NodeId) {
        let before = &self.script.predecessors[self.script.of_id[node.index()]];
        let ready = before.iter().all(|&node| self.has_ended(self.script.ids[node]));
        self.expect(ready, node, "started before a predecessor had ended");
        self.expect(!self.has_ended(node), node, "started after its end");
        self.expect(!self.live[node.index()].swap(true, Ordering::SeqCst), node, "has two live attempts");
    }

    fn pauses(&self, node: NodeId) {
        self.expect(self.live[node.index()].swap(false, Ordering::SeqCst), node, "pauses without a live attempt");
    }

    fn ends(&self, node: NodeId) {
        self.ended[node.index()].store(true, Ordering::SeqCst);
    }

    fn has_ended(&self, node: NodeId) -> bool {
        self.ended[node.index()].load(Ordering::SeqCst)
    }
}

/// A value that knows its slot.
pub(crate) struct Value {
    pub(crate) number: u64,
    slot: SlotId,
    of: Arc<Execution>,
}

impl Drop for Value {
    fn drop(&mut self) {
        let (owner, _) = self.of.script.plan.slot_owner(self.slot);
        let unread = self.of.script.consumers[self.slot.index()].iter().all(|&consumer| self.of.has_ended(consumer));
        self.of.expect(unread, owner, "its value was dropped before a consumer had ended");
        self.of.dropped[self.slot.index()].fetch_add(1, Ordering::SeqCst);
    }
}

pub(crate) struct Scripted {
    pub(crate) faults: Arc<Mutex<Vec<String>>>,
    pub(crate) finished: AtomicU32,
}

type Inputs = Vec<Vec<u64>>;

impl Scripted {
    /// The values of the inputs, and those among them that were moved.
    fn gather(instance: &Instance<Self>, node: NodeId) -> (Inputs, Vec<Value>) {
        let moves = instance.program().script.node(node).moves;
        let mut moved = Vec::new();
        let mut read = |slot: SlotId| {
            if moves {
                // SAFETY: the attempt is live and the last one, and its producers have delivered.
                if let Some(value) = unsafe { instance.take_input(slot) } {
                    moved.push(value);
                    return moved.last().map(|value| value.number);
                }
            }
            // SAFETY: as above.
            unsafe { instance.value(slot) }.map(|value| value.number)
        };
        let ports = 0..instance.plan().input_flags(node).len() as u32;
        let inputs = ports.map(|port| {
            let sources = instance.plan().port_sources(node, port).iter();
            let values = sources.filter_map(|source| match source.kind() {
                SourceKind::Slot(slot) => read(slot),
                SourceKind::Constant(index) => Some(constant(index)),
                SourceKind::Unbound => None,
            });
            values.collect()
        });
        let inputs: Inputs = inputs.collect();
        if instance.program().script.node(node).always {
            return (vec![Vec::new(); inputs.len()], moved);
        }
        (inputs, moved)
    }

    /// Ends the attempt unless somebody else did.
    fn claim<'r>(
        run: &'r Run<Self>,
        task: Task,
        attempt: u32,
        now: u64,
        inputs: &Inputs,
        child: Option<u64>,
    ) -> Option<Claim<'r, Self>> {
        let execution = run.instance(task.instance).program().clone();
        let (node, id) = (execution.script.node(task.node), task.node);
        let fails = child.is_none() || node.fails && node.child.is_none();
        execution.ends(id);
        let state = if fails { State::Failed } else { State::Succeeded };
        let mut claim = run.claim(task, attempt, state, now)?;
        execution.pauses(id);
        if fails {
            return Some(claim);
        }
        let earlier = execution.succeeded[id.index()].fetch_add(1, Ordering::SeqCst);
        execution.expect(earlier == 0, id, "succeeded twice");
        for (port, &flags) in node.outputs.iter().enumerate() {
            if flags == 0 || node.unset & 1 << port == 0 {
                let number = compute(id, port, inputs, child.unwrap_or(0));
                let slot = execution.script.plan.slot(id, port as u32);
                execution.made[slot.index()].fetch_add(1, Ordering::SeqCst);
                drop(claim.put(port as u32, Value { number, slot, of: execution.clone() }));
            }
        }
        Some(claim)
    }

    fn finish_elsewhere(run: &Run<Self>, task: Task, attempt: u32) {
        let (inputs, moved) = Self::gather(run.instance(task.instance), task.node);
        let claim = Self::claim(run, task, attempt, run.now(), &inputs, Some(0));
        drop(moved);
        run.deliver(claim.expect("nobody else ends it"));
    }
}

/// A moment that differs from task to task.
fn dawdle(task: Task) {
    match mix(u64::from(task.node.0)) % 4 {
        0 => std::thread::yield_now(),
        1 => std::thread::sleep(Duration::from_micros(50)),
        _ => {}
    }
}

impl Body for Scripted {
    type Value = Value;
    type Program = Arc<Execution>;
    type Items = ();
    type Element = ();
    type Host = ();

    fn execute(&self, step: &mut Step<'_, '_, Self>, (): &mut ()) {
        let (run, task, attempt) = (step.run(), step.task(), step.attempt());
        let execution = step.instance().program();
        let node = execution.script.node(task.node);
        execution.begins(task.node);
        let stale = run.claim(task, attempt - 1, State::Failed, 0).is_some();
        execution.expect(!stale, task.node, "an attempt that is over was ended again");
        if attempt <= node.failures {
            execution.pauses(task.node);
            if node.retries_elsewhere {
                let (run, delay) = (run.clone(), node.delay);
                ELSEWHERE.send(Box::new(move || run.again(task, attempt, delay))).unwrap();
            } else {
                step.again(node.delay);
            }
            return;
        }
        if let Some(child) = &node.child {
            let program = Execution::new(child, &self.faults);
            step.expand(Expansion::new(child.plan.clone(), program), |slot| child.retains(slot));
            return;
        }
        match node.way {
            Way::Here => {
                let (inputs, moved) = Self::gather(step.instance(), task.node);
                let claim =
                    Self::claim(run, task, attempt, step.clock(), &inputs, Some(0)).expect("nobody else ends it");
                drop(moved);
                step.deliver(claim);
            }
            Way::Elsewhere => {
                let run = run.clone();
                let job = move || {
                    dawdle(task);
                    Self::finish_elsewhere(&run, task, attempt);
                };
                ELSEWHERE.send(Box::new(job)).unwrap();
            }
            Way::Both => {
                let (inputs, moved) = Self::gather(step.instance(), task.node);
                execution.ends(task.node);
                drop(moved);
                let (other, theirs) = (run.clone(), inputs.clone());
                let job = move || {
                    if let Some(claim) = Self::claim(&other, task, attempt, other.now(), &theirs, Some(0)) {
                        other.deliver(claim);
                    }
                };
                ELSEWHERE.send(Box::new(job)).unwrap();
                dawdle(task);
                if let Some(claim) = Self::claim(run, task, attempt, step.clock(), &inputs, Some(0)) {
                    step.deliver(claim);
                }
            }
        }
    }

    fn settled(&self, run: &Run<Self>, task: Task, state: State) {
        let execution = run.instance(task.instance).program();
        execution.ends(task.node);
        let live = execution.live[task.node.index()].load(Ordering::SeqCst);
        execution.expect(!live, task.node, "was decided while an attempt was live");
        execution.expect(state != State::Succeeded, task.node, "succeeded by decree");
    }

    fn expanded(&self, step: &mut Step<'_, '_, Self>, child: &Instance<Self>, (): &mut ()) {
        let (run, task, attempt) = (step.run(), step.task(), step.attempt());
        let script = &child.program().script;
        let states: Vec<State> = (0..script.nodes.len() as u32).map(|node| child.status(NodeId(node)).0).collect();
        let execution = run.instance(task.instance).program();
        let failed = states.iter().any(|state| matches!(state, State::Failed | State::UpstreamFailed));
        let claim = if !failed && states.contains(&State::Cancelled) {
            execution.ends(task.node);
            execution.pauses(task.node);
            run.claim(task, attempt, State::Cancelled, run.now())
        } else {
            let retained = (0..script.plan.slot_count() as u32).map(SlotId).filter(|&slot| script.retains(slot));
            // SAFETY: the child has ended, and these values are retained.
            let values = retained.map(|slot| unsafe { child.value(slot) });
            let digest = values.fold(1, |sum, value| mix(sum ^ value.map_or(3, |value| value.number)));
            let (inputs, moved) = Self::gather(run.instance(task.instance), task.node);
            let claim = Self::claim(run, task, attempt, run.now(), &inputs, (!failed).then_some(digest));
            drop(moved);
            claim
        };
        step.deliver(claim.expect("nobody else ends it"));
    }

    fn finished(&self, _run: &Run<Self>) {
        self.finished.fetch_add(1, Ordering::SeqCst);
    }

    fn blocking<R: Send>((): &mut (), wait: impl FnOnce() -> R + Send) -> R {
        wait()
    }
}
