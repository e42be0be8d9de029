//! The states of operations, as Python is told of them.

use dataflow_core::status::State;
use pyo3::prelude::*;

/// For each state, by number, the states that may follow it.
#[pyfunction]
pub(crate) fn legal_moves() -> Vec<Vec<u8>> {
    let followers =
        |state: State| State::ALL.into_iter().filter(move |&next| state.may_become(next)).map(|next| next as u8);
    State::ALL.into_iter().map(|state| followers(state).collect()).collect()
}
