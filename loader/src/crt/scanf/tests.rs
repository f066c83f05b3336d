//! The engine on strings.

use super::*;

struct Text<'a> {
    text: &'a [u8],
    at: usize,
}

impl Input<u8> for Text<'_> {
    fn next(&mut self) -> Option<u8> {
        let byte = self.text.get(self.at).copied();
        self.at += usize::from(byte.is_some());
        byte
    }

    fn unget(&mut self, _: u8) {
        self.at -= 1;
    }
}

/// Results in the order of their pointers; sizes are taken from `sizes`.
#[derive(Default)]
struct Results {
    next: u64,
    sizes: Vec<u32>,
    stored: Vec<(u64, Vec<u8>)>,
}

impl Targets for Results {
    fn next_pointer(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn next_size(&mut self) -> u32 {
        self.sizes.remove(0)
    }

    fn store(&mut self, address: u64, bytes: &[u8]) {
        self.stored.push((address, bytes.to_vec()));
    }
}

fn run(dialect: Dialect, format: &str, text: &str, sizes: &[u32]) -> (i32, Vec<Vec<u8>>, usize) {
    let mut input = Text {
        text: text.as_bytes(),
        at: 0,
    };
    let mut results = Results {
        sizes: sizes.to_vec(),
        ..Results::default()
    };
    let count = scan(dialect, format.as_bytes(), &mut input, &mut results);
    (
        count,
        results.stored.into_iter().map(|(_, bytes)| bytes).collect(),
        input.at,
    )
}

fn ucrt(format: &str, text: &str) -> (i32, Vec<Vec<u8>>) {
    let (count, stored, _) = run(
        Dialect::ucrt(LEGACY_WIDE_SPECIFIERS, CodePage::C, 8),
        format,
        text,
        &[],
    );
    (count, stored)
}

#[test]
fn integers_are_stored_by_their_size() {
    let (count, stored) = ucrt("%d %hd %lld %hhx %i", "-1 2 3 0xff 010");
    assert_eq!(count, 5);
    assert_eq!(
        stored,
        [
            vec![255; 4],
            vec![2, 0],
            vec![3, 0, 0, 0, 0, 0, 0, 0],
            vec![255],
            vec![8, 0, 0, 0]
        ]
    );
}

#[test]
fn floats_and_doubles_differ_by_prefix() {
    let (count, stored) = ucrt("%f%lf,%lf", "1.5 -2e3,inf");
    assert_eq!(count, 3);
    assert_eq!(
        stored,
        [
            1.5_f32.to_le_bytes().to_vec(),
            (-2000.0_f64).to_le_bytes().to_vec(),
            f64::INFINITY.to_le_bytes().to_vec()
        ]
    );
}

#[test]
fn text_sets_widths_and_suppression() {
    let (count, stored) = ucrt("%3s%*s %[^,],%c%2c", "abcdef x y,z12");
    assert_eq!(count, 4);
    assert_eq!(
        stored,
        [
            b"abc\0".to_vec(),
            b"x y\0".to_vec(),
            b"z".to_vec(),
            b"12".to_vec()
        ]
    );
    let (count, stored) = ucrt("%[a-c]%c%n", "abcaXY");
    assert_eq!(
        (count, stored),
        (2, vec![b"abca\0".to_vec(), b"X".to_vec(), vec![5, 0, 0, 0]])
    );
}

#[test]
fn end_of_input_and_mismatch_differ() {
    assert_eq!(ucrt("%d", "").0, EOF);
    assert_eq!(ucrt("%d", "  ").0, EOF);
    assert_eq!(ucrt("%d", "x").0, 0);
    assert_eq!(ucrt("%d %d", "1").0, 1);
    assert_eq!(ucrt("a%d", "b1").0, 0);
}

#[test]
fn the_first_character_that_does_not_match_stays_in_the_input() {
    let (count, _, at) = run(Dialect::ucrt(0, CodePage::C, 8), "%d", "12ab", &[]);
    assert_eq!((count, at), (1, 2));
}

#[test]
fn secure_functions_refuse_what_does_not_fit() {
    let secure = Dialect::msvcrt(true, CodePage::C, 8);
    assert_eq!(run(secure, "%s", "abc", &[4]).0, 1);
    let (count, stored, _) = run(secure, "%s", "abcd", &[4]);
    assert_eq!((count, stored), (0, vec![vec![0]]));
}

#[test]
fn wide_targets_are_converted() {
    assert_eq!(ucrt("%ls", "hi").1, [b"h\0i\0\0\0".to_vec()]);
}
