//! Reading the lines of a file forwards, as it grows, and backwards.
//!
//! Only whole lines are given out. What follows the last newline is still being written and is read again later, because a writer that
//! finds the disk full takes half a record back.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

const BLOCK: usize = 64 * 1024;
/// Longer than any record. A line beyond it is damage, and passed over without being kept.
const LONGEST: usize = 256 * 1024;

/// Lines from a position on.
#[derive(Debug)]
pub(super) struct Forward {
    /// Where the next line begins.
    offset: u64,
    /// What was read from there on, and how much of it was given out.
    buffer: Vec<u8>,
    used: usize,
    /// Nothing is read from here on; `None`: as far as the file goes.
    limit: Option<u64>,
    /// The line at `offset` is longer than a record and is being skipped.
    skipping: Skipping,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Skipping {
    No,
    Yes,
}

/// A line without its newline, and where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) offset: u64,
    pub(super) bytes: &'a [u8],
}

impl Forward {
    pub(super) fn new(offset: u64, limit: Option<u64>) -> Self {
        Self {
            offset,
            buffer: Vec::new(),
            used: 0,
            limit,
            skipping: Skipping::No,
        }
    }

    /// The next whole line; `None` when there is none (yet).
    pub(super) fn next<'s>(&'s mut self, file: &File) -> io::Result<Option<Line<'s>>> {
        let mut searched = self.used;
        let end = loop {
            if let Some(at) = find_newline(&self.buffer[searched..]) {
                let end = searched + at;
                if self.skipping == Skipping::No {
                    break end;
                }
                self.skipping = Skipping::No;
                self.consume(end);
                searched = self.used;
                continue;
            }
            if self.buffer.len() - self.used > LONGEST {
                self.skipping = Skipping::Yes;
                self.offset += (self.buffer.len() - self.used) as u64;
                self.forget();
            }
            searched = self.buffer.len() - self.used;
            self.buffer.drain(..self.used);
            self.used = 0;
            if !self.fill(file)? {
                // Read again later, in case it is taken back.
                self.forget();
                return Ok(None);
            }
        };
        let (begin, offset) = (self.used, self.offset);
        self.consume(end);
        Ok(Some(Line {
            offset,
            bytes: &self.buffer[begin..end],
        }))
    }

    fn consume(&mut self, end: usize) {
        self.offset += (end + 1 - self.used) as u64;
        self.used = end + 1;
    }

    fn forget(&mut self) {
        self.buffer.clear();
        self.used = 0;
    }

    /// Whether there was more to read.
    fn fill(&mut self, file: &File) -> io::Result<bool> {
        let at = self.offset + self.buffer.len() as u64;
        let left = self
            .limit
            .map_or(u64::MAX, |limit| limit.saturating_sub(at));
        let wanted = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        let have = self.buffer.len();
        self.buffer.resize(have + wanted, 0);
        let count = file.read_at(&mut self.buffer[have..], at);
        self.buffer.truncate(have + *count.as_ref().unwrap_or(&0));
        if count? > 0 {
            return Ok(true);
        }
        // Somebody has shortened the file: what comes next is new.
        self.offset = self.offset.min(file.metadata()?.len());
        Ok(false)
    }
}

fn find_newline(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte == b'\n')
}

/// Lines from the end of a file to its beginning.
#[derive(Debug)]
pub(super) struct Backward {
    /// Where the buffer begins in the file.
    begin: u64,
    buffer: Vec<u8>,
    /// Bytes of the buffer that are still to be given out.
    left: usize,
    /// Whether what is left ends with a newline.
    aligned: Aligned,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aligned {
    No,
    Yes,
}

impl Backward {
    /// From the last whole line before `end` on.
    pub(super) fn new(end: u64) -> Self {
        Self {
            begin: end,
            buffer: Vec::new(),
            left: 0,
            aligned: Aligned::No,
        }
    }

    /// The line before; `None` at the beginning.
    pub(super) fn previous<'s>(&'s mut self, file: &File) -> io::Result<Option<Line<'s>>> {
        self.buffer.truncate(self.left);
        self.left = loop {
            if self.aligned == Aligned::No && !self.align(file)? {
                return Ok(None);
            }
            let body = self.buffer.len().saturating_sub(1);
            if let Some(at) = last_newline(&self.buffer[..body]) {
                break at + 1;
            }
            if self.buffer.len() > LONGEST {
                self.restart();
            } else if !self.fill(file)? {
                if self.buffer.is_empty() {
                    return Ok(None);
                }
                break 0;
            }
        };
        Ok(Some(Line {
            offset: self.begin + self.left as u64,
            bytes: &self.buffer[self.left..self.buffer.len() - 1],
        }))
    }

    /// Drops what follows the last newline; false when there is none.
    fn align(&mut self, file: &File) -> io::Result<bool> {
        loop {
            if let Some(at) = last_newline(&self.buffer) {
                self.buffer.truncate(at + 1);
                self.aligned = Aligned::Yes;
                return Ok(true);
            }
            self.buffer.clear();
            if !self.fill(file)? {
                return Ok(false);
            }
        }
    }

    fn restart(&mut self) {
        self.buffer.clear();
        self.aligned = Aligned::No;
    }

    /// Reads the block before the buffer; false when that is the beginning.
    fn fill(&mut self, file: &File) -> io::Result<bool> {
        let size = usize::try_from(self.begin).unwrap_or(BLOCK).min(BLOCK);
        if size == 0 {
            return Ok(false);
        }
        let mut block = vec![0; size];
        let from = self.begin - size as u64;
        match file.read_exact_at(&mut block, from) {
            Ok(()) => {
                block.append(&mut self.buffer);
                self.buffer = block;
                self.begin = from;
            }
            // Shortened since its size was asked for.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.begin = from.max(file.metadata()?.len()).min(self.begin - 1);
                self.restart();
            }
            Err(error) => return Err(error),
        }
        Ok(true)
    }
}

fn last_newline(bytes: &[u8]) -> Option<usize> {
    bytes.iter().rposition(|byte| *byte == b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn forwards(bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
        let file = file(bytes);
        let mut lines = Forward::new(0, None);
        let mut result = Vec::new();
        while let Some(line) = lines.next(&file).unwrap() {
            result.push((line.offset, line.bytes.to_vec()));
        }
        result
    }

    fn backwards(bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
        let file = file(bytes);
        let mut lines = Backward::new(bytes.len() as u64);
        let mut result = Vec::new();
        while let Some(line) = lines.previous(&file).unwrap() {
            result.insert(0, (line.offset, line.bytes.to_vec()));
        }
        result
    }

    #[test]
    fn both_ways_give_the_same_lines() {
        let long = "y".repeat(3 * BLOCK);
        for (text, count) in [
            (String::new(), 0),
            ("unfinished".to_owned(), 0),
            ("\n".to_owned(), 1),
            ("a\n\nb\nunfinished".to_owned(), 3),
            (format!("a\n{long}\nb\n{long}"), 3),
            ("line\n".repeat(50_000), 50_000),
        ] {
            let lines = forwards(text.as_bytes());
            assert_eq!(lines.len(), count);
            assert_eq!(lines, backwards(text.as_bytes()));
        }
    }

    #[test]
    fn a_line_beyond_all_measure_is_passed_over() {
        let huge = "x".repeat(5 * LONGEST);
        let text = format!("a\n{huge}\nb\n");
        let lines = forwards(text.as_bytes());
        assert_eq!(lines.len(), 2);
        assert_eq!(lines, backwards(text.as_bytes()));
    }

    #[test]
    fn what_is_not_finished_comes_later_or_is_taken_back() {
        let mut file = file(b"a\nhal");
        let mut lines = Forward::new(0, None);
        assert_eq!(lines.next(&file).unwrap().unwrap().bytes, b"a");
        assert_eq!(lines.next(&file).unwrap(), None);
        file.set_len(2).unwrap();
        assert_eq!(lines.next(&file).unwrap(), None);
        std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0)).unwrap();
        file.write_all(b"new\n").unwrap();
        let line = lines.next(&file).unwrap().unwrap();
        assert_eq!((line.offset, line.bytes), (2, &b"new"[..]));
    }
}
