//! Random graphs and what their nodes do.

use std::sync::Arc;
use std::time::Duration;

use dataflow_core::graph::{Graph, INPUT_MANY, INPUT_OPTIONAL, OUTPUT_OPTIONAL};
use dataflow_core::ids::{NodeId, SlotId};
use dataflow_core::plan::Plan;

/// SplitMix64 (G. L. Steele, D. Lea, C. H. Flood, OOPSLA 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

pub(crate) fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

/// How often things happen to a node, in percent.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Odds {
    fails: u64,
    retries: u64,
    leaves_unset: u64,
    elsewhere: u64,
    expands: u64,
    always: u64,
}

impl Odds {
    pub(crate) const CALM: Self = Self { fails: 0, retries: 0, leaves_unset: 0, elsewhere: 3, expands: 0, always: 5 };
    pub(crate) const MIXED: Self =
        Self { fails: 1, retries: 5, leaves_unset: 20, elsewhere: 10, expands: 3, always: 10 };
    pub(crate) const STORMY: Self =
        Self { fails: 8, retries: 30, leaves_unset: 40, elsewhere: 40, expands: 10, always: 25 };
}

/// Where an input comes from.
#[derive(Copy, Clone, Debug)]
pub(crate) enum From {
    Output(usize, usize),
    Constant(u32),
}

/// Who ends the last attempt.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Here,
    Elsewhere,
    /// The worker and another thread at once: one wins.
    Both,
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) inputs: Vec<(u8, Vec<From>)>,
    pub(crate) outputs: Vec<u8>,
    pub(crate) after: Vec<usize>,
    /// Attempts that fail before the last one.
    pub(crate) failures: u32,
    pub(crate) delay: Option<Duration>,
    pub(crate) retries_elsewhere: bool,
    pub(crate) fails: bool,
    /// Which of its optional outputs stay unset, a bit each.
    pub(crate) unset: u64,
    pub(crate) way: Way,
    /// Runs whatever happened before, and makes nothing of its inputs.
    pub(crate) always: bool,
    /// Takes what it can from its inputs instead of reading it.
    pub(crate) moves: bool,
    pub(crate) child: Option<Arc<Script>>,
}

/// A graph, its plan and the behaviour of its nodes. `nodes` is in topological order; `ids` says under which index the
/// plan knows each.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) nodes: Vec<Node>,
    pub(crate) ids: Vec<NodeId>,
    /// The inverse of `ids`.
    pub(crate) of_id: Vec<usize>,
    pub(crate) plan: Arc<Plan>,
    pub(crate) consumers: Vec<Vec<NodeId>>,
    pub(crate) predecessors: Vec<Vec<usize>>,
}

impl Script {
    pub(crate) fn random(seeds: &[u64], odds: Odds) -> Arc<Self> {
        Self::nested(seeds, odds, 2)
    }

    fn nested(seeds: &[u64], odds: Odds, depth: u32) -> Arc<Self> {
        let mut nodes: Vec<Node> = Vec::with_capacity(seeds.len());
        for &seed in seeds {
            let node = random_node(&mut Random(seed), &nodes, odds, depth);
            nodes.push(node);
        }
        let mut ids: Vec<NodeId> = (0..nodes.len() as u32).map(NodeId).collect();
        let mut random = Random(seeds.iter().fold(1, |sum, seed| mix(sum ^ seed)));
        for last in (1..ids.len()).rev() {
            ids.swap(last, random.below(last as u64 + 1) as usize);
        }
        Arc::new(Self::new(nodes, ids))
    }

    pub(crate) fn new(nodes: Vec<Node>, ids: Vec<NodeId>) -> Self {
        let mut of_id = vec![0; nodes.len()];
        ids.iter().enumerate().for_each(|(node, id)| of_id[id.index()] = node);
        let mut graph = Graph::new();
        for &node in &of_id {
            let flags: Vec<u8> = nodes[node].inputs.iter().map(|(flags, _)| *flags).collect();
            let shape = graph.add_shape(&flags, &nodes[node].outputs).unwrap();
            graph.add_node(shape).unwrap();
        }
        let mut predecessors = vec![Vec::new(); nodes.len()];
        for (target, node) in nodes.iter().enumerate() {
            for (port, (_, sources)) in node.inputs.iter().enumerate() {
                for &source in sources {
                    let connected = match source {
                        From::Output(source, output) => {
                            predecessors[target].push(source);
                            graph.connect(ids[source], output as u32, ids[target], port as u32)
                        }
                        From::Constant(constant) => graph.bind(ids[target], port as u32, constant),
                    };
                    assert!(connected.unwrap());
                }
            }
            for &before in &node.after {
                predecessors[target].push(before);
                graph.order(ids[before], ids[target]).unwrap();
            }
        }
        let always = (0..nodes.len()).filter(|&node| nodes[node].always).map(|node| ids[node]);
        let plan = Arc::new(Plan::compile(&graph).unwrap().with_always_run(always));
        let mut consumers = vec![Vec::new(); plan.slot_count()];
        for (source, output, target, _) in graph.edges() {
            consumers[plan.slot(source, output).index()].push(target);
        }
        Self { nodes, ids, of_id, plan, consumers, predecessors }
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[self.of_id[id.index()]]
    }

    /// Most of what nobody consumes is retained, and some of the rest.
    pub(crate) fn retains(&self, slot: SlotId) -> bool {
        mix(u64::from(slot.0)).is_multiple_of(5) != self.consumers[slot.index()].is_empty()
    }
}

fn random_node(random: &mut Random, before: &[Node], odds: Odds, depth: u32) -> Node {
    let producers: Vec<usize> = (0..before.len()).filter(|&node| !before[node].outputs.is_empty()).collect();
    // Mostly near ones, so that graphs get deep, and sometimes any.
    let pick = |random: &mut Random, from: &[usize]| {
        let near = if random.chance(70) { from.len().min(8) } else { from.len() };
        from[from.len() - 1 - random.below(near as u64) as usize]
    };
    let source = |random: &mut Random| {
        if producers.is_empty() || random.chance(10) {
            return From::Constant(random.below(5) as u32);
        }
        let node = pick(random, &producers);
        From::Output(node, random.below(before[node].outputs.len() as u64) as usize)
    };
    let inputs = (0..random.below(4))
        .map(|_| {
            let flags = [0, INPUT_OPTIONAL, INPUT_MANY, INPUT_MANY | INPUT_OPTIONAL][random.below(4) as usize];
            let least = u64::from(flags & INPUT_OPTIONAL == 0);
            let most = if flags & INPUT_MANY == 0 { 1 } else { 6 };
            let count = least + random.below(most + 1 - least);
            (flags, (0..count).map(|_| source(random)).collect())
        })
        .collect();
    let outputs = (0..random.below(4)).map(|_| if random.chance(40) { OUTPUT_OPTIONAL } else { 0 }).collect();
    let everybody: Vec<usize> = (0..before.len()).collect();
    let orders = if everybody.is_empty() || !random.chance(15) { 0 } else { random.below(3) };
    let expands = depth > 0 && random.chance(odds.expands);
    Node {
        inputs,
        outputs,
        after: (0..orders).map(|_| pick(random, &everybody)).collect(),
        failures: if random.chance(odds.retries) { random.below(3) as u32 + 1 } else { 0 },
        delay: [None, Some(Duration::ZERO), Some(Duration::from_micros(random.below(200) + 1))]
            [random.below(3) as usize],
        retries_elsewhere: random.chance(odds.elsewhere),
        fails: random.chance(odds.fails),
        unset: if random.chance(odds.leaves_unset) { random.next() } else { 0 },
        way: match random.chance(odds.elsewhere) {
            true if random.chance(50) => Way::Elsewhere,
            true => Way::Both,
            false => Way::Here,
        },
        always: random.chance(odds.always),
        moves: random.chance(30),
        child: expands.then(|| {
            let seeds: Vec<u64> = (0..random.below(8)).map(|_| random.next()).collect();
            Script::nested(&seeds, odds, depth - 1)
        }),
    }
}

/// The value of one output, from the values of every input.
pub(crate) fn compute(id: NodeId, port: usize, inputs: &[Vec<u64>], child: u64) -> u64 {
    let start = mix((u64::from(id.0) << 8 | port as u64) ^ child.rotate_left(17));
    inputs.iter().fold(start, |sum, values| values.iter().fold(mix(sum ^ 0xA5A5), |sum, value| mix(sum ^ value)))
}

pub(crate) fn constant(index: u32) -> u64 {
    mix(u64::from(index) + 0x00C0_FFEE)
}
