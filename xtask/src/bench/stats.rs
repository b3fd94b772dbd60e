//! Numbers about numbers, as the test program's bench has them.

use std::time::Duration;

/// What several times say, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stats {
    pub(super) least: f64,
    pub(super) median: f64,
    /// Nine of ten are not longer.
    pub(super) p90: f64,
}

impl Stats {
    /// `None` of no times.
    pub(super) fn of(times: &[Duration]) -> Option<Stats> {
        let mut sorted: Vec<f64> = times.iter().map(|time| millis(*time)).collect();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        Some(Stats {
            least: sorted[0],
            median: f64::midpoint(sorted[last / 2], sorted[sorted.len() / 2]),
            p90: sorted[(sorted.len() * 9).div_ceil(10) - 1],
        })
    }
}

pub(super) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(times: &[u64], expected: Option<(u32, f64, u32)>) {
        let times: Vec<Duration> = times.iter().map(|ms| Duration::from_millis(*ms)).collect();
        let expected = expected.map(|(least, median, p90)| Stats {
            least: least.into(),
            median,
            p90: p90.into(),
        });
        assert_eq!(Stats::of(&times), expected);
    }

    #[test]
    fn odd_even_one_and_none() {
        check(&[], None);
        check(&[7], Some((7, 7.0, 7)));
        check(&[4, 1], Some((1, 2.5, 4)));
        check(&[9, 1, 5], Some((1, 5.0, 9)));
        check(&[10, 9, 8, 7, 6, 5, 4, 3, 2, 1], Some((1, 5.5, 9)));
    }
}
