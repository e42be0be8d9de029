//! The accounts of shared blocks in one process: no Python code, no system calls.
//!
//! A *segment* is memory that is mapped as a whole, cut into *blocks* of one size. Blocks are what is lent, leased and
//! pooled. A block of this process is in one of three states:
//!
//! - *free*: nobody uses it and this process may give it out (`ours`, and in the list of its size);
//! - *claimed*: `claims` counts the leases and parcels of this process and, in the main process, the holds of workers;
//! - *away*: known and mapped, but another process decides about it.
//!
//! The main process owns every block it has heard of, so its blocks are never away. A worker owes the main process one
//! hold for each time a block came with a message, and one for a block that it was lent, or made, and then handed over;
//! with its last claim it gives all of them back together.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

/// Bits of a block's number that say which block of its segment it is.
pub(super) const INDEX_BITS: u32 = 12;
/// More blocks than this a segment cannot have.
pub(super) const MAX_BLOCKS: usize = 1 << INDEX_BITS;

struct Block {
    claims: u32,
    /// How many holds of the main process end when the last claim does; 0 in the main process itself.
    owed: u32,
    /// This process may give it out when it is not claimed.
    ours: bool,
    /// Counts how often it was given out, so that a note of its contents can tell that they are gone.
    generation: u64,
}

struct Segment {
    base: usize,
    block_size: usize,
    blocks: Vec<Block>,
    free: usize,
    /// The main process knows of it; of no meaning there.
    introduced: bool,
    last_use: Instant,
    memory: Py<PyAny>,
}

impl Segment {
    fn is_unused(&self) -> bool {
        self.free == self.blocks.len()
    }
}

/// Where a block is.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) address: usize,
    pub(super) size: usize,
}

/// A segment that was taken off the books; to be dropped when no lock is held.
pub(super) struct Removed(pub(super) Py<PyAny>);

#[derive(Default)]
pub(super) struct Books {
    segments: HashMap<u64, Segment>,
    by_base: BTreeMap<usize, u64>,
    /// Free blocks by their size; the one that was used last, whose pages are the warmest, at the end.
    free: BTreeMap<usize, Vec<u64>>,
    holds: HashMap<(u32, u64), u32>,
    returns: Vec<(u64, u32)>,
    /// Segments that are gone here and whose mappings elsewhere shall go too.
    forgotten: Vec<u64>,
    pub(super) pooled: usize,
    pub(super) mapped: usize,
    pub(super) limit: usize,
}

fn segment_of(block: u64) -> u64 {
    block >> INDEX_BITS
}

fn index_of(block: u64) -> usize {
    (block & (MAX_BLOCKS as u64 - 1)) as usize
}

impl Books {
    fn entry(&mut self, block: u64) -> Option<&mut Block> {
        self.segments.get_mut(&segment_of(block))?.blocks.get_mut(index_of(block))
    }

    fn place(&self, block: u64) -> Option<Place> {
        let segment = self.segments.get(&segment_of(block))?;
        let index = index_of(block);
        (index < segment.blocks.len())
            .then(|| Place { address: segment.base + index * segment.block_size, size: segment.block_size })
    }

    /// Takes on a mapped segment; with `ours` its blocks are free, otherwise they are away. False when it is known.
    pub(super) fn add(
        &mut self,
        segment: u64,
        memory: Py<PyAny>,
        base: usize,
        block_size: usize,
        count: usize,
        ours: bool,
    ) -> Result<(), Py<PyAny>> {
        if self.segments.contains_key(&segment) {
            return Err(memory);
        }
        let block = || Block { claims: 0, owed: 0, ours, generation: 0 };
        let blocks: Vec<_> = std::iter::repeat_with(block).take(count).collect();
        let free = if ours { count } else { 0 };
        let entry = Segment { base, block_size, blocks, free, introduced: !ours, last_use: Instant::now(), memory };
        self.segments.insert(segment, entry);
        self.by_base.insert(base, segment);
        self.mapped += block_size * count;
        if ours {
            self.pooled += block_size * count;
            let first = segment << INDEX_BITS;
            self.free.entry(block_size).or_default().extend((first..first + count as u64).rev());
        }
        Ok(())
    }

    pub(super) fn memory(&self, block: u64) -> Option<(&Py<PyAny>, Place)> {
        Some((&self.segments.get(&segment_of(block))?.memory, self.place(block)?))
    }

    pub(super) fn segment(&self, segment: u64) -> Option<(&Py<PyAny>, usize, usize)> {
        let segment = self.segments.get(&segment)?;
        Some((&segment.memory, segment.block_size * segment.blocks.len(), segment.block_size))
    }

    /// Gives out a free block of at least `least` and at most `most` bytes, with one claim on it.
    pub(super) fn take(&mut self, least: usize, most: usize) -> Option<u64> {
        let block = *self.free.range(least..=most).find_map(|(_, blocks)| blocks.last())?;
        self.unfree(block);
        let entry = self.entry(block)?;
        entry.claims = 1;
        entry.generation += 1;
        Some(block)
    }

    fn unfree(&mut self, block: u64) {
        let Some(segment) = self.segments.get_mut(&segment_of(block)) else { return };
        let Some(free) = self.free.get_mut(&segment.block_size) else { return };
        // From the end: what is taken is nearly always what came last.
        if let Some(at) = free.iter().rposition(|&other| other == block) {
            free.remove(at);
            if free.is_empty() {
                self.free.remove(&segment.block_size);
            }
            segment.free -= 1;
            segment.last_use = Instant::now();
            self.pooled -= segment.block_size;
        }
    }

    fn make_free(&mut self, block: u64) {
        let Some(segment) = self.segments.get_mut(&segment_of(block)) else { return };
        segment.free += 1;
        segment.last_use = Instant::now();
        self.pooled += segment.block_size;
        self.free.entry(segment.block_size).or_default().push(block);
    }

    pub(super) fn generation(&self, block: u64) -> Option<u64> {
        Some(self.segments.get(&segment_of(block))?.blocks.get(index_of(block))?.generation)
    }

    /// Claims a block whose contents are still those of a generation, be it free or claimed.
    pub(super) fn revive(&mut self, block: u64, generation: u64) -> bool {
        match self.entry(block) {
            Some(entry) if entry.generation == generation && entry.ours => {
                entry.claims += 1;
                if entry.claims == 1 {
                    self.unfree(block);
                }
                true
            }
            Some(_) | None => false,
        }
    }

    pub(super) fn move_out(&mut self, block: u64, claims: u32) -> bool {
        let Some(entry) = self.entry(block) else { return false };
        let is_sole = entry.claims == claims;
        if is_sole {
            entry.generation += 1;
        }
        is_sole
    }

    pub(super) fn claims(&self, block: u64) -> u32 {
        let entry = self.segments.get(&segment_of(block)).and_then(|segment| segment.blocks.get(index_of(block)));
        entry.map_or(0, |entry| entry.claims)
    }

    pub(super) fn is_ours(&self, block: u64) -> bool {
        let entry = self.segments.get(&segment_of(block)).and_then(|segment| segment.blocks.get(index_of(block)));
        entry.is_some_and(|entry| entry.ours)
    }

    pub(super) fn claim(&mut self, block: u64) -> bool {
        let Some(entry) = self.entry(block) else { return false };
        entry.claims += 1;
        if entry.claims == 1 && entry.ours {
            self.unfree(block);
        }
        true
    }

    /// Ends claims; with the last one the block is free again, or what is owed for it goes back.
    #[must_use]
    pub(super) fn unclaim(&mut self, block: u64, count: u32) -> Vec<Removed> {
        let Some(entry) = self.entry(block) else { return Vec::new() };
        debug_assert!(entry.claims >= count);
        entry.claims = entry.claims.saturating_sub(count);
        if entry.claims > 0 {
            return Vec::new();
        }
        if entry.owed > 0 {
            let owed = std::mem::take(&mut entry.owed);
            self.returns.push((block, owed));
            return Vec::new();
        }
        if !entry.ours {
            return Vec::new();
        }
        self.make_free(block);
        self.shrink(self.limit)
    }

    /// Lets the segments go that were unused for the longest time, until the pool is within a limit.
    #[must_use]
    pub(super) fn shrink(&mut self, limit: usize) -> Vec<Removed> {
        let mut removed = Vec::new();
        while self.pooled > limit {
            let unused = self.segments.iter().filter(|(_, segment)| segment.is_unused() && self.may_go(segment));
            let Some((&oldest, _)) = unused.min_by_key(|(_, segment)| segment.last_use) else { break };
            removed.extend(self.remove(oldest));
        }
        removed
    }

    /// Lets the segments go that nobody used for some time.
    #[must_use]
    pub(super) fn expire(&mut self, idle: Duration) -> Vec<Removed> {
        let now = Instant::now();
        let is_old = |segment: &Segment| now.saturating_duration_since(segment.last_use) >= idle;
        let old = self.segments.iter().filter(|(_, segment)| segment.is_unused() && is_old(segment));
        let old: Vec<_> = old.filter(|(_, segment)| self.may_go(segment)).map(|(&number, _)| number).collect();
        old.into_iter().filter_map(|segment| self.remove(segment)).collect()
    }

    /// A worker does not let go by itself what the main process counts on: it gives that back.
    fn may_go(&self, segment: &Segment) -> bool {
        !segment.introduced
    }

    pub(super) fn remove(&mut self, segment: u64) -> Option<Removed> {
        let entry = self.segments.remove(&segment)?;
        self.by_base.remove(&entry.base);
        self.mapped -= entry.block_size * entry.blocks.len();
        if entry.free > 0 {
            self.pooled -= entry.block_size * entry.free;
            if let Some(free) = self.free.get_mut(&entry.block_size) {
                free.retain(|&block| segment_of(block) != segment);
                if free.is_empty() {
                    self.free.remove(&entry.block_size);
                }
            }
        }
        self.forgotten.push(segment);
        Some(Removed(entry.memory))
    }

    /// Whether a worker may drop a segment that the main process has let go: nothing of it is in use.
    pub(super) fn is_idle(&self, segment: u64) -> bool {
        self.segments.get(&segment).is_some_and(|segment| segment.blocks.iter().all(|block| block.claims == 0))
    }

    /// The claimed block in which a range of addresses lies.
    pub(super) fn locate(&self, address: usize, length: usize) -> Option<(u64, usize)> {
        let (_, &number) = self.by_base.range(..=address).next_back()?;
        let segment = self.segments.get(&number)?;
        let index = (address - segment.base) / segment.block_size;
        let offset = (address - segment.base) % segment.block_size;
        let claimed = segment.blocks.get(index).is_some_and(|block| block.claims > 0);
        (claimed && offset + length <= segment.block_size).then_some(((number << INDEX_BITS) | index as u64, offset))
    }

    // ------------------------------------------------------------ between processes

    /// A worker has a hold on a block: it was sent there, lent, or made by it.
    pub(super) fn hold(&mut self, worker: u32, block: u64) -> bool {
        let is_known = self.claim(block);
        if is_known {
            *self.holds.entry((worker, block)).or_default() += 1;
        }
        is_known
    }

    /// A worker gave holds back. What it never had is not believed.
    #[must_use]
    pub(super) fn unhold(&mut self, worker: u32, block: u64, count: u32) -> Vec<Removed> {
        let Some(held) = self.holds.get_mut(&(worker, block)) else { return Vec::new() };
        let count = count.min(*held);
        *held -= count;
        if *held == 0 {
            self.holds.remove(&(worker, block));
        }
        self.unclaim(block, count)
    }

    /// A worker is gone, and with it all that it held.
    #[must_use]
    pub(super) fn drop_holds(&mut self, worker: u32) -> Vec<Removed> {
        let held: Vec<_> = self.holds.iter().filter(|((holder, _), _)| *holder == worker).collect();
        let held: Vec<_> = held.into_iter().map(|(&(_, block), &count)| (block, count)).collect();
        held.into_iter().flat_map(|(block, count)| self.unhold(worker, block, count)).collect()
    }

    pub(super) fn held_by(&self, worker: u32) -> usize {
        self.holds.keys().filter(|(holder, _)| *holder == worker).count()
    }

    /// In a worker: a block came with a message. It has one claim, for the lease that is made of it.
    pub(super) fn arrive(&mut self, block: u64) -> bool {
        let is_known = self.claim(block);
        if let (true, Some(entry)) = (is_known, self.entry(block)) {
            entry.owed += 1;
        }
        is_known
    }

    /// In a worker: a claimed block goes to the main process, which from then on decides about it.
    pub(super) fn hand_over(&mut self, block: u64) {
        if let Some(entry) = self.entry(block)
            && entry.ours
        {
            entry.ours = false;
            entry.owed += 1;
        }
        if let Some(segment) = self.segments.get_mut(&segment_of(block)) {
            segment.introduced = true;
        }
    }

    pub(super) fn is_introduced(&self, segment: u64) -> bool {
        self.segments.get(&segment).is_some_and(|segment| segment.introduced)
    }

    /// In a worker: the main process lends a block.
    pub(super) fn receive_loan(&mut self, block: u64) -> bool {
        match self.entry(block) {
            Some(entry) if !entry.ours => {
                entry.ours = true;
                // It may still be in use here by a view of which the main process was told that it goes.
                if entry.claims == 0 {
                    self.make_free(block);
                }
                true
            }
            Some(_) | None => false,
        }
    }

    /// In a worker: gives all free blocks back, and lets segments go that the main process never heard of.
    #[must_use]
    pub(super) fn give_back(&mut self) -> Vec<Removed> {
        let removed = self.shrink(0);
        let free = std::mem::take(&mut self.free);
        for block in free.into_values().flatten() {
            let number = segment_of(block);
            if self.is_introduced(number) {
                if let Some(entry) = self.entry(block) {
                    entry.ours = false;
                }
                if let Some(segment) = self.segments.get_mut(&number) {
                    segment.free -= 1;
                    self.pooled -= segment.block_size;
                }
                self.returns.push((block, 1));
            } else if let Some(segment) = self.segments.get(&number) {
                self.free.entry(segment.block_size).or_default().push(block);
            }
        }
        removed
    }

    pub(super) fn take_returns(&mut self) -> Vec<(u64, u32)> {
        std::mem::take(&mut self.returns)
    }

    pub(super) fn owes(&self) -> bool {
        !self.returns.is_empty()
    }

    pub(super) fn take_forgotten(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.forgotten)
    }

    /// Segments, and blocks in use.
    pub(super) fn counts(&self) -> (usize, usize) {
        let in_use = |segment: &Segment| segment.blocks.iter().filter(|block| block.claims > 0).count();
        (self.segments.len(), self.segments.values().map(in_use).sum())
    }
}
