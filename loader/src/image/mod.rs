//! PE images: reading headers, mapping, relocating, and looking into what is mapped.
//!
//! Source of the format: Microsoft Learn, "PE Format".

mod export_directory;
mod headers;
mod import_directory;
mod map;
mod relocate;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;
mod view;

pub use export_directory::{Exported, Exports};
pub use headers::{Directory, Headers, ImageError};
pub use import_directory::{ImportName, Imports};
pub use map::{Mapped, map, protect_sections, unmap};
pub use view::View;
