//! Pipes: `namedpipeapi.h`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ntlpc_abi::{Handle, NtStatus};

use super::synchapi::SecurityAttributes;
use crate::dlls::win32::{
    INVALID_HANDLE_VALUE, error, failed, or_else, put_string, refuse, success, units_arg, wide_arg,
};
use crate::export::{Bool, Guest, Ptr};
use crate::ob::file::{FILE_TYPE, File, FileKind};
use crate::ob::overlapped::Overlapped;
use crate::ob::path::Target;
use crate::ob::pipe;
use crate::ob::table::{INHERIT, TABLE, lookup};
use crate::process::environment;
use crate::win_api;

fn inherits(security: Ptr<SecurityAttributes>) -> u32 {
    if security
        .non_null()
        .is_some_and(|s| s.read().inherit_handle != 0)
    {
        INHERIT
    } else {
        0
    }
}

fn create(
    name: Option<Vec<u16>>,
    open_mode: u32,
    pipe_mode: u32,
    security: Ptr<SecurityAttributes>,
) -> Handle {
    let made = (|| {
        let Target::Pipe(name) = crate::ob::path::resolve_here(&name.unwrap_or_default())? else {
            return Err(NtStatus::OBJECT_NAME_INVALID);
        };
        // FILE_FLAG_OVERLAPPED, FILE_FLAG_FIRST_PIPE_INSTANCE, PIPE_TYPE_MESSAGE
        let is_overlapped = open_mode & 0x4000_0000 != 0;
        let file = pipe::create(
            &name,
            pipe_mode & 4 != 0,
            is_overlapped,
            open_mode & 0x8_0000 != 0,
        )?;
        file.pipe_state.store(pipe_mode & STATE, Ordering::Relaxed);
        TABLE.insert(Arc::new(file), FILE_TYPE.generic[3], inherits(security))
    })();
    or_else(made, INVALID_HANDLE_VALUE)
}

fn peek(
    handle: Handle,
    buffer: Ptr<u8>,
    size: u32,
    read: Ptr<u32>,
    available: Ptr<u32>,
    left: Ptr<u32>,
) -> Result<(), NtStatus> {
    let file = lookup::<File>(handle, 0)?;
    if file.kind != FileKind::Pipe {
        return Err(NtStatus::INVALID_PARAMETER);
    }
    let count = pipe::available(&file)?;
    let taken = if buffer.is_null() || size == 0 {
        0
    } else {
        pipe::peek(&file, buffer, size as usize)?
    };
    read.write_if_some(u32::try_from(taken).unwrap_or(0));
    available.write_if_some(u32::try_from(count).unwrap_or(u32::MAX));
    left.write_if_some(0);
    Ok(())
}

/// `PIPE_NOWAIT | PIPE_READMODE_MESSAGE`.
const STATE: u32 = 3;

fn state_of<T: Guest + Default>(
    handle: Handle,
    state: Ptr<u32>,
    instances: Ptr<u32>,
    collection: [Ptr<u32>; 2],
    user: Ptr<T>,
    user_size: u32,
    encode: impl Fn(&str) -> Vec<T>,
) -> Bool {
    let file = match lookup::<File>(handle, 0) {
        Ok(file) if file.kind == FileKind::Pipe => file,
        Ok(_) => return failed(NtStatus::INVALID_PARAMETER, Bool::FALSE),
        Err(status) => return failed(status, Bool::FALSE),
    };
    let is_server = file.listener.lock().is_some();
    // Collection is for clients on other computers; the user is the client's.
    if collection.iter().any(|at| !at.is_null()) || !user.is_null() && !is_server {
        return refuse(error::INVALID_PARAMETER, Bool::FALSE);
    }
    let count = match pipe::instances(&file) {
        Ok(count) => count,
        Err(status) if !instances.is_null() => return failed(status, Bool::FALSE),
        Err(_) => 0,
    };
    if !user.is_null() {
        // Clients are this user's: the pipe has a name of the user's own.
        let name = encode(&environment::user_name());
        if put_string(&name, user, user_size) as usize != name.len() {
            return refuse(error::INSUFFICIENT_BUFFER, Bool::FALSE);
        }
    }
    state.write_if_some(file.pipe_state.load(Ordering::Relaxed));
    instances.write_if_some(count);
    Bool::TRUE
}

fn peer(handle: Handle, id: Ptr<u32>) -> Bool {
    match lookup::<File>(handle, 0).and_then(|file| pipe::peer(&file)) {
        Ok(pid) => {
            id.write(pid);
            Bool::TRUE
        }
        Err(status) => failed(status, Bool::FALSE),
    }
}

win_api! {
    /// Makes an anonymous pipe.
    "kernel32.dll|kernelbase.dll" stdcall fn CreatePipe(read: Ptr<Handle>, write: Ptr<Handle>, security: Ptr<SecurityAttributes>, _size: u32) -> Bool {
        let attributes = inherits(security);
        let made = pipe::anonymous().and_then(|(reader, writer)| {
            let reader = TABLE.insert(Arc::new(reader), FILE_TYPE.generic[0], attributes)?;
            let writer = TABLE.insert(Arc::new(writer), FILE_TYPE.generic[1], attributes)?;
            Ok((reader, writer))
        });
        match made {
            Ok((reader, writer)) => {
                read.write(reader);
                write.write(writer);
                Bool::TRUE
            }
            Err(status) => failed(status, Bool::FALSE),
        }
    }

    /// Makes the server end of a named pipe.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateNamedPipeW(name: Ptr<u16>, open_mode: u32, pipe_mode: u32, _instances: u32, _out: u32, _in: u32, _timeout: u32, security: Ptr<SecurityAttributes>) -> Handle {
        create(units_arg(name), open_mode, pipe_mode, security)
    }

    /// Makes the server end of a named pipe.
    "kernel32.dll|kernelbase.dll" stdcall fn CreateNamedPipeA(name: Ptr<u8>, open_mode: u32, pipe_mode: u32, _instances: u32, _out: u32, _in: u32, _timeout: u32, security: Ptr<SecurityAttributes>) -> Handle {
        create(wide_arg(name), open_mode, pipe_mode, security)
    }

    /// Waits for a client of a named pipe.
    "kernel32.dll|kernelbase.dll" stdcall fn ConnectNamedPipe(handle: Handle, overlapped: Ptr<Overlapped>) -> Bool {
        let file = match lookup::<File>(handle, 0) {
            Ok(file) => file,
            Err(status) => return failed(status, Bool::FALSE),
        };
        match overlapped.non_null().filter(|_| file.is_overlapped) {
            None => success(pipe::accept(&file)),
            Some(overlapped) => match pipe::start_accept(file, overlapped) {
                Ok(true) => refuse(error::PIPE_CONNECTED, Bool::FALSE),
                Ok(false) => refuse(error::IO_PENDING, Bool::FALSE),
                Err(status) => failed(status, Bool::FALSE),
            },
        }
    }

    /// Throws the client of a named pipe out.
    "kernel32.dll|kernelbase.dll" stdcall fn DisconnectNamedPipe(handle: Handle) -> Bool {
        success(lookup::<File>(handle, 0).and_then(|file| pipe::disconnect(&file)))
    }

    /// Looks at what a pipe holds.
    "kernel32.dll|kernelbase.dll" stdcall fn PeekNamedPipe(handle: Handle, buffer: Ptr<u8>, size: u32, read: Ptr<u32>, available: Ptr<u32>, left: Ptr<u32>) -> Bool {
        success(peek(handle, buffer, size, read, available, left))
    }

    /// Sets the read mode of a pipe: byte or message, blocking.
    "kernel32.dll|kernelbase.dll" stdcall fn SetNamedPipeHandleState(handle: Handle, mode: Ptr<u32>, _count: Ptr<u32>, _timeout: Ptr<u32>) -> Bool {
        let mode = mode.non_null().map(Ptr::read);
        success(lookup::<File>(handle, 0).map(|file| {
            if let Some(mode) = mode {
                file.pipe_state.store(mode & STATE, Ordering::Relaxed);
            }
        }))
    }

    /// Tells the modes of a pipe, and at the server's end its instances and the user of the client.
    "kernel32.dll|kernelbase.dll" stdcall fn GetNamedPipeHandleStateW(handle: Handle, state: Ptr<u32>, instances: Ptr<u32>, count: Ptr<u32>, timeout: Ptr<u32>, user: Ptr<u16>, user_size: u32) -> Bool {
        state_of(handle, state, instances, [count, timeout], user, user_size, |name| name.encode_utf16().collect())
    }

    /// Tells the modes of a pipe, and at the server's end its instances and the user of the client.
    "kernel32.dll|kernelbase.dll" stdcall fn GetNamedPipeHandleStateA(handle: Handle, state: Ptr<u32>, instances: Ptr<u32>, count: Ptr<u32>, timeout: Ptr<u32>, user: Ptr<u8>, user_size: u32) -> Bool {
        state_of(handle, state, instances, [count, timeout], user, user_size, |name| name.as_bytes().to_vec())
    }

    /// Returns the process at the client end.
    "kernel32.dll|kernelbase.dll" stdcall fn GetNamedPipeClientProcessId(handle: Handle, id: Ptr<u32>) -> Bool {
        peer(handle, id)
    }

    /// Returns the process at the server end.
    "kernel32.dll|kernelbase.dll" stdcall fn GetNamedPipeServerProcessId(handle: Handle, id: Ptr<u32>) -> Bool {
        peer(handle, id)
    }

    /// Waits until an instance of a named pipe listens.
    "kernel32.dll|kernelbase.dll" stdcall fn WaitNamedPipeW(name: Ptr<u16>, _timeout: u32) -> Bool {
        success(pipe::wait(&name.read_wide_string()))
    }

    /// Waits until an instance of a named pipe listens.
    "kernel32.dll|kernelbase.dll" stdcall fn WaitNamedPipeA(name: Ptr<u8>, _timeout: u32) -> Bool {
        success(pipe::wait(&wide_arg(name).unwrap_or_default()))
    }
}
