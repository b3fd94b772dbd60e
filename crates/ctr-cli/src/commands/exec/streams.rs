//! Descriptors of this process that a command in the container gets, too.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use ctr_sys::inherited_fd;

use super::options::StartOptions;
use crate::error::CommandError;
use crate::parse::number;

/// The first descriptor that is not a standard stream.
const FIRST: i32 = 3;
/// More than anybody passes on; runtimes and we take higher numbers for purposes of our own.
const MOST: i32 = 97;

/// Descriptors that this process was started with, by their numbers.
#[derive(Debug)]
pub(crate) struct Inherited(Vec<(i32, OwnedFd)>);

impl Inherited {
    /// Takes those that the options name.
    ///
    /// # Errors
    /// A number that is none, or of nothing that is open.
    pub(crate) fn take(options: &StartOptions) -> Result<Self, CommandError> {
        let mut numbers = Vec::new();
        if let Some(text) = &options.preserve_fds {
            let flag = "--preserve-fds";
            let allowed = format!("a number from 0 to {MOST}");
            let count: i32 = number::number(flag, text, &allowed)?;
            if !(0..=MOST).contains(&count) {
                return Err(CommandError::value(
                    flag,
                    text,
                    format!("must be {allowed}"),
                ));
            }
            numbers.extend((FIRST..FIRST + count).map(|number| ("--preserve-fds", number)));
        }
        for text in &options.preserve_fd {
            let flag = "--preserve-fd";
            let allowed = format!("a number from {FIRST} to {}", FIRST + MOST - 1);
            let number: i32 = number::number(flag, text, &allowed)?;
            if !(FIRST..FIRST + MOST).contains(&number) {
                return Err(CommandError::value(
                    flag,
                    text,
                    format!("must be {allowed}"),
                ));
            }
            numbers.push((flag, number));
        }
        numbers.sort_by_key(|(_, number)| *number);
        numbers.dedup_by_key(|(_, number)| *number);
        let take = |(flag, number): (&str, i32)| -> Result<(i32, OwnedFd), CommandError> {
            let fd = inherited_fd(number).map_err(|_| {
                let why = format!("descriptor {number} is not open");
                CommandError::failed(format!("{flag}: {why}"))
            })?;
            Ok((number, fd))
        };
        Ok(Self(
            numbers.into_iter().map(take).collect::<Result<_, _>>()?,
        ))
    }

    /// All of them, in ascending order.
    pub(crate) fn preserved(&self) -> Vec<(i32, BorrowedFd<'_>)> {
        self.0
            .iter()
            .map(|(number, fd)| (*number, fd.as_fd()))
            .collect()
    }
}
