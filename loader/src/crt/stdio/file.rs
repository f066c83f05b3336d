//! Blocks, positions, buffers and conditions of streams.

use crate::crt::errno::{self, code};
use crate::crt::os::Whence;
use crate::crt::stdio::EOF;
use crate::crt::stream::{self, Buffering, File, Stream};
use crate::export::Ptr;
use crate::win_api;

fn with<T>(file: Ptr<File>, failed: T, act: impl FnOnce(&mut Stream) -> T) -> T {
    match stream::get(file) {
        Some(shared) => act(&mut shared.lock()),
        None => failed,
    }
}

fn seek(file: Ptr<File>, offset: i64, origin: i32) -> i32 {
    let whence = match origin {
        0 => Whence::Start,
        1 => Whence::Current,
        2 => Whence::End,
        _ => return errno::invalid(code::EINVAL).min(-1),
    };
    with(file, -1, |stream| match stream.seek(offset, whence) {
        Ok(()) => 0,
        Err(number) => errno::fail(number),
    })
}

fn tell(file: Ptr<File>) -> i64 {
    with(file, -1, |stream| match stream.tell() {
        Ok(position) => position,
        Err(number) => i64::from(errno::fail(number)),
    })
}

win_api! {
    /// Writes blocks.
    "msvcrt.dll|ucrtbase.dll" cdecl fn fwrite(from: Ptr<u8>, size: usize, count: usize, file: Ptr<File>) -> usize {
        let len = size.saturating_mul(count);
        if len == 0 {
            return 0;
        }
        let bytes = from.read_bytes(len);
        with(file, 0, |stream| if stream.write(&bytes).is_ok() { count } else { 0 })
    }

    /// Reads blocks; returns how many are whole.
    "msvcrt.dll|ucrtbase.dll" cdecl fn fread(to: Ptr<u8>, size: usize, count: usize, file: Ptr<File>) -> usize {
        let len = size.saturating_mul(count);
        if len == 0 {
            return 0;
        }
        let bytes = with(file, Vec::new(), |stream| stream.read(len));
        to.write_many(&bytes);
        bytes.len() / size
    }

    /// Writes a buffer out, or all of them for NULL.
    "msvcrt.dll|ucrtbase.dll" cdecl fn fflush(file: Ptr<File>) -> i32 {
        if file.is_null() {
            stream::flush_all();
            return 0;
        }
        with(file, EOF, |stream| if stream.flush().is_ok() { 0 } else { EOF })
    }

    /// Closes a stream.
    "msvcrt.dll|ucrtbase.dll" cdecl fn fclose(file: Ptr<File>) -> i32 {
        if stream::close(file).is_ok() { 0 } else { EOF }
    }

    /// Moves the position.
    "msvcrt.dll|ucrtbase.dll" cdecl fn fseek(file: Ptr<File>, offset: i32, origin: i32) -> i32 { seek(file, offset.into(), origin) }

    /// Moves the position.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _fseeki64(file: Ptr<File>, offset: i64, origin: i32) -> i32 { seek(file, offset, origin) }

    /// Returns the position.
    "msvcrt.dll|ucrtbase.dll" cdecl fn ftell(file: Ptr<File>) -> i32 { i32::try_from(tell(file)).unwrap_or(-1) }

    /// Returns the position.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _ftelli64(file: Ptr<File>) -> i64 { tell(file) }

    /// Goes to the start and clears the conditions.
    "msvcrt.dll|ucrtbase.dll" cdecl fn rewind(file: Ptr<File>) {
        seek(file, 0, 0);
        with(file, (), Stream::clear);
    }

    /// Stores the position.
    "msvcrt.dll|ucrtbase.dll" cdecl fn fgetpos(file: Ptr<File>, position: Ptr<i64>) -> i32 {
        let at = tell(file);
        position.write(at);
        if at < 0 { -1 } else { 0 }
    }

    /// Goes to a stored position.
    "msvcrt.dll|ucrtbase.dll" cdecl fn fsetpos(file: Ptr<File>, position: Ptr<i64>) -> i32 { seek(file, position.read(), 0) }

    /// Sets how a stream is buffered; the guest's own buffer is not needed.
    "msvcrt.dll|ucrtbase.dll" cdecl fn setvbuf(file: Ptr<File>, _buffer: Ptr<u8>, mode: i32, size: usize) -> i32 {
        /// `_IOFBF`, `_IOLBF`, `_IONBF`.
        const MODES: [(i32, Buffering); 3] = [(0, Buffering::Full), (0x40, Buffering::Full), (4, Buffering::None)];
        let Some(&(_, buffering)) = MODES.iter().find(|(number, _)| *number == mode) else {
            errno::invalid_parameter();
            return -1;
        };
        with(file, -1, |stream| {
            stream.set_buffering(buffering, if size == 0 { 4096 } else { size });
            0
        })
    }

    /// Buffers fully, or not at all without a buffer.
    "msvcrt.dll|ucrtbase.dll" cdecl fn setbuf(file: Ptr<File>, buffer: Ptr<u8>) {
        let buffering = if buffer.is_null() { Buffering::None } else { Buffering::Full };
        with(file, (), |stream| stream.set_buffering(buffering, 512));
    }

    /// Tells whether the end was met.
    "msvcrt.dll|ucrtbase.dll" cdecl fn feof(file: Ptr<File>) -> i32 { with(file, 0, |stream| i32::from(stream.is_eof)) }

    /// Tells whether an operation failed.
    "msvcrt.dll|ucrtbase.dll" cdecl fn ferror(file: Ptr<File>) -> i32 { with(file, 0, |stream| i32::from(stream.is_error)) }

    /// Clears end and error.
    "msvcrt.dll|ucrtbase.dll" cdecl fn clearerr(file: Ptr<File>) { with(file, (), Stream::clear) }

    /// Returns the descriptor.
    "msvcrt.dll|ucrtbase.dll" cdecl fn _fileno(file: Ptr<File>) -> i32 { with(file, -1, |stream| stream.fd) }
}
