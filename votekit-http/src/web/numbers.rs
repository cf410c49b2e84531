//! Numbers in words of each language: grouped digits, shares in per cent.

use super::lang::Lang;

/// A count with its digits in groups of three.
pub(crate) fn count(lang: Lang, count: u64) -> String {
    let digits = count.to_string();
    let separator = match lang {
        Lang::Fr => '\u{202f}',
        Lang::En => ',',
    };
    let mut text = String::with_capacity(digits.len() * 2);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(separator);
        }
        text.push(digit);
    }
    text
}

/// Hundredths of a per cent that a part is of a whole, rounded down; 0 of nothing.
pub(crate) fn basis_points(part: u64, whole: u64) -> u64 {
    let points = (u128::from(part) * 10_000).checked_div(u128::from(whole)).unwrap_or(0);
    u64::try_from(points).unwrap_or(u64::MAX)
}

/// Hundredths of a per cent in words.
pub(crate) fn percent(lang: Lang, points: u64) -> String {
    let (whole, part) = (points / 100, points % 100);
    match lang {
        Lang::Fr => format!("{whole},{part:02}\u{a0}%"),
        Lang::En => format!("{whole}.{part:02}%"),
    }
}

/// The width of a bar, as an attribute of SVG.
pub(crate) fn width(points: u64) -> String {
    let points = points.min(10_000);
    format!("{}.{:02}%", points / 100, points % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_the_language() {
        assert_eq!(count(Lang::En, 0), "0");
        assert_eq!(count(Lang::En, 999), "999");
        assert_eq!(count(Lang::En, 8_000_000), "8,000,000");
        assert_eq!(count(Lang::Fr, 12_345), "12\u{202f}345");
        assert_eq!(percent(Lang::Fr, 4321), "43,21\u{a0}%");
        assert_eq!(percent(Lang::En, 7), "0.07%");
        assert_eq!((basis_points(1, 3), basis_points(1, 0)), (3333, 0));
        assert_eq!((width(10_000), width(20_000)), ("100.00%".to_owned(), "100.00%".to_owned()));
    }
}
