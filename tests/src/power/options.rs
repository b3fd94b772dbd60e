//! What the command line of `power-loss` asks for.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

/// How much is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PowerOptions {
    /// How often the power is cut.
    pub(crate) images: usize,
    /// How many wishes each of the processes has meanwhile.
    pub(crate) wishes: usize,
    pub(crate) seed: u64,
    /// The file that gets the line of the result, at its end.
    pub(crate) out: Option<PathBuf>,
}

impl PowerOptions {
    /// Reads the arguments.
    pub(crate) fn parse(arguments: &[String]) -> Result<PowerOptions> {
        let mut options = PowerOptions {
            images: 10_000,
            wishes: 60,
            seed: 1,
            out: None,
        };
        let mut words = arguments.iter();
        while let Some(name) = words.next() {
            if name == "--sample" {
                (options.images, options.wishes) = (300, 20);
                continue;
            }
            let value = words
                .next()
                .with_context(|| format!("{name} needs a value"))?;
            let known = || format!("{name} {value}");
            match name.as_str() {
                "--images" => options.images = value.parse().with_context(known)?,
                "--seed" => options.seed = value.parse().with_context(known)?,
                "--out" => options.out = Some(PathBuf::from(value)),
                other => bail!("{other:?} is no option of power-loss"),
            }
        }
        ensure!(options.images > 0, "no image is none that is right");
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_others_refused() {
        let parse = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            PowerOptions::parse(&words)
        };
        assert_eq!(parse(&[]).unwrap().images, 10_000);
        let options = parse(&["--sample", "--seed", "4"]).unwrap();
        assert_eq!((options.images, options.seed), (300, 4));
        for words in [&["--images", "0"][..], &["--images"], &["--x", "1"]] {
            assert!(parse(words).is_err(), "{words:?}");
        }
    }
}
