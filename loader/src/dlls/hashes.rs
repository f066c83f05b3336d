//! Hashes behind `bcrypt.h` and `wincrypt.h`: MD5, SHA-1, SHA-2, and HMAC (RFC 2104) over each.

use std::collections::BTreeMap;

use md5::Md5;
use parking_lot::Mutex;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs, reason = "named after the functions")]
pub enum Function {
    Md5 = 1,
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Function {
    /// All of them.
    pub const ALL: [Function; 5] = [
        Function::Md5,
        Function::Sha1,
        Function::Sha256,
        Function::Sha384,
        Function::Sha512,
    ];

    /// Bytes of a digest.
    #[must_use]
    pub const fn length(self) -> usize {
        match self {
            Function::Md5 => 16,
            Function::Sha1 => 20,
            Function::Sha256 => 32,
            Function::Sha384 => 48,
            Function::Sha512 => 64,
        }
    }

    /// Bytes it works on at a time.
    #[must_use]
    pub const fn block(self) -> usize {
        match self {
            Function::Md5 | Function::Sha1 | Function::Sha256 => 64,
            Function::Sha384 | Function::Sha512 => 128,
        }
    }
}

#[derive(Clone, Debug)]
enum State {
    Md5(Md5),
    Sha1(Sha1),
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
}

macro_rules! each {
    ($state:expr, $hash:ident => $act:expr) => {
        match $state {
            State::Md5($hash) => $act,
            State::Sha1($hash) => $act,
            State::Sha256($hash) => $act,
            State::Sha384($hash) => $act,
            State::Sha512($hash) => $act,
        }
    };
}

impl State {
    fn new(function: Function) -> Self {
        match function {
            Function::Md5 => State::Md5(Md5::new()),
            Function::Sha1 => State::Sha1(Sha1::new()),
            Function::Sha256 => State::Sha256(Sha256::new()),
            Function::Sha384 => State::Sha384(Sha384::new()),
            Function::Sha512 => State::Sha512(Sha512::new()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        each!(self, hash => hash.update(bytes));
    }

    fn finish(self) -> Vec<u8> {
        each!(self, hash => hash.finalize().to_vec())
    }
}

/// A hash that is being made.
#[derive(Clone, Debug)]
pub struct Hash {
    /// Its function.
    pub function: Function,
    state: State,
    /// The key of an HMAC, a block long.
    key: Option<Vec<u8>>,
    /// Whether it starts again after its end.
    pub is_reusable: bool,
    /// The digest, once it was taken.
    pub digest: Option<Vec<u8>>,
}

impl Hash {
    /// Starts a hash, or an HMAC with a key.
    #[must_use]
    pub fn new(function: Function, key: Option<&[u8]>) -> Self {
        let key = key.map(|key| {
            let mut padded = if key.len() > function.block() {
                let mut state = State::new(function);
                state.update(key);
                state.finish()
            } else {
                key.to_vec()
            };
            padded.resize(function.block(), 0);
            padded
        });
        let mut hash = Hash {
            function,
            state: State::new(function),
            key,
            is_reusable: false,
            digest: None,
        };
        hash.restart();
        hash
    }

    /// Starts again.
    pub fn restart(&mut self) {
        self.state = State::new(self.function);
        self.digest = None;
        if let Some(key) = &self.key {
            let inner: Vec<u8> = key.iter().map(|byte| byte ^ 0x36).collect();
            self.state.update(&inner);
        }
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.state.update(bytes);
    }

    /// Returns the digest of what came so far.
    #[must_use]
    pub fn finish(&self) -> Vec<u8> {
        let digest = self.state.clone().finish();
        let Some(key) = &self.key else { return digest };
        let outer: Vec<u8> = key.iter().map(|byte| byte ^ 0x5C).collect();
        let mut state = State::new(self.function);
        state.update(&outer);
        state.update(&digest);
        state.finish()
    }
}

/// Hashes of this process by number. Numbers are multiples of 8 from `FIRST`, and not used again soon.
static HASHES: Mutex<(u32, BTreeMap<u32, Hash>)> = Mutex::new((FIRST, BTreeMap::new()));
const FIRST: u32 = 0x4000_0000;

/// Keeps a hash; returns its number.
pub fn keep(hash: Hash) -> u32 {
    let mut hashes = HASHES.lock();
    let number = hashes.0;
    hashes.0 = number.wrapping_add(8).max(FIRST);
    hashes.1.insert(number, hash);
    number
}

/// Works on a hash; `None` for a number of none.
pub fn with<T>(number: u64, act: impl FnOnce(&mut Hash) -> T) -> Option<T> {
    let number = u32::try_from(number).ok()?;
    HASHES.lock().1.get_mut(&number).map(act)
}

/// Forgets a hash; returns whether it was there.
pub fn forget(number: u64) -> bool {
    u32::try_from(number).is_ok_and(|number| HASHES.lock().1.remove(&number).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn digests_are_those_of_the_standards() {
        // RFC 1321, FIPS 180-4 examples; RFC 2202 and RFC 4231 test case 2 and 6 (a key longer than a block).
        let of = |function, text: &[u8]| {
            let mut hash = Hash::new(function, None);
            hash.update(text);
            hex(&hash.finish())
        };
        assert_eq!(
            of(Function::Md5, b"abc"),
            "900150983cd24fb0d6963f7d28e17f72"
        );
        assert_eq!(
            of(Function::Sha1, b"abc"),
            "a9993e364706816aba3e25717850c26c9cd0d89d"
        );
        assert_eq!(
            of(Function::Sha256, b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        let mac = |function, key: &[u8], text: &[u8]| {
            let mut hash = Hash::new(function, Some(key));
            hash.update(text);
            hex(&hash.finish())
        };
        assert_eq!(
            mac(Function::Md5, b"Jefe", b"what do ya want for nothing?"),
            "750c783e6ab0b503eaa86e310a5db738"
        );
        assert_eq!(
            mac(
                Function::Sha256,
                &[0xAA; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First"
            ),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }
}
