//! What runs share in limited amounts, and who waits for it: resources, concurrency, rates, memory.
//!
//! A request is for everything at once, so nobody holds one thing while it waits for another. Requests that ask for the
//! same stand in one *group*, in order; only the first of a group is looked at. The firsts are looked at in the order of
//! their places, and one that cannot have all it asks for keeps its share of what is free from those behind it: small
//! requests pass a large one only with what it does not need, so it is not starved, and what nobody ahead needs does not
//! lie idle. (Batch schedulers call this conservative backfilling.)
//!
//! Rates are token buckets in the form of one moment, the *theoretical arrival time* of the next start (the generic cell
//! rate algorithm of ATM networks, ITU-T I.371). A token is taken by a start and by nothing else, so requests that are
//! withdrawn leave no gap.
//!
//! Memory is what values hold that lie between operations, plus what running operations are expected to add to it. A
//! request that would go beyond the limit waits, until a run has nothing else to do at all: then its first one goes on
//! ([`Ledger::insist`]), so that something always does.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

use crate::sync::{Mutex, lock};

/// So much of a resource.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Demand {
    /// Which one: the number that [`Ledger::add_resource`] gave.
    pub resource: u32,
    /// How much of it.
    pub amount: u64,
}

/// Who asks: a run, and one of its tasks.
pub type Ticket = (u64, u64);

/// The order among those that wait: the higher priority first, then the lower position, then who came first.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place(Reverse<i64>, u64, u64);

/// What somebody asks for.
#[derive(Copy, Clone, Debug)]
pub struct Request {
    /// The group, from [`Ledger::add_group`].
    pub group: u32,
    /// By how many bytes the values between operations are expected to grow.
    pub growth: u64,
    /// Requests of a higher priority go first.
    pub priority: i64,
    /// Among equal priorities, the lower position goes first; those of one position in the order of their coming.
    pub position: u64,
}

/// What became of a request.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The holder may go on; it owes a [`Ledger::release`].
    Go,
    /// It waits, and comes back in a [`Grants`].
    Waits,
    /// It was refused, since the run has stopped.
    Stopped,
}

/// Who may go on now, and when to look again.
#[derive(Debug)]
pub struct Grants<W> {
    /// These hold what they asked for.
    pub granted: Vec<W>,
    /// Call [`Ledger::reconsider`] for these after so many nanoseconds: a rate lets them start then.
    pub later: Vec<(W, u64)>,
}

impl<W> Default for Grants<W> {
    fn default() -> Self {
        Self { granted: Vec::new(), later: Vec::new() }
    }
}

struct Resource {
    capacity: u64,
    used: u64,
}

struct Bucket {
    interval: u64,
    /// How far ahead of their time starts may be: a burst.
    tolerance: u64,
    arrival: u64,
}

struct Waiter<W> {
    ticket: Ticket,
    growth: u64,
    load: W,
    /// Until when somebody was told to look again.
    told: u64,
}

struct Group<W> {
    demands: Box<[Demand]>,
    buckets: Box<[u32]>,
    /// All of them let memory grow, or none of them does.
    waiting: BTreeMap<Place, Waiter<W>>,
}

struct Holding {
    group: u32,
    growth: u64,
}

struct Book<W> {
    resources: Vec<Resource>,
    buckets: Vec<Bucket>,
    groups: Vec<Group<W>>,
    /// Groups in which somebody waits.
    waited: Vec<u32>,
    places: HashMap<Ticket, (u32, Place)>,
    holdings: HashMap<Ticket, Holding>,
    /// How many requests of each run hold something.
    going_on: HashMap<u64, usize>,
    memory_limit: u64,
    live: u64,
    expected: u64,
    arrivals: u64,
}

/// Amounts, and who holds and who awaits them.
pub struct Ledger<W> {
    book: Mutex<Book<W>>,
}

impl<W: Clone> Ledger<W> {
    /// A ledger without resources; `u64::MAX` for no limit of memory.
    pub fn new(memory_limit: u64) -> Self {
        Self {
            book: Mutex::new(Book {
                resources: Vec::new(),
                buckets: Vec::new(),
                groups: Vec::new(),
                waited: Vec::new(),
                places: HashMap::new(),
                holdings: HashMap::new(),
                going_on: HashMap::new(),
                memory_limit,
                live: 0,
                expected: 0,
                arrivals: 0,
            }),
        }
    }

    /// Adds a resource; gives its number.
    pub fn add_resource(&self, capacity: u64) -> u32 {
        let mut book = lock(&self.book);
        book.resources.push(Resource { capacity, used: 0 });
        (book.resources.len() - 1) as u32
    }

    /// Adds a rate: one start in `interval` nanoseconds, and `burst` of them at once after a pause; gives its number.
    pub fn add_bucket(&self, interval: u64, burst: u32) -> u32 {
        let mut book = lock(&self.book);
        let tolerance = interval.saturating_mul(u64::from(burst.saturating_sub(1)));
        book.buckets.push(Bucket { interval, tolerance, arrival: 0 });
        (book.buckets.len() - 1) as u32
    }

    /// Adds a kind of request; gives its number. A demand beyond the capacity of its resource would wait for ever and is
    /// the caller's to refuse.
    pub fn add_group(&self, demands: &[Demand], buckets: &[u32]) -> u32 {
        let mut book = lock(&self.book);
        // What lets memory grow must not stand before what does not.
        for _ in [false, true] {
            book.groups.push(Group { demands: demands.into(), buckets: buckets.into(), waiting: BTreeMap::new() });
        }
        (book.groups.len() / 2 - 1) as u32
    }

    /// Asks for what a group needs, at the moment `now`. `is_stopped` is asked with the book closed to others, so that a
    /// run that stops and then calls [`Ledger::withdraw`] leaves nobody waiting.
    ///
    /// Somebody who was granted what it asked for before is let go on.
    pub fn request(
        &self,
        ticket: Ticket,
        request: Request,
        now: u64,
        is_stopped: impl FnOnce() -> bool,
        load: impl FnOnce() -> W,
    ) -> (Verdict, Grants<W>) {
        let mut book = lock(&self.book);
        if book.holdings.contains_key(&ticket) {
            return (Verdict::Go, Grants::default());
        }
        if is_stopped() {
            return (Verdict::Stopped, Grants::default());
        }
        let group = request.group * 2 + u32::from(request.growth > 0);
        if book.waited.is_empty() && book.has_resources(group, now) && book.has_memory(request.growth) {
            book.hold(ticket, group, request.growth, now);
            return (Verdict::Go, Grants::default());
        }
        book.arrivals += 1;
        let place = Place(Reverse(request.priority), request.position, book.arrivals);
        book.wait(group, place, Waiter { ticket, growth: request.growth, load: load(), told: 0 });
        let grants = book.grant(now, Some(ticket));
        let verdict = if book.holdings.contains_key(&ticket) { Verdict::Go } else { Verdict::Waits };
        (verdict, grants)
    }

    /// Gives back what a ticket holds; nothing happens when it holds nothing.
    pub fn release(&self, ticket: Ticket, now: u64) -> Grants<W> {
        let mut book = lock(&self.book);
        if !book.drop_holding(ticket) {
            return Grants::default();
        }
        book.grant(now, None)
    }

    /// Lets the first go on of a run that has nothing else to do, though there is no memory for it. Nothing happens while
    /// something of the run is going on, or while it waits for something else than memory.
    pub fn insist(&self, run: u64, now: u64) -> Option<W> {
        let mut book = lock(&self.book);
        if book.waited.is_empty() || book.going_on.contains_key(&run) {
            return None;
        }
        let of_run = |group: &u32| {
            let waiting = book.groups[*group as usize].waiting.iter();
            let first = waiting.filter(|(_, waiter)| waiter.ticket.0 == run).map(|(place, _)| (*place, *group)).next();
            first.filter(|_| book.has_resources(*group, now))
        };
        let (place, group) = book.waited.iter().filter_map(of_run).min()?;
        let waiter = book.groups[group as usize].waiting.remove(&place)?;
        book.places.remove(&waiter.ticket);
        book.hold(waiter.ticket, group, waiter.growth, now);
        let Book { groups, waited, .. } = &mut *book;
        waited.retain(|&group| !groups[group as usize].waiting.is_empty());
        Some(waiter.load)
    }

    /// Looks again: time has passed, or memory has become free.
    pub fn reconsider(&self, now: u64) -> Grants<W> {
        lock(&self.book).grant(now, None)
    }

    /// Takes out all that waits for a run that has stopped; others may get on in its place.
    pub fn withdraw(&self, run: u64, now: u64) -> (Vec<W>, Grants<W>) {
        let mut book = lock(&self.book);
        let mut withdrawn = Vec::new();
        let tickets: Vec<Ticket> = book.places.keys().copied().filter(|ticket| ticket.0 == run).collect();
        for ticket in tickets {
            if let Some((group, place)) = book.places.remove(&ticket) {
                let waiter = book.groups[group as usize].waiting.remove(&place);
                withdrawn.extend(waiter.map(|waiter| waiter.load));
            }
        }
        let Book { groups, waited, .. } = &mut *book;
        waited.retain(|&group| !groups[group as usize].waiting.is_empty());
        let grants = book.grant(now, None);
        (withdrawn, grants)
    }

    /// Notes that values hold so much more memory.
    pub fn charge(&self, bytes: u64) {
        let mut book = lock(&self.book);
        book.live = book.live.saturating_add(bytes);
    }

    /// Notes that values hold so much less; who waits is looked at with the next release.
    pub fn discharge(&self, bytes: u64) {
        let mut book = lock(&self.book);
        book.live = book.live.saturating_sub(bytes);
    }

    /// How much of each resource is in use, in the order in which they were added.
    pub fn used(&self) -> Vec<u64> {
        lock(&self.book).resources.iter().map(|resource| resource.used).collect()
    }

    /// What values hold, in bytes.
    pub fn live(&self) -> u64 {
        lock(&self.book).live
    }

    /// How many requests wait.
    pub fn waiting(&self) -> usize {
        lock(&self.book).places.len()
    }
}

impl<W: Clone> Book<W> {
    fn wait(&mut self, group: u32, place: Place, waiter: Waiter<W>) {
        self.places.insert(waiter.ticket, (group, place));
        let waiting = &mut self.groups[group as usize].waiting;
        if waiting.is_empty() {
            self.waited.push(group);
        }
        waiting.insert(place, waiter);
    }

    fn has_resources(&self, group: u32, now: u64) -> bool {
        let group = &self.groups[group as usize];
        let has = |demand: &Demand| {
            let resource = &self.resources[demand.resource as usize];
            resource.capacity.saturating_sub(resource.used) >= demand.amount
        };
        group.demands.iter().all(has) && self.start(group, now) <= now
    }

    fn has_memory(&self, growth: u64) -> bool {
        growth == 0 || self.live.saturating_add(self.expected).saturating_add(growth) <= self.memory_limit
    }

    /// The first moment at which the rates of a group allow a start.
    fn start(&self, group: &Group<W>, now: u64) -> u64 {
        let starts = group.buckets.iter().map(|&bucket| {
            let Bucket { tolerance, arrival, .. } = self.buckets[bucket as usize];
            arrival.saturating_sub(tolerance)
        });
        starts.fold(now, u64::max)
    }

    fn hold(&mut self, ticket: Ticket, group: u32, growth: u64, now: u64) {
        let Group { demands, buckets, .. } = &self.groups[group as usize];
        for demand in demands {
            self.resources[demand.resource as usize].used += demand.amount;
        }
        for &bucket in buckets {
            let bucket = &mut self.buckets[bucket as usize];
            bucket.arrival = bucket.arrival.max(now).saturating_add(bucket.interval);
        }
        self.expected = self.expected.saturating_add(growth);
        *self.going_on.entry(ticket.0).or_default() += 1;
        self.holdings.insert(ticket, Holding { group, growth });
    }

    fn drop_holding(&mut self, ticket: Ticket) -> bool {
        let Some(Holding { group, growth }) = self.holdings.remove(&ticket) else { return false };
        for demand in &self.groups[group as usize].demands {
            self.resources[demand.resource as usize].used -= demand.amount;
        }
        self.expected = self.expected.saturating_sub(growth);
        if let Some(count) = self.going_on.get_mut(&ticket.0) {
            *count -= 1;
            if *count == 0 {
                self.going_on.remove(&ticket.0);
            }
        }
        true
    }

    /// Lets go on who can; `asker` is not listed, since its caller looks for itself.
    fn grant(&mut self, now: u64, asker: Option<Ticket>) -> Grants<W> {
        let mut grants = Grants::default();
        if self.waited.is_empty() {
            return grants;
        }
        let free = |resource: &Resource| resource.capacity.saturating_sub(resource.used);
        let mut free: Vec<u64> = self.resources.iter().map(free).collect();
        let mut memory_is_asked_for = false;
        let first = |group: u32, groups: &[Group<W>]| {
            let place = groups[group as usize].waiting.first_key_value().map(|(place, _)| *place);
            place.map(|place| Reverse((place, group)))
        };
        let mut firsts: BinaryHeap<_> = self.waited.iter().filter_map(|&group| first(group, &self.groups)).collect();
        while let Some(Reverse((place, number))) = firsts.pop() {
            let group = &self.groups[number as usize];
            let waiter = &group.waiting[&place];
            let has_resources = group.demands.iter().all(|demand| free[demand.resource as usize] >= demand.amount);
            let has_memory = waiter.growth == 0 || !memory_is_asked_for && self.has_memory(waiter.growth);
            let start = self.start(group, now);
            for demand in &group.demands {
                // Granted or kept for it: those behind do not get it.
                let left = &mut free[demand.resource as usize];
                *left = left.saturating_sub(demand.amount);
            }
            if has_resources && has_memory && start <= now {
                let group = &mut self.groups[number as usize];
                if let Some(Waiter { ticket, growth, load, .. }) = group.waiting.remove(&place) {
                    self.places.remove(&ticket);
                    self.hold(ticket, number, growth, now);
                    if Some(ticket) != asker {
                        grants.granted.push(load);
                    }
                }
                firsts.extend(first(number, &self.groups));
            } else {
                memory_is_asked_for |= !has_memory;
                if has_resources && has_memory {
                    let waiting = self.groups[number as usize].waiting.get_mut(&place);
                    grants.later.extend(waiting.filter(|waiter| waiter.told < start).map(|waiter| {
                        waiter.told = start;
                        (waiter.load.clone(), start - now)
                    }));
                }
            }
        }
        let Self { groups, waited, .. } = self;
        waited.retain(|&group| !groups[group as usize].waiting.is_empty());
        grants
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
