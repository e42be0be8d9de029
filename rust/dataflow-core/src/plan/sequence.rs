//! The sequence: one full order of the nodes that keeps few values alive.
//!
//! The fewest values with which a graph can be run is a pebbling number, and finding it is NP-complete (R. Sethi,
//! "Complete register allocation problems", SIAM J. Comput. 4, 1975). Two walks of linear time each look for a good
//! order in a way of their own, and the one with the lower peak is taken. Both
//!
//! - run at once what holds no more than it frees: the last consumer of a value, above all;
//! - otherwise go on from a value that is alive to one of its consumers, and demand what that one still lacks, depth
//!   first;
//! - start with the sinks only where nothing is alive that somebody waits for.
//!
//! They differ in which live value is gone on from, and in which of several demands comes first: see [`Habit`].
//! What ties remain are broken by the critical path (rows of successors come by descending rank), then by index.

use std::collections::VecDeque;

use super::alive::{Alive, Peak, Values};
use super::demand::{by_depth, by_need};
use super::urgency::Urgency;
use crate::graph::Adjacency;

/// How many candidates are compared when a consumer is chosen: a bound, so that a value with a million consumers costs
/// no more than a million looks.
const WINDOW: usize = 4;

/// Graphs of more nodes than this get one walk: the second one would double the time that they take to compile, and
/// seldom wins.
const LARGE: usize = 100_000;

/// What a walk reads. Nodes are numbered in a topological order, level by level: neighbours are near each other in
/// memory then, which on a large graph is most of the time that a walk takes.
pub(super) struct Terrain<'p> {
    pub(super) predecessors: &'p Adjacency,
    /// Rows by descending rank, then ascending number.
    pub(super) successors: &'p Adjacency,
    /// For each node the values that it makes, and those among them that somebody reads.
    pub(super) values: &'p [Values],
    pub(super) urgency: &'p Urgency,
}

/// How a walk chooses.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Habit {
    /// Goes on from the latest value, to the consumer that lacks the fewest inputs, and demands first what needs most
    /// room to make: depth first.
    Latest,
    /// Goes on from the oldest value, and demands first what lies deepest: in waves.
    Oldest,
}

/// A topological order of few values alive, and how many they are.
pub(super) fn sequence(terrain: &Terrain<'_>) -> (Vec<u32>, Peak) {
    let mut preferred = terrain.predecessors.clone();
    by_need(&mut preferred, terrain);
    let (first, first_peak) = Walk::new(terrain, &preferred, Habit::Latest).run();
    if first.len() > LARGE {
        return (first, first_peak);
    }
    by_depth(&mut preferred);
    let (second, second_peak) = Walk::new(terrain, &preferred, Habit::Oldest).run();
    if second_peak < first_peak { (second, second_peak) } else { (first, first_peak) }
}

const DONE: u32 = u32::MAX;

/// One node on the walk, in one place of memory.
#[derive(Copy, Clone)]
struct Cell {
    /// How many predecessors are still to come; [`DONE`] after the node itself.
    waiting: u32,
    /// How many successors are still to come.
    left: u32,
    /// All of those, joined by exclusive or: the last one by its number.
    remaining: u32,
    /// How many values it would free: those of predecessors that wait for it alone.
    frees: u32,
}

struct Walk<'p> {
    terrain: &'p Terrain<'p>,
    preferred: &'p Adjacency,
    habit: Habit,
    cells: Vec<Cell>,
    /// How far each row of `preferred` is known to be done; and of `successors`.
    demanded: Vec<u32>,
    followed: Vec<u32>,
    order: Vec<u32>,
    free: Vec<u32>,
    demands: Vec<u32>,
    live: VecDeque<u32>,
    alive: Alive,
}

impl<'p> Walk<'p> {
    fn new(terrain: &'p Terrain<'p>, preferred: &'p Adjacency, habit: Habit) -> Self {
        let nodes = terrain.values.len();
        let cells = (0..nodes as u32).map(|node| {
            let successors = terrain.successors.row(node);
            Cell {
                waiting: terrain.predecessors.row(node).len() as u32,
                left: successors.len() as u32,
                remaining: successors.iter().fold(0, |all, successor| all ^ successor),
                frees: 0,
            }
        });
        let mut cells: Vec<Cell> = cells.collect();
        for node in 0..nodes as u32 {
            if let &[only] = terrain.successors.row(node) {
                cells[only as usize].frees += terrain.values[node as usize].read;
            }
        }
        Self {
            terrain,
            preferred,
            habit,
            cells,
            demanded: vec![0; nodes],
            followed: vec![0; nodes],
            order: Vec::with_capacity(nodes),
            free: Vec::new(),
            demands: Vec::new(),
            live: VecDeque::new(),
            alive: Alive::default(),
        }
    }

    fn run(mut self) -> (Vec<u32>, Peak) {
        let terrain = self.terrain;
        for &goal in terrain.urgency.goals() {
            let class = terrain.urgency.class(goal);
            self.demand(goal);
            loop {
                if let Some(node) = self.free.pop() {
                    if !self.is_done(node) {
                        self.take(node);
                    }
                } else if let Some(&node) = self.demands.last() {
                    self.meet(node);
                } else if let Some(node) = self.go_on(class) {
                    self.demands.push(node);
                } else {
                    break;
                }
            }
        }
        (self.order, self.alive.peak())
    }

    fn is_done(&self, node: u32) -> bool {
        self.cells[node as usize].waiting == DONE
    }

    fn demand(&mut self, node: u32) {
        if !self.is_done(node) {
            self.demands.push(node);
        }
    }

    /// Takes the node on top of the demands, or demands something that it lacks.
    fn meet(&mut self, node: u32) {
        let waiting = self.cells[node as usize].waiting;
        if waiting == 0 || waiting == DONE {
            self.demands.pop();
            if waiting == 0 {
                self.take(node);
            }
            return;
        }
        let row = self.preferred.row(node);
        let mut cursor = self.demanded[node as usize] as usize;
        while self.is_done(row[cursor]) {
            cursor += 1;
        }
        self.demanded[node as usize] = cursor as u32;
        self.demands.push(row[cursor]);
    }

    /// A consumer of a live value, of the urgency at hand.
    fn go_on(&mut self, class: u32) -> Option<u32> {
        loop {
            let &value = match self.habit {
                Habit::Latest => self.live.back()?,
                Habit::Oldest => self.live.front()?,
            };
            if self.cells[value as usize].left > 0
                && let Some(consumer) = self.choose(value, class)
            {
                return Some(consumer);
            }
            match self.habit {
                Habit::Latest => self.live.pop_back(),
                Habit::Oldest => self.live.pop_front(),
            };
        }
    }

    fn choose(&mut self, value: u32, class: u32) -> Option<u32> {
        let terrain = self.terrain;
        let row = terrain.successors.row(value);
        let mut cursor = self.followed[value as usize] as usize;
        while cursor < row.len() && (self.is_done(row[cursor]) || terrain.urgency.class(row[cursor]) > class) {
            cursor += 1;
        }
        self.followed[value as usize] = cursor as u32;
        let urgent = |&&node: &&u32| !self.is_done(node) && terrain.urgency.class(node) <= class;
        let end = row.len().min(cursor + WINDOW);
        let mut candidates = row[cursor..end].iter().filter(urgent);
        match self.habit {
            Habit::Latest => candidates.min_by_key(|&&node| self.cells[node as usize].waiting).copied(),
            Habit::Oldest => candidates.next().copied(),
        }
    }

    /// Puts a node that lacks nothing into the order.
    fn take(&mut self, node: u32) {
        let terrain = self.terrain;
        let class = terrain.urgency.class(node);
        let values = terrain.values[node as usize];
        self.cells[node as usize].waiting = DONE;
        self.order.push(node);
        self.alive.make(values);
        let successors = terrain.successors.row(node);
        if !successors.is_empty() {
            self.live.push_back(node);
        }
        for &before in terrain.predecessors.row(node) {
            let cell = &mut self.cells[before as usize];
            cell.left -= 1;
            cell.remaining ^= node;
            let Cell { left, remaining, .. } = *cell;
            if left > 1 {
                continue;
            }
            let read = terrain.values[before as usize].read;
            if left == 0 {
                self.alive.free(read);
            } else {
                self.cells[remaining as usize].frees += read;
                self.offer(remaining, class);
            }
        }
        for &successor in successors.iter().rev() {
            self.cells[successor as usize].waiting -= 1;
            self.offer(successor, class);
        }
    }

    /// Notes a node that lacks nothing, would hold no more than it frees, and is urgent enough.
    #[inline]
    fn offer(&mut self, node: u32, class: u32) {
        let Cell { waiting, frees, .. } = self.cells[node as usize];
        let is_free = waiting == 0 && frees >= self.terrain.values[node as usize].made;
        if is_free && self.terrain.urgency.class(node) <= class {
            self.free.push(node);
        }
    }
}
