//! `user32.dll`, of which console programs touch little: there are no windows.

mod keyboard;
mod messages;
mod metrics;
mod queue;
mod stations;
mod strings;
