//! DLLs of which programs need a few functions: profile directories, COM memory.

use ntlpc_abi::{Handle, NtStatus, UserPtr};

use crate::dlls::win32::{error, refuse};
use crate::export::{Bool, Guest, Ptr};
use crate::linux::processor_mhz;
use crate::ob::path;
use crate::{guest_struct, win_api};

fn home() -> String {
    let home = std::env::var_os("HOME").unwrap_or_else(|| "/".into());
    path::to_windows(std::path::Path::new(&home))
}

fn heap_copy<T: Guest>(elements: &[T]) -> Option<Ptr<T>> {
    let copy = Ptr::new(crate::heap::process().allocate(elements.len() * T::size(), false)?);
    copy.write_many(elements);
    Some(copy)
}

guest_struct! {
    /// `PROCESSOR_POWER_INFORMATION`.
    pub struct ProcessorPower {
        number: u32,
        most_mhz: u32,
        current_mhz: u32,
        limit_mhz: u32,
        deepest_idle_state: u32,
        idle_state: u32,
    }
}

/// `ProcessorInformation` of `POWER_INFORMATION_LEVEL`.
const PROCESSOR_INFORMATION: u32 = 11;

/// Splits a command line as `CommandLineToArgvW` does (Microsoft Learn, "Parsing C command-line arguments": the program
/// name knows no escapes; elsewhere 2n backslashes and a quote are n backslashes, 2n+1 are n and a quote).
fn split(line: &[u16]) -> Vec<Vec<u16>> {
    let (quote, backslash) = (u16::from(b'"'), u16::from(b'\\'));
    let is_blank = |unit: u16| unit == u16::from(b' ') || unit == u16::from(b'\t');
    let mut at = 0;
    let mut arguments = Vec::new();
    let mut first = Vec::new();
    if line.first() == Some(&quote) {
        at = 1;
        while at < line.len() && line[at] != quote {
            first.push(line[at]);
            at += 1;
        }
        at += 1;
    } else {
        while at < line.len() && !is_blank(line[at]) {
            first.push(line[at]);
            at += 1;
        }
    }
    arguments.push(first);
    loop {
        while at < line.len() && is_blank(line[at]) {
            at += 1;
        }
        if at >= line.len() {
            return arguments;
        }
        let mut argument = Vec::new();
        let mut is_quoted = false;
        while at < line.len() && (is_quoted || !is_blank(line[at])) {
            let slashes = line[at..]
                .iter()
                .take_while(|&&unit| unit == backslash)
                .count();
            at += slashes;
            if line.get(at) == Some(&quote) {
                argument.extend(std::iter::repeat_n(backslash, slashes / 2));
                if slashes % 2 == 1 {
                    argument.push(quote);
                } else if is_quoted && line.get(at + 1) == Some(&quote) {
                    argument.push(quote);
                    at += 1;
                } else {
                    is_quoted = !is_quoted;
                }
                at += 1;
            } else {
                argument.extend(std::iter::repeat_n(backslash, slashes));
                if let Some(&unit) = line.get(at).filter(|&&unit| is_quoted || !is_blank(unit)) {
                    argument.push(unit);
                    at += 1;
                }
            }
        }
        arguments.push(argument);
    }
}

/// Folders by the first word of their `KNOWNFOLDERID`: Profile, LocalAppData, RoamingAppData, ProgramData.
fn known_folder(id: u32) -> Option<String> {
    Some(match id {
        0x5E6C_858F => home(),
        0xF1B3_2785 => home() + "\\AppData\\Local",
        0x3EB6_85DB => home() + "\\AppData\\Roaming",
        0x62AB_5D82 => "C:\\ProgramData".to_owned(),
        _ => return None,
    })
}

/// Folders by their `CSIDL`: roaming and local application data, the common one, Windows, System32, programs, the profile.
fn numbered_folder(number: u32) -> Option<String> {
    Some(match number {
        0x1A => home() + "\\AppData\\Roaming",
        0x1C => home() + "\\AppData\\Local",
        0x23 => "C:\\ProgramData".to_owned(),
        0x24 => path::WINDOWS.to_owned(),
        0x25 => path::SYSTEM32.to_owned(),
        0x26 => "C:\\Program Files".to_owned(),
        0x28 => home(),
        _ => return None,
    })
}

win_api! {
    /// Returns the profile directory of the user.
    "userenv.dll" stdcall fn GetUserProfileDirectoryW(_token: Handle, buffer: Ptr<u16>, size: Ptr<u32>) -> Bool {
        let units: Vec<u16> = home().encode_utf16().chain([0]).collect();
        let given = size.read() as usize;
        size.write(u32::try_from(units.len()).unwrap_or(0));
        if buffer.is_null() || given < units.len() {
            return refuse(error::INSUFFICIENT_BUFFER, Bool::FALSE);
        }
        buffer.write_many(&units);
        Bool::TRUE
    }

    /// Returns a known folder in memory for `CoTaskMemFree`.
    "shell32.dll" stdcall fn SHGetKnownFolderPath(id: Ptr<u32>, _flags: u32, _token: Handle, path: Ptr<Ptr<u16>>) -> u32 {
        // E_INVALIDARG for folders that are not there
        let Some(folder) = known_folder(id.read()) else { return 0x8007_0057 };
        match heap_copy(&folder.encode_utf16().chain([0]).collect::<Vec<u16>>()) {
            Some(copy) => {
                path.write(copy);
                0
            }
            None => 0x8007_000E,
        }
    }

    /// Writes the path of a folder (`CSIDL`) to a buffer of `MAX_PATH` units.
    "shell32.dll|shfolder.dll" stdcall fn SHGetFolderPathW(_owner: Handle, folder: u32, _token: Handle, _flags: u32, path: Ptr<u16>) -> u32 {
        // CSIDL_FLAG_CREATE and its like are above the number. E_INVALIDARG for folders that are not there.
        let Some(folder) = numbered_folder(folder & 0xFF) else { return 0x8007_0057 };
        path.write_many(&folder.encode_utf16().take(259).chain([0]).collect::<Vec<u16>>());
        0
    }

    /// Splits a command line into arguments, in memory for `LocalFree`.
    "shell32.dll" stdcall fn CommandLineToArgvW(line: Ptr<u16>, count: Ptr<i32>) -> Ptr<UserPtr> {
        let arguments = split(&line.read_wide_string());
        let pointers = (arguments.len() + 1) * UserPtr::size();
        let bytes = pointers + arguments.iter().map(|a| (a.len() + 1) * 2).sum::<usize>();
        let Some(block) = crate::heap::process().allocate(bytes, true) else { return refuse(error::NOT_ENOUGH_MEMORY, Ptr::NULL) };
        let array = Ptr::<UserPtr>::new(block);
        let mut text = array.byte_add(pointers as u64).cast::<u16>();
        for (i, argument) in arguments.iter().enumerate() {
            array.add(i).write(text.user());
            text.write_many(argument);
            text = text.add(argument.len() + 1);
        }
        count.write(i32::try_from(arguments.len()).unwrap_or(i32::MAX));
        array
    }

    /// Allocates memory of COM.
    "combase.dll|ole32.dll" stdcall fn CoTaskMemAlloc(size: usize) -> Ptr<u8> {
        Ptr::new(crate::heap::process().allocate(size, false).unwrap_or(0))
    }

    /// Frees memory of COM.
    "combase.dll|ole32.dll" stdcall fn CoTaskMemFree(block: Ptr<u8>) {
        if !block.is_null() && crate::heap::process().free(block.address()).is_err() {
            log::warn!("CoTaskMemFree of what is no block");
        }
    }

    /// Tells the clocks of the processors; other information on power is not there.
    "powrprof.dll" stdcall fn CallNtPowerInformation(level: u32, _input: UserPtr, _input_length: u32, to: Ptr<ProcessorPower>, length: u32) -> NtStatus {
        if level != PROCESSOR_INFORMATION {
            log::warn!("CallNtPowerInformation: level {level} is not there");
            return NtStatus::NOT_IMPLEMENTED;
        }
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        if (length as usize) < count * ProcessorPower::size() {
            return NtStatus::BUFFER_TOO_SMALL;
        }
        let mhz = processor_mhz();
        for number in 0..count {
            to.add(number).write(ProcessorPower {
                number: u32::try_from(number).unwrap_or(0),
                most_mhz: mhz,
                current_mhz: mhz,
                limit_mhz: mhz,
                deepest_idle_state: 0,
                idle_state: 0,
            });
        }
        NtStatus::SUCCESS
    }

    /// Asks for a finer system timer; Linux timers are fine enough.
    "winmm.dll" stdcall fn timeBeginPeriod = "timeBeginPeriod|timeEndPeriod" (period_ms: u32) -> u32 {
        // TIMERR_NOCANDO
        if period_ms == 0 { 97 } else { 0 }
    }

    /// Describes the system timer (`TIMECAPS`): periods from one millisecond to a thousand seconds.
    "winmm.dll" stdcall fn timeGetDevCaps(to: Ptr<[u32; 2]>, size: u32) -> u32 {
        // TIMERR_NOCANDO
        if to.is_null() || size < 8 {
            return 97;
        }
        to.write([1, 1_000_000]);
        0
    }

    /// Returns milliseconds since boot.
    "winmm.dll" stdcall fn timeGetTime() -> u32 {
        crate::dlls::kernel32::synchapi::tick_count() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_split_as_documented() {
        let run = |line: &str| -> Vec<String> {
            split(&line.encode_utf16().collect::<Vec<_>>())
                .iter()
                .map(|a| String::from_utf16_lossy(a))
                .collect()
        };
        assert_eq!(
            run(r#""a b" "c d" e\\"f g" \\h \"i"#),
            ["a b", "c d", r"e\f g", r"\\h", "\"i"]
        );
        assert_eq!(run("x"), ["x"]);
        assert_eq!(run(r#"x "a""b" """#), ["x", "a\"b", ""]);
    }
}
