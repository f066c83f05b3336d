//! Hosts: what gives the engine handles, ids and guest memory.

pub mod wine;
