//! What an attached client does with its streams, keys and signals: the flags that `run`, `start` and `attach` share.

use std::os::fd::BorrowedFd;

use ctr_core::{SessionIo, SignalProxy};
use ctr_exec::{DetachKeys, WindowSize, is_terminal};
use ctr_sys::SignalFd;

use crate::commands::Context;
use crate::error::CommandError;
use crate::io::Io;
use crate::parse::boolean::optional;
use crate::settings;

/// The flags of every attached client.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct ClientOptions {
    /// Keys that leave the container running: single characters or ctrl-X, separated by commas; empty for none [default: ctrl-p,ctrl-q]
    #[arg(long, value_name = "KEYS")]
    pub(crate) detach_keys: Option<String>,
    /// Pass signals on to the container [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) sig_proxy: Option<String>,
}

impl ClientOptions {
    /// Whether the command line asks for signals to be passed on; without a word of it there, it does not.
    ///
    /// # Errors
    /// A value that is neither true nor false.
    pub(crate) fn passes_signals_on(&self) -> Result<bool, CommandError> {
        Ok(optional("--sig-proxy", self.sig_proxy.as_deref())?.unwrap_or(false))
    }
}

/// Whether a client uses one of the streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    Yes,
    No,
}

/// Which streams a client uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Streams {
    pub(crate) stdin: Use,
    pub(crate) stdout: Use,
    pub(crate) stderr: Use,
}

impl Streams {
    /// Both outputs, and the input as given.
    pub(crate) fn all(stdin: Use) -> Self {
        Self {
            stdin,
            stdout: Use::Yes,
            stderr: Use::Yes,
        }
    }

    /// Whether nothing of the container is heard.
    pub(crate) fn is_silent(self) -> bool {
        self.stdout == Use::No && self.stderr == Use::No
    }

    /// Those that `--attach` names; the usual ones when it names none.
    ///
    /// # Errors
    /// A name that is none of a stream.
    pub(crate) fn named(names: &[String], stdin: Use) -> Result<Self, CommandError> {
        if names.is_empty() {
            return Ok(Self::all(stdin));
        }
        let mut streams = Self {
            stdin,
            stdout: Use::No,
            stderr: Use::No,
        };
        for name in names {
            match name.to_ascii_lowercase().as_str() {
                "stdin" => streams.stdin = Use::Yes,
                "stdout" => streams.stdout = Use::Yes,
                "stderr" => streams.stderr = Use::Yes,
                _ => {
                    let why = "must be stdin, stdout or stderr";
                    return Err(CommandError::value("--attach", name, why));
                }
            }
        }
        Ok(streams)
    }
}

/// A client as its flags describe it.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) streams: Streams,
    proxy: SignalProxy,
    detach_keys: DetachKeys,
}

impl Client {
    /// The client of these flags.
    ///
    /// # Errors
    /// Keys or a word that cannot be read.
    pub(crate) fn new(
        options: &ClientOptions,
        streams: Streams,
        context: &Context,
    ) -> Result<Self, CommandError> {
        let detach_keys = match &options.detach_keys {
            None => settings::detach_keys(context.file()?)?,
            Some(text) => text
                .parse()
                .map_err(|refused| CommandError::flag("--detach-keys", refused))?,
        };
        let proxy = if optional("--sig-proxy", options.sig_proxy.as_deref())?.unwrap_or(true) {
            SignalProxy::ToContainer
        } else {
            SignalProxy::EndsSession
        };
        Ok(Self {
            streams,
            proxy,
            detach_keys,
        })
    }

    /// The size of this process' terminal, if it has one.
    pub(crate) fn window(io: &mut Io) -> Option<WindowSize> {
        let [stdin, stdout, _] = io.descriptors();
        WindowSize::of(stdin).or_else(|| WindowSize::of(stdout))
    }

    /// Whether keys of a person can arrive here.
    pub(crate) fn has_terminal(io: &mut Io) -> bool {
        let [stdin, _, _] = io.descriptors();
        is_terminal(stdin)
    }

    /// The keys by which it leaves.
    pub(crate) fn detach_keys(&self) -> &DetachKeys {
        &self.detach_keys
    }

    /// The descriptors of this process, as far as the client uses them.
    pub(crate) fn descriptors<'a>(&self, io: &mut Io) -> [Option<BorrowedFd<'a>>; 3] {
        let [stdin, stdout, stderr] = io.descriptors();
        let used = |wanted, fd| match wanted {
            Use::Yes => Some(fd),
            Use::No => None,
        };
        [
            used(self.streams.stdin, stdin),
            used(self.streams.stdout, stdout),
            used(self.streams.stderr, stderr),
        ]
    }

    /// The streams of this process, as far as the client uses them.
    pub(crate) fn io<'a>(&self, io: &mut Io, signals: &'a SignalFd) -> SessionIo<'a> {
        let [stdin, stdout, stderr] = self.descriptors(io);
        SessionIo {
            stdin,
            stdout,
            stderr,
            signals: Some(signals),
            proxy: self.proxy,
            detach_keys: self.detach_keys.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Globals;
    use crate::testing::host;

    #[test]
    fn named_streams_and_no_others() {
        let named = |names: &[&str], stdin| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            Streams::named(&names, stdin)
        };
        assert_eq!(named(&[], Use::Yes), Ok(Streams::all(Use::Yes)));
        let streams = named(&["STDOUT"], Use::No).unwrap();
        assert_eq!(
            (streams.stdin, streams.stdout, streams.stderr),
            (Use::No, Use::Yes, Use::No)
        );
        let streams = named(&["stdin", "stderr"], Use::No).unwrap();
        assert_eq!(
            (streams.stdin, streams.stdout, streams.stderr),
            (Use::Yes, Use::No, Use::Yes)
        );
        let error = named(&["output"], Use::No).unwrap_err();
        assert_eq!(
            error.message(),
            "--attach \"output\": must be stdin, stdout or stderr"
        );
    }

    #[test]
    fn bad_flags_are_named() {
        let refused = |options: ClientOptions| {
            let context = Context::new(Globals::default(), host());
            let client = Client::new(&options, Streams::all(Use::No), &context);
            client.unwrap_err().message().to_owned()
        };
        let keys = refused(ClientOptions {
            detach_keys: Some("ctrl-1".into()),
            ..ClientOptions::default()
        });
        assert!(keys.starts_with("--detach-keys: invalid detach keys \"ctrl-1\": allowed are"));
        let proxy = refused(ClientOptions {
            sig_proxy: Some("maybe".into()),
            ..ClientOptions::default()
        });
        assert_eq!(proxy, "--sig-proxy \"maybe\": must be true or false");
    }
}
