//! Graphs, plans and the scheduler of execution-dataflow.
//!
//! This crate knows integers and values of a type that its user chooses: no Python, no strings, no I/O. Data flows one
//! way: a [`graph::Graph`] is checked and compiled to an immutable [`plan::Plan`]; a [`run::Run`] executes plans on the
//! threads of a [`pool::Pool`] through the [`body::Body`] that its user supplies.

#![warn(clippy::all)]

mod arena;
pub mod body;
pub mod clock;
pub mod cycle;
mod deque;
pub mod error;
pub mod expansion;
pub mod given;
pub mod graph;
pub mod ids;
pub mod instance;
pub mod items;
mod lanes;
pub mod ledger;
pub mod outcome;
pub mod park;
pub mod plan;
pub mod pool;
mod prefetch;
pub mod ready;
pub mod ready_set;
pub mod resuming;
pub mod run;
pub mod slots;
pub mod status;
pub mod survey;
mod sync;
pub mod timers;
pub mod validate;
