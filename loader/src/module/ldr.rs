//! The module lists of the PEB, which programs walk themselves.
//!
//! Source of the layout: phnt `ntldr.h` `PEB_LDR_DATA`, `LDR_DATA_TABLE_ENTRY`.

use std::sync::OnceLock;

use crate::export::{Guest, Ptr};
use crate::guest_struct;
use crate::peb::strings::{UnicodeString, allocate_unicode};
use crate::vm::low;

guest_struct! {
    /// `LIST_ENTRY`.
    pub struct ListEntry {
        flink: Ptr<ListEntry>,
        blink: Ptr<ListEntry>,
    }

    /// `PEB_LDR_DATA`.
    pub struct LdrData {
        length: u32,
        initialized: u32,
        ss_handle: Ptr<u8>,
        load_order: ListEntry,
        memory_order: ListEntry,
        initialization_order: ListEntry,
        entry_in_progress: Ptr<u8>,
        shutdown_in_progress: u32,
        shutdown_thread_id: Ptr<u8>,
    }

    /// `LDR_DATA_TABLE_ENTRY`, up to the fields programs read.
    pub struct LdrEntry {
        load_order: ListEntry,
        memory_order: ListEntry,
        initialization_order: ListEntry,
        dll_base: Ptr<u8>,
        entry_point: Ptr<u8>,
        size_of_image: u32,
        full_name: UnicodeString,
        base_name: UnicodeString,
        flags: u32,
        load_count: u16,
        tls_index: u16,
        hash_links: ListEntry,
        time_stamp: u32,
        entry_point_activation_context: Ptr<u8>,
        patch_information: Ptr<u8>,
        node_module: Ptr<u8>,
        /// Room for the fields of newer systems.
        reserved: [u32; 48],
    }
}

const LISTS: [&str; 3] = ["load_order", "memory_order", "initialization_order"];

/// Returns the address of the lists for the PEB; makes them, empty, on first use.
pub fn data() -> u64 {
    static DATA: OnceLock<u64> = OnceLock::new();
    *DATA.get_or_init(create)
}

fn create() -> u64 {
    let data = low::allocate(LdrData::size(), 16);
    let at = Ptr::<u32>::new(data);
    at.write(LdrData::size() as u32);
    at.add(1).write(1);
    for list in LISTS {
        let head = Ptr::<ListEntry>::new(data + LdrData::offset_of(list) as u64);
        head.write(ListEntry {
            flink: head,
            blink: head,
        });
    }
    data
}

/// `LDRP_IMAGE_DLL`.
const FLAG_IMAGE_DLL: u32 = 0x4;
/// `LDRP_ENTRY_PROCESSED`.
const FLAG_ENTRY_PROCESSED: u32 = 0x4000;

/// Adds a module to the lists in order of loading and memory.
pub fn add(data: u64, module: &super::Module) -> u64 {
    let entry = low::allocate(LdrEntry::size(), 16);
    let none = ListEntry {
        flink: Ptr::NULL,
        blink: Ptr::NULL,
    };
    let is_program = module.headers.as_ref().is_some_and(|h| !h.is_dll);
    Ptr::<LdrEntry>::new(entry).write(LdrEntry {
        load_order: none,
        memory_order: none,
        initialization_order: none,
        dll_base: Ptr::new(module.view.base),
        entry_point: Ptr::new(module.entry),
        size_of_image: module.view.size,
        full_name: allocate_unicode(&module.path),
        base_name: allocate_unicode(&module.name),
        flags: FLAG_ENTRY_PROCESSED | if is_program { 0 } else { FLAG_IMAGE_DLL },
        load_count: module.references.map_or(u16::MAX, |n| n as u16),
        tls_index: 0,
        hash_links: none,
        time_stamp: module.headers.as_ref().map_or(0, |h| h.time_stamp),
        entry_point_activation_context: Ptr::NULL,
        patch_information: Ptr::NULL,
        node_module: Ptr::NULL,
        reserved: [0; 48],
    });
    let hash = Ptr::<ListEntry>::new(entry + LdrEntry::offset_of("hash_links") as u64);
    hash.write(ListEntry {
        flink: hash,
        blink: hash,
    });
    append(data, entry, LISTS[0]);
    append(data, entry, LISTS[1]);
    entry
}

/// Adds a module to the list in order of initialization.
pub fn add_initialized(data: u64, entry: u64) {
    append(data, entry, LISTS[2]);
}

/// Takes a module out of all lists.
pub fn remove(entry: u64) {
    for list in LISTS {
        let links = Ptr::<ListEntry>::new(entry + LdrEntry::offset_of(list) as u64).read();
        if let (Some(next), Some(previous)) = (links.flink.non_null(), links.blink.non_null()) {
            previous.write(ListEntry {
                flink: next,
                ..previous.read()
            });
            next.write(ListEntry {
                blink: previous,
                ..next.read()
            });
        }
    }
}

fn append(data: u64, entry: u64, list: &str) {
    let head = Ptr::<ListEntry>::new(data + LdrData::offset_of(list) as u64);
    let link = Ptr::<ListEntry>::new(entry + LdrEntry::offset_of(list) as u64);
    let last = head.read().blink;
    link.write(ListEntry {
        flink: head,
        blink: last,
    });
    last.write(ListEntry {
        flink: link,
        ..last.read()
    });
    head.write(ListEntry {
        blink: link,
        ..head.read()
    });
}
