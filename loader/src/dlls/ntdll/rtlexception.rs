//! Contexts, unwinding and raising: the exception part of `winnt.h` and ntdll.

use ntlpc_abi::{NtStatus, Width};

use crate::context::{Context, Record, flag};
use crate::exception::unwind::{self, Origins};
use crate::exception::{self, DispatcherContext, chain32, dynamic};
use crate::export::{Callback, Caller, Ptr};
use crate::module;
use crate::{width, win_api};

/// The image bases and entries that `RtlLookupFunctionEntry` hands out for code of ours that called the guest.
fn lookup(pc: u64, base: Ptr<usize>) -> Ptr<u8> {
    match unwind::lookup(pc) {
        Some(entry) => {
            base.write(entry.base as usize);
            Ptr::new(entry.address)
        }
        None => {
            let image = module::image_containing(pc).map_or(0, |(view, _)| view.base);
            base.write_if_some(image as usize);
            Ptr::NULL
        }
    }
}

/// Stores `KNONVOLATILE_CONTEXT_POINTERS`: 16 addresses of xmm registers, then 16 of integer registers.
fn store_origins(at: Ptr<u64>, origins: &Origins) {
    for (i, &origin) in origins.float.iter().chain(&origins.integer).enumerate() {
        if origin != 0 {
            at.add(i).write(origin);
        }
    }
}

win_api! {
    /// Stores the caller's registers.
    "ntdll.dll|kernel32.dll|kernelbase.dll|vcruntime140.dll" stdcall fn RtlCaptureContext(context: Ptr<u8>, caller: Caller) {
        Context::after_call(&caller.0.get()).store(context.address());
    }

    /// Continues at a context.
    "ntdll.dll|kernel32.dll|kernelbase.dll" stdcall fn RtlRestoreContext(context: Ptr<u8>, record: Ptr<u8>, caller: Caller) {
        let target = Context::load(context.address());
        match record.non_null().map(|at| Record::load(at.address())) {
            Some(record) => exception::continue_unwound(&target, &record, &Context::after_call(&caller.0.get())),
            None => target.resume(),
        }
    }

    /// Continues at a context.
    "ntdll.dll" stdcall fn NtContinue = "NtContinue|ZwContinue" (context: Ptr<u8>, is_alertable: crate::export::Boolean) -> NtStatus {
        Context::load(context.address()).resume()
    }

    /// Finds the function table entry of an address.
    "ntdll.dll|kernel32.dll|kernelbase.dll" stdcall fn RtlLookupFunctionEntry(pc: usize, base: Ptr<usize>, history: Ptr<u8>) -> Ptr<u8> {
        lookup(pc as u64, base)
    }

    /// Unwinds one frame and returns its language handler.
    "ntdll.dll|kernel32.dll|kernelbase.dll" stdcall fn RtlVirtualUnwind(kind: u32, base: usize, pc: usize, entry: Ptr<u8>, context: Ptr<u8>, data: Ptr<usize>, frame: Ptr<usize>, pointers: Ptr<u64>) -> Callback {
        let mut walk = Context::load(context.address());
        let mut origins = Origins::default();
        // Code of ours that called the guest: continue in the guest frame around it.
        if let Some(crossing) = unwind::cross(&walk) {
            let beyond = crossing.map_or_else(Context::new, |crossing| crossing.context);
            frame.write(walk.rsp() as usize);
            beyond.store(context.address());
            return Callback(0);
        }
        let result = if entry.is_null() {
            unwind::unwind_leaf(&mut walk).map(|()| unwind::Frame { establisher: walk.rsp() - 8, ..unwind::Frame::default() })
        } else {
            unwind::read_entry(base as u64, entry.address())
                .and_then(|entry| unwind::virtual_unwind(kind as u8, pc as u64, &entry, &mut walk, &mut origins))
        };
        let found = match result {
            Ok(found) => found,
            Err(status) => exception::raise_from_call(status, &[]),
        };
        walk.store(context.address());
        data.write(found.data as usize);
        frame.write(found.establisher as usize);
        if !pointers.is_null() {
            store_origins(pointers, &origins);
        }
        Callback(found.handler)
    }

    /// Unwinds to a frame, running the handlers between.
    "ntdll.dll|kernel32.dll|kernelbase.dll" stdcall fn RtlUnwindEx(frame: usize, target: usize, record: Ptr<u8>, value: usize, context: Ptr<u8>, history: Ptr<u8>, caller: Caller) {
        let start = Context::after_call(&caller.0.get());
        let record = record
            .non_null()
            .map_or_else(|| Record::new(NtStatus::UNWIND.0, 0, start.rip, &[]), |at| Record::load(at.address()));
        exception::unwind(&start, frame as u64, target as u64, record, value as u64)
    }

    /// Unwinds to a frame, running the handlers between.
    "ntdll.dll|kernel32.dll|kernelbase.dll" stdcall fn RtlUnwind(frame: usize, target: usize, record: Ptr<u8>, value: usize, caller: Caller) -> usize {
        let start = Context::after_call(&caller.0.get());
        let record = record
            .non_null()
            .map_or_else(|| Record::new(NtStatus::UNWIND.0, 0, start.rip, &[]), |at| Record::load(at.address()));
        match width() {
            Width::X64 => exception::unwind(&start, frame as u64, target as u64, record, value as u64),
            Width::X86 => {
                chain32::unwind(&start, frame as u64, record);
                value
            }
        }
    }

    /// Raises the exception of a record at the caller.
    "ntdll.dll|kernel32.dll" stdcall fn RtlRaiseException(record: Ptr<u8>, caller: Caller) {
        let context = Context::after_call(&caller.0.get());
        let mut raised = Record::load(record.address());
        raised.address = context.rip;
        exception::raise(raised, context)
    }

    /// Raises a noncontinuable exception of a status at the caller.
    "ntdll.dll" stdcall fn RtlRaiseStatus(status: NtStatus, caller: Caller) {
        let context = Context::after_call(&caller.0.get());
        exception::raise(Record::new(status.0, flag::NONCONTINUABLE, context.rip, &[]), context)
    }

    /// Raises the exception of a record at a context.
    "ntdll.dll" stdcall fn NtRaiseException = "NtRaiseException|ZwRaiseException" (record: Ptr<u8>, context: Ptr<u8>, is_first_chance: crate::export::Boolean) -> NtStatus {
        let (record, context) = (Record::load(record.address()), Context::load(context.address()));
        if is_first_chance.get() {
            exception::raise(record, context)
        }
        exception::end_unhandled(&record, &context)
    }

    /// Handles exceptions of frames with `__try` blocks.
    "ntdll.dll|kernel32.dll|msvcrt.dll|ucrtbase.dll|vcruntime140.dll" cdecl fn __C_specific_handler(record: Ptr<u8>, frame: usize, context: Ptr<u8>, dispatcher: Ptr<DispatcherContext>, caller: Caller) -> i32 {
        exception::c_specific_handler(record.address(), frame as u64, context.address(), dispatcher, caller.0)
    }

    /// Registers function tables for generated code.
    "ntdll.dll|kernel32.dll|kernelbase.dll" cdecl fn RtlAddFunctionTable(table: Ptr<u8>, count: u32, base: usize) -> crate::export::Boolean {
        dynamic::add(table.address(), count, base as u64);
        true.into()
    }

    /// Forgets function tables.
    "ntdll.dll|kernel32.dll|kernelbase.dll" cdecl fn RtlDeleteFunctionTable(table: Ptr<u8>) -> crate::export::Boolean {
        dynamic::remove(table.address()).into()
    }

    /// Registers a function table that gets more entries.
    "ntdll.dll" stdcall fn RtlAddGrowableFunctionTable(to: Ptr<usize>, table: Ptr<u8>, count: u32, _most: u32, base: usize, _end: usize) -> Result<(), NtStatus> {
        to.try_write(dynamic::add_growable(table.address(), count, base as u64) as usize)
    }

    /// Says how many entries a growable function table has now.
    "ntdll.dll" stdcall fn RtlGrowFunctionTable(table: usize, count: u32) {
        dynamic::grow(table as u64, count);
    }

    /// Forgets a growable function table.
    "ntdll.dll" stdcall fn RtlDeleteGrowableFunctionTable(table: usize) {
        dynamic::remove_growable(table as u64);
    }

    /// Returns the base of the image that contains an address.
    "ntdll.dll|kernel32.dll|kernelbase.dll" stdcall fn RtlPcToFileHeader(pc: usize, base: Ptr<Ptr<u8>>) -> Ptr<u8> {
        let found = Ptr::new(module::image_containing(pc as u64).map_or(0, |(view, _)| view.base));
        base.write(found);
        found
    }

    /// Stores return addresses of the caller's frames and returns how many.
    "ntdll.dll|kernel32.dll|kernelbase.dll" stdcall fn RtlCaptureStackBackTrace = "RtlCaptureStackBackTrace|CaptureStackBackTrace" (skip: u32, count: u32, frames: Ptr<usize>, hash: Ptr<u32>, caller: Caller) -> u16 {
        let trace = exception::stack_trace(&Context::after_call(&caller.0.get()));
        let wanted: Vec<u64> = trace.into_iter().skip(skip as usize).take(count as usize).collect();
        hash.write_if_some(wanted.iter().fold(0, |sum, &pc| sum.wrapping_add(pc as u32)));
        for (i, &pc) in wanted.iter().enumerate() {
            frames.add(i).write(pc as usize);
        }
        wanted.len() as u16
    }
}
