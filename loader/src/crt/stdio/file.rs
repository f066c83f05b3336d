//! Opening, closing, positioning and buffering streams.

use ntlpc_abi::Handle;

use crate::crt::errno::{self, code};
use crate::crt::fcntl::flags;
use crate::crt::fd::{self, Mode};
use crate::crt::io;
use crate::crt::mem::{self, Char};
use crate::crt::os::Whence;
use crate::crt::stream::{self, Buffering, File};
use crate::crt::twins::twins;
use crate::export::Ptr;
use crate::win_api;

/// Returns the open flags of a mode string; `None` if it is malformed.
///
/// Source: Microsoft Learn, "fopen, _wfopen".
pub fn mode_flags(mode: &str) -> Option<i32> {
    let (kind, encoding) = mode
        .split_once(',')
        .map_or((mode, ""), |(kind, rest)| (kind, rest.trim()));
    let mut letters = kind.trim_start().chars();
    let mut result = match letters.next()? {
        'r' => flags::RDONLY,
        'w' => flags::WRONLY | flags::CREAT | flags::TRUNC,
        'a' => flags::WRONLY | flags::CREAT | flags::APPEND,
        _ => return None,
    };
    for letter in letters {
        match letter {
            '+' => result = (result & !flags::ACCESS) | flags::RDWR,
            'b' => result |= flags::BINARY,
            't' => result |= flags::TEXT,
            'x' => result |= flags::EXCL,
            'N' => result |= flags::NOINHERIT,
            'D' => result |= flags::TEMPORARY,
            'T' => result |= flags::SHORT_LIVED,
            // Hints about caching and commit mode change nothing here.
            'S' | 'R' | 'c' | 'n' | ' ' => {}
            _ => return None,
        }
    }
    match encoding
        .split_once('=')
        .map(|(key, value)| (key.trim(), value.trim().to_ascii_lowercase()))
    {
        None if encoding.is_empty() => {}
        Some(("ccs", value)) if value == "utf-8" => result |= flags::U8TEXT,
        Some(("ccs", value)) if value == "utf-16le" || value == "unicode" => {
            result |= flags::U16TEXT
        }
        _ => return None,
    }
    Some(result)
}

fn mode_of<T: Char>(mode: Ptr<T>) -> Option<i32> {
    let text: String = mem::string(mode)
        .iter()
        .map(|unit| char::from(unit.ascii()))
        .collect();
    mode_flags(&text)
}

fn open<T: Char>(path: Ptr<T>, mode: Ptr<T>, share: i32) -> Result<Ptr<File>, i32> {
    if path.is_null() || mode.is_null() {
        return Err(errno::invalid_parameter());
    }
    let Some(mode) = mode_of(mode) else {
        return Err(errno::invalid_parameter());
    };
    const PERMISSIONS: i32 = 0o600;
    let number = io::open(&io::path(path), mode, share, PERMISSIONS)?;
    stream::create(number).ok_or(code::ENOMEM)
}

fn or_null(result: Result<Ptr<File>, i32>) -> Ptr<File> {
    result.unwrap_or_else(|number| {
        errno::set_errno(number);
        Ptr::NULL
    })
}

fn reopen<T: Char>(path: Ptr<T>, mode: Ptr<T>, file: Ptr<File>) -> Result<Ptr<File>, i32> {
    const SHARE_ALL: i32 = 0x40;
    let Some(flags) = mode_of(mode) else {
        return Err(errno::invalid_parameter());
    };
    let shared = stream::get(file).ok_or(code::EINVAL)?;
    let mut stream = shared.lock();
    // The old file is left whatever becomes of its data.
    let _ = stream.flush();
    let old = stream.fd;
    drop(stream);
    let number = io::open(&io::path(path), flags, SHARE_ALL, 0o600)?;
    // The new file takes the old number, so that children find it where the old one was.
    let number = if old >= 0 {
        fd::duplicate(number, Some(old))?;
        fd::close(number)?;
        old
    } else {
        number
    };
    stream::replace(file, number);
    Ok(file)
}

/// `_SH_DENYNO`.
const SHARE_ALL: i32 = 0x40;
/// `_SH_SECURE`: what the `_s` functions open with.
const SHARE_SECURE: i32 = 0x80;

fn store_opened(to: Ptr<Ptr<File>>, opened: Result<Ptr<File>, i32>) -> i32 {
    if to.is_null() {
        return errno::invalid_parameter();
    }
    match opened {
        Ok(file) => {
            to.write(file);
            0
        }
        Err(number) => {
            to.write(Ptr::NULL);
            errno::fail(number)
        }
    }
}

twins! {
    /// Opens a file.
    "msvcrt.dll|ucrtbase.dll" fn fopen / _wfopen(path: Ptr<Char>, mode: Ptr<Char>) -> Ptr<File> {
        or_null(open(path, mode, SHARE_ALL))
    }

    /// Opens a file with sharing.
    "msvcrt.dll|ucrtbase.dll" fn _fsopen / _wfsopen(path: Ptr<Char>, mode: Ptr<Char>, share: i32) -> Ptr<File> {
        or_null(open(path, mode, share))
    }

    /// Opens a file and stores the stream.
    "msvcrt.dll|ucrtbase.dll" fn fopen_s / _wfopen_s(to: Ptr<Ptr<File>>, path: Ptr<Char>, mode: Ptr<Char>) -> i32 {
        store_opened(to, open(path, mode, SHARE_SECURE))
    }

    /// Opens another file under a stream.
    "msvcrt.dll|ucrtbase.dll" fn freopen / _wfreopen(path: Ptr<Char>, mode: Ptr<Char>, file: Ptr<File>) -> Ptr<File> {
        or_null(reopen(path, mode, file))
    }

    /// Opens another file under a stream and stores it.
    "msvcrt.dll|ucrtbase.dll" fn freopen_s / _wfreopen_s(to: Ptr<Ptr<File>>, path: Ptr<Char>, mode: Ptr<Char>, file: Ptr<File>) -> i32 {
        store_opened(to, reopen(path, mode, file))
    }

    /// Makes a stream of a descriptor.
    "msvcrt.dll|ucrtbase.dll" fn _fdopen / _wfdopen(number: i32, mode: Ptr<Char>) -> Ptr<File> {
        let Some(mode) = mode_of(mode) else {
            errno::invalid_parameter();
            return Ptr::NULL;
        };
        let adjusted = fd::update(number, |fd| {
            if mode & flags::BINARY != 0 {
                fd.mode = Mode::Binary;
            } else if mode & flags::TEXT != 0 {
                fd.mode = Mode::Text;
            }
            fd.append |= mode & flags::APPEND != 0;
        });
        or_null(adjusted.and_then(|()| stream::create(number).ok_or(code::ENOMEM)))
    }
}

fn whence_of(origin: i32) -> Option<Whence> {
    match origin {
        0 => Some(Whence::Start),
        1 => Some(Whence::Current),
        2 => Some(Whence::End),
        _ => None,
    }
}

fn seek(file: Ptr<File>, offset: i64, origin: i32) -> i32 {
    let Some(whence) = whence_of(origin) else {
        errno::invalid_parameter();
        return -1;
    };
    let Some(shared) = stream::get(file) else {
        return -1;
    };
    let done = shared.lock().seek(offset, whence);
    io::status(done)
}

fn tell(file: Ptr<File>) -> i64 {
    let Some(shared) = stream::get(file) else {
        return -1;
    };
    let position = shared.lock().tell();
    position.unwrap_or_else(|number| {
        errno::set_errno(number);
        -1
    })
}

/// Runs `act` on the state of a stream; `otherwise` if there is none.
fn with<T>(file: Ptr<File>, otherwise: T, act: impl FnOnce(&mut stream::Stream) -> T) -> T {
    match stream::get(file) {
        Some(shared) => act(&mut shared.lock()),
        None => otherwise,
    }
}

win_api! {
    /// Tells where a stream keeps the addresses of its buffer and its count, both empty: its buffer is not the program's.
    "ucrtbase.dll" cdecl fn _get_stream_buffer_pointers(file: Ptr<File>, base: Ptr<Ptr<u8>>, pointer: Ptr<Ptr<u8>>, count: Ptr<Ptr<u8>>) -> i32 {
        let field = |name: &str| file.byte_add(File::offset_of(name) as u64).cast::<u8>();
        base.write_if_some(field("base"));
        pointer.write_if_some(field("next"));
        count.write_if_some(field("count"));
        0
    }

    /// Closes a stream.
    "msvcrt.dll|ucrtbase.dll" cdecl fn fclose = "fclose|_fclose_nolock" (file: Ptr<File>) -> i32 {
        if file.is_null() {
            errno::invalid_parameter();
            return super::EOF;
        }
        io::status(stream::close(file).map(|_: Option<Handle>| ()))
    }

    /// Closes all streams but the standard ones; returns how many.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _fcloseall() -> i32 {
        let standard: Vec<u64> = (0..3).map(|index| stream::standard_file(index).address()).collect();
        let others: Vec<_> = stream::all().into_iter().filter(|(file, _)| !standard.contains(&file.address())).collect();
        i32::try_from(others.into_iter().filter(|(file, _)| stream::close(*file).is_ok()).count()).unwrap_or(i32::MAX)
    }

    /// Writes out the buffer of a stream, or of all.
    "msvcrt.dll|ucrtbase.dll" cdecl fn fflush = "fflush|_fflush_nolock" (file: Ptr<File>) -> i32 {
        if file.is_null() {
            stream::flush_all();
            return 0;
        }
        let flushed = with(file, Err(code::EBADF), |stream| stream.flush());
        if flushed.is_ok() { 0 } else { super::EOF }
    }

    /// Writes out all buffers; returns the number of streams.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _flushall() -> i32 {
        stream::flush_all()
    }

    /// Sets the buffering of a stream.
    "msvcrt.dll|ucrtbase.dll" cdecl fn setvbuf(file: Ptr<File>, _buffer: Ptr<u8>, mode: i32, size: usize) -> i32 {
        const FULL: i32 = 0;
        const LINE: i32 = 0x40;
        const NONE: i32 = 4;
        let buffering = match mode {
            FULL | LINE if size >= 2 => Buffering::Full,
            NONE => Buffering::None,
            _ => {
                errno::invalid_parameter();
                return -1;
            }
        };
        with(file, -1, |stream| {
            stream.set_buffering(buffering, if mode == NONE { 4096 } else { size.min(1 << 24) });
            0
        })
    }

    /// Sets or removes the buffer of a stream.
    "msvcrt.dll|ucrtbase.dll" cdecl fn setbuf(file: Ptr<File>, buffer: Ptr<u8>) {
        const BUFSIZ: usize = 512;
        let buffering = if buffer.is_null() { Buffering::None } else { Buffering::Full };
        with(file, (), |stream| stream.set_buffering(buffering, BUFSIZ));
    }

    /// Moves in a stream.
    "msvcrt.dll|ucrtbase.dll" cdecl fn fseek = "fseek|_fseek_nolock" (file: Ptr<File>, offset: i32, origin: i32) -> i32 {
        seek(file, i64::from(offset), origin)
    }

    /// Moves in a stream.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _fseeki64 = "_fseeki64|_fseeki64_nolock" (file: Ptr<File>, offset: i64, origin: i32) -> i32 {
        seek(file, offset, origin)
    }

    /// Returns the position in a stream.
    "msvcrt.dll|ucrtbase.dll" cdecl fn ftell = "ftell|_ftell_nolock" (file: Ptr<File>) -> i32 {
        i32::try_from(tell(file)).unwrap_or(-1)
    }

    /// Returns the position in a stream.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _ftelli64 = "_ftelli64|_ftelli64_nolock" (file: Ptr<File>) -> i64 {
        tell(file)
    }

    /// Stores the position in a stream.
    "msvcrt.dll|ucrtbase.dll" cdecl fn fgetpos(file: Ptr<File>, position: Ptr<i64>) -> i32 {
        let at = tell(file);
        position.write(at);
        if at < 0 { -1 } else { 0 }
    }

    /// Moves to a stored position.
    "msvcrt.dll|ucrtbase.dll" cdecl fn fsetpos(file: Ptr<File>, position: Ptr<i64>) -> i32 {
        seek(file, position.read(), 0)
    }

    /// Moves to the start and forgets end and error.
    "msvcrt.dll|ucrtbase.dll" cdecl fn rewind(file: Ptr<File>) {
        seek(file, 0, 0);
        clearerr(file);
    }

    /// Tells whether a stream met its end.
    "msvcrt.dll|ucrtbase.dll" cdecl fn feof(file: Ptr<File>) -> i32 {
        with(file, 0, |stream| i32::from(stream.is_eof))
    }

    /// Tells whether an operation on a stream failed.
    "msvcrt.dll|ucrtbase.dll" cdecl fn ferror(file: Ptr<File>) -> i32 {
        with(file, 0, |stream| i32::from(stream.is_error))
    }

    /// Forgets end and error.
    "msvcrt.dll|ucrtbase.dll" cdecl fn clearerr(file: Ptr<File>) {
        with(file, (), stream::Stream::clear);
    }

    /// Forgets end and error.
    "msvcrt.dll|ucrtbase.dll" cdecl fn clearerr_s(file: Ptr<File>) -> i32 {
        if file.is_null() {
            return errno::invalid_parameter();
        }
        clearerr(file);
        0
    }

    /// Returns the descriptor of a stream.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _fileno(file: Ptr<File>) -> i32 {
        with(file, -1, |stream| stream.fd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mode_strings_become_open_flags() {
        assert_eq!(mode_flags("r"), Some(flags::RDONLY));
        assert_eq!(
            mode_flags("w+b"),
            Some(flags::RDWR | flags::CREAT | flags::TRUNC | flags::BINARY)
        );
        assert_eq!(
            mode_flags("a, ccs=UTF-8"),
            Some(flags::WRONLY | flags::CREAT | flags::APPEND | flags::U8TEXT)
        );
        assert_eq!(mode_flags("q"), None);
        assert_eq!(mode_flags("r,ccs=latin"), None);
    }
}
