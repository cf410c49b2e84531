//! Shares of the traffic, in exact parts per million, so that a mix adds up and repeats.

use std::fmt;
use std::str::FromStr;

/// A share of the traffic between 0 and 1, in parts per million.
///
/// ```
/// use votekit_loadtests::Share;
/// let share: Share = "2.5%".parse()?;
/// assert_eq!(share.parts_per_million(), 25_000);
/// assert_eq!("0.025".parse::<Share>()?, share);
/// # Ok::<(), votekit_loadtests::ShareError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Share(u32);

/// A text is not a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a share such as 5%, 0.5% or 0.05, between 0 and 1, in steps of one millionth")]
pub struct ShareError;

impl Share {
    /// 0%.
    pub const NONE: Self = Self(0);
    /// 100%.
    pub const ALL: Self = Self(1_000_000);

    /// Creates a share from parts per million.
    ///
    /// # Errors
    /// [`ShareError`] above one million.
    pub const fn from_parts_per_million(parts: u32) -> Result<Self, ShareError> {
        if parts <= Self::ALL.0 { Ok(Self(parts)) } else { Err(ShareError) }
    }

    /// Parts per million.
    #[must_use]
    pub const fn parts_per_million(self) -> u32 {
        self.0
    }

    /// The number of the first `count` items that belong to this share when they are spread evenly:
    /// `floor(count × share)`.
    ///
    /// Item `n`, from 0, belongs to it when `part_of(n + 1) > part_of(n)`.
    #[must_use]
    pub const fn part_of(self, count: u64) -> u64 {
        (count as u128 * self.0 as u128 / Self::ALL.0 as u128) as u64
    }

    /// Whether item `index`, from 0, is one of the share's evenly spread items.
    #[must_use]
    pub const fn takes(self, index: u64) -> bool {
        self.part_of(index + 1) > self.part_of(index)
    }
}

impl FromStr for Share {
    type Err = ShareError;

    fn from_str(text: &str) -> Result<Self, ShareError> {
        let text = text.trim();
        let (number, decimals_max) = match text.strip_suffix('%') {
            Some(number) => (number.trim_end(), 4),
            None => (text, 6),
        };
        let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
        let digits_only = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty()
            || whole.len() > 3
            || decimals.len() > decimals_max
            || !digits_only(whole)
            || !digits_only(decimals)
        {
            return Err(ShareError);
        }
        let digits = format!("{whole}{decimals:0<decimals_max$}");
        Self::from_parts_per_million(digits.parse().map_err(|_| ShareError)?)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}%", f64::from(self.0) / 10_000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_notations_agree() {
        assert_eq!("5%".parse(), Ok(Share(50_000)));
        assert_eq!("0.05".parse(), Ok(Share(50_000)));
        assert_eq!("100%".parse(), Ok(Share::ALL));
        assert_eq!("1".parse(), Ok(Share::ALL));
        assert_eq!("0.0001%".parse(), Ok(Share(1)));
        assert_eq!(Share(25_000).to_string().parse(), Ok(Share(25_000)));
    }

    #[test]
    fn malformed_shares_are_refused() {
        for text in ["", "%", "101%", "1.1", "-1%", "5 percent", "0.00001%", ".5", "9999%", "1e-2"]
        {
            assert_eq!(text.parse::<Share>(), Err(ShareError), "{text:?}");
        }
    }

    #[test]
    fn taken_things_add_up_to_the_share() {
        for parts in [0, 1, 333_333, 50_000, 999_999, 1_000_000] {
            let share = Share(parts);
            let taken = (0..5_000).filter(|index| share.takes(*index)).count() as u64;
            assert_eq!(taken, share.part_of(5_000), "{share}");
        }
    }
}
