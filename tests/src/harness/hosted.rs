//! A container whose own program does nothing, and exec sessions in it.

use std::fs::File;
use std::io::{PipeReader, Read, Write, pipe};

use anyhow::{Context, Result};

use super::env::Env;
use super::pattern::Pattern;
use super::program::{Call, Running};
use super::receiver::{Pace, Receiver};
use super::share::{Attached, MARKER, Share};

/// The ways in which the streams of a command get to it: copied by the monitor, or handed over.
pub(crate) const WAYS: [&str; 2] = ["--stdio=stream", "--stdio=pass"];

/// Starts a container of this name; commands are executed in it.
pub(crate) fn container(env: &Env, name: &str, flags: &[&str]) -> Result<()> {
    env.detached(name, flags, "exec sleep 1000000")?;
    Ok(())
}

/// The same with a share, whose bytes commands write.
pub(crate) fn with_share(env: &Env, name: &str, pattern: Pattern) -> Result<Share> {
    let share = Share::make(env, &format!("share-{name}"), pattern)?;
    container(env, name, &["-v", &share.volume])?;
    Ok(share)
}

/// The words of an `exec` of a script.
pub(crate) fn words<'a>(flags: &[&'a str], name: &'a str, script: &'a str) -> Vec<&'a str> {
    let mut words = vec!["exec"];
    words.extend(flags);
    words.extend([name, "sh", "-c", script]);
    words
}

/// `exec` of a script with its output into a receiver.
pub(crate) fn received(
    env: &Env,
    words: &[&str],
    pattern: &Pattern,
    pace: Pace,
) -> Result<(Running, Receiver)> {
    let (receiver, end) = Receiver::start("", pattern, pace)?;
    let client = env.call(words).stdout_to(end).spawn()?;
    Ok((client, receiver))
}

/// Makes a session that runs a script; gives its id.
pub(crate) fn session(env: &Env, flags: &[&str], name: &str, script: &str) -> Result<String> {
    let mut words = vec!["container", "exec-create"];
    words.extend(flags);
    words.extend([name, "sh", "-c", script]);
    env.ctr(&words)?.id()
}

/// The same, and starts it in the background.
pub(crate) fn running(env: &Env, flags: &[&str], name: &str, script: &str) -> Result<String> {
    let id = session(env, flags, name, script)?;
    env.ctr(&["container", "exec-start", "-d", &id])?
        .prints(&format!("{id}\n"))?;
    Ok(id)
}

/// Whether a session runs, as it is inspected.
pub(crate) fn runs(env: &Env, id: &str) -> Result<bool> {
    let text = env.ctr(&["container", "exec-inspect", id])?.ok()?;
    let value: serde_json::Value = serde_json::from_str(&text).context("read exec-inspect")?;
    let running = value[0]["Running"].as_bool();
    running.with_context(|| format!("exec-inspect does not say whether it runs: {text}"))
}

/// The session ends, or has ended, with this code.
pub(crate) fn ended(env: &Env, id: &str, code: i32) -> Result<()> {
    env.ctr(&["container", "exec-wait", id])?
        .prints(&format!("{code}\n"))
}

/// A client of a session, once it has been seen to be attached.
pub(crate) fn attached(env: &Env, words: &[&str], share: &Share, pace: Pace) -> Result<Attached> {
    let (receiver, end) = Receiver::start(MARKER, &share.pattern, pace)?;
    let client = env.call(words).stdout_to(end).spawn()?;
    receiver.wait_for_first()?;
    Ok(Attached { client, receiver })
}

/// A pipe that brings these bytes, so many with each write. Somebody who does not take them all ends it.
pub(crate) fn fed(mut pattern: Pattern, at_once: usize) -> Result<PipeReader> {
    let (reader, mut writer) = pipe().context("make a pipe")?;
    std::thread::spawn(move || {
        let mut buffer = vec![0; at_once];
        while let Ok(count @ 1..) = pattern.read(&mut buffer) {
            if writer.write_all(&buffer[..count]).is_err() {
                return;
            }
        }
    });
    Ok(reader)
}

/// Compares a file with the bytes.
pub(crate) fn file_has(share: &Share, path: &std::path::Path) -> Result<()> {
    let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    let (receiver, end) = Receiver::start("", &share.pattern, Pace::Fast)?;
    let cat = Call::new("cat").stdin_from(file).stdout_to(end);
    cat.output()?.ok()?;
    receiver.finish()?.is_all_of(&share.pattern)
}
