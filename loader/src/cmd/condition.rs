//! What `if` asks. Source: Microsoft Learn "if".

use std::cmp::Ordering;

use super::files;
use super::parse::{Condition, Test};
use super::shell::Shell;

/// Returns whether the condition holds, or `None` for a comparison that there is none of.
#[must_use]
pub fn holds(shell: &Shell, condition: &Condition) -> Option<bool> {
    let is_true = match &condition.test {
        Test::Exists(name) => !files::named(shell, name).is_empty(),
        Test::Defined(name) => shell.get(name).is_some(),
        Test::ErrorLevel(number) => shell.error_level >= number.parse::<i32>().ok()?,
        Test::Compare(left, operator, right) => {
            compare(left, operator, right, condition.ignores_case)?
        }
    };
    Some(is_true != condition.is_negated)
}

/// Numbers are compared as such by the worded operators, other text by its characters.
fn compare(left: &str, operator: &str, right: &str, ignores_case: bool) -> Option<bool> {
    let text = |text: &str| {
        if ignores_case {
            text.to_lowercase()
        } else {
            text.to_owned()
        }
    };
    let order = match (left.parse::<i64>(), right.parse::<i64>()) {
        (Ok(left), Ok(right)) if operator != "==" => left.cmp(&right),
        _ => text(left).cmp(&text(right)),
    };
    Some(match operator {
        "==" | "equ" => order == Ordering::Equal,
        "neq" => order != Ordering::Equal,
        "lss" => order == Ordering::Less,
        "leq" => order != Ordering::Greater,
        "gtr" => order == Ordering::Greater,
        "geq" => order != Ordering::Less,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::compare;

    #[test]
    fn words_compare_numbers_and_signs_compare_text() {
        assert_eq!(compare("010", "==", "10", false), Some(false));
        assert_eq!(compare("010", "equ", "10", false), Some(true));
        assert_eq!(compare("A", "==", "a", true), Some(true));
        assert_eq!(compare("9", "lss", "10", false), Some(true));
        assert_eq!(compare("a", "is", "b", false), None);
    }
}
