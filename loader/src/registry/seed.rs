//! What the registry of every prefix holds before a program writes to it: what console programs read.
//!
//! Names and types: Microsoft Learn, "Predefined keys", "Registry redirector"; `MachineGuid`, `ProductName`,
//! `TimeZoneKeyName`, `ProcessorNameString` and the like as their documented readers name them.

use ntlpc_proto::fnv1a;

use super::change::{Change, Record, apply};
use super::kind;
use super::tree::{Node, Value, split};
use crate::linux::{processor_field, processor_mhz};
use crate::ob::path::WINDOWS;
use crate::ob::sid::Sid;
use crate::peb;

/// Makes the tree.
#[must_use]
pub fn tree() -> Node {
    let mut seed = Seed(Node::new(&[], &[], false, 0));
    seed.key("Machine", false);
    seed.key("User", false);
    seed.windows_version();
    seed.environment();
    seed.machine();
    seed.processors();
    seed.users();
    seed.0
}

/// Returns the part of a path below `\Registry` that is the calling user's.
#[must_use]
pub fn user_key() -> String {
    let user = Sid::of_user(rustix::process::geteuid().as_raw());
    format!("User\\{user}")
}

struct Seed(Node);

impl Seed {
    fn put(&mut self, path: &str, change: Change) {
        let path = split(&path.encode_utf16().collect::<Vec<_>>());
        let record = Record {
            path,
            time_100ns: 0,
            change,
        };
        apply(&mut self.0, &record);
    }

    /// Makes a key with the keys above it.
    fn key(&mut self, path: &str, is_volatile: bool) {
        let ends = path.match_indices('\\').map(|(at, _)| at);
        for end in ends.chain([path.len()]) {
            let class = Vec::new();
            self.put(&path[..end], Change::CreateKey { class, is_volatile });
        }
    }

    fn text(&mut self, path: &str, name: &str, text: &str) {
        self.value(path, name, kind::SZ, text_bytes(text));
    }

    fn number(&mut self, path: &str, name: &str, number: u32) {
        self.value(path, name, kind::DWORD, number.to_le_bytes().to_vec());
    }

    fn value(&mut self, path: &str, name: &str, kind: u32, data: Vec<u8>) {
        let name = name.encode_utf16().collect();
        self.put(path, Change::SetValue(Value { name, kind, data }));
    }

    fn windows_version(&mut self) {
        let key = "Machine\\Software\\Microsoft\\Windows NT\\CurrentVersion";
        let (major, minor, build) = peb::VERSION;
        self.key(key, false);
        self.text(key, "ProductName", "Windows 10 Pro");
        self.text(key, "EditionID", "Professional");
        self.text(key, "InstallationType", "Client");
        self.text(key, "DisplayVersion", "22H2");
        self.text(key, "ReleaseId", "2009");
        self.text(key, "CurrentVersion", "6.3");
        self.text(key, "CurrentBuild", &build.to_string());
        self.text(key, "CurrentBuildNumber", &build.to_string());
        self.number(key, "CurrentMajorVersionNumber", major);
        self.number(key, "CurrentMinorVersionNumber", minor);
        self.number(key, "UBR", 0);
        self.text(key, "SystemRoot", WINDOWS);
        let key = "Machine\\Software\\Microsoft\\Windows\\CurrentVersion";
        self.key(key, false);
        self.text(key, "ProgramFilesDir", "C:\\Program Files");
        self.text(key, "CommonFilesDir", "C:\\Program Files\\Common Files");
        self.text(key, "DevicePath", &format!("{WINDOWS}\\inf"));
    }

    fn environment(&mut self) {
        let key = "Machine\\System\\CurrentControlSet\\Control\\Session Manager\\Environment";
        self.key(key, false);
        self.text(key, "OS", "Windows_NT");
        self.text(key, "PATHEXT", ".COM;.EXE;.BAT;.CMD");
        self.text(key, "PROCESSOR_ARCHITECTURE", "AMD64");
        let processors = processor_count().to_string();
        self.text(key, "NUMBER_OF_PROCESSORS", &processors);
        let path = format!("{WINDOWS}\\system32;{WINDOWS}");
        self.value(key, "Path", kind::EXPAND_SZ, text_bytes(&path));
        let shell = format!("{WINDOWS}\\system32\\cmd.exe");
        self.value(key, "ComSpec", kind::EXPAND_SZ, text_bytes(&shell));
        self.value(key, "windir", kind::EXPAND_SZ, text_bytes(WINDOWS));
    }

    fn machine(&mut self) {
        let key = "Machine\\Software\\Microsoft\\Cryptography";
        self.key(key, false);
        self.text(key, "MachineGuid", &machine_guid());
        let host = rustix::system::uname();
        let host = host.nodename().to_string_lossy().to_uppercase();
        let key = "Machine\\System\\CurrentControlSet\\Control\\ComputerName\\ComputerName";
        self.key(key, false);
        self.text(key, "ComputerName", &host);
        let key = "Machine\\System\\CurrentControlSet\\Control\\TimeZoneInformation";
        self.key(key, false);
        // Minutes to add to local time for UTC.
        let zone = jiff::tz::TimeZone::system();
        let seconds = zone.to_offset(jiff::Timestamp::now()).seconds();
        self.number(key, "ActiveTimeBias", (-seconds / 60).cast_unsigned());
        if zone.iana_name().is_none_or(|name| name.ends_with("UTC")) && seconds == 0 {
            self.text(key, "TimeZoneKeyName", "UTC");
            self.number(key, "Bias", 0);
        }
        self.key("Machine\\Software\\Classes", false);
        self.key("Machine\\System\\CurrentControlSet\\Services", false);
        self.key(
            "Machine\\System\\CurrentControlSet\\Hardware Profiles\\Current",
            false,
        );
        let key = "Machine\\System\\CurrentControlSet\\Control\\FileSystem";
        self.key(key, false);
        self.number(key, "LongPathsEnabled", 1);
    }

    /// `HARDWARE` is volatile, as on NT: it is made at every start.
    fn processors(&mut self) {
        let identifier = format!(
            "Intel64 Family {} Model {} Stepping {}",
            processor_field("cpu family"),
            processor_field("model"),
            processor_field("stepping")
        );
        let (name, vendor) = (processor_field("model name"), processor_field("vendor_id"));
        let mhz = processor_mhz();
        for number in 0..processor_count() {
            let key = format!("Machine\\Hardware\\Description\\System\\CentralProcessor\\{number}");
            self.key(&key, true);
            self.text(&key, "ProcessorNameString", &name);
            self.text(&key, "VendorIdentifier", &vendor);
            self.text(&key, "Identifier", &identifier);
            self.number(&key, "~MHz", mhz);
        }
    }

    fn users(&mut self) {
        let user = user_key();
        for user in ["User\\.Default", &user] {
            self.key(&format!("{user}\\Software"), false);
            self.key(&format!("{user}\\Environment"), false);
        }
        self.key(&format!("{user}\\Volatile Environment"), true);
    }
}

fn text_bytes(text: &str) -> Vec<u8> {
    text.encode_utf16()
        .chain([0])
        .flat_map(u16::to_le_bytes)
        .collect()
}

fn processor_count() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A stable id of the machine that does not give Linux's own away (man 5 machine-id asks for that).
fn machine_guid() -> String {
    let id = std::fs::read("/etc/machine-id").unwrap_or_default();
    let half = |salt: &[u8]| fnv1a(&[salt, &id].concat());
    let (high, low) = (half(b"MachineGuid high"), half(b"MachineGuid low"));
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xFFFF,
        high & 0xFFF,
        low >> 48 & 0x3FFF | 0x8000,
        low & 0xFFFF_FFFF_FFFF
    )
}
