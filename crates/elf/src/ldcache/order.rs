//! The order of the cache, in which the loader searches by halving.

use std::cmp::Ordering;

use super::Entry;

/// Compares two names as the loader does: runs of digits by their value, everything else byte by byte.
///
/// The loader's numbers have 32 bits and wrap around, so these do.
pub(super) fn compare_names(first: &str, second: &str) -> Ordering {
    let (mut first, mut second) = (first.as_bytes(), second.as_bytes());
    loop {
        match (first, second) {
            ([a, ..], [b, ..]) if a.is_ascii_digit() && b.is_ascii_digit() => {
                let difference = number(&mut first).wrapping_sub(number(&mut second));
                if difference != 0 {
                    return difference.cmp(&0);
                }
            }
            ([a, ..], _) if a.is_ascii_digit() => return Ordering::Greater,
            ([_, ..], [b, ..]) if b.is_ascii_digit() => return Ordering::Less,
            ([a, first_rest @ ..], [b, second_rest @ ..]) if a == b => {
                (first, second) = (first_rest, second_rest)
            }
            _ => return first.first().unwrap_or(&0).cmp(second.first().unwrap_or(&0)),
        }
    }
}

fn number(text: &mut &[u8]) -> i32 {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at(digits);
    *text = rest;
    number.iter().fold(0_i32, |value, digit| value.wrapping_mul(10).wrapping_add(i32::from(digit - b'0')))
}

/// Compares two entries: greater names first, then greater numbers of their loader, then special ones.
pub(super) fn compare_entries(first: &Entry, second: &Entry) -> Ordering {
    // The loader stops at the first entry without `hwcaps`, so those come last.
    let general = |entry: &Entry| entry.hwcaps.is_none();
    compare_names(&second.soname, &first.soname)
        .then_with(|| second.abi.cmp(&first.abi))
        .then_with(|| general(first).cmp(&general(second)))
        .then_with(|| first.hwcaps.cmp(&second.hwcaps))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_compared_by_value_and_come_after_letters() {
        let mut names =
            ["liba.so.10", "liba.so.9", "liba.so", "liba-1.so", "libb.so", "liba.so.9.1", "liba_.so"];
        names.sort_by(|first, second| compare_names(first, second));
        assert_eq!(
            names,
            ["liba-1.so", "liba.so", "liba.so.9", "liba.so.9.1", "liba.so.10", "liba_.so", "libb.so"]
        );
        assert_eq!(compare_names("lib007.so", "lib7.so"), Ordering::Equal);
    }

    proptest! {
        // The loader halves the list by this order, so it must be one: what is before is not behind, and what
        // is before the second is before the third. (Numbers that wrap around are an order in no loader.)
        #[test]
        fn it_is_an_order(a in "[ab.0-9]{0,6}", b in "[ab.0-9]{0,6}", c in "[ab.0-9]{0,6}") {
            prop_assert_eq!(compare_names(&a, &b), compare_names(&b, &a).reverse());
            if compare_names(&a, &b).is_le() && compare_names(&b, &c).is_le() {
                prop_assert!(compare_names(&a, &c).is_le());
            }
        }
    }
}
