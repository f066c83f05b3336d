//! `stdlib.h` without memory, environment and processes: numbers, sorting, random numbers.

mod arithmetic;
mod from_text;
mod multibyte;
mod random;
mod restartable;
mod sort;
mod split_path;
mod to_text;
