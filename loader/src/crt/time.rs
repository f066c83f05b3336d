//! `time.h` and `sys/timeb.h`.
//!
//! The engines (`calendar`, `format`) are pure; `zone` knows the local time zone, the other files declare the exports.

pub mod calendar;
mod clock;
mod convert;
mod format;
mod names;
mod print;
mod zone;

pub use calendar::Tm;
pub use clock::now;
pub use convert::local;
