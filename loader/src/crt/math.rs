//! `math.h`, `float.h` and `fenv.h`.
//!
//! A host function runs under the control words of the guest that called it, so rounding modes and unmasked exceptions
//! have their effect here as they have on Windows. `long double` is `double` for both runtimes.

mod bessel;
mod c99;
mod classify;
mod control;
mod elementary;
mod error;
mod fenv;
mod real;
mod registers;

pub use error::MathException;
