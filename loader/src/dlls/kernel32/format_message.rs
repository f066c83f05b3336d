//! `FormatMessage`: texts of error codes, and templates with `%1` inserts.
//!
//! The texts of Win32 errors are written for this project, for the codes the loader itself produces; any other code says
//! its number.

use ntlpc_abi::UserPtr;

use crate::dlls::win32::{ansi_of, error, refuse, wide_of};
use crate::export::{Guest, Ptr, VarArgs};
use crate::win_api;

/// `FORMAT_MESSAGE_ALLOCATE_BUFFER`.
const ALLOCATE_BUFFER: u32 = 0x100;
/// `FORMAT_MESSAGE_IGNORE_INSERTS`.
const IGNORE_INSERTS: u32 = 0x200;
/// `FORMAT_MESSAGE_FROM_STRING`.
const FROM_STRING: u32 = 0x400;
/// `FORMAT_MESSAGE_FROM_HMODULE`.
const FROM_MODULE: u32 = 0x800;
/// `FORMAT_MESSAGE_FROM_SYSTEM`.
const FROM_SYSTEM: u32 = 0x1000;
/// `FORMAT_MESSAGE_ARGUMENT_ARRAY`.
const ARGUMENT_ARRAY: u32 = 0x2000;
/// `FORMAT_MESSAGE_MAX_WIDTH_MASK` with every bit set: no line breaks.
const NO_BREAKS: u32 = 0xFF;

/// Texts of Win32 errors.
const TEXTS: &[(u32, &str)] = &[
    (0, "The operation completed successfully."),
    (1, "Incorrect function."),
    (2, "The system cannot find the file specified."),
    (3, "The system cannot find the path specified."),
    (4, "The system cannot open the file."),
    (5, "Access is denied."),
    (6, "The handle is invalid."),
    (8, "Not enough memory is available."),
    (13, "The data is invalid."),
    (15, "The drive cannot be found."),
    (17, "The file cannot be moved to a different drive."),
    (18, "There are no more files."),
    (19, "The media is write protected."),
    (32, "The file is used by another process."),
    (33, "Another process has locked a portion of the file."),
    (38, "Reached the end of the file."),
    (50, "The request is not supported."),
    (80, "The file exists."),
    (87, "The parameter is incorrect."),
    (109, "The pipe has been ended."),
    (112, "There is not enough space on the disk."),
    (120, "This function is not supported."),
    (122, "The data area passed to a call is too small."),
    (
        123,
        "The name of the file, directory or volume is incorrect.",
    ),
    (126, "The specified module could not be found."),
    (127, "The specified procedure could not be found."),
    (
        131,
        "The file pointer cannot be set before the beginning of the file.",
    ),
    (145, "The directory is not empty."),
    (158, "The segment is not locked."),
    (183, "The object or file exists already."),
    (193, "The file is not a valid application."),
    (203, "The environment variable was not found."),
    (206, "The file name is too long."),
    (230, "The pipe state is invalid."),
    (231, "All pipe instances are busy."),
    (232, "The pipe is being closed."),
    (233, "No process is on the other end of the pipe."),
    (234, "More data is available."),
    (258, "The wait timed out."),
    (259, "No more data is available."),
    (267, "The directory name is invalid."),
    (288, "The caller does not own the mutex."),
    (298, "The semaphore has been posted too often."),
    (299, "Only part of the request was completed."),
    (317, "There is no message text for the message number."),
    (487, "The address is invalid."),
    (535, "A process is on the other end of the pipe."),
    (
        536,
        "Waiting for a process to open the other end of the pipe.",
    ),
    (
        995,
        "The operation was aborted because the thread ends or asked for it.",
    ),
    (996, "The overlapped event is not signaled."),
    (997, "The overlapped operation is in progress."),
    (998, "Access to the memory location is invalid."),
    (1008, "There is no token."),
    (1113, "The character has no mapping in the code page."),
    (1168, "The element was not found."),
    (1224, "The file has a mapped section."),
    (
        1300,
        "Not all privileges or groups are assigned to the caller.",
    ),
    (1314, "The client does not hold a required privilege."),
    (
        1332,
        "Account names and security identifiers were not mapped.",
    ),
    (1337, "The security identifier is invalid."),
    (1338, "The security descriptor is invalid."),
    (1346, "The impersonation level is invalid."),
    (1450, "Not enough system resources are available."),
    (1455, "The paging file is too small."),
    (1460, "The timeout period expired."),
];

fn text_of(code: u32) -> Option<&'static str> {
    // HRESULT_FROM_WIN32 carries the code in its low half.
    let code = if code >> 16 == 0x8007 {
        code & 0xFFFF
    } else {
        code
    };
    TEXTS
        .iter()
        .find(|(known, _)| *known == code)
        .map(|(_, text)| *text)
}

/// Where inserts come from.
struct Inserts {
    array: Option<Ptr<UserPtr>>,
    list: VarArgs,
    taken: Vec<u64>,
}

impl Inserts {
    /// Returns the insert numbered from 1.
    fn get(&mut self, number: usize) -> u64 {
        if let Some(array) = self.array {
            return array.add(number - 1).read().0;
        }
        while self.taken.len() < number {
            self.taken.push(self.list.next_word());
        }
        self.taken[number - 1]
    }
}

/// Replaces inserts and escapes.
fn expand(template: &str, ignores: bool, is_wide: bool, inserts: &mut Inserts) -> String {
    let mut out = String::new();
    let mut chars = template.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' || ignores {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('0') => break,
            Some('n') => out.push_str("\r\n"),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('b') => out.push(' '),
            Some(digit) if digit.is_ascii_digit() => {
                let mut number = digit.to_digit(10).unwrap_or(1) as usize;
                if let Some(next) = chars.peek().and_then(|c| c.to_digit(10)) {
                    number = number * 10 + next as usize;
                    chars.next();
                }
                let format = if chars.peek() == Some(&'!') {
                    chars.next();
                    chars.by_ref().take_while(|&c| c != '!').collect()
                } else {
                    "s".to_owned()
                };
                out.push_str(&insert(inserts.get(number), &format, is_wide));
            }
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}

/// Prints one insert: strings, integers and characters.
fn insert(value: u64, format: &str, is_wide: bool) -> String {
    let kind = format
        .trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '-' | '0' | '.' | '#'));
    let width: usize = format
        .chars()
        .take_while(char::is_ascii_digit)
        .collect::<String>()
        .parse()
        .unwrap_or(0);
    let text = match kind {
        "s" if is_wide => String::from_utf16_lossy(&Ptr::<u16>::new(value).read_wide_string()),
        "s" | "hs" => String::from_utf8_lossy(&Ptr::<u8>::new(value).read_c_string()).into_owned(),
        "S" | "ls" | "ws" => String::from_utf16_lossy(&Ptr::<u16>::new(value).read_wide_string()),
        "d" | "i" | "ld" | "li" => (value as u32).cast_signed().to_string(),
        "u" | "lu" => (value as u32).to_string(),
        "x" | "lx" => format!("{:x}", value as u32),
        "X" | "lX" => format!("{:X}", value as u32),
        "I64d" | "lld" => value.cast_signed().to_string(),
        "I64u" | "llu" => value.to_string(),
        "I64x" | "llx" | "p" => format!("{value:x}"),
        "c" => char::from_u32(value as u32)
            .map(String::from)
            .unwrap_or_default(),
        _ => format!("%{format}"),
    };
    if format.starts_with('0') {
        format!("{text:0>width$}")
    } else {
        format!("{text:>width$}")
    }
}

/// The message, or the error for there is none.
fn message(
    flags: u32,
    source: UserPtr,
    code: u32,
    arguments: u64,
    is_wide: bool,
) -> Result<String, u32> {
    let template = if flags & FROM_STRING != 0 {
        if is_wide {
            String::from_utf16_lossy(&Ptr::<u16>::new(source.0).read_wide_string())
        } else {
            String::from_utf8_lossy(&Ptr::<u8>::new(source.0).read_c_string()).into_owned()
        }
    } else if flags & (FROM_SYSTEM | FROM_MODULE) != 0 {
        let text = if flags & FROM_SYSTEM != 0 {
            text_of(code)
        } else {
            None
        };
        format!("{}\r\n", text.ok_or(error::MR_MID_NOT_FOUND)?)
    } else {
        return Err(error::INVALID_PARAMETER);
    };
    let list = if arguments == 0 || flags & ARGUMENT_ARRAY != 0 {
        0
    } else {
        Ptr::<UserPtr>::new(arguments).read().0
    };
    let mut inserts = Inserts {
        array: (flags & ARGUMENT_ARRAY != 0).then(|| Ptr::new(arguments)),
        list: VarArgs::at(list),
        taken: Vec::new(),
    };
    let text = expand(
        &template,
        flags & IGNORE_INSERTS != 0,
        is_wide,
        &mut inserts,
    );
    Ok(if flags & NO_BREAKS == NO_BREAKS {
        text.replace("\r\n", " ").replace('\n', " ")
    } else {
        text
    })
}

fn put<T: Guest + Default>(flags: u32, elements: Vec<T>, buffer: Ptr<T>, size: u32) -> u32 {
    let count = u32::try_from(elements.len()).unwrap_or(u32::MAX - 1);
    let mut all = elements;
    all.push(T::default());
    if flags & ALLOCATE_BUFFER != 0 {
        let bytes = all.len().max(size as usize) * T::size();
        let Some(block) = crate::heap::process().allocate(bytes, true) else {
            return refuse(error::NOT_ENOUGH_MEMORY, 0);
        };
        Ptr::<T>::new(block).write_many(&all);
        buffer.cast::<UserPtr>().write(UserPtr(block));
        return count;
    }
    if count >= size {
        return refuse(error::INSUFFICIENT_BUFFER, 0);
    }
    buffer.write_many(&all);
    count
}

win_api! {
    /// Formats a message.
    "kernel32.dll|kernelbase.dll" stdcall fn FormatMessageW(flags: u32, source: UserPtr, code: u32, _language: u32, buffer: Ptr<u16>, size: u32, arguments: UserPtr) -> u32 {
        match message(flags, source, code, arguments.0, true) {
            Ok(text) => put(flags, wide_of(text.as_bytes()), buffer, size),
            Err(code) => refuse(code, 0),
        }
    }

    /// Formats a message.
    "kernel32.dll|kernelbase.dll" stdcall fn FormatMessageA(flags: u32, source: UserPtr, code: u32, _language: u32, buffer: Ptr<u8>, size: u32, arguments: UserPtr) -> u32 {
        match message(flags, source, code, arguments.0, false) {
            Ok(text) => put(flags, ansi_of(&wide_of(text.as_bytes())), buffer, size),
            Err(code) => refuse(code, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(template: &str, values: &[u64]) -> String {
        let mut inserts = Inserts {
            array: None,
            list: VarArgs::at(0),
            taken: values.to_vec(),
        };
        expand(template, false, true, &mut inserts)
    }

    #[test]
    fn inserts_and_escapes() {
        assert_eq!(run("a %2!d! %1!x!%n%%%0tail", &[255, 7]), "a 7 ff\r\n%");
        assert_eq!(run("%1!5d!|%1!05u!", &[42]), "   42|00042");
    }

    #[test]
    fn texts_are_in_order() {
        assert!(TEXTS.is_sorted_by_key(|(code, _)| *code));
        assert_eq!(text_of(0x8007_0005), text_of(5));
    }
}
