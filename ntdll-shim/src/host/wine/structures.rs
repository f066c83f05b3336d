//! Structures that Wine's own calls take and give, for the machine of this process: a field that is a pointer, a handle or of
//! pointer size is a word (phnt `ntdef.h`, `ntpsapi.h`).

use ntlpc_abi::ClientId;

/// A pointer, a handle, a `SIZE_T`.
pub type Word = usize;

/// `OBJECT_ATTRIBUTES`.
#[derive(Debug)]
#[repr(C)]
pub struct ObjectAttributes {
    /// Size of this.
    pub length: Word,
    /// Directory that the name is relative to.
    pub root: Word,
    /// Address of a `UNICODE_STRING`.
    pub name: Word,
    /// `OBJ_…`; as a word, which it is aligned to.
    pub flags: Word,
    /// Address of a security descriptor.
    pub security: Word,
    /// Address of a `SECURITY_QUALITY_OF_SERVICE`.
    pub quality: Word,
}

impl ObjectAttributes {
    /// Attributes with these flags alone.
    pub fn new(flags: Word) -> ObjectAttributes {
        ObjectAttributes {
            length: size_of::<ObjectAttributes>(),
            root: 0,
            name: 0,
            flags,
            security: 0,
            quality: 0,
        }
    }
}

/// `CLIENT_ID` of an id.
pub fn client_id_words(id: ClientId) -> [Word; 2] {
    [id.process as Word, id.thread as Word]
}

/// `THREAD_BASIC_INFORMATION`.
#[derive(Debug, Default)]
#[repr(C)]
pub struct ThreadBasicInformation {
    exit_status: Word,
    teb: Word,
    client_id: [Word; 2],
    affinity: Word,
    priorities: [i32; 2],
}

impl ThreadBasicInformation {
    /// Returns who the thread is.
    pub fn client_id(&self) -> ClientId {
        ClientId {
            process: self.client_id[0] as u32,
            thread: self.client_id[1] as u32,
        }
    }
}

/// `PROCESS_BASIC_INFORMATION`: exit status, PEB, affinity, priority, id, parent.
pub type ProcessBasicInformation = [Word; 6];
/// Which of them is the id.
pub const PROCESS_ID: usize = 4;

/// `SECTION_BASIC_INFORMATION`.
#[derive(Debug, Default)]
#[repr(C)]
pub struct SectionBasicInformation {
    base: Word,
    /// `SEC_…`.
    pub attributes: u32,
    /// Size in bytes.
    pub size: u64,
}

const _: () = {
    let words = size_of::<Word>();
    assert!(size_of::<ThreadBasicInformation>() == 5 * words + 8);
    assert!(size_of::<SectionBasicInformation>() == if words == 8 { 24 } else { 16 });
};
