//! The log in the Kubernetes text form.
//!
//! A record is `TIME STREAM F|P TEXT` and a newline: `F` when the text ended with a newline, `P` when it did not and goes on in the
//! next record of that stream. All records of one read are written with one call. Bytes are copied as they are. A log that cannot be
//! written never stops the container: what is lost is counted.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use ctr_exec::frames::Stream;
use ctr_sys::{SysError, SysResult, now_ns, rfc3339};

use crate::protocol::LogTarget;

pub(super) struct LogFile {
    file: File,
    length: u64,
    lost: u64,
}

impl LogFile {
    pub(super) fn open(target: &LogTarget) -> SysResult<Self> {
        let LogTarget::K8sFile { path } = target;
        let file = File::options()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(path)
            .map_err(|error| SysError::new("open", path.display().to_string(), error))?;
        let length = file
            .metadata()
            .map_err(|error| SysError::new("stat", path.display().to_string(), error))?
            .len();
        Ok(Self {
            file,
            length,
            lost: 0,
        })
    }

    /// Logs bytes of a stream under the present time.
    pub(super) fn write(&mut self, stream: Stream, bytes: &[u8]) {
        let records = records(&rfc3339(now_ns()), stream, bytes);
        if self.file.write_all(&records).is_ok() {
            self.length += records.len() as u64;
            return;
        }
        self.lost += bytes.len() as u64;
        // Half a record would swallow the next one. When not even this works, readers pass the damaged line over.
        self.file.set_len(self.length).ok();
    }

    /// Bytes of output that are not in the log.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }
}

fn records(time: &str, stream: Stream, bytes: &[u8]) -> Vec<u8> {
    let stream = match stream {
        Stream::Stderr => "stderr",
        Stream::Stdout | Stream::Stdin => "stdout",
    };
    let mut result = Vec::with_capacity(bytes.len() + 64);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let (text, tag) = match line.strip_suffix(b"\n") {
            Some(text) => (text, 'F'),
            None => (line, 'P'),
        };
        result.extend_from_slice(format!("{time} {stream} {tag} ").as_bytes());
        result.extend_from_slice(text);
        result.push(b'\n');
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: &str) {
        let records = records("T", Stream::Stdout, bytes);
        assert_eq!(String::from_utf8_lossy(&records), expected);
    }

    #[test]
    fn lines_and_parts_of_lines() {
        check(b"a\nb\n", "T stdout F a\nT stdout F b\n");
        check(b"a\nb", "T stdout F a\nT stdout P b\n");
        check(b"\n", "T stdout F \n");
        check(b"", "");
        check(
            b"a\r\n2026-01-01 stdout F forged",
            "T stdout F a\r\nT stdout P 2026-01-01 stdout F forged\n",
        );
    }
}
