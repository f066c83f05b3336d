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

impl MappedImage {
    /// Finds the image of the first file whose path ends with `tail`.
    pub fn find(tail: &str) -> Option<MappedImage> {
        MappedImage::read(BufReader::new(maps()?), tail)
    }

    /// Reads no further than needed: the kernel makes the list line by line, and a process has hundreds.
    fn read(lines: impl BufRead, tail: &str) -> Option<MappedImage> {
        let mut found: Option<MappedImage> = None;
        let mut end = 0;
        for line in lines.lines() {
            let line = line.ok()?;
            let mapping = Mapping::parse(&line)?;
            let Some(image) = &mut found else {
                if mapping.file_offset == 0 && Path::new(mapping.path).ends_with(tail) {
                    end = mapping.range.end;
                    found = Some(MappedImage {
                        base: mapping.range.start,
                        path: PathBuf::from(mapping.path),
                        readable: mapping.readable().into_iter().collect(),
                    });
                }
                continue;
            };
            if mapping.range.start != end {
                break;
            }
            end = mapping.range.end;
            image.readable.extend(mapping.readable());
        }
        found
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
160000000-160001000 r--p 00000000 fe:00 4712    /opt/my wine/x86_64-windows/start.exe
170000000-170001000 r--p 00000000 fe:00 4711    /opt/my wine/x86_64-windows/ntdll.dll
170001000-170069000 r-xp 00001000 fe:00 4711    /opt/my wine/x86_64-windows/ntdll.dll
170069000-17006a000 ---p 00000000 00:00 0
17006a000-17006c000 r--p 00000000 00:00 0
7fff00000000-7fff00001000 rw-p 00000000 00:00 0 [stack]
";

    #[test]
    fn image_is_found_by_the_tail_of_its_path() {
        let image = |tail| MappedImage::read(TEXT.as_bytes(), tail);
        let found = image("x86_64-windows/ntdll.dll").expect("listed");
        assert_eq!(found.base, 0x1_7000_0000);
        assert_eq!(
            found.path,
            Path::new("/opt/my wine/x86_64-windows/ntdll.dll")
        );
        assert!(image("i386-windows/ntdll.dll").is_none());
    }

    #[test]
    fn readable_range_must_have_no_gap_and_no_unreadable_page() {
        let found = MappedImage::read(TEXT.as_bytes(), "ntdll.dll").expect("listed");
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
