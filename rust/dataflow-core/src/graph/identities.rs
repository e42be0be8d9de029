//! From the identity of an object to its node, at four bytes a place: the identities themselves stay with the caller,
//! who tells the one of each node when it is asked.

/// A place that no node has.
const VACANT: u32 = u32::MAX;
/// The smallest table: one cache line.
const SMALLEST: usize = 16;
/// Fibonacci hashing: 2^64 divided by the golden ratio, odd. Addresses differ in their middle bits; the product brings
/// them to the top.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

/// Open addressing with linear probing, at most two thirds full. Identities are different for different nodes.
#[derive(Clone, Debug, Default)]
pub struct Identities {
    places: Box<[u32]>,
    count: usize,
}

impl Identities {
    /// The node of an identity; `identity_of` tells the identity of a node that was inserted.
    #[inline]
    #[must_use]
    pub fn find(&self, identity: usize, identity_of: impl Fn(u32) -> usize) -> Option<u32> {
        if self.places.is_empty() {
            return None;
        }
        let mut place = self.home(identity);
        loop {
            match self.places[place] {
                VACANT => return None,
                node if identity_of(node) == identity => return Some(node),
                _ => place = (place + 1) & (self.places.len() - 1),
            }
        }
    }

    /// Adds a node that is not there yet. The node of every earlier insertion must still tell its identity.
    #[inline]
    pub fn insert(&mut self, identity: usize, node: u32, identity_of: impl Fn(u32) -> usize) {
        if (self.count + 1) * 3 > self.places.len() * 2 {
            self.grow(identity_of);
        }
        self.put(identity, node);
        self.count += 1;
    }

    /// Forgets everything from a node on, in the numbering of the nodes.
    pub fn truncate(&mut self, first: u32, identity_of: impl Fn(u32) -> usize) {
        let kept: Vec<u32> = self.places.iter().copied().filter(|&node| node < first).collect();
        self.places.fill(VACANT);
        self.count = kept.len();
        kept.into_iter().for_each(|node| self.put(identity_of(node), node));
    }

    #[cold]
    fn grow(&mut self, identity_of: impl Fn(u32) -> usize) {
        let size = (self.places.len() * 2).max(SMALLEST);
        let old = std::mem::replace(&mut self.places, vec![VACANT; size].into_boxed_slice());
        old.into_iter().filter(|&node| node != VACANT).for_each(|node| self.put(identity_of(node), node));
    }

    #[inline]
    fn put(&mut self, identity: usize, node: u32) {
        let mut place = self.home(identity);
        while self.places[place] != VACANT {
            place = (place + 1) & (self.places.len() - 1);
        }
        self.places[place] = node;
    }

    /// Where the search for an identity begins. The table has places, a power of two of them.
    #[inline]
    fn home(&self, identity: usize) -> usize {
        let bits = self.places.len().trailing_zeros();
        ((identity as u64).wrapping_mul(SPREAD) >> (64 - bits)) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Objects at 48, 112, 176 ... as an allocator places them.
    fn address(node: u32) -> usize {
        0x7f00_0000_0030 + node as usize * 64
    }

    #[test]
    fn every_identity_is_found_and_no_other_one() {
        let mut identities = Identities::default();
        assert_eq!(identities.find(address(0), address), None);
        for node in 0..5000 {
            assert_eq!(identities.find(address(node), address), None);
            identities.insert(address(node), node, address);
        }
        assert!((0..5000).all(|node| identities.find(address(node), address) == Some(node)));
        assert_eq!(identities.find(address(5000), address), None);
        assert_eq!(identities.find(address(0) + 8, address), None);
    }

    #[test]
    fn what_is_truncated_is_gone_and_the_rest_stays() {
        let mut identities = Identities::default();
        (0..100).for_each(|node| identities.insert(address(node), node, address));
        identities.truncate(40, address);
        assert!((0..40).all(|node| identities.find(address(node), address) == Some(node)));
        assert!((40..100).all(|node| identities.find(address(node), address).is_none()));
        (40..200).for_each(|node| identities.insert(address(node), node, address));
        assert!((0..200).all(|node| identities.find(address(node), address) == Some(node)));
    }

    #[test]
    fn a_place_costs_four_bytes_and_a_table_is_at_most_two_thirds_full() {
        let mut identities = Identities::default();
        (0..1_000).for_each(|node| identities.insert(address(node), node, address));
        assert_eq!(std::mem::size_of_val(&*identities.places), 2048 * 4);
    }
}
