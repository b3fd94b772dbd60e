//! What the command line of the bench asks for.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

/// The bench in the list of tasks.
pub(crate) const ABOUT: &str = "how long commands take beside bare runtimes, podman and docker [--rounds N] [--json] [--work lifecycle|exec|cat]... [--quick: fewer bytes for cat]";

/// The argument that starts the measurement itself, in the mount namespace made for it. Not for people.
pub(super) const ON_STAGE: &str = "--on-stage";

const GIB: u64 = 1 << 30;

/// How a result is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Table,
    Json,
}

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Work {
    /// Making, listing and showing containers: what the test program measures.
    Lifecycle,
    /// `true` is run in a container that runs.
    Exec,
    /// A large file is read in a container that runs, into a pipe.
    Cat,
}

impl Work {
    const ALL: [Work; 3] = [Work::Lifecycle, Work::Exec, Work::Cat];

    /// The word for it, in the arguments and in the result.
    pub(super) fn name(self) -> &'static str {
        match self {
            Work::Lifecycle => "lifecycle",
            Work::Exec => "exec",
            Work::Cat => "cat",
        }
    }

    fn parse(word: &str) -> Result<Work> {
        let found = Self::ALL.into_iter().find(|work| work.name() == word);
        found.with_context(|| format!("--work {word}: one of lifecycle, exec, cat"))
    }
}

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Options {
    /// How often each piece of work is done.
    pub(super) rounds: usize,
    pub(super) form: Form,
    /// Bytes of the file for [`Work::Cat`].
    pub(super) bytes: u64,
    /// The program to measure, once the mount namespace is there.
    pub(super) on_stage: Option<PathBuf>,
    /// Which kinds; none means all.
    work: Vec<Work>,
}

impl Options {
    /// Reads the arguments.
    pub(super) fn parse(arguments: &[String]) -> Result<Options> {
        let mut options = Options {
            rounds: 20,
            form: Form::Table,
            bytes: GIB,
            on_stage: None,
            work: Vec::new(),
        };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let (name, joined) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (word.as_str(), None),
            };
            let mut value = || {
                joined
                    .or_else(|| words.next().map(String::as_str))
                    .with_context(|| format!("{name} needs a value"))
            };
            match name {
                "--rounds" => {
                    let text = value()?;
                    let rounds = text.parse().ok().filter(|rounds| *rounds > 0);
                    options.rounds =
                        rounds.with_context(|| format!("--rounds {text}: a number from 1"))?;
                }
                "--work" => options.work.push(Work::parse(value()?)?),
                ON_STAGE => options.on_stage = Some(PathBuf::from(value()?)),
                "--json" if joined.is_none() => options.form = Form::Json,
                "--quick" if joined.is_none() => options.bytes = GIB / 16,
                _ => bail!(
                    "bench does not know {word:?}; it takes --rounds, --json, --work and --quick"
                ),
            }
        }
        Ok(options)
    }

    /// Whether this kind of work is to be done.
    pub(super) fn includes(&self, work: Work) -> bool {
        self.work.is_empty() || self.work.contains(&work)
    }

    /// Whether some of it is measured here.
    pub(super) fn includes_own(&self) -> bool {
        [Work::Exec, Work::Cat]
            .into_iter()
            .any(|work| self.includes(work))
    }

    /// What both parts take.
    pub(super) fn common_words(&self) -> Vec<String> {
        let mut words = vec!["--rounds".to_owned(), self.rounds.to_string()];
        if self.form == Form::Json {
            words.push("--json".to_owned());
        }
        words
    }

    /// What the part here takes.
    pub(super) fn own_words(&self) -> Vec<String> {
        let mut words = self.common_words();
        if self.bytes < GIB {
            words.push("--quick".to_owned());
        }
        for work in &self.work {
            words.extend(["--work".to_owned(), work.name().to_owned()]);
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Options> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        Options::parse(&words)
    }

    #[test]
    fn nothing_chosen_is_everything() {
        let options = parse(&[]).unwrap();
        assert!(Work::ALL.into_iter().all(|work| options.includes(work)));
        assert_eq!((options.rounds, options.form), (20, Form::Table));
        assert_eq!(options.own_words(), ["--rounds", "20"]);
    }

    #[test]
    fn work_is_chosen_and_passed_on() {
        let words = [
            "--rounds=3",
            "--json",
            "--quick",
            "--work",
            "exec",
            "--work=cat",
        ];
        let options = parse(&words).unwrap();
        assert!(!options.includes(Work::Lifecycle) && options.includes_own());
        assert_eq!(options.common_words(), ["--rounds", "3", "--json"]);
        let own = options.own_words();
        let own: Vec<&str> = own.iter().map(String::as_str).collect();
        assert_eq!(parse(&own).unwrap(), options);
        assert!(!parse(&["--work", "lifecycle"]).unwrap().includes_own());
    }

    #[test]
    fn wrong_options_are_named() {
        for (words, message) in [
            (&["--rounds"][..], "--rounds needs a value"),
            (&["--rounds", "0"], "--rounds 0: a number from 1"),
            (&["--work", "ps"], "--work ps: one of lifecycle, exec, cat"),
            (
                &["--json=1"],
                "bench does not know \"--json=1\"; it takes --rounds, --json, --work and --quick",
            ),
        ] {
            assert_eq!(parse(words).unwrap_err().to_string(), message);
        }
    }
}
