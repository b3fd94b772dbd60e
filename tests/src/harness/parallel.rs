//! Many things at the same time.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Error, Result, ensure};

/// Works on each item, on so many at a time, and names some of those for which it went wrong.
pub(crate) fn each<T: Sync>(
    threads: usize,
    items: &[T],
    work: impl Fn(&T) -> Result<()> + Sync,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let wrong: Mutex<Vec<Error>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..threads.min(items.len()) {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(error) = work(item) {
                        wrong.lock().expect("nothing panics here").push(error);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("nothing panics here");
    let shown: Vec<String> = wrong
        .iter()
        .take(5)
        .map(|error| format!("{error:#}"))
        .collect();
    ensure!(
        wrong.is_empty(),
        "{} of {} went wrong: {}",
        wrong.len(),
        items.len(),
        shown.join("\n    ")
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_worked_on_and_those_that_go_wrong_are_named() {
        let sum = AtomicUsize::new(0);
        let items: Vec<usize> = (1..=100).collect();
        each(7, &items, |item| {
            sum.fetch_add(*item, Ordering::Relaxed);
            Ok(())
        })
        .unwrap();
        assert_eq!(sum.into_inner(), 5050);
        let odd = |item: &usize| -> Result<()> {
            ensure!(item.is_multiple_of(2), "{item} is odd");
            Ok(())
        };
        let error = each(1, &[1, 2, 3], odd).unwrap_err().to_string();
        assert!(error.starts_with("2 of 3 went wrong: 1 is odd"), "{error}");
    }
}
