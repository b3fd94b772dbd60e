//! The log file and the files put aside.
//!
//! Newest first: `PATH`, `PATH.1`, `PATH.2`, … A file never grows beyond its limit: before a record that does not fit it is renamed and
//! a new one begun; a line too long for a whole file is cut. Each rename leaves a state from which a reader, and the next rotation, go
//! on: a number that is missing is simply the next to be used.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ctr_exec::frames::Stream;
use rustix::fs::{FallocateFlags, OFlags};
use rustix::io::Errno;

use super::record::{self, OVERHEAD, Piece, pieces};
use crate::log_number::{log_number, older_log, set_log_number};

/// A limit below this many bytes of text a record is not kept to the byte: cutting lines to nothing helps nobody.
const SHORTEST: usize = 64;
/// No record is larger than this, so half a record at the end of a file begins within it.
const LONGEST_RECORD: u64 = 128 * 1024;
/// Room on the disk is asked for in this many bytes, which no file system allots less of.
const BLOCK: u64 = 4096;

/// Output that could not be logged.
#[derive(Debug)]
pub(super) struct Loss {
    /// How many bytes.
    pub(super) bytes: u64,
    /// Why.
    pub(super) why: String,
}

impl Loss {
    pub(super) fn new(bytes: u64, error: &io::Error) -> Self {
        let why = error.to_string();
        let (why, _) = why.split_once(" (os error").unwrap_or((&why, ""));
        Self {
            bytes,
            why: why.to_owned(),
        }
    }
}

pub(super) struct FileLog {
    path: PathBuf,
    max_size: Option<u64>,
    max_files: u32,
    open: Option<Open>,
    /// The number of the next file, once one was put aside.
    next: Option<u64>,
}

struct Open {
    file: File,
    length: u64,
    /// Up to here there is room on the disk.
    reserved: u64,
}

/// Records that are written with one call.
#[derive(Default)]
struct Batch {
    records: Vec<u8>,
    output: u64,
}

impl FileLog {
    pub(super) fn new(path: &Path, max_size: Option<u64>, max_files: u32) -> Self {
        Self {
            path: path.to_owned(),
            max_size,
            max_files: max_files.max(1),
            open: None,
            next: None,
        }
    }

    /// Logs bytes of a stream, and before them what is missing; what was logged before an error stays.
    pub(super) fn write(
        &mut self,
        time: &str,
        stream: Stream,
        bytes: &[u8],
        missing: &mut Option<Loss>,
    ) -> Result<(), Loss> {
        let mut logged = 0;
        self.try_write(time, stream, bytes, missing, &mut logged)
            .map_err(|error| Loss::new(bytes.len() as u64 - logged, &error))
    }

    fn try_write(
        &mut self,
        time: &str,
        stream: Stream,
        bytes: &[u8],
        missing: &mut Option<Loss>,
        logged: &mut u64,
    ) -> io::Result<()> {
        let head = record::head(time, stream);
        let mut batch = Batch::default();
        if let Some(loss) = missing {
            batch.records = record::gap(time, loss.bytes, &loss.why);
            if self.is_full(0, batch.records.len() as u64)? {
                self.rotate()?;
            }
        }
        for piece in pieces(bytes, self.longest_text()) {
            let waiting = batch.records.len() as u64;
            if self.is_full(waiting, piece.record_size())? {
                self.put(&mut batch, logged)?;
                *missing = None;
                if self.is_full(0, piece.record_size())? {
                    self.rotate()?;
                }
            }
            batch.add(piece, &head);
        }
        self.put(&mut batch, logged)?;
        *missing = None;
        Ok(())
    }

    fn longest_text(&self) -> usize {
        let limit = self.max_size.and_then(|size| usize::try_from(size).ok());
        let text = limit.map(|limit| limit.saturating_sub(OVERHEAD));
        text.map_or(usize::MAX, |text| text.max(SHORTEST))
    }

    /// Whether a record does not fit behind what is in the file and what waits; into an empty file every one does.
    fn is_full(&mut self, waiting: u64, record: u64) -> io::Result<bool> {
        let Some(max) = self.max_size else {
            return Ok(false);
        };
        let used = self.opened()?.length + waiting;
        Ok(used > 0 && used + record > max)
    }

    /// Writes the batch with one call and empties it. On failure nothing of it stays.
    fn put(&mut self, batch: &mut Batch, logged: &mut u64) -> io::Result<()> {
        if batch.records.is_empty() {
            return Ok(());
        }
        let open = self.opened()?;
        // Room first: on a full disk a reader would see some of the records, and then others in their place.
        open.find_end()?;
        let reserved = open.reserve(batch.records.len() as u64);
        if let Err(error) = reserved.and_then(|()| open.file.write_all(&batch.records)) {
            // Half a record must not swallow the next one. When not even this works, opening the file again sees to it.
            open.file.set_len(open.length).ok();
            self.open = None;
            return Err(error);
        }
        open.length += batch.records.len() as u64;
        *logged += batch.output;
        *batch = Batch::default();
        Ok(())
    }

    fn opened(&mut self) -> io::Result<&mut Open> {
        let open = match self.open.take() {
            Some(open) => open,
            None => Open::at(&self.path)?,
        };
        if open.length == 0
            && let Some(number) = self.next.take()
        {
            set_log_number(&open.file, number);
        }
        Ok(self.open.insert(open))
    }

    /// Puts the file aside, and the oldest away. Where that is impossible the file itself goes: the limit holds in any case.
    fn rotate(&mut self) -> io::Result<()> {
        let number = log_number(&self.opened()?.file).unwrap_or(0);
        self.next = Some(number + 1);
        self.open = None;
        self.put_aside()
            .or_else(|_| std::fs::remove_file(&self.path))
            .or_else(|error| {
                // One that somebody has removed is out of the way, too.
                let gone = error.kind() == io::ErrorKind::NotFound;
                if gone { Ok(()) } else { Err(error) }
            })
    }

    fn put_aside(&self) -> io::Result<()> {
        let last = self.max_files - 1;
        if last == 0 {
            return std::fs::remove_file(&self.path);
        }
        let is_free = |number: &u32| !self.aside(*number).exists();
        let free = (1..last).find(is_free).unwrap_or(last);
        for number in (1..free).rev() {
            std::fs::rename(self.aside(number), self.aside(number + 1))?;
        }
        std::fs::rename(&self.path, self.aside(1))
    }

    fn aside(&self, number: u32) -> PathBuf {
        older_log(&self.path, number)
    }
}

impl Batch {
    fn add(&mut self, piece: Piece<'_>, head: &str) {
        piece.append_to(&mut self.records, head);
        self.output += piece.output_size();
    }
}

impl Open {
    fn at(path: &Path) -> io::Result<Self> {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = File::options()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(flags.bits().cast_signed())
            .open(path)?;
        let found = file.metadata()?;
        let own = rustix::process::geteuid().as_raw();
        if !found.is_file() || found.uid() != own || found.nlink() > 1 {
            let why = "the log is not a file of this user alone";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let mut open = Self {
            file,
            length: found.len(),
            reserved: 0,
        };
        open.repair()?;
        Ok(open)
    }

    /// Somebody may have emptied the file, to make room: writing goes on at its end, wherever that is.
    fn find_end(&mut self) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        if length != self.length {
            self.length = length;
            self.reserved = 0;
        }
        Ok(())
    }

    /// Makes sure of the room for so many bytes more, where the file system can do that.
    fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        let end = self.length + bytes;
        if end <= self.reserved {
            return Ok(());
        }
        let reserved = end.next_multiple_of(BLOCK);
        let flags = FallocateFlags::KEEP_SIZE;
        match rustix::fs::fallocate(&self.file, flags, self.length, reserved - self.length) {
            Ok(()) => self.reserved = reserved,
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(())
    }

    /// Cuts off half a record that a killed writer left. What is not of this program stays, on a line of its own.
    fn repair(&mut self) -> io::Result<()> {
        let from = self.length.saturating_sub(LONGEST_RECORD);
        let mut tail = vec![0; usize::try_from(self.length - from).unwrap_or(0)];
        self.file.read_exact_at(&mut tail, from)?;
        let begin = tail.iter().rposition(|byte| *byte == b'\n');
        let begin = begin.map_or(0, |at| at + 1);
        let rest = &tail[begin..];
        if rest.is_empty() {
            return Ok(());
        }
        if rest.iter().take(4).all(u8::is_ascii_digit) {
            self.length = from + begin as u64;
            return self.file.set_len(self.length);
        }
        self.file.write_all(b"\n")?;
        self.length += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
