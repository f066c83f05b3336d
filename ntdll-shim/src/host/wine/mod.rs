//! Stock Wine as a host: this library, named in `LD_PRELOAD`, gives an unmodified Wine every port call.
//!
//! Nothing happens when the library is loaded. When Wine's unix side installs its signal handlers ([`preload`]), its PE
//! `ntdll.dll` is mapped and no PE instruction has run. There [`inject`] puts thunks ([`code`]) and a longer export
//! directory ([`exports`]) above the image. A thunk reaches [`service`] through Wine's own dispatcher of unix calls, so
//! that our code runs on Wine's kernel stack like any unix call of Wine. A process that does not look as expected is
//! left alone.
//!
//! Which of the calls are served is chosen by `LPC_HOST_CALLS`: `ours` (all of them), `native` (none; Wine's own stay)
//! or `auto`: ours, unless this Wine exports every call of the table itself. It is all or nothing because the calls
//! share one name space, and a port name must not be served by both.

mod code;
mod diagnostics;
mod exports;
mod hooks;
mod inject;
mod maps;
mod ntdll;
mod preload;
mod service;
