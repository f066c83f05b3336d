//! The engine against outputs that the documentation of the runtimes or well-known programs show.

use super::*;

/// One argument of a test call.
enum Arg {
    I(u32),
    L(u64),
    P(u64),
    D(f64),
    S(&'static str),
    W(&'static str),
}

/// Arguments; strings are addressed by their index plus 1000.
struct Args {
    list: Vec<Arg>,
    at: usize,
}

impl Operands for Args {
    fn next_u32(&mut self) -> u32 {
        self.at += 1;
        match self.list[self.at - 1] {
            Arg::I(value) => value,
            _ => panic!("argument {} is no int", self.at),
        }
    }

    fn next_u64(&mut self) -> u64 {
        self.at += 1;
        match self.list[self.at - 1] {
            Arg::L(value) => value,
            _ => panic!("argument {} is no int64", self.at),
        }
    }

    fn next_pointer(&mut self) -> u64 {
        self.at += 1;
        match self.list[self.at - 1] {
            Arg::P(value) => value,
            _ => 1000 + self.at as u64 - 1,
        }
    }

    fn next_f64(&mut self) -> f64 {
        self.at += 1;
        match self.list[self.at - 1] {
            Arg::D(value) => value,
            _ => panic!("argument {} is no double", self.at),
        }
    }

    fn narrow(&mut self, address: u64, limit: usize) -> Vec<u8> {
        match self
            .list
            .get(usize::try_from(address - 1000).expect("small"))
        {
            Some(Arg::S(text)) => text.bytes().take(limit).collect(),
            _ => panic!("no string at {address}"),
        }
    }

    fn wide(&mut self, address: u64, limit: usize) -> Vec<u16> {
        match self
            .list
            .get(usize::try_from(address - 1000).expect("small"))
        {
            Some(Arg::W(text)) => text.encode_utf16().take(limit).collect(),
            _ => panic!("no string at {address}"),
        }
    }

    fn counted(&mut self, _: u64) -> (u16, u64) {
        panic!("no counted string")
    }
}

fn run(dialect: Dialect, format: &str, list: Vec<Arg>) -> Result<String, FormatError> {
    let mut args = Args { list, at: 0 };
    print(dialect, format.as_bytes(), &mut args).map(|out| String::from_utf8(out).expect("UTF-8"))
}

fn old(format: &str, list: Vec<Arg>) -> String {
    run(Dialect::msvcrt(CodePage::C, 8), format, list).expect("printable")
}

fn new(format: &str, list: Vec<Arg>) -> String {
    run(
        Dialect::ucrt(LEGACY_WIDE_SPECIFIERS, CodePage::C, 8),
        format,
        list,
    )
    .expect("printable")
}

#[test]
fn integers_take_flags_width_and_precision() {
    assert_eq!(
        old("[%5d|%-5d|%05d|%+d|% d|%.3d]", [1; 6].map(Arg::I).into()),
        "[    1|1    |00001|+1| 1|001]"
    );
    assert_eq!(
        old("%d %u %x", [0xFFFF_FFFF; 3].map(Arg::I).into()),
        "-1 4294967295 ffffffff"
    );
    assert_eq!(
        old(
            "%#x %#X %#o %#x",
            vec![Arg::I(255), Arg::I(255), Arg::I(8), Arg::I(0)]
        ),
        "0xff 0XFF 010 0"
    );
    assert_eq!(
        old("%08.3d|%.0d|%#06x", vec![Arg::I(5), Arg::I(0), Arg::I(10)]),
        "     005||0x000a"
    );
    assert_eq!(
        old(
            "%*d|%-*d|%*d",
            [5, 1, 3, 2, (-4_i32).cast_unsigned(), 7].map(Arg::I).into()
        ),
        "    1|2  |7   "
    );
}

#[test]
fn conversions_name_their_arguments() {
    let dialect = Dialect::msvcrt(CodePage::C, 8).with_positions();
    let shown = |format, list| run(dialect, format, list);
    assert_eq!(
        shown(
            "%2$s %1$d%% %1$04d %3$g",
            vec![Arg::I(7), Arg::S("x"), Arg::D(1.5)]
        ),
        Ok("x 7% 0007 1.5".into())
    );
    assert_eq!(
        shown(
            "%3$*1$.*2$f|%4$I64d",
            vec![Arg::I(8), Arg::I(2), Arg::D(3.25), Arg::L(5)]
        ),
        Ok("    3.25|5".into())
    );
    assert_eq!(shown("%d %%", vec![Arg::I(1)]), Ok("1 %".into()));
    // A gap, two types for one argument, a conversion without a position.
    assert_eq!(shown("%2$d", vec![]), Err(FormatError::Invalid));
    assert_eq!(shown("%1$d %1$g", vec![]), Err(FormatError::Invalid));
    assert_eq!(shown("%1$d %d", vec![]), Err(FormatError::Invalid));
    assert_eq!(shown("%1$d %2$", vec![]), Err(FormatError::Invalid));
}

#[test]
fn size_prefixes_follow_microsoft() {
    assert_eq!(
        old(
            "%I64d %I32d %Iu %lld",
            vec![Arg::L(u64::MAX), Arg::I(7), Arg::L(9), Arg::L(1 << 40)]
        ),
        "-1 7 9 1099511627776"
    );
    assert_eq!(
        old("%hd %ld", vec![Arg::I(0x1_8000), Arg::I(0xFFFF_FFFF)]),
        "-32768 -1"
    );
    assert_eq!(old("%zu", vec![]), "zu");
    assert_eq!(
        new(
            "%zu %hhu %jd %td",
            vec![Arg::L(5), Arg::I(300), Arg::L(6), Arg::L(7)]
        ),
        "5 44 6 7"
    );
}

#[test]
fn pointers_are_upper_case_and_full_width() {
    assert_eq!(old("%p", vec![Arg::P(0xDEAD)]), "000000000000DEAD");
    assert_eq!(
        run(
            Dialect::msvcrt(CodePage::C, 4),
            "%p|%10p",
            vec![Arg::P(0xBEEF), Arg::P(1)]
        ),
        Ok("0000BEEF|  00000001".into())
    );
}

#[test]
fn exponents_have_three_digits_in_msvcrt_and_two_in_ucrt() {
    assert_eq!(
        old("%e %g", vec![Arg::D(1.5), Arg::D(1e-7)]),
        "1.500000e+000 1e-007"
    );
    assert_eq!(
        new("%e %g %E", vec![Arg::D(1.5), Arg::D(1e-7), Arg::D(1e100)]),
        "1.500000e+00 1e-07 1.000000E+100"
    );
}

#[test]
fn general_form_strips_zeros_unless_alternate() {
    assert_eq!(
        new(
            "%g %g %g %g",
            [100000.0, 1e6, 0.0001, 0.00001].map(Arg::D).into()
        ),
        "100000 1e+06 0.0001 1e-05"
    );
    assert_eq!(
        new("%#g %g %.3g %g", [1.0, 0.0, 1234.5, 0.5].map(Arg::D).into()),
        "1.00000 0 1.23e+03 0.5"
    );
    assert_eq!(new("%.10g", vec![Arg::D(0.1)]), "0.1");
}

#[test]
fn infinities_and_nans_differ() {
    let indefinite = -f64::from_bits(0x7FF8_0000_0000_0000);
    assert_eq!(
        old("%f %.2f %g %e", [f64::INFINITY; 4].map(Arg::D).into()),
        "1.#INF00 1.#J 1.#INF 1.#INF00e+000"
    );
    assert_eq!(
        old("%f %f", vec![Arg::D(f64::NEG_INFINITY), Arg::D(indefinite)]),
        "-1.#INF00 -1.#IND00"
    );
    assert_eq!(
        new("%f %F %5.1f", [f64::INFINITY; 3].map(Arg::D).into()),
        "inf INF   inf"
    );
    assert_eq!(
        new("%f %f", vec![Arg::D(f64::NAN), Arg::D(indefinite)]),
        "nan -nan(ind)"
    );
    assert_eq!(new("%06f", vec![Arg::D(f64::INFINITY)]), "   inf");
}

#[test]
fn hexadecimal_floats_have_the_runtime_precision() {
    assert_eq!(old("%a", vec![Arg::D(1.5)]), "0x1.800000p+0");
    assert_eq!(
        new("%a %.0a %A", vec![Arg::D(1.5), Arg::D(1.0), Arg::D(-10.0)]),
        "0x1.8000000000000p+0 0x1p+0 -0X1.4000000000000P+3"
    );
}

#[test]
fn strings_are_cut_padded_and_null_safe() {
    assert_eq!(
        old(
            "[%s|%5s|%-5s|%.2s|%s]",
            vec![
                Arg::S("abc"),
                Arg::S("ab"),
                Arg::S("ab"),
                Arg::S("abc"),
                Arg::P(0)
            ]
        ),
        "[abc|   ab|ab   |ab|(null)]"
    );
    assert_eq!(
        old(
            "%S %ls %ws %hs",
            vec![Arg::W("a"), Arg::W("b"), Arg::W("c"), Arg::S("d")]
        ),
        "a b c d"
    );
    assert_eq!(
        old("%c%C%lc%%", vec![Arg::I(65), Arg::I(66), Arg::I(67)]),
        "ABC%"
    );
}

#[test]
fn wide_formats_follow_the_option_bit() {
    let wide: Vec<u16> = "%s %S".encode_utf16().collect();
    let mut legacy = Args {
        list: vec![Arg::W("w"), Arg::S("n")],
        at: 0,
    };
    let mut iso = Args {
        list: vec![Arg::S("n"), Arg::W("w")],
        at: 0,
    };
    let legacy = print(
        Dialect::ucrt(LEGACY_WIDE_SPECIFIERS, CodePage::C, 8),
        &wide,
        &mut legacy,
    );
    let iso = print(Dialect::ucrt(0, CodePage::C, 8), &wide, &mut iso);
    assert_eq!(legacy, Ok("w n".encode_utf16().collect()));
    assert_eq!(iso, Ok("n w".encode_utf16().collect()));
}

#[test]
fn unrepresentable_text_and_count_stores_are_refused() {
    let c = Dialect::msvcrt(CodePage::C, 8);
    let utf8 = Dialect::msvcrt(CodePage::Utf8, 8);
    assert_eq!(run(c, "%ls", vec![Arg::W("€")]), Err(FormatError::Encoding));
    assert_eq!(run(utf8, "%ls", vec![Arg::W("€")]), Ok("€".into()));
    assert_eq!(run(c, "%n", vec![Arg::P(16)]), Err(FormatError::Invalid));
    assert_eq!(run(c, "%", vec![]), Err(FormatError::Invalid));
    assert_eq!(
        run(c, "%99999999999d", vec![Arg::I(1)]),
        Err(FormatError::Invalid)
    );
}
