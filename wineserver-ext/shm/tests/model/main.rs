//! Interleavings of the data path, explored by shuttle: `cargo test -p ntlpc-shm --features model --release --test model`.
//!
//! Each model runs the crate's own code on modelled words; "death" stops a thread before one of its accesses to them.
//! docs/data-path.md says what each model shows.

mod close;
mod death;
mod map;
mod queue;
mod sleep;
mod turn;
mod world;
