//! Static TLS: the blocks behind `__declspec(thread)` and the callbacks of an image.
//!
//! Source: Microsoft Learn, "PE Format", ".tls Section".

use parking_lot::Mutex;

use crate::export::{Callback, Guest, Ptr};
use crate::guest_struct;
use crate::heap::blocks;
use crate::image::{Directory, Headers, ImageError, View};
use crate::teb;
use crate::width;

guest_struct! {
    /// `IMAGE_TLS_DIRECTORY`; the first four fields are addresses, not relative.
    pub struct TlsDirectory {
        start: Ptr<u8>,
        end: Ptr<u8>,
        index: Ptr<u32>,
        callbacks: Ptr<Callback>,
        zero_fill: u32,
        characteristics: u32,
    }
}

/// Initial contents of one module's block.
#[derive(Clone, Copy, Debug)]
struct Template {
    base: u64,
    start: u64,
    data: u32,
    total: u32,
}

/// Slots of the per-thread array.
const MAX_MODULES: usize = 256;
/// Largest believable block.
const MAX_BLOCK: u64 = 0x1000_0000;

/// Templates by TLS index; `None` is a free index.
static TEMPLATES: Mutex<Vec<Option<Template>>> = Mutex::new(Vec::new());

/// Gives a freshly mapped module its TLS index, if it has a TLS directory, and every thread its block.
pub fn add_module(view: &View, headers: &Headers) -> Result<(), ImageError> {
    let Some(directory) = read_directory(view, headers)? else {
        return Ok(());
    };
    let data = directory
        .end
        .address()
        .wrapping_sub(directory.start.address());
    let total = data.saturating_add(u64::from(directory.zero_fill));
    let start_is_inside = view
        .rva(directory.start.address())
        .is_some_and(|rva| view.at(rva, data as usize).is_some());
    if total > MAX_BLOCK || (data > 0 && !start_is_inside) {
        return Err(ImageError::Damaged(format!(
            "TLS block of {total:#x} bytes"
        )));
    }
    if !directory.callbacks.is_null() && view.rva(directory.callbacks.address()).is_none() {
        return Err(ImageError::Damaged(
            "TLS callbacks outside of the image".into(),
        ));
    }
    let index_rva = view.rva(directory.index.address());
    let template = Template {
        base: view.base,
        start: directory.start.address(),
        data: data as u32,
        total: total as u32,
    };
    let index = {
        let mut templates = TEMPLATES.lock();
        let free = templates
            .iter()
            .position(Option::is_none)
            .unwrap_or(templates.len());
        if free == MAX_MODULES {
            return Err(ImageError::NoRoom(format!(
                "more than {MAX_MODULES} modules with TLS"
            )));
        }
        if free == templates.len() {
            templates.push(None);
        }
        templates[free] = Some(template);
        free
    };
    let stored = index_rva.and_then(|rva| view.write(rva, index as u32));
    stored.ok_or_else(|| ImageError::Damaged("TLS index outside of the image".into()))?;
    for teb in crate::teb::all() {
        fill_slot(teb, index, &template);
    }
    Ok(())
}

/// Frees the TLS index of a module that is unloaded.
pub fn remove_module(base: u64) {
    for slot in TEMPLATES.lock().iter_mut() {
        if slot.is_some_and(|t| t.base == base) {
            *slot = None;
        }
    }
}

/// Gives a new thread its array and blocks.
pub fn add_thread(teb: u64) {
    let array = blocks::allocate(MAX_MODULES * width().pointer());
    teb::set_tls_array(teb, array);
    let templates = TEMPLATES.lock().clone();
    for (index, template) in templates.iter().enumerate() {
        if let Some(template) = template {
            fill_slot(teb, index, template);
        }
    }
}

/// Frees the array and blocks of a thread that has run its last guest instruction.
pub fn remove_thread(teb: u64) {
    let array = teb::tls_array(teb);
    for slot in Ptr::<Ptr<u8>>::new(array).read_many(MAX_MODULES) {
        if !slot.is_null() {
            blocks::free(slot.address());
        }
    }
    blocks::free(array);
    teb::set_tls_array(teb, 0);
}

/// Calls the TLS callbacks of an image.
pub fn run_callbacks(view: &View, headers: &Headers, reason: u64) {
    let Ok(Some(directory)) = read_directory(view, headers) else {
        return;
    };
    // The table is read anew for each call: a callback may change what follows.
    let mut at = view.rva(directory.callbacks.address());
    while let Some(callback) = at.and_then(|rva| view.read::<Callback>(rva)) {
        if callback.is_null() {
            return;
        }
        callback.call(&[view.base, reason, 0]);
        at = at.and_then(|rva| rva.checked_add(Callback::size() as u32));
    }
}

fn read_directory(view: &View, headers: &Headers) -> Result<Option<TlsDirectory>, ImageError> {
    let Some((rva, _)) = headers.directory(Directory::Tls) else {
        return Ok(None);
    };
    match view.read::<TlsDirectory>(rva) {
        Some(directory) => Ok(Some(directory)),
        None => Err(ImageError::Damaged(
            "TLS directory outside of the image".into(),
        )),
    }
}

fn fill_slot(teb: u64, index: usize, template: &Template) {
    let block = blocks::allocate((template.total as usize).max(1));
    let mut data = vec![0; template.data as usize];
    if Ptr::<u8>::new(template.start)
        .try_read_bytes(&mut data)
        .is_err()
    {
        // Windows ends the process as well: the thread faults before its first instruction.
        crate::fatal(format_args!(
            "TLS data at {:#x} cannot be read",
            template.start
        ));
    }
    Ptr::<u8>::new(block).write_bytes(&data);
    let slot = Ptr::<Ptr<u8>>::new(teb::tls_array(teb)).add(index);
    let old = slot.read();
    slot.write(Ptr::new(block));
    if !old.is_null() {
        blocks::free(old.address());
    }
}
