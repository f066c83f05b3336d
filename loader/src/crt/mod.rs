//! The C runtime: what `msvcrt`, `ucrtbase` and `vcruntime140` share, one file per C header or topic.
//!
//! The engines (`printf`, `scanf`, `number`, `text`, `decimal`, `command_line`) are pure: they know neither guest memory
//! nor handles. [`mem`] touches guest memory, [`os`] the system; the other files declare the exports.

pub mod command;
pub mod command_line;
mod conio;
pub mod ctype;
pub mod cxx;
pub mod decimal;
mod delayimp;
pub mod direct;
pub mod environment;
pub mod errno;
pub mod exit;
pub mod fcntl;
pub mod fd;
pub mod find;
pub mod inherit;
pub mod io;
pub mod locale;
mod locale_object;
pub mod lock;
pub mod malloc;
pub mod math;
pub mod mem;
pub mod names;
pub mod number;
pub mod os;
pub mod printf;
pub mod process;
pub mod scanf;
pub mod setjmp;
pub mod signal;
pub mod spawn;
pub mod startup;
pub mod stat;
pub mod stdio;
pub mod stdlib;
pub mod stream;
pub mod strerror;
pub mod string;
pub mod system;
pub mod temporary;
pub mod text;
pub mod time;
pub mod twins;
pub mod unit;
