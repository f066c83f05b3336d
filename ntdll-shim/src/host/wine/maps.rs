//! Mappings of the own process, from `/proc/self/maps` (man 5 proc_pid_maps).

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A PE image as it is mapped.
#[derive(Debug)]
pub struct MappedImage {
    /// Address of its headers.
    pub base: usize,
    /// Its file.
    pub path: PathBuf,
    /// From its start without gaps, in ascending order.
    readable: Vec<Range<usize>>,
}

/// The images of ntdll in this process.
#[derive(Debug, Default)]
pub struct Images {
    /// That of the machine of this process.
    pub native: Option<MappedImage>,
    /// That of 32-bit code, which lies below the other; only where a 32-bit program runs in a 64-bit Wine process.
    pub wow64: Option<MappedImage>,
}

impl Images {
    /// Finds them.
    ///
    /// `native` and `wow64` are the ends of their paths.
    pub fn find(native: &str, wow64: Option<&str>) -> Images {
        maps()
            .map(|file| Images::read(BufReader::new(file), native, wow64))
            .unwrap_or_default()
    }

    /// Reads no further than needed: the kernel makes the list line by line, and a process has hundreds.
    fn read(lines: impl BufRead, native: &str, wow64: Option<&str>) -> Images {
        let mut images = Images::default();
        let mut end = 0;
        let mut is_native = false;
        for line in lines.lines().map_while(Result::ok) {
            let Some(mapping) = Mapping::parse(&line) else {
                continue;
            };
            let is_start =
                |tail: &str| mapping.file_offset == 0 && Path::new(mapping.path).ends_with(tail);
            let place = if is_start(native) && images.native.is_none() {
                is_native = true;
                &mut images.native
            } else if wow64.is_some_and(is_start) && images.wow64.is_none() {
                is_native = false;
                &mut images.wow64
            } else if mapping.range.start == end && is_native {
                &mut images.native
            } else if mapping.range.start == end {
                &mut images.wow64
            } else if images.native.is_some() {
                break;
            } else {
                continue;
            };
            end = mapping.range.end;
            let image = place.get_or_insert_with(|| MappedImage {
                base: mapping.range.start,
                path: PathBuf::from(mapping.path),
                readable: Vec::new(),
            });
            image.readable.extend(mapping.readable());
        }
        images
    }
}

impl MappedImage {
    /// Returns whether every byte of the range may be read.
    pub fn is_readable(&self, range: Range<usize>) -> bool {
        let mut at = range.start;
        for readable in &self.readable {
            if readable.contains(&at) {
                at = readable.end;
            }
        }
        at >= range.end && range.start < range.end
    }
}

/// Returns the path of the first mapped file of that name.
pub fn file_named(name: &str) -> Option<PathBuf> {
    let lines = BufReader::new(maps()?).lines();
    lines.map_while(Result::ok).find_map(|line| {
        let path = Path::new(Mapping::parse(&line)?.path);
        (path.file_name()? == name).then(|| path.to_owned())
    })
}

/// Returns the path of the file mapped at `address`.
pub fn path_of(address: usize) -> Option<PathBuf> {
    let lines = BufReader::new(maps()?).lines();
    lines.map_while(Result::ok).find_map(|line| {
        let mapping = Mapping::parse(&line)?;
        let is_there = mapping.range.contains(&address);
        is_there.then(|| PathBuf::from(mapping.path))
    })
}

fn maps() -> Option<File> {
    File::open("/proc/self/maps").ok()
}

/// One line of the list.
#[derive(Debug)]
struct Mapping<'a> {
    range: Range<usize>,
    is_readable: bool,
    file_offset: u64,
    path: &'a str,
}

impl Mapping<'_> {
    /// `170000000-170001000 r--p 00000000 fe:00 4711    /usr/lib/…/ntdll.dll`
    fn parse(line: &str) -> Option<Mapping<'_>> {
        let mut words = line.split(' ');
        let (start, end) = words.next()?.split_once('-')?;
        let protection = words.next()?;
        let offset = words.next()?;
        Some(Mapping {
            range: usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?,
            is_readable: protection.starts_with('r'),
            file_offset: u64::from_str_radix(offset, 16).ok()?,
            path: line.find('/').map_or("", |at| &line[at..]),
        })
    }

    fn readable(&self) -> Option<Range<usize>> {
        self.is_readable.then(|| self.range.clone())
    }
}

// The sample has addresses of 64 bits.
#[cfg(all(test, target_pointer_width = "64"))]
mod tests {
    use super::*;

    const NATIVE: &str = "x86_64-windows/ntdll.dll";
    const WOW64: Option<&str> = Some("i386-windows/ntdll.dll");

    const TEXT: &str = "\
7bc00000-7bc01000 r--p 00000000 fe:00 4709      /opt/my wine/i386-windows/ntdll.dll
7bc01000-7bc6a000 r-xp 00001000 fe:00 4709      /opt/my wine/i386-windows/ntdll.dll
160000000-160001000 r--p 00000000 fe:00 4712    /opt/my wine/x86_64-windows/start.exe
170000000-170001000 r--p 00000000 fe:00 4711    /opt/my wine/x86_64-windows/ntdll.dll
170001000-170069000 r-xp 00001000 fe:00 4711    /opt/my wine/x86_64-windows/ntdll.dll
170069000-17006a000 ---p 00000000 00:00 0
17006a000-17006c000 r--p 00000000 00:00 0
7fff00000000-7fff00001000 rw-p 00000000 00:00 0 [stack]
";

    #[test]
    fn images_are_found_by_the_tails_of_their_paths() {
        let found = Images::read(TEXT.as_bytes(), NATIVE, WOW64);
        assert_eq!(found.wow64.map(|image| image.base), Some(0x7bc0_0000));
        let found = found.native.expect("listed");
        assert_eq!(found.base, 0x1_7000_0000);
        assert_eq!(
            found.path,
            Path::new("/opt/my wine/x86_64-windows/ntdll.dll")
        );
        let of_64_bit_program: String = TEXT
            .lines()
            .skip(2)
            .map(|line| format!("{line}\n"))
            .collect();
        assert!(
            Images::read(of_64_bit_program.as_bytes(), NATIVE, WOW64)
                .wow64
                .is_none()
        );
    }

    #[test]
    fn readable_range_must_have_no_gap_and_no_unreadable_page() {
        let found = Images::read(TEXT.as_bytes(), NATIVE, WOW64)
            .native
            .expect("listed");
        assert!(found.is_readable(0x1_7000_0ff0..0x1_7006_9000));
        assert!(
            !found.is_readable(0x1_7006_8000..0x1_7006_9001),
            "no access"
        );
        assert!(!found.is_readable(0x1_7006_b000..0x1_7006_c001), "end");
        assert!(
            !found.is_readable(0x1_6000_0000..0x1_6000_0001),
            "not the image"
        );
    }
}
