//! `minke cache`.

use std::str::FromStr;

use clap::{Args, Subcommand};

use super::FormError;
use super::text::refuse;

/// Show how large the cache is, check it, make room in it
///
/// Without a command: a table of what lies there, by kind.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  minke cache
  minke cache verify
  minke cache gc --keep-days 14 --max-size 20GB
  du -sh \"$(minke cache dir)\"")]
pub(crate) struct CacheArguments {
    /// What to do with it.
    #[command(subcommand)]
    pub(crate) command: Option<CacheCommand>,
}

/// What can be done with the cache.
#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// Read everything again and drop what is wrong
    ///
    /// What needs something that is dropped goes too, an image's name included. Anything else is fetched or made again
    /// when it is wanted. The exit status is 1 if something was dropped.
    #[command(after_help = "\
Example:
  minke cache verify")]
    Verify,
    /// Drop what was not used for long
    ///
    /// Images that have a name stay whole. Builds and containers that use the cache are waited for.
    #[command(after_help = "\
Examples:
  minke cache gc
  minke cache gc --keep-days 7
  minke cache gc --max-size 20GB")]
    Gc {
        /// Keep what was used in so many days [default: 30, where --max-size isn't said]
        #[arg(long, value_name = "N")]
        keep_days: Option<u32>,
        /// Drop what was used least lately until no more than this is left, such as `20GB` or `500MiB`
        #[arg(long, value_name = "SIZE")]
        max_size: Option<Size>,
    },
    /// Print where the cache lies
    #[command(after_help = "\
Example:
  du -sh \"$(minke cache dir)\"")]
    Dir,
    /// Drop everything but images that have a name
    #[command(after_help = "\
Examples:
  minke cache clean
  minke cache clean --all")]
    Clean {
        /// Images too, and what older versions of minke have left
        #[arg(long)]
        all: bool,
    },
}

/// A number of bytes: `1000`, `20GB`, `1.5 GiB`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Size {
    /// How many bytes.
    pub(crate) bytes: u64,
}

impl FromStr for Size {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        let text = text.trim();
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
        let (number, unit) = text.split_at(digits);
        let unit = unit.trim().to_lowercase();
        let (prefix, base) = match unit.strip_suffix("ib") {
            Some(prefix) if !prefix.is_empty() => (prefix, 1024.0_f64),
            _ => (unit.trim_end_matches('b'), 1000.0),
        };
        let power = ["", "k", "m", "g", "t"].iter().position(|known| *known == prefix);
        match (number.parse::<f64>(), power) {
            (Ok(number), Some(power)) => Ok(Self { bytes: (number * base.powi(power as i32)) as u64 }),
            _ => refuse("it must be a size such as `20GB` or `500MiB`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_a_unit_or_none() {
        let bytes = |text: &str| text.parse::<Size>().map(|size| size.bytes).ok();
        let all = ["12", "1.5 GiB", "20GB", "7kb", "3M", "", "GB", "1.2.3", "-1", "5 PB"].map(bytes);
        let read = [12, 1_610_612_736, 20_000_000_000, 7_000, 3_000_000].map(Some);
        assert_eq!(all[..5], read);
        assert_eq!(all[5..], [None; 5]);
    }
}
