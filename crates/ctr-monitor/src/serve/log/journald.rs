//! The host's journal, by its native protocol: one datagram an entry.
//!
//! Fields are `NAME=value` and a newline, or, for values that may hold anything, the name, a newline, the length as eight bytes little
//! endian, the value, a newline.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use ctr_exec::frames::Stream;

use super::file::Loss;
use super::record::{Tag, pieces};

/// Bytes of text in one entry: with its fields it stays below what every host takes as one datagram.
const LONGEST_TEXT: usize = 48 * 1024;

/// Priorities of the journal.
const ERROR: u8 = 3;
const WARNING: u8 = 4;
const INFO: u8 = 6;

pub(super) struct Journal {
    path: PathBuf,
    socket: Option<UnixDatagram>,
    /// The fields that all entries have.
    fields: Vec<u8>,
}

impl Journal {
    pub(super) fn new(path: &Path, id: &str, name: &str, tag: Option<&str>) -> Self {
        let mut fields = Vec::new();
        let short = id.get(..12).unwrap_or(id);
        field(&mut fields, "CONTAINER_ID_FULL", id.as_bytes());
        field(&mut fields, "CONTAINER_ID", short.as_bytes());
        field(&mut fields, "CONTAINER_NAME", name.as_bytes());
        if let Some(tag) = tag {
            field(&mut fields, "CONTAINER_TAG", tag.as_bytes());
        }
        let identifier = tag.unwrap_or(name);
        field(&mut fields, "SYSLOG_IDENTIFIER", identifier.as_bytes());
        Self {
            path: path.to_owned(),
            socket: None,
            fields,
        }
    }

    /// Sends an entry about what is missing, and one for each line; the rest of the last one as an entry that says so.
    pub(super) fn write(
        &mut self,
        stream: Stream,
        bytes: &[u8],
        missing: &mut Option<Loss>,
    ) -> Result<(), Loss> {
        let mut logged = 0;
        self.try_write(stream, bytes, missing, &mut logged)
            .map_err(|error| Loss::new(bytes.len() as u64 - logged, &error))
    }

    fn try_write(
        &mut self,
        stream: Stream,
        bytes: &[u8],
        missing: &mut Option<Loss>,
        logged: &mut u64,
    ) -> io::Result<()> {
        if let Some(loss) = missing {
            self.gap(loss.bytes, &loss.why)?;
            *missing = None;
        }
        let priority = match stream {
            Stream::Stderr => ERROR,
            Stream::Stdout | Stream::Stdin => INFO,
        };
        for piece in pieces(bytes, LONGEST_TEXT) {
            let mut entry = self.entry(priority, piece.text);
            if piece.tag == Tag::Partial {
                field(&mut entry, "CONTAINER_PARTIAL_MESSAGE", b"true");
            }
            self.send(&entry)?;
            *logged += piece.output_size();
        }
        Ok(())
    }

    fn gap(&mut self, bytes: u64, why: &str) -> io::Result<()> {
        let text = match bytes {
            0 => format!("output may have been lost here ({why})"),
            bytes => format!("{bytes} bytes of output were lost here ({why})"),
        };
        let mut entry = self.entry(WARNING, text.as_bytes());
        field(
            &mut entry,
            "CONTAINER_LOST_BYTES",
            bytes.to_string().as_bytes(),
        );
        field(&mut entry, "CONTAINER_LOST_REASON", why.as_bytes());
        self.send(&entry)
    }

    fn entry(&self, priority: u8, text: &[u8]) -> Vec<u8> {
        let mut entry = self.fields.clone();
        field(&mut entry, "PRIORITY", priority.to_string().as_bytes());
        field(&mut entry, "MESSAGE", text);
        entry
    }

    fn send(&mut self, entry: &[u8]) -> io::Result<()> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => connect(&self.path)?,
        };
        // After an error it is opened again: the journal may have been started anew.
        socket.send(entry)?;
        self.socket = Some(socket);
        Ok(())
    }
}

fn connect(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    Ok(socket)
}

fn field(entry: &mut Vec<u8>, name: &str, value: &[u8]) {
    entry.extend_from_slice(name.as_bytes());
    entry.push(b'\n');
    entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    entry.extend_from_slice(value);
    entry.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads an entry back.
    fn parse(mut entry: &[u8]) -> Vec<(String, Vec<u8>)> {
        let mut fields = Vec::new();
        while let Some(at) = entry.iter().position(|byte| *byte == b'\n') {
            let name = String::from_utf8(entry[..at].to_vec()).unwrap();
            let (length, rest) = entry[at + 1..].split_first_chunk::<8>().unwrap();
            let length = usize::try_from(u64::from_le_bytes(*length)).unwrap();
            fields.push((name, rest[..length].to_vec()));
            assert_eq!(rest[length], b'\n');
            entry = &rest[length + 1..];
        }
        assert!(entry.is_empty());
        fields
    }

    struct Fake {
        dir: tempfile::TempDir,
        socket: UnixDatagram,
    }

    impl Fake {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let socket = UnixDatagram::bind(dir.path().join("socket")).unwrap();
            socket.set_nonblocking(true).unwrap();
            Self { dir, socket }
        }

        fn journal(&self, tag: Option<&str>) -> Journal {
            let id = "0123456789abcdef";
            Journal::new(&self.dir.path().join("socket"), id, "web", tag)
        }

        fn received(&self) -> Vec<(String, Vec<u8>)> {
            let mut buffer = vec![0; 128 * 1024];
            let count = self.socket.recv(&mut buffer).unwrap();
            parse(&buffer[..count])
        }
    }

    fn get<'a>(fields: &'a [(String, Vec<u8>)], name: &str) -> Option<&'a [u8]> {
        let found = fields.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_slice())
    }

    #[test]
    fn an_entry_a_line_with_the_fields_of_the_container() {
        let fake = Fake::new();
        let mut journal = fake.journal(Some("mine"));
        journal
            .write(Stream::Stderr, b"a\0=\xff\nrest", &mut None)
            .unwrap();
        let (line, rest) = (fake.received(), fake.received());
        assert_eq!(get(&line, "MESSAGE"), Some(&b"a\0=\xff"[..]));
        assert_eq!(get(&line, "PRIORITY"), Some(&b"3"[..]));
        assert_eq!(
            get(&line, "CONTAINER_ID_FULL"),
            Some(&b"0123456789abcdef"[..])
        );
        assert_eq!(get(&line, "CONTAINER_ID"), Some(&b"0123456789ab"[..]));
        assert_eq!(get(&line, "CONTAINER_NAME"), Some(&b"web"[..]));
        assert_eq!(get(&line, "CONTAINER_TAG"), Some(&b"mine"[..]));
        assert_eq!(get(&line, "SYSLOG_IDENTIFIER"), Some(&b"mine"[..]));
        assert_eq!(get(&line, "CONTAINER_PARTIAL_MESSAGE"), None);
        assert_eq!(get(&rest, "MESSAGE"), Some(&b"rest"[..]));
        assert_eq!(get(&rest, "CONTAINER_PARTIAL_MESSAGE"), Some(&b"true"[..]));
    }

    #[test]
    fn a_long_line_is_several_entries() {
        let fake = Fake::new();
        let mut journal = fake.journal(None);
        let mut text = vec![b'x'; LONGEST_TEXT + 1];
        text.push(b'\n');
        journal.write(Stream::Stdout, &text, &mut None).unwrap();
        let (first, second) = (fake.received(), fake.received());
        assert_eq!(get(&first, "MESSAGE").unwrap().len(), LONGEST_TEXT);
        assert_eq!(get(&first, "CONTAINER_PARTIAL_MESSAGE"), Some(&b"true"[..]));
        assert_eq!(get(&second, "MESSAGE"), Some(&b"x"[..]));
        assert_eq!(get(&second, "CONTAINER_PARTIAL_MESSAGE"), None);
        assert_eq!(get(&second, "SYSLOG_IDENTIFIER"), Some(&b"web"[..]));
    }

    #[test]
    fn a_journal_that_is_away_costs_what_comes_meanwhile_and_no_more() {
        let mut fake = Fake::new();
        let mut journal = fake.journal(None);
        let mut missing = None;
        journal
            .write(Stream::Stdout, b"one\n", &mut missing)
            .unwrap();
        let path = fake.dir.path().join("socket");
        std::fs::remove_file(&path).unwrap();
        fake.socket = UnixDatagram::unbound().unwrap();
        let loss = journal.write(Stream::Stdout, b"two\nthree\n", &mut missing);
        missing = loss.err();
        assert_eq!(missing.as_ref().unwrap().bytes, 10);
        let loss = journal.write(Stream::Stdout, b"x\n", &mut missing);
        assert_eq!((loss.unwrap_err().bytes, missing.is_some()), (2, true));
        fake.socket = UnixDatagram::bind(&path).unwrap();
        journal.write(Stream::Stdout, b"", &mut missing).unwrap();
        assert!(missing.is_none());
        assert_eq!(
            get(&fake.received(), "CONTAINER_LOST_BYTES"),
            Some(&b"10"[..])
        );
    }
}
