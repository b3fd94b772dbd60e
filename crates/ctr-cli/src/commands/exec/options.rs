//! The options of exec and its sessions, as strings, and what they ask for.

use ctr_core::{Capability, ExecRequest, Rights, Stdio};
use ctr_exec::session::{Input, OnDisconnect, Tty, WaitIo};
use ctr_oci::parse_capability;
use ctr_rootfs::UserSpec;

use crate::commands::Context;
use crate::commands::client::{Client, Use};
use crate::error::CommandError;
use crate::parse::{env, env_file, number, path};

/// What is run, and as whom.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct ProcessOptions {
    /// Keep the standard input open
    #[arg(short, long)]
    interactive: bool,
    /// Give the command a terminal
    #[arg(short, long)]
    tty: bool,
    /// Environment variable; KEY alone takes the value of this shell
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    env: Vec<String>,
    /// File of environment variables, one a line; --env wins
    #[arg(long, value_name = "FILE")]
    env_file: Vec<String>,
    /// User, and group, by name or number [default: the container's]
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Working directory in the container [default: the container's]
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// Give the command every capability that the engine has
    #[arg(long)]
    privileged: bool,
    /// Capability beside the usual ones, or ALL
    #[arg(long, value_name = "CAPABILITY", value_delimiter = ',')]
    cap_add: Vec<String>,
}

impl ProcessOptions {
    /// The request for this command.
    ///
    /// # Errors
    /// The first option whose value cannot be used, by name.
    pub(crate) fn request(
        &self,
        command: &[String],
        client: &Client,
        context: &Context,
    ) -> Result<ExecRequest, CommandError> {
        let mut variables = env_file::variables(&self.env_file, &context.host)?;
        variables.extend(env::environment(&self.env, &context.host)?);
        let user = self.user.as_deref().map(|text| {
            UserSpec::parse(text)
                .map(|_| text.to_owned())
                .map_err(|refused| CommandError::flag("--user", refused))
        });
        let workdir = self.workdir.as_deref();
        Ok(ExecRequest {
            command: command.to_vec(),
            env: variables,
            cwd: workdir
                .map(|text| path::inside("--workdir", text))
                .transpose()?,
            user: user.transpose()?,
            tty: if self.tty { Tty::Yes } else { Tty::No },
            input: if self.interactive {
                Input::Open
            } else {
                Input::Null
            },
            rights: self.rights()?,
            detach_keys: client.detach_keys().to_string(),
        })
    }

    /// Whether this process' input is used.
    pub(crate) fn stdin(&self) -> Use {
        if self.interactive { Use::Yes } else { Use::No }
    }

    fn rights(&self) -> Result<Rights, CommandError> {
        if self.privileged
            || self
                .cap_add
                .iter()
                .any(|name| name.eq_ignore_ascii_case("all"))
        {
            return Ok(Rights::All);
        }
        let parse = |name: &String| {
            parse_capability(name).map_err(|refused| CommandError::flag("--cap-add", refused))
        };
        let added: Vec<Capability> = self.cap_add.iter().map(parse).collect::<Result<_, _>>()?;
        Ok(if added.is_empty() {
            Rights::Default
        } else {
            Rights::Added(added)
        })
    }
}

/// How it is started.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct StartOptions {
    /// Pass on so many descriptors beside the standard ones, from 3 on
    #[arg(long, value_name = "NUMBER")]
    pub(crate) preserve_fds: Option<String>,
    /// Pass on these descriptors
    #[arg(long, value_name = "NUMBER", value_delimiter = ',')]
    pub(crate) preserve_fd: Vec<String>,
    /// Seconds after which the command is killed; 0 is no limit [default: 0]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    timeout: Option<String>,
    /// How the streams get there: stream (through the monitor), pass (handed over), auto [default: auto, which hands pipes and sockets over]
    #[arg(long, value_name = "WAY")]
    stdio: Option<String>,
    /// How long output of processes is waited for that the command leaves behind: exit, grace (half a second) or eof [default: grace]
    #[arg(long, value_name = "HOW")]
    wait_io: Option<String>,
    /// What becomes of the command when this client is gone: keep, hup or kill [default: keep]
    #[arg(long, value_name = "WHAT")]
    on_disconnect: Option<String>,
}

/// What the options ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) timeout_ms: Option<u64>,
    pub(crate) stdio: Stdio,
    pub(crate) wait_io: WaitIo,
    pub(crate) on_disconnect: OnDisconnect,
}

impl StartOptions {
    /// What they ask for.
    ///
    /// # Errors
    /// The first option whose value cannot be used, by name.
    pub(crate) fn plan(&self) -> Result<Plan, CommandError> {
        let seconds = self.timeout.as_deref().map(|text| {
            number::number::<u32>("--timeout", text, "a number of seconds (0 is no limit)")
        });
        let millis = seconds
            .transpose()?
            .map(|seconds| u64::from(seconds) * 1000);
        Ok(Plan {
            timeout_ms: millis.filter(|millis| *millis > 0),
            stdio: self.stdio()?,
            wait_io: word("--wait-io", self.wait_io.as_deref())?,
            on_disconnect: word("--on-disconnect", self.on_disconnect.as_deref())?,
        })
    }

    fn stdio(&self) -> Result<Stdio, CommandError> {
        match self.stdio.as_deref() {
            None | Some("auto") => Ok(Stdio::Auto),
            Some("stream") => Ok(Stdio::Stream),
            Some("pass") => Ok(Stdio::Pass),
            Some(other) => {
                let why = "must be stream, pass or auto";
                Err(CommandError::value("--stdio", other, why))
            }
        }
    }
}

fn word<T>(flag: &str, text: Option<&str>) -> Result<T, CommandError>
where
    T: Default + std::str::FromStr<Err = ctr_exec::session::BadWord>,
{
    let parsed = text.map(|text| {
        text.parse()
            .map_err(|why: ctr_exec::session::BadWord| CommandError::value(flag, text, why))
    });
    Ok(parsed.transpose()?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(options: &StartOptions) -> String {
        options.plan().unwrap_err().message().to_owned()
    }

    #[test]
    fn nothing_asked_for_is_the_default() {
        let plan = StartOptions::default().plan().unwrap();
        let expected = Plan {
            timeout_ms: None,
            stdio: Stdio::Auto,
            wait_io: WaitIo::Grace,
            on_disconnect: OnDisconnect::Keep,
        };
        assert_eq!(plan, expected);
        assert_eq!(ProcessOptions::default().rights(), Ok(Rights::Default));
    }

    #[test]
    fn wrong_values_are_named() {
        let timeout = StartOptions {
            timeout: Some("-1".into()),
            ..StartOptions::default()
        };
        assert!(refused(&timeout).starts_with("--timeout \"-1\": must be a number of seconds"));
        let stdio = StartOptions {
            stdio: Some("copy".into()),
            ..StartOptions::default()
        };
        assert_eq!(
            refused(&stdio),
            "--stdio \"copy\": must be stream, pass or auto"
        );
        let wait_io = StartOptions {
            wait_io: Some("never".into()),
            ..StartOptions::default()
        };
        assert_eq!(
            refused(&wait_io),
            "--wait-io \"never\": must be exit, grace or eof"
        );
    }

    #[test]
    fn capabilities() {
        let rights = |names: &[&str]| {
            let options = ProcessOptions {
                cap_add: names.iter().map(|&name| name.to_owned()).collect(),
                ..ProcessOptions::default()
            };
            options.rights()
        };
        assert_eq!(rights(&["NET_ADMIN", "all"]), Ok(Rights::All));
        assert_eq!(
            rights(&["cap_net_admin"]),
            Ok(Rights::Added(vec![Capability::NetAdmin]))
        );
        assert!(rights(&["NET_ADMINS"]).is_err());
    }
}
