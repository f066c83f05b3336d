//! Mappings of the own process, from `/proc/self/maps` (man 5 proc_pid_maps).

use std::ops::Range;
use std::path::{Path, PathBuf};

/// One line of the list.
#[derive(Debug)]
struct Mapping {
    range: Range<usize>,
    is_readable: bool,
    file_offset: u64,
    path: PathBuf,
}

/// The mappings at one moment, in ascending order of address.
#[derive(Debug)]
pub struct Maps(Vec<Mapping>);

impl Maps {
    /// Reads the list; empty if `/proc` is not there.
    pub fn read() -> Maps {
        Maps::parse(&std::fs::read_to_string("/proc/self/maps").unwrap_or_default())
    }

    fn parse(text: &str) -> Maps {
        Maps(text.lines().filter_map(parse_line).collect())
    }

    /// Returns where the start of the first file is mapped whose path ends with `tail`, and its path.
    pub fn image(&self, tail: &str) -> Option<(usize, &Path)> {
        let tail = Path::new(tail);
        let found = self
            .0
            .iter()
            .find(|m| m.file_offset == 0 && m.path.ends_with(tail))?;
        Some((found.range.start, &found.path))
    }

    /// Returns the path of the first mapped file of that name.
    pub fn file_named(&self, name: &str) -> Option<&Path> {
        let found = self
            .0
            .iter()
            .find(|m| m.path.file_name().is_some_and(|file| file == name))?;
        Some(&found.path)
    }

    /// Returns the path of the file mapped at `address`.
    pub fn path_of(&self, address: usize) -> Option<&Path> {
        let found = self.0.iter().find(|m| m.range.contains(&address))?;
        Some(&found.path)
    }

    /// Returns whether every byte of the range may be read.
    pub fn is_readable(&self, range: Range<usize>) -> bool {
        let mut at = range.start;
        for mapping in self.0.iter().filter(|m| m.is_readable) {
            if at >= range.end {
                break;
            }
            if mapping.range.contains(&at) {
                at = mapping.range.end;
            }
        }
        at >= range.end && range.start <= range.end
    }
}

/// `170000000-170001000 r--p 00000000 fe:00 4711    /usr/lib/…/ntdll.dll`
fn parse_line(line: &str) -> Option<Mapping> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let protection = words.next()?;
    let offset = words.next()?;
    let path = line.find('/').map_or("", |at| &line[at..]);
    Some(Mapping {
        range: usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?,
        is_readable: protection.starts_with('r'),
        file_offset: u64::from_str_radix(offset, 16).ok()?,
        path: PathBuf::from(path),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
170000000-170001000 r--p 00000000 fe:00 4711    /opt/my wine/x86_64-windows/ntdll.dll
170001000-170069000 r-xp 00001000 fe:00 4711    /opt/my wine/x86_64-windows/ntdll.dll
17006a000-17006c000 ---p 00000000 00:00 0
7fff00000000-7fff00001000 rw-p 00000000 00:00 0 [stack]
";

    #[test]
    fn image_is_found_by_the_tail_of_its_path() {
        let maps = Maps::parse(TEXT);
        let (base, path) = maps.image("x86_64-windows/ntdll.dll").expect("listed");
        assert_eq!(base, 0x1_7000_0000);
        assert_eq!(path, Path::new("/opt/my wine/x86_64-windows/ntdll.dll"));
        assert_eq!(maps.file_named("ntdll.dll"), Some(path));
        assert!(maps.image("i386-windows/ntdll.dll").is_none());
    }

    #[test]
    fn readable_range_must_have_no_gap_and_no_unreadable_page() {
        let maps = Maps::parse(TEXT);
        assert!(maps.is_readable(0x1_7000_0ff0..0x1_7006_9000));
        assert!(!maps.is_readable(0x1_7006_8000..0x1_7006_9001), "gap");
        assert!(!maps.is_readable(0x1_7006_a000..0x1_7006_a001), "no access");
    }
}
