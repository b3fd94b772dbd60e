//! Known bytes for a container to write, words between it and a case, and clients that compare what they get.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::env::Env;
use super::pattern::Pattern;
use super::program::Running;
use super::receiver::{Pace, Receiver};
use super::{tree, wait};

/// Says `tick` until it is told to go on: whoever sees one is attached.
pub(crate) const TICK: &str = "until test -e /share/go; do echo tick; sleep 0.02; done; echo go; ";

/// What comes right before the bytes then.
pub(crate) const MARKER: &str = "go\n";

/// A directory that containers see as `/share`, with a file `data` of known bytes.
pub(crate) struct Share {
    directory: PathBuf,
    /// The value of `--volume`.
    pub(crate) volume: String,
    pub(crate) pattern: Pattern,
}

impl Share {
    /// Makes it under this name.
    pub(crate) fn make(env: &Env, name: &str, pattern: Pattern) -> Result<Share> {
        let directory = env.path(name);
        tree::directory(&directory, 0o755)?;
        pattern.clone().write_to(&directory.join("data"))?;
        Ok(Share {
            volume: format!("{}:/share", directory.display()),
            directory,
            pattern,
        })
    }

    /// The file of the bytes.
    pub(crate) fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// Says something to the container: a file of this name is there from now on.
    pub(crate) fn tell(&self, name: &str) -> Result<()> {
        tree::write(&self.directory.join(name), "")
    }

    /// Whether somebody said this.
    pub(crate) fn was_told(&self, name: &str) -> bool {
        self.directory.join(name).exists()
    }

    /// Takes a word back.
    pub(crate) fn forget(&self, name: &str) -> Result<()> {
        let path = self.directory.join(name);
        std::fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))
    }

    /// Waits for a word of the container.
    pub(crate) fn hear(&self, name: &str) -> Result<()> {
        wait::until(&format!("the word {name}"), || {
            Ok(self.was_told(name).then_some(()))
        })
    }

    /// Starts a container of this name beside us that runs a script.
    pub(crate) fn detached(&self, env: &Env, name: &str, script: &str) -> Result<()> {
        env.detached(name, &["-v", &self.volume], script)?;
        Ok(())
    }

    /// Starts a container of this name in our foreground; gives the client and the reader of its standard output.
    pub(crate) fn foreground(
        &self,
        env: &Env,
        name: &str,
        script: &str,
        pace: Pace,
    ) -> Result<(Running, Receiver)> {
        let rootfs = env.rootfs();
        let words = [
            "run",
            "--name",
            name,
            "--stop-timeout",
            "0",
            "-v",
            &self.volume,
            "--rootfs",
            &rootfs,
            "sh",
            "-c",
            script,
        ];
        let (receiver, end) = Receiver::start("", &self.pattern, pace)?;
        let client = env.call(&words).stdout_to(end).spawn()?;
        Ok((client, receiver))
    }

    /// The log brings all bytes too.
    pub(crate) fn check_log(&self, env: &Env, name: &str, marker: &str) -> Result<()> {
        let (receiver, end) = Receiver::start(marker, &self.pattern, Pace::Fast)?;
        let client = env.call(&["logs", name]).stdout_to(end).spawn()?;
        client.finish()?.ok()?;
        receiver
            .finish()?
            .is_all_of(&self.pattern)
            .context("the log")
    }
}

/// A client that is attached to a container.
pub(crate) struct Attached {
    pub(crate) client: Running,
    pub(crate) receiver: Receiver,
}

impl Attached {
    /// Attaches, and waits until the container was seen saying something.
    pub(crate) fn start(env: &Env, name: &str, share: &Share, pace: Pace) -> Result<Attached> {
        let (receiver, end) = Receiver::start(MARKER, &share.pattern, pace)?;
        let client = env.call(&["attach", name]).stdout_to(end).spawn()?;
        receiver.wait_for_first()?;
        Ok(Attached { client, receiver })
    }

    /// It got all, and ended as the container did.
    pub(crate) fn got_all(self, share: &Share, code: i32) -> Result<()> {
        self.client.finish()?.quiet(code)?;
        self.receiver.finish()?.is_all_of(&share.pattern)
    }
}
