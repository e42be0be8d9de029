//! What becomes of every node when nothing stops the run, worked out one after another.

use dataflow_core::graph::INPUT_OPTIONAL;
use dataflow_core::ids::{NodeId, SlotId};
use dataflow_core::status::State;

use crate::script::{From, Script, compute, constant, mix};

pub(crate) struct Fate {
    pub(crate) state: State,
    pub(crate) blame: Option<NodeId>,
    pub(crate) values: Vec<Option<u64>>,
}

impl Fate {
    fn without_values(state: State, outputs: usize) -> Self {
        Self { state, blame: None, values: vec![None; outputs] }
    }
}

/// By node of the script.
pub(crate) fn fates(script: &Script) -> Vec<Fate> {
    let mut fates: Vec<Fate> = Vec::with_capacity(script.nodes.len());
    for index in 0..script.nodes.len() {
        let fate = fate(script, index, &fates);
        fates.push(fate);
    }
    fates
}

fn fate(script: &Script, index: usize, fates: &[Fate]) -> Fate {
    let (node, id) = (&script.nodes[index], script.ids[index]);
    let outputs = node.outputs.len();
    let failed = script.predecessors[index].iter().filter_map(|&before| match fates[before].state {
        State::Failed => Some(script.ids[before]),
        State::UpstreamFailed => fates[before].blame,
        _ => None,
    });
    let first = failed.min_by_key(|&id| script.plan.position(id));
    if let Some(blame) = first.filter(|_| !node.always) {
        return Fate { blame: Some(blame), ..Fate::without_values(State::UpstreamFailed, outputs) };
    }
    let mut inputs = Vec::new();
    for (flags, sources) in &node.inputs {
        let value = |source: &From| match *source {
            From::Output(before, port) => fates[before].values[port],
            From::Constant(index) => Some(constant(index)),
        };
        let values: Vec<u64> = sources.iter().filter_map(value).collect();
        if values.is_empty() && flags & INPUT_OPTIONAL == 0 && !node.always {
            return Fate::without_values(State::Skipped, outputs);
        }
        // What a clean-up finds of its inputs depends on when the run was stopped.
        inputs.push(if node.always { Vec::new() } else { values });
    }
    let child = match &node.child {
        None => Some(0),
        Some(child) => digest(child, &self::fates(child)),
    };
    let Some(child) = child.filter(|_| !node.fails || node.child.is_some()) else {
        return Fate::without_values(State::Failed, outputs);
    };
    let value = |port: usize| {
        let is_unset = node.outputs[port] != 0 && node.unset & 1 << port != 0;
        (!is_unset).then(|| compute(id, port, &inputs, child))
    };
    Fate { state: State::Succeeded, blame: None, values: (0..outputs).map(value).collect() }
}

/// What an expanded node makes of its child: all values that are retained; nothing when a node of it failed.
fn digest(child: &Script, fates: &[Fate]) -> Option<u64> {
    if fates.iter().any(|fate| fate.state.is_failure()) {
        return None;
    }
    let mut sum = 1;
    for slot in (0..child.consumers.len() as u32).map(SlotId).filter(|&slot| child.retains(slot)) {
        let (owner, port) = child.plan.slot_owner(slot);
        let value = fates[child.of_id[owner.index()]].values[port as usize];
        sum = mix(sum ^ value.unwrap_or(3));
    }
    Some(sum)
}
