//! Terms that are none. What filters select is tested with real containers, in `tests/lifecycle/lists.rs`.

use super::*;

fn check(term: &str, why: &str) {
    let error = ContainerFilter::parse([term]).unwrap_err().to_string();
    assert_eq!(error, format!("invalid filter {term:?}: {why}"));
}

#[test]
fn a_bad_term_is_named_with_what_is_allowed() {
    for (term, why) in [
        ("name", "it must be KEY=VALUE"),
        ("name=", "the value is empty"),
        ("", "it must be KEY=VALUE"),
        ("=x", KEYS),
        ("colour=red", KEYS),
        ("Name=x", KEYS),
        ("label==x", "the label has no key"),
        ("label!==x", "the label has no key"),
        ("exited=one", "the value must be an exit code"),
        ("exited=99999999999", "the value must be an exit code"),
        (
            "network=bridge",
            "the networks are none, host and container:FULL-ID",
        ),
        (
            "until=1h",
            "the program that asks must read the moment itself",
        ),
        ("pod=x", "pods do not exist yet"),
        ("health=healthy", "health checks do not exist yet"),
        (
            "restart-policy=sometimes",
            "the policies are no, on-failure[:RETRIES], always and unless-stopped",
        ),
        (
            "restart-policy=on-failure:3",
            "the policy is given without its number of retries",
        ),
        (
            "name=(",
            "the value is no regular expression: unclosed group",
        ),
        (
            "status=dead",
            "the statuses are created, initialized, running, paused, stopping, stopped, exited, removing and unknown",
        ),
    ] {
        check(term, why);
    }
}

#[test]
fn an_expression_that_is_too_big_is_refused() {
    let term = "name=(a{1000}){1000}";
    let error = ContainerFilter::parse([term]).unwrap_err().to_string();
    assert!(error.contains("exceeds size limit"), "{error}");
}

#[test]
fn only_a_status_asks_for_a_status() {
    let asks = |terms: &[&str]| ContainerFilter::parse(terms).unwrap().asks_for_status();
    assert!(asks(&["name=x", "status=unknown"]));
    assert!(!asks(&["name=status", "exited=0"]));
    assert!(!ContainerFilter::default().asks_for_status());
}
