//! Neighbours of every node in two flat arrays (compressed sparse rows).

use super::Graph;

/// One row of neighbours for each node.
#[derive(Clone, Debug)]
pub(crate) struct Adjacency {
    starts: Vec<u32>,
    items: Vec<u32>,
}

impl Adjacency {
    /// No rows yet.
    pub(crate) fn with_capacity(rows: usize, items: usize) -> Self {
        let mut starts = Vec::with_capacity(rows + 1);
        starts.push(0);
        Self { starts, items: Vec::with_capacity(items) }
    }

    /// Appends the row of the next node: ascending and without repetitions.
    #[inline]
    pub(crate) fn push_distinct(&mut self, neighbours: impl Iterator<Item = u32>) {
        let start = self.items.len();
        self.items.extend(neighbours);
        let row = &mut self.items[start..];
        row.sort_unstable();
        let mut kept = row.len().min(1);
        for position in 1..row.len() {
            if row[position] != row[kept - 1] {
                row[kept] = row[position];
                kept += 1;
            }
        }
        self.items.truncate(start + kept);
        self.starts.push(self.items.len() as u32);
    }

    /// For each node the nodes that wait for it, with repetitions, in the order of connection.
    pub(crate) fn successors(graph: &Graph) -> Self {
        Self::grouped(graph.node_count(), graph.arcs())
    }

    /// A counting sort of `(row, item)` pairs; each row keeps the order of the pairs.
    pub(crate) fn grouped(rows: usize, pairs: impl Iterator<Item = (u32, u32)> + Clone) -> Self {
        // The counts sit two places up, so that the running cursors of the second pass end as the starts.
        let mut starts = vec![0_u32; rows + 2];
        pairs.clone().for_each(|(row, _)| starts[row as usize + 2] += 1);
        let mut total = 0;
        for start in &mut starts {
            total += *start;
            *start = total;
        }
        let mut items = vec![0_u32; total as usize];
        pairs.for_each(|(row, item)| {
            let cursor = &mut starts[row as usize + 1];
            items[*cursor as usize] = item;
            *cursor += 1;
        });
        starts.pop();
        Self { starts, items }
    }

    /// The same with every row ascending and without repetitions.
    pub(crate) fn distinct(&self) -> Self {
        let mut distinct = Self::with_capacity(self.len(), self.items.len());
        self.rows().for_each(|(_, row)| distinct.push_distinct(row.iter().copied()));
        distinct
    }

    /// The opposite direction, every row ascending.
    pub(crate) fn transposed(&self) -> Self {
        let pairs = self.rows().flat_map(|(node, row)| row.iter().map(move |&item| (item, node)));
        Self::grouped(self.len(), pairs)
    }

    /// The same with the rows in another order, and the nodes numbered by that order.
    pub(crate) fn renumbered(&self, order: &[u32], positions: &[u32]) -> Self {
        let mut renumbered = Self::with_capacity(self.len(), self.items.len());
        for &node in order {
            renumbered.items.extend(self.row(node).iter().map(|&item| positions[item as usize]));
            renumbered.starts.push(renumbered.items.len() as u32);
        }
        renumbered
    }

    /// The number of rows.
    pub(crate) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// The number of neighbours over all rows.
    pub(crate) fn total(&self) -> usize {
        self.items.len()
    }

    /// The neighbours of one node.
    #[inline]
    pub(crate) fn row(&self, node: u32) -> &[u32] {
        let node = node as usize;
        &self.items[self.starts[node] as usize..self.starts[node + 1] as usize]
    }

    /// The neighbours of one node, to rearrange.
    #[inline]
    pub(crate) fn row_mut(&mut self, node: u32) -> &mut [u32] {
        let node = node as usize;
        &mut self.items[self.starts[node] as usize..self.starts[node + 1] as usize]
    }

    /// The number of neighbours of every node.
    pub(crate) fn degrees(&self) -> Vec<u32> {
        self.starts.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    /// How often each node is a neighbour.
    pub(crate) fn in_degrees(&self) -> Vec<u32> {
        let mut degrees = vec![0; self.len()];
        for &item in &self.items {
            degrees[item as usize] += 1;
        }
        degrees
    }

    fn rows(&self) -> impl Iterator<Item = (u32, &[u32])> + Clone {
        (0..self.len() as u32).map(|node| (node, self.row(node)))
    }
}
