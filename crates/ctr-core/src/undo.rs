//! Taking back the steps of an operation that failed.
//!
//! A scope collects, after each step, how to undo it. When the scope's closure returns an error, or panics, the undo steps run, last
//! first; when it returns a value they are forgotten. Nobody calls a teardown by hand. A step that fails to undo does not stop the
//! others: its failure rides along with the cause.
//!
//! This covers errors. A kill is covered by intents: what was about to happen is in the store before it happens, and whoever takes the
//! lock next finishes it or takes it back with the same step functions.

use crate::error::{CleanupFailure, EngineError};

type Step<'a> = Box<dyn FnOnce() -> Result<(), EngineError> + 'a>;

/// The undo steps of a scope. Each is idempotent and takes "already gone" for success.
pub(crate) struct Undo<'a> {
    steps: Vec<(&'static str, Step<'a>)>,
}

impl<'a> Undo<'a> {
    /// Runs `work`; on failure everything that it pushed is undone, last first.
    ///
    /// # Errors
    /// The error of `work`; inside [`EngineError::Unwound`] when a step could not be undone.
    pub(crate) fn scope<T>(
        operation: &'static str,
        work: impl FnOnce(&mut Self) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        let mut undo = Self { steps: Vec::new() };
        match work(&mut undo) {
            Ok(value) => {
                undo.steps.clear();
                Ok(value)
            }
            Err(cause) => {
                let cleanup_failures = undo.unwind();
                if cleanup_failures.is_empty() {
                    return Err(cause);
                }
                Err(EngineError::Unwound {
                    operation,
                    cause: Box::new(cause),
                    cleanup_failures,
                })
            }
        }
    }

    /// Adds the way to undo the step just done.
    pub(crate) fn push(
        &mut self,
        step: &'static str,
        undo: impl FnOnce() -> Result<(), EngineError> + 'a,
    ) {
        self.steps.push((step, Box::new(undo)));
    }

    fn unwind(&mut self) -> Vec<CleanupFailure> {
        let mut failures = Vec::new();
        while let Some((step, undo)) = self.steps.pop() {
            if let Err(error) = undo() {
                failures.push(CleanupFailure {
                    step,
                    error: Box::new(error),
                });
            }
        }
        failures
    }
}

impl Drop for Undo<'_> {
    /// Only a panic gets here with steps left; there is nobody to tell their failures to.
    fn drop(&mut self) {
        self.unwind();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    fn failure() -> EngineError {
        EngineError::invalid("test", &"x", "expected")
    }

    #[test]
    fn last_first_and_failures_ride_along() {
        let log = RefCell::new(Vec::new());
        let result: Result<(), _> = Undo::scope("test", |undo| {
            for name in ["a", "b", "c"] {
                let log = &log;
                undo.push(name, move || {
                    log.borrow_mut().push(name);
                    if name == "b" { Err(failure()) } else { Ok(()) }
                });
            }
            Err(failure())
        });
        assert_eq!(*log.borrow(), ["c", "b", "a"]);
        let Err(EngineError::Unwound {
            cleanup_failures, ..
        }) = result
        else {
            panic!("{result:?}");
        };
        assert_eq!(cleanup_failures[0].step, "b");
    }

    #[test]
    fn success_undoes_nothing_and_a_panic_everything() {
        let log = RefCell::new(0);
        let step = || {
            *log.borrow_mut() += 1;
            Ok(())
        };
        Undo::scope("test", |undo| {
            undo.push("a", step);
            Ok(())
        })
        .unwrap();
        assert_eq!(*log.borrow(), 0);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            Undo::scope::<()>("test", |undo| {
                undo.push("a", step);
                panic!("expected in the test's output")
            })
        }));
        assert!(panicked.is_err());
        assert_eq!(*log.borrow(), 1);
    }
}
