//! URLs and paths: `shlwapi.h`. Source: Microsoft Learn, "UrlIsW function", "PathCreateFromUrlW function".

use crate::dlls::win32::units_arg;
use crate::export::{Bool, Ptr};
use crate::win_api;

/// Questions of `UrlIs`: `URLIS_URL`, `URLIS_OPAQUE`, `URLIS_FILEURL`, `URLIS_DIRECTORY`, `URLIS_HASQUERY`.
const IS_URL: u32 = 0;
const IS_OPAQUE: u32 = 1;
const IS_FILE_URL: u32 = 3;
const IS_DIRECTORY: u32 = 5;
const HAS_QUERY: u32 = 6;

const INVALID_ARGUMENT: u32 = 0x8007_0057;
/// `E_POINTER`: the buffer is too small.
const TOO_SMALL: u32 = 0x8000_4003;

/// Returns scheme and rest of a URL; a drive letter is no scheme.
fn scheme_of(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once(':')?;
    let is_scheme = scheme.len() > 1
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    is_scheme.then_some((scheme, rest))
}

fn is_file(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("file")
}

/// Answers a question about a URL; questions about the browser's history and cache are answered no.
fn url_is(url: &str, question: u32) -> bool {
    let Some((scheme, rest)) = scheme_of(url) else {
        return false;
    };
    match question {
        IS_URL => true,
        IS_OPAQUE => !rest.starts_with('/') && !is_file(scheme),
        IS_FILE_URL => is_file(scheme),
        IS_DIRECTORY => rest
            .split(['?', '#'])
            .next()
            .is_some_and(|path| path.ends_with('/')),
        HAS_QUERY => rest.contains('?'),
        _ => false,
    }
}

/// Decodes `%XX`; what is not two hexadecimal digits stays.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match escape.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Returns the path of a file URL: `file:///C:/a` is `C:\a`, `file://server/share` is `\\server\share`.
fn path_of(url: &str) -> Option<String> {
    let (_, rest) = scheme_of(url).filter(|(scheme, _)| is_file(scheme))?;
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let path = match rest.strip_prefix("//") {
        Some(rest) => match rest
            .strip_prefix('/')
            .or_else(|| rest.strip_prefix("localhost/"))
        {
            Some(path) if path.as_bytes().get(1).is_some_and(|c| b":|".contains(c)) => {
                path.replacen('|', ":", 1)
            }
            Some(path) => format!("/{path}"),
            None => format!("//{rest}"),
        },
        None => rest.to_owned(),
    };
    Some(decoded(&path).replace('/', "\\"))
}

fn text(at: Ptr<u16>) -> Option<String> {
    units_arg(at).map(|units| String::from_utf16_lossy(&units))
}

win_api! {
    /// Answers a question about a URL (`URLIS`).
    "shlwapi.dll" stdcall fn UrlIsW(url: Ptr<u16>, question: u32) -> Bool {
        text(url).is_some_and(|url| url_is(&url, question)).into()
    }

    /// Makes a path of a file URL; `size` takes its length, or the room it needs.
    "shlwapi.dll" stdcall fn PathCreateFromUrlW(url: Ptr<u16>, path: Ptr<u16>, size: Ptr<u32>, _flags: u32) -> u32 {
        let Some(found) = text(url).and_then(|url| path_of(&url)) else { return INVALID_ARGUMENT };
        if path.is_null() || size.is_null() {
            return INVALID_ARGUMENT;
        }
        let units: Vec<u16> = found.encode_utf16().chain([0]).collect();
        let needed = u32::try_from(units.len()).unwrap_or(u32::MAX);
        if size.read() < needed {
            size.write(needed);
            return TOO_SMALL;
        }
        path.write_many(&units);
        size.write(needed - 1);
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_urls_are_paths() {
        let run = |url: &str| path_of(url).unwrap_or_default();
        assert_eq!(run("file:///C:/a%20b/c.txt?q"), r"C:\a b\c.txt");
        assert_eq!(run("FILE://localhost/C|/x"), r"C:\x");
        assert_eq!(run("file://server/share/x"), r"\\server\share\x");
        assert_eq!(run("file:///tmp/x%2"), r"\tmp\x%2");
        assert_eq!(path_of("http://x/"), None);
        assert_eq!(path_of(r"C:\x"), None);
    }

    #[test]
    fn urls_are_told_from_paths() {
        assert!(url_is("https://x/y/?z", IS_URL) && url_is("https://x/y/?z", HAS_QUERY));
        assert!(url_is("https://x/y/?z", IS_DIRECTORY) && !url_is("https://x/y/?z", IS_FILE_URL));
        assert!(url_is("mailto:x", IS_OPAQUE) && url_is("file:///x", IS_FILE_URL));
        assert!(!url_is(r"C:\x", IS_URL) && !url_is("x", IS_URL));
    }
}
