//! What draws on a terminal: colours, rows of cells, moved rows, as escape sequences.

use std::fmt::Write as _;

/// White on black, which is whatever the terminal's normal colours are.
pub const NORMAL: u16 = 7;
/// `COMMON_LVB_TRAILING_BYTE`: the second cell of a wide character.
const TRAILING: u16 = 0x200;

/// `SMALL_RECT`: the edges belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rect {
    pub left: i16,
    pub top: i16,
    pub right: i16,
    pub bottom: i16,
}

impl Rect {
    /// Reads the guest's structure.
    #[must_use]
    pub fn of([left, top, right, bottom]: [i16; 4]) -> Rect {
        Rect {
            left,
            top,
            right,
            bottom,
        }
    }

    /// Returns the guest's structure.
    #[must_use]
    pub fn words(self) -> [i16; 4] {
        [self.left, self.top, self.right, self.bottom]
    }

    /// Returns what both have.
    #[must_use]
    pub fn and(self, other: Rect) -> Rect {
        Rect {
            left: self.left.max(other.left),
            top: self.top.max(other.top),
            right: self.right.min(other.right),
            bottom: self.bottom.min(other.bottom),
        }
    }

    /// Returns whether it has no cell.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.right < self.left || self.bottom < self.top
    }
}

/// The escape sequence of console attributes: blue, green and red bits, then brightness; background above.
#[must_use]
pub fn colours(attributes: u16) -> String {
    let colour = |bits: u16| (bits & 4) >> 2 | bits & 2 | (bits & 1) << 2;
    let foreground = colour(attributes) + if attributes & 8 != 0 { 90 } else { 30 };
    let background = colour(attributes >> 4) + if attributes & 0x80 != 0 { 100 } else { 40 };
    match attributes & 0xFF {
        NORMAL => "\x1b[0m".to_owned(),
        _ if attributes & 0xF0 == 0 => format!("\x1b[0;{foreground}m"),
        _ => format!("\x1b[0;{foreground};{background}m"),
    }
}

fn shown(unit: u16) -> char {
    match char::from_u32(unit.into()) {
        Some(c) if !c.is_control() => c,
        _ => ' ',
    }
}

/// Returns what draws cells, a character and attributes each, from a place on.
#[must_use]
pub fn row(column: i16, row: i16, cells: impl Iterator<Item = (u16, u16)>) -> String {
    let mut text = format!("\x1b[{};{}H", i32::from(row) + 1, i32::from(column) + 1);
    let mut present = None;
    let mut units = vec![];
    let flush = |units: &mut Vec<u16>, text: &mut String| {
        text.extend(char::decode_utf16(units.drain(..)).map(|c| c.unwrap_or('?')));
    };
    for (unit, attributes) in cells.filter(|(_, attributes)| attributes & TRAILING == 0) {
        let wanted = attributes & 0xFF;
        if present != Some(wanted) {
            flush(&mut units, &mut text);
            text += &colours(wanted);
            present = Some(wanted);
        }
        let is_surrogate = (0xD800..0xE000).contains(&unit);
        units.push(if is_surrogate {
            unit
        } else {
            shown(unit) as u16
        });
    }
    flush(&mut units, &mut text);
    text
}

/// Returns what moves the rows of `moved` so that its corner comes to `to`, and fills what they leave; `None` where rows are
/// not moved as a whole, or what lies between would move too.
#[must_use]
pub fn scroll(
    screen: Rect,
    moved: Rect,
    clip: Option<Rect>,
    to: [i16; 2],
    fill: (u16, u16),
) -> Option<String> {
    let by = i32::from(to[1]) - i32::from(moved.top);
    let source = moved.and(screen);
    let is_whole = |rect: Rect| rect.left <= screen.left && rect.right >= screen.right;
    if source.is_empty() || by == 0 && to[0] == moved.left {
        return Some(String::new());
    }
    if to[0] != moved.left || !is_whole(moved) {
        return None;
    }
    let (top, bottom) = (i32::from(source.top), i32::from(source.bottom));
    let height = bottom - top + 1;
    let (first, last) = (i32::from(screen.top), i32::from(screen.bottom));
    let leaves = top + by > last || bottom + by < first;
    let region = (
        top.min(top + by).max(first),
        bottom.max(bottom + by).min(last),
    );
    let is_clipped = |clip: Rect| {
        !is_whole(clip) || i32::from(clip.top) > region.0 || i32::from(clip.bottom) < region.1
    };
    if clip.is_some_and(is_clipped) || !leaves && by.abs() > height {
        return None;
    }
    let mut text = String::new();
    let filled = if leaves {
        (top, bottom)
    } else {
        // The colour of rows that come in is drawn over below.
        let (verb, rows) = if by < 0 { ('M', -by) } else { ('L', by) };
        let (from, until) = (region.0 + 1, region.1 + 1);
        let _ = write!(
            text,
            "\x1b[{from};{until}r\x1b[{from};1H\x1b[{rows}{verb}\x1b[r",
        );
        if by < 0 {
            (bottom + by + 1, bottom)
        } else {
            (top, top + by - 1)
        }
    };
    let columns = usize::from((screen.right - screen.left + 1).cast_unsigned());
    for line in filled.0.max(top)..=filled.1.min(bottom) {
        text += &row(screen.left, line as i16, std::iter::repeat_n(fill, columns));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCREEN: Rect = Rect {
        left: 0,
        top: 0,
        right: 3,
        bottom: 9,
    };

    fn rows(top: i16, bottom: i16) -> Rect {
        Rect {
            top,
            bottom,
            ..SCREEN
        }
    }

    #[test]
    fn cells_with_their_colours() {
        let cells = [
            (0x61, 7),
            (0x62, 7),
            (0x07, 0x4F),
            (0x4E00, 7),
            (0x4E00, 7 | TRAILING),
        ];
        assert_eq!(
            row(2, 4, cells.into_iter()),
            "\x1b[5;3H\x1b[0mab\x1b[0;97;41m \x1b[0m\u{4e00}"
        );
    }

    #[test]
    fn rows_move() {
        let blank = (0x20, 7);
        let up = scroll(SCREEN, rows(2, 5), None, [0, 1], blank);
        assert_eq!(
            up.as_deref(),
            Some("\x1b[2;6r\x1b[2;1H\x1b[1M\x1b[r\x1b[6;1H\x1b[0m    ")
        );
        let down = scroll(SCREEN, rows(0, 9), None, [0, 1], blank);
        assert_eq!(
            down.as_deref(),
            Some("\x1b[1;10r\x1b[1;1H\x1b[1L\x1b[r\x1b[1;1H\x1b[0m    ")
        );
        // Off the screen: it is cleared.
        let away = scroll(SCREEN, rows(0, 9), None, [0, -10], blank).expect("possible");
        assert_eq!(away.matches("    ").count(), 10);
        assert!(!away.contains('r'));
        // What lies between stays where it is, which a terminal cannot do; columns cannot move at all.
        assert_eq!(scroll(SCREEN, rows(0, 1), None, [0, 5], blank), None);
        assert_eq!(scroll(SCREEN, rows(0, 1), None, [1, 0], blank), None);
        assert_eq!(
            scroll(SCREEN, rows(2, 5), Some(rows(2, 5)), [0, 1], blank),
            None
        );
        assert_eq!(
            scroll(SCREEN, rows(2, 5), None, [0, 2], blank).as_deref(),
            Some("")
        );
    }
}
