//! A small image to damage, for the tests of the mapper and of the whole program.

/// Offsets in the sample that carry meaning: headers, section table and the starts of the directories.
pub const HEADERS: std::ops::Range<usize> = 0..0x200;
pub const PE: usize = 0x40;
pub const OPTIONAL: usize = PE + 24;
pub const SECTIONS: usize = OPTIONAL + 240;
pub const BASE: u64 = 0x6_4000_0000;

/// Returns a small x64 image with a code and a data section; the latter holds every directory the loader reads.
pub fn sample() -> Vec<u8> {
    let mut file = vec![0_u8; 0x800];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(0x3c, &(PE as u32).to_le_bytes());
    put(PE, b"PE\0\0");
    put(PE + 4, &0x8664_u16.to_le_bytes());
    put(PE + 6, &2_u16.to_le_bytes());
    put(PE + 20, &240_u16.to_le_bytes());
    put(PE + 22, &0x22_u16.to_le_bytes());
    put(OPTIONAL, &0x20b_u16.to_le_bytes());
    put(OPTIONAL + 16, &0x1000_u32.to_le_bytes());
    put(OPTIONAL + 24, &BASE.to_le_bytes());
    put(OPTIONAL + 32, &0x1000_u32.to_le_bytes());
    put(OPTIONAL + 36, &0x200_u32.to_le_bytes());
    put(OPTIONAL + 56, &0x3000_u32.to_le_bytes());
    put(OPTIONAL + 60, &0x200_u32.to_le_bytes());
    put(OPTIONAL + 68, &3_u16.to_le_bytes());
    put(OPTIONAL + 72, &0x10_0000_u64.to_le_bytes());
    put(OPTIONAL + 108, &16_u32.to_le_bytes());
    let mut entry = |which: usize, rva: u32, size: u32| {
        put(OPTIONAL + 112 + which * 8, &rva.to_le_bytes());
        put(OPTIONAL + 116 + which * 8, &size.to_le_bytes());
    };
    entry(directory::EXPORT, 0x2000, 0x80);
    entry(directory::IMPORT, 0x2080, 40);
    entry(directory::RESOURCE, 0x2100, 0x60);
    entry(directory::BASE_RELOCATION, 0x2180, 12);
    entry(directory::TLS, 0x21a0, 40);
    entry(directory::LOAD_CONFIG, 0x2200, 0x70);
    for (i, (name, rva, at, flags)) in [
        (".text", 0x1000_u32, 0x200_u32, 0x6000_0020_u32),
        (".data", 0x2000, 0x400, 0xc000_0040),
    ]
    .into_iter()
    .enumerate()
    {
        let row = SECTIONS + i * 40;
        put(row, name.as_bytes());
        put(row + 8, &0x400_u32.to_le_bytes());
        put(row + 12, &rva.to_le_bytes());
        put(
            row + 16,
            &0x400_u32.min(0x200 * (i as u32 + 1)).to_le_bytes(),
        );
        put(row + 20, &at.to_le_bytes());
        put(row + 36, &flags.to_le_bytes());
    }
    let data = |rva: usize| rva - 0x2000 + 0x400;
    // The entry point returns.
    put(0x200, &[0xc3]);
    let mut words = |rva: usize, values: &[u32]| {
        for (i, value) in values.iter().enumerate() {
            put(data(rva) + i * 4, &value.to_le_bytes());
        }
    };
    // Export directory: one function, one name.
    words(0x2000 + 16, &[1, 1, 1, 0x2040, 0x2044, 0x2048]);
    words(0x2040, &[0x1000, 0x2050, 0]);
    // Import descriptor: lookup table 0x20c0, name 0x20e0, slots 0x20d0.
    words(0x2080, &[0x20c0, 0, 0, 0x20e0, 0x20d0]);
    words(0x20c0, &[0x20f0, 0, 0, 0, 0x20f0, 0]);
    // One resource: type 1, name 1, language 0.
    words(0x2100 + 12, &[1 << 16, 1, 0x8000_0018]);
    words(0x2118 + 12, &[1 << 16, 1, 0x8000_0030]);
    words(0x2130 + 12, &[1 << 16, 0, 0x48, 0x1000, 4]);
    // A relocation of the slot at 0x21c0 and one of no effect.
    words(0x2180, &[0x2000, 12, 0xa1c0]);
    put(data(0x2050), b"exported\0");
    put(data(0x20e0), b"kernel32.dll\0");
    put(data(0x20f2), b"Sleep\0");
    for (i, address) in [0x21c8, 0x21d0, 0x21d8, 0_u64].into_iter().enumerate() {
        let address = if address == 0 { 0 } else { BASE + address };
        put(data(0x21a0 + i * 8), &address.to_le_bytes());
    }
    put(data(0x2200), &0x70_u32.to_le_bytes());
    put(data(0x2258), &(BASE + 0x23f0).to_le_bytes());
    put(data(0x23f0), &0x0000_2b99_2ddf_a232_u64.to_le_bytes());
    file
}

/// Indexes of the data directories. Source: Microsoft Learn, "PE Format".
#[allow(dead_code, reason = "each user damages some of them")]
pub mod directory {
    pub const EXPORT: usize = 0;
    pub const IMPORT: usize = 1;
    pub const RESOURCE: usize = 2;
    pub const BASE_RELOCATION: usize = 5;
    pub const TLS: usize = 9;
    pub const LOAD_CONFIG: usize = 10;
    pub const DELAY_IMPORT: usize = 13;
}

/// Returns where the entry of a directory lies in the file.
#[allow(dead_code, reason = "as above")]
pub fn directory_at(which: usize) -> usize {
    OPTIONAL + 112 + which * 8
}
