//! Bytes that look random, are the same every time, and cost nothing to make: what a stream must bring unchanged.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, Result};

/// What kind of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// All values in an order without a pattern, made from this seed.
    Random(u64),
    /// Zeros.
    Nul,
    /// Letters without an end of line.
    OneLine,
}

/// A number of bytes of a kind, to be read from the beginning.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    kind: Kind,
    length: u64,
    /// How many were read.
    at: u64,
}

impl Pattern {
    /// So many bytes.
    pub(crate) fn new(kind: Kind, length: u64) -> Pattern {
        Pattern {
            kind,
            length,
            at: 0,
        }
    }

    /// How many bytes there are, read or not.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Writes them to a new file.
    pub(crate) fn write_to(mut self, path: &Path) -> Result<()> {
        let file = OpenOptions::new().write(true).create_new(true).open(path);
        let mut file = file.with_context(|| format!("make {}", path.display()))?;
        std::io::copy(&mut self, &mut file)
            .and_then(|_| file.flush())
            .with_context(|| format!("write {}", path.display()))
    }

    /// The byte at a place.
    fn byte(&self, at: u64) -> u8 {
        match self.kind {
            Kind::Nul => 0,
            Kind::OneLine => b'x',
            Kind::Random(seed) => random_group(seed, at / 8)[place_in_group(at)],
        }
    }

    fn fill(&self, buffer: &mut [u8]) {
        let seed = match self.kind {
            Kind::Nul => return buffer.fill(0),
            Kind::OneLine => return buffer.fill(b'x'),
            Kind::Random(seed) => seed,
        };
        // Up to the next whole group, the whole groups, and the rest.
        let head = ((8 - place_in_group(self.at)) % 8).min(buffer.len());
        let (head, rest) = buffer.split_at_mut(head);
        let mut at = self.at;
        for byte in head {
            *byte = self.byte(at);
            at += 1;
        }
        for group in rest.chunks_mut(8) {
            let bytes = random_group(seed, at / 8);
            group.copy_from_slice(&bytes[..group.len()]);
            at += 8;
        }
    }
}

fn place_in_group(at: u64) -> usize {
    usize::from(at.to_le_bytes()[0] % 8)
}

/// Eight bytes of the generator splitmix64, with its published constants. Each group can be made without those before it.
fn random_group(seed: u64, number: u64) -> [u8; 8] {
    let step = 0x9e37_79b9_7f4a_7c15_u64;
    let mut mixed = seed.wrapping_add(step.wrapping_mul(number + 1));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)).to_le_bytes()
}

impl Read for Pattern {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = usize::try_from(self.length - self.at).unwrap_or(usize::MAX);
        let count = buffer.len().min(left);
        self.fill(&mut buffer[..count]);
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(kind: Kind, length: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        Pattern::new(kind, length).read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn the_same_bytes_every_time_and_in_every_part() {
        let whole = all(Kind::Random(1), 100_003);
        assert_eq!(whole.len(), 100_003);
        let mut parts = Vec::new();
        let mut pattern = Pattern::new(Kind::Random(1), 100_003);
        let mut buffer = [0; 1001];
        loop {
            let count = pattern.read(&mut buffer).unwrap();
            if count == 0 {
                break;
            }
            parts.extend_from_slice(&buffer[..count]);
        }
        assert!(parts == whole);
        assert!(all(Kind::Random(2), 100_003) != whole);
    }

    #[test]
    fn random_bytes_have_all_values() {
        let mut values = all(Kind::Random(1), 10_000);
        values.sort_unstable();
        values.dedup();
        assert_eq!(values.len(), 256);
        assert_eq!(all(Kind::Nul, 3), [0; 3]);
        assert_eq!(all(Kind::OneLine, 3), b"xxx");
    }

    #[test]
    fn a_file_holds_them() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        Pattern::new(Kind::Random(7), 12_345)
            .write_to(&path)
            .unwrap();
        assert!(std::fs::read(&path).unwrap() == all(Kind::Random(7), 12_345));
    }
}
