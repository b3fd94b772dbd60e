//! One loop that carries bytes to and fro.
//!
//! Everything in it waits in one `poll(2)`: our signals, the end of the command, what is typed, room for it, what the command says, and room for
//! that. So a pager that stands still holds up neither a signal nor what is typed.

use std::io::Stdin;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use ctr_exec::{Console, Departure, DetachKeys, ExecError, Sink, Source, SourceKind, WindowSize};
use ctr_sys::{Deadline, Delivery, ExitStatus, PidRef, Signal, SignalFd};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use crate::Outcome;

/// Bytes that are read at once.
const CHUNK: usize = 16 * 1024;

/// Why there is nothing more to carry.
pub(crate) enum End {
    /// The command has ended, and what it had written has been passed on.
    Exited(ExitStatus),
    /// The user has gone, the command has not.
    Left(Departure),
}

/// Between a terminal in front of us, in raw mode, and the command's.
pub(crate) fn through_terminal(
    process: &PidRef,
    signals: &SignalFd,
    stdin: &Stdin,
    console: &Console,
) -> Outcome<End> {
    let stdout = std::io::stdout();
    let keys = SourceKind::Keys(DetachKeys::usual().watch());
    let talk = Talk {
        process,
        signals,
        stdin,
        console: Some(console),
        input: Source::new(Some(stdin.as_fd()), keys),
        to: Some(console.duplicate()?),
        sent: 0,
        outputs: vec![Output::new(console.duplicate()?, stdout.as_fd())],
    };
    talk.run()
}

/// Between our standard streams, whatever they are, and the pipes of the command.
pub(crate) fn through_pipes(
    process: &PidRef,
    signals: &SignalFd,
    stdin: &Stdin,
    to: OwnedFd,
    from: [OwnedFd; 2],
) -> Outcome<End> {
    let (stdout, stderr) = (std::io::stdout(), std::io::stderr());
    let [out, err] = from;
    let talk = Talk {
        process,
        signals,
        stdin,
        console: None,
        input: Source::new(Some(stdin.as_fd()), SourceKind::Data),
        to: Some(to),
        sent: 0,
        outputs: vec![
            Output::new(out, stdout.as_fd()),
            Output::new(err, stderr.as_fd()),
        ],
    };
    talk.run()
}

/// One stream from the command to us.
struct Output<'a> {
    /// Non-blocking; `None` once it is at its end, or nobody reads us.
    from: Option<OwnedFd>,
    sink: Sink<'a>,
}

/// What reading once has come to.
#[derive(PartialEq, Eq)]
enum Read {
    Some,
    NothingNow,
    End,
}

impl<'a> Output<'a> {
    fn new(from: OwnedFd, to: BorrowedFd<'a>) -> Self {
        Self {
            from: Some(from),
            sink: Sink::new(Some(to)),
        }
    }

    fn read(&mut self) -> Read {
        let Some(from) = &self.from else {
            return Read::End;
        };
        let mut buffer = [0; CHUNK];
        match rustix::io::read(from, &mut buffer) {
            Err(Errno::AGAIN | Errno::INTR) => return Read::NothingNow,
            Ok(0) | Err(_) => self.from = None,
            Ok(count) => {
                self.sink.push(&buffer[..count]);
                return Read::Some;
            }
        }
        Read::End
    }

    /// After the command's end: reads what it has left, and no longer waits for what others may write that it has left behind.
    fn read_rest(&mut self) {
        while self.sink.has_room() {
            if self.read() != Read::Some {
                self.from = None;
                break;
            }
        }
    }

    fn give_up(&mut self) {
        self.from = None;
        self.sink = Sink::new(None);
    }

    fn is_done(&self) -> bool {
        self.from.is_none() && self.sink.is_empty()
    }
}

/// What a descriptor that is waited for stands for.
#[derive(Clone, Copy)]
enum Event {
    Signal,
    Ended,
    Typed,
    RoomForTyped,
    Said(usize),
    RoomForSaid(usize),
}

struct Talk<'a> {
    process: &'a PidRef,
    signals: &'a SignalFd,
    stdin: &'a Stdin,
    console: Option<&'a Console>,
    input: Source<'a>,
    /// Where input goes, non-blocking; `None` once the command has been told of its end, or reads no more.
    to: Option<OwnedFd>,
    /// How much of the pending input has been written.
    sent: usize,
    outputs: Vec<Output<'a>>,
}

impl Talk<'_> {
    fn run(mut self) -> Outcome<End> {
        let mut status = None;
        loop {
            if let Some(status) = status {
                self.outputs.iter_mut().for_each(Output::read_rest);
                if self.outputs.iter().all(Output::is_done) {
                    return Ok(End::Exited(status));
                }
            } else if let Some(departure) = self.input.departure() {
                return Ok(End::Left(departure));
            }
            for event in self.wait(status)? {
                match event {
                    Event::Signal => self.take_signal()?,
                    Event::Ended => status = self.process.reap()?,
                    Event::Typed => self.input.read(),
                    Event::RoomForTyped => self.pass_typed(),
                    Event::Said(at) => drop(self.outputs[at].read()),
                    Event::RoomForSaid(at) => self.pass_said(at)?,
                }
            }
        }
    }

    /// Waits until something has happened, and says what.
    fn wait(&self, ended: Option<ExitStatus>) -> Outcome<Vec<Event>> {
        let mut waited = vec![(Event::Signal, self.signals.as_fd(), PollFlags::IN)];
        if ended.is_none() {
            waited.push((Event::Ended, self.process.as_fd(), PollFlags::IN));
            let typed = self.input.readable();
            waited.extend(typed.map(|fd| (Event::Typed, fd, PollFlags::IN)));
            let to = self.to.as_ref().filter(|_| self.input.pending().is_some());
            waited.extend(to.map(|fd| (Event::RoomForTyped, fd.as_fd(), PollFlags::OUT)));
        }
        for (at, output) in self.outputs.iter().enumerate() {
            let from = output.from.as_ref().filter(|_| output.sink.has_room());
            waited.extend(from.map(|fd| (Event::Said(at), fd.as_fd(), PollFlags::IN)));
            let room = output.sink.writable();
            waited.extend(room.map(|fd| (Event::RoomForSaid(at), fd, PollFlags::OUT)));
        }
        let mut fds: Vec<PollFd<'_>> = waited
            .iter()
            .map(|(_, fd, flags)| PollFd::from_borrowed_fd(*fd, *flags))
            .collect();
        ctr_sys::poll(&mut fds, Deadline::never())?;
        let happened = waited.iter().zip(&fds);
        Ok(happened
            .filter(|(_, fd)| !fd.revents().is_empty())
            .map(|((event, _, _), _)| *event)
            .collect())
    }

    fn take_signal(&mut self) -> Result<(), ExecError> {
        while let Some(info) = self.signals.read()? {
            match (info.signal, self.console) {
                (Signal::WINCH, Some(console)) => {
                    if let Some(size) = WindowSize::of(self.stdin) {
                        console.resize(size)?;
                    }
                }
                (Signal::WINCH, None) => {}
                // There is only us left to end, though not everything could be passed on.
                (signal, _) if self.process.signal(signal)? == Delivery::Gone => {
                    self.outputs.iter_mut().for_each(Output::give_up);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn pass_said(&mut self, at: usize) -> Result<(), ExecError> {
        let output = &mut self.outputs[at];
        output.sink.write();
        if output.sink.reader_is_gone() {
            // A command with pipes is told by the end of its own; one with a terminal, as if that had gone.
            output.from = None;
            if self.console.is_some() {
                self.process.signal(Signal::HUP)?;
            }
        }
        Ok(())
    }

    /// Writes what the command takes of the pending input. No bytes are the end of it.
    fn pass_typed(&mut self) {
        let (Some(bytes), Some(to)) = (self.input.pending(), &self.to) else {
            return;
        };
        let rest = &bytes[self.sent..];
        if rest.is_empty() {
            self.to = None;
            self.input.close();
            return;
        }
        match rustix::io::write(to, rest) {
            Ok(count) if count == rest.len() => {
                self.sent = 0;
                self.input.sent();
            }
            Ok(count) => self.sent += count,
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => {
                // The command has closed its input and goes on.
                self.to = None;
                self.input.close();
            }
        }
    }
}
