//! Port layouts, stored once however many nodes have them.

use std::collections::HashMap;

use super::{INPUT_MANY, INPUT_MUTABLE, INPUT_OPTIONAL, OUTPUT_FRESH, OUTPUT_OPTIONAL};
use crate::error::{Direction, GraphError, Quantity};
use crate::ids::ShapeId;

const INPUT_FLAGS: u8 = INPUT_OPTIONAL | INPUT_MANY | INPUT_MUTABLE;
const OUTPUT_FLAGS: u8 = OUTPUT_OPTIONAL | OUTPUT_FRESH;

/// The flags of every layout, end to end: inputs, then outputs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layouts {
    rows: Vec<Row>,
    flags: Vec<u8>,
}

#[derive(Copy, Clone, Debug)]
struct Row {
    inputs: u32,
    outputs: u32,
    end: u32,
    has_many: bool,
}

impl Layouts {
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    #[inline]
    pub(crate) fn inputs(&self, shape: u32) -> &[u8] {
        let row = self.rows[shape as usize];
        &self.flags[row.inputs as usize..row.outputs as usize]
    }

    #[inline]
    pub(crate) fn outputs(&self, shape: u32) -> &[u8] {
        let row = self.rows[shape as usize];
        &self.flags[row.outputs as usize..row.end as usize]
    }

    #[inline]
    pub(crate) fn has_many(&self, shape: u32) -> bool {
        self.rows[shape as usize].has_many
    }
}

/// The layouts of a graph and the way back from a layout to its index.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shapes {
    layouts: Layouts,
    known: HashMap<Layout, ShapeId>,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Layout {
    inputs: Box<[u8]>,
    outputs: Box<[u8]>,
}

impl Shapes {
    pub(crate) fn layouts(&self) -> &Layouts {
        &self.layouts
    }

    pub(crate) fn intern(&mut self, inputs: &[u8], outputs: &[u8]) -> Result<ShapeId, GraphError> {
        let layout = Layout { inputs: inputs.into(), outputs: outputs.into() };
        if let Some(&shape) = self.known.get(&layout) {
            return Ok(shape);
        }
        check_flags(inputs, Direction::Input, INPUT_FLAGS)?;
        check_flags(outputs, Direction::Output, OUTPUT_FLAGS)?;

        let too_large = GraphError::TooLarge { what: Quantity::Layouts, limit: u32::MAX };
        let position = |length: usize| u32::try_from(length).map_err(|_| too_large.clone());
        let flags = &mut self.layouts.flags;
        let row = Row {
            inputs: position(flags.len())?,
            outputs: position(flags.len() + inputs.len())?,
            end: position(flags.len() + inputs.len() + outputs.len())?,
            has_many: inputs.iter().any(|&flag| flag & INPUT_MANY != 0),
        };
        let shape = ShapeId(position(self.layouts.rows.len())?);
        flags.extend_from_slice(inputs);
        flags.extend_from_slice(outputs);
        self.layouts.rows.push(row);
        self.known.insert(layout, shape);
        Ok(shape)
    }
}

fn check_flags(flags: &[u8], direction: Direction, known: u8) -> Result<(), GraphError> {
    match flags.iter().position(|&flag| flag & !known != 0) {
        Some(port) => Err(GraphError::UnknownFlags { port: port as u32, direction, flags: flags[port], known }),
        None => Ok(()),
    }
}
