//! Memory that processes share: who uses which block of it, and the objects whose end says that nobody does any more.
//!
//! The accounts are native because they change where Python code must not run: when the last array over a block goes,
//! which may be in the middle of an allocation, with any lock of the program held. `books.rs` is the accounts alone,
//! `ledger.rs` shows them to Python, `lease.rs` is the base object of arrays, and `mapping.rs` maps the memory on Linux.

pub(crate) mod books;
pub(crate) mod lease;
pub(crate) mod ledger;
#[cfg(target_os = "linux")]
pub(crate) mod mapping;
