//! Neighbours of every node in two flat arrays (compressed sparse rows).

use super::Graph;

/// One row of neighbours for each node.
#[derive(Clone, Debug)]
pub(crate) struct Adjacency {
    starts: Vec<u32>,
    items: Vec<u32>,
}

impl Adjacency {
    /// For each node the nodes that it waits for: distinct, ascending.
    pub(crate) fn predecessors(graph: &Graph) -> Self {
        let arcs = graph.arcs().map(|(source, target)| (target, source));
        Self::grouped(graph.node_count(), arcs).distinct()
    }

    /// For each node the nodes that wait for it: distinct, ascending.
    pub(crate) fn successors(graph: &Graph) -> Self {
        Self::grouped(graph.node_count(), graph.arcs()).distinct()
    }

    /// A counting sort of `(row, item)` pairs; each row keeps the order of the pairs.
    fn grouped(rows: usize, pairs: impl Iterator<Item = (u32, u32)> + Clone) -> Self {
        // The counts sit two places up, so that the running cursors of the second pass end as the starts.
        let mut starts = vec![0_u32; rows + 2];
        pairs
            .clone()
            .for_each(|(row, _)| starts[row as usize + 2] += 1);
        accumulate(&mut starts);
        let mut items = vec![0_u32; starts[rows + 1] as usize];
        pairs.for_each(|(row, item)| {
            let cursor = &mut starts[row as usize + 1];
            items[*cursor as usize] = item;
            *cursor += 1;
        });
        starts.pop();
        Self { starts, items }
    }

    /// Sorts every row and drops repeated neighbours.
    fn distinct(mut self) -> Self {
        let mut kept = 0;
        let mut start = 0;
        for row in 0..self.len() {
            let end = self.starts[row + 1] as usize;
            self.items[start..end].sort_unstable();
            let first = kept;
            for position in start..end {
                let item = self.items[position];
                if kept == first || self.items[kept - 1] != item {
                    self.items[kept] = item;
                    kept += 1;
                }
            }
            start = end;
            self.starts[row + 1] = kept as u32;
        }
        self.items.truncate(kept);
        self
    }

    /// The opposite direction. Every row lists its neighbours in the order in which `order` names them.
    pub(crate) fn transposed(&self, order: &[u32]) -> Self {
        let rows = self.len();
        let mut starts = vec![0_u32; rows + 2];
        for &item in &self.items {
            starts[item as usize + 2] += 1;
        }
        accumulate(&mut starts);
        let mut items = vec![0_u32; self.items.len()];
        for &row in order {
            for &item in self.row(row) {
                let cursor = &mut starts[item as usize + 1];
                items[*cursor as usize] = row;
                *cursor += 1;
            }
        }
        starts.pop();
        Self { starts, items }
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

    /// The number of neighbours of every node.
    pub(crate) fn degrees(&self) -> Vec<u32> {
        self.starts
            .windows(2)
            .map(|pair| pair[1] - pair[0])
            .collect()
    }

    /// The number of rows that each node is in.
    pub(crate) fn in_degrees(&self) -> Vec<u32> {
        let mut degrees = vec![0; self.len()];
        for &item in &self.items {
            degrees[item as usize] += 1;
        }
        degrees
    }
}

/// Turns counts into running totals.
fn accumulate(counts: &mut [u32]) {
    let mut total = 0;
    for count in counts {
        total += *count;
        *count = total;
    }
}
