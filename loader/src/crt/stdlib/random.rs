//! Random numbers.

use crate::crt::errno::{self, code};
use crate::export::Ptr;
use crate::win_api;

/// Advances the generator of `rand` and returns the next number.
///
/// Source: the constants of the linear congruential generator are common knowledge (Wikipedia, "Linear congruential
/// generator", Microsoft Visual/Quick C/C++); after `srand(1)` it gives 41, 18467, 6334.
pub fn next(seed: &mut u32) -> i32 {
    *seed = seed.wrapping_mul(214_013).wrapping_add(2_531_011);
    (*seed >> 16 & 0x7FFF).cast_signed()
}

win_api! {
    /// Seeds `rand` in the calling thread.
    "msvcrt.dll|ucrtbase.dll" cdecl fn srand(seed: u32) {
        errno::thread_field::<u32>("rand_seed").write(seed);
    }

    /// Returns the next number from 0 to 32767.
    "msvcrt.dll|ucrtbase.dll" cdecl fn rand() -> i32 {
        let field = errno::thread_field::<u32>("rand_seed");
        let mut seed = field.read();
        let number = next(&mut seed);
        field.write(seed);
        number
    }

    /// Stores a number from the system's random generator.
    "msvcrt.dll|ucrtbase.dll" cdecl fn rand_s(value: Ptr<u32>) -> i32 {
        if value.is_null() {
            return errno::invalid_parameter();
        }
        let mut bytes = [0; 4];
        match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) {
            Ok(4) => {
                value.write(u32::from_le_bytes(bytes));
                0
            }
            _ => errno::fail(code::ENOMEM),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_microsofts() {
        let mut seed = 1;
        assert_eq!(
            [next(&mut seed), next(&mut seed), next(&mut seed)],
            [41, 18467, 6334]
        );
    }
}
