//! Waiting for something that no descriptor announces: asking again, with a bound.
//!
//! Nothing here is needed for a case to be right: a case that would fail without the wait fails with it too, only later.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Far more than anything takes; only a mistake gets there.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The pause between two questions.
const PAUSE: Duration = Duration::from_millis(10);

/// Asks until there is an answer; `what` names it for the error.
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let answer = within(PATIENCE, &mut ask)?;
    match answer {
        Some(answer) => Ok(answer),
        None => bail!("waited {} s in vain for {what}", PATIENCE.as_secs()),
    }
}

/// Asks until there is an answer or the time is over, at least once.
pub(crate) fn within<T>(
    time: Duration,
    mut ask: impl FnMut() -> Result<Option<T>>,
) -> Result<Option<T>> {
    let begin = Instant::now();
    loop {
        if let Some(answer) = ask()? {
            return Ok(Some(answer));
        }
        if begin.elapsed() >= time {
            return Ok(None);
        }
        std::thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_the_questions() {
        let mut asked = 0;
        let answer = until("three", || {
            asked += 1;
            Ok((asked == 3).then_some(asked))
        });
        assert_eq!(answer.unwrap(), 3);
    }

    #[test]
    fn the_time_is_bounded_and_errors_go_through() {
        assert_eq!(within(Duration::ZERO, || Ok(None::<u8>)).unwrap(), None);
        assert!(within(PATIENCE, || -> Result<Option<u8>> { bail!("no") }).is_err());
    }
}
