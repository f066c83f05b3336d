//! The C runtime: what `msvcrt`, `ucrtbase` and `vcruntime140` share, one file per C header or topic.
//!
//! The engines (`printf`, `scanf`, `number`, `text`, `decimal`) are pure: they know neither guest memory nor handles.

pub mod decimal;
pub mod number;
pub mod printf;
pub mod scanf;
pub mod text;
pub mod unit;
