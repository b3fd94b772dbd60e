//! `--filter` of lists of containers: the engine's terms, and `until`, whose value is a moment as everywhere on the command line.

use ctr_core::ContainerFilter;

use crate::error::CommandError;
use crate::parse::time;

/// A filter of all terms; durations count back from `now_ns`.
pub(crate) fn filter(terms: &[String], now_ns: i64) -> Result<ContainerFilter, CommandError> {
    let mut filter = ContainerFilter::default();
    for term in terms {
        match term.strip_prefix("until=") {
            Some(moment) => {
                let moment = time::moment("--filter until", moment, now_ns)?;
                filter = filter.created_before(moment);
            }
            None => filter.add(term)?,
        }
    }
    Ok(filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(terms: &[&str]) -> Result<(), String> {
        let terms: Vec<String> = terms.iter().map(|&term| term.to_owned()).collect();
        let parsed = filter(&terms, 0);
        parsed.map(drop).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn until_takes_a_moment() {
        for good in ["until=10m", "until=2026-11-25", "until=0"] {
            assert_eq!(check(&["name=x", good]), Ok(()), "{good}");
        }
        for bad in ["until=", "until=soon", "until=10 parsecs"] {
            let error = check(&[bad]).unwrap_err();
            assert!(error.starts_with("--filter until "), "{error}");
        }
    }

    #[test]
    fn the_rest_is_the_engines() {
        assert_eq!(check(&["status=exited", "label=x"]), Ok(()));
        let error = check(&["colour=red"]).unwrap_err();
        assert!(
            error.contains("\"colour=red\"") && error.contains("until"),
            "{error}"
        );
    }
}
