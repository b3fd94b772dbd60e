//! The processes that ask: workers that drive the engine as a library, and `ctr` itself.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, PipeReader};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;

use super::history::{Answer, Call, Id, Name, Seen, Status, Verb};
use super::plan::Wish;
use crate::harness::env::Env;
use crate::harness::output::Output;
use crate::harness::program::{Call as Program, Running};

/// The ids of one part of the history as small numbers.
#[derive(Debug, Default)]
pub(crate) struct Ids(Mutex<BTreeMap<String, Id>>);

/// So much of an id is said in messages.
const SHORT: usize = 12;

impl Ids {
    fn number(&self, id: &str) -> Id {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = Id::try_from(known.len()).unwrap_or(Id::MAX);
        let short = id.get(..SHORT).unwrap_or(id);
        *known.entry(short.to_owned()).or_insert(next)
    }
}

/// How a name is called.
pub(crate) fn called(name: Name) -> String {
    format!("name-{name}")
}

fn name_of(text: &str) -> Option<Name> {
    text.strip_prefix("name-")?.parse().ok()
}

fn now() -> i64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// A process that asks.
pub(crate) enum Client<'e> {
    Library(Worker),
    /// `ctr`, once for each call.
    Command(&'e Env),
}

impl Client<'_> {
    /// Asks; a list becomes a call for each of the names.
    pub(crate) fn ask(
        &mut self,
        process: usize,
        wish: Wish,
        (ids, names): (&Ids, u8),
    ) -> Result<Vec<Call>> {
        let mut call = Call {
            process,
            verb: wish.verb,
            name: wish.name,
            to_name: wish.to_name,
            id: None,
            from: now(),
            to: 0,
            answer: Answer::Done,
        };
        let rows = match self {
            Self::Library(worker) => worker.ask(&mut call, ids)?,
            Self::Command(env) => {
                let rows = command(env, &mut call, ids)?;
                call.to = now();
                rows
            }
        };
        if call.verb != Verb::List || matches!(call.answer, Answer::Other(_)) {
            return Ok(vec![call]);
        }
        let of = |name: Name| Call {
            name,
            answer: Answer::Row(rows.get(&name).copied()),
            ..call.clone()
        };
        Ok((0..names).map(of).collect())
    }
}

/// The rows of a list.
type Rows = BTreeMap<Name, (Id, Status)>;

/// A process that does with the library what it reads.
pub(crate) struct Worker {
    process: Running,
    answers: BufReader<PipeReader>,
}

impl Worker {
    /// Starts one, for what these words say.
    pub(crate) fn start(program: &Path, words: &[&OsStr]) -> Result<Worker> {
        let (ours, theirs) = std::io::pipe().context("make a pipe")?;
        let process = Program::new(program)
            .args(words)
            .open_stdin()
            .stdout_to(theirs)
            .spawn()?;
        Ok(Worker {
            process,
            answers: BufReader::new(ours),
        })
    }

    /// Starts one that works on what lies in this directory.
    pub(crate) fn on(program: &Path, base: &Path) -> Result<Worker> {
        Self::start(
            program,
            &["worker".as_ref(), "work".as_ref(), base.as_ref()],
        )
    }

    /// Its process.
    pub(crate) fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// Lets it end.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.process.close_stdin();
        let output = self.process.finish()?;
        ensure!(output.code == 0 && output.stderr.is_empty(), "{output}");
        Ok(())
    }

    /// Tells it a line, and gives its answer.
    pub(crate) fn tell(&mut self, words: &str) -> Result<Value> {
        self.process.say(format!("{words}\n").as_bytes())?;
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            let said = String::from_utf8_lossy(&self.process.stderr.bytes()).into_owned();
            bail!("a worker ended at {words:?}: {said}");
        }
        serde_json::from_str(&line).with_context(|| line.clone())
    }

    fn ask(&mut self, call: &mut Call, ids: &Ids) -> Result<Rows> {
        let mut words = vec![call.verb.word().to_owned()];
        if call.verb != Verb::List {
            words.push(called(call.name));
        }
        words.extend(call.to_name.map(called));
        let said = self.tell(&words.join(" "))?;
        let line = said.to_string();
        let time = |key: &str| said[key].as_i64().with_context(|| line.clone());
        (call.from, call.to) = (time("from")?, time("to")?);
        call.id = said["id"].as_str().map(|id| ids.number(id));
        call.answer = answer(call.verb, &said, ids).with_context(|| line.clone())?;
        let rows = said["rows"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        rows.iter()
            .map(|row| self::row(row, ids).with_context(|| line.clone()))
            .collect()
    }
}

fn answer(verb: Verb, said: &Value, ids: &Ids) -> Option<Answer> {
    let number = |key: &str| {
        said[key]
            .as_u64()
            .and_then(|number| u32::try_from(number).ok())
    };
    Some(match (said["answer"].as_str()?, verb) {
        ("done", Verb::Start) => Answer::Started(Some(said["started"].as_bool()?)),
        ("done", Verb::Count) => Answer::Counted(number("count")?),
        ("done", Verb::Wait) => Answer::Ended(i32::try_from(said["code"].as_i64()?).ok()?),
        ("done", Verb::Read) => Answer::Seen(Seen {
            name: Some(name_of(said["name"].as_str()?)?),
            status: Some(Status::parse(said["status"].as_str()?)?),
            generation: Some(number("generation")?),
            count: Some(number("count")?),
        }),
        ("done", _) => Answer::Done,
        ("refused", _) => Answer::Refused(Status::parse(said["status"].as_str()?)?),
        ("in-use", _) => Answer::InUse(Some(ids.number(said["by"].as_str()?))),
        ("gone", _) => Answer::Gone,
        _ => Answer::Other(said["text"].as_str()?.to_owned()),
    })
}

fn row(row: &Value, ids: &Ids) -> Option<(Name, (Id, Status))> {
    let name = name_of(row["name"].as_str()?)?;
    let status = Status::parse(row["status"].as_str()?)?;
    Some((name, (ids.number(row["id"].as_str()?), status)))
}

/// Runs `ctr`.
fn command(env: &Env, call: &mut Call, ids: &Ids) -> Result<Rows> {
    let (name, rootfs) = (called(call.name), env.rootfs());
    let new = call.to_name.map(called).unwrap_or_default();
    let words: &[&str] = match call.verb {
        Verb::Create => &[
            "create", "--name", &name, "--rootfs", &rootfs, "sleep", "1000",
        ],
        Verb::Init => &["init", &name],
        Verb::Start => &["start", &name],
        // `sleep` as a first process does not obey.
        Verb::Stop => &["stop", "-t", "0", &name],
        Verb::Kill | Verb::End => &["kill", &name],
        Verb::Signal => &["kill", "-s", "WINCH", &name],
        Verb::Pause => &["pause", &name],
        Verb::Unpause => &["unpause", &name],
        Verb::Cleanup => &["container", "cleanup", &name],
        Verb::Rename => &["rename", &name, &new],
        Verb::Remove => &["rm", &name],
        Verb::RemoveByForce => &["rm", "-f", "-t", "0", &name],
        Verb::Read | Verb::Count => &["inspect", &name],
        Verb::List => &["ps", "-a", "--no-trunc", "--format", "json"],
        Verb::Wait => &["wait", &name],
    };
    let output = env.ctr(words)?;
    // What cannot be asked of the command is asked as its nearest neighbour.
    if call.verb == Verb::End {
        call.verb = Verb::Kill;
    } else if call.verb == Verb::Count {
        call.verb = Verb::Read;
    }
    if output.code != 0 || call.verb == Verb::RemoveByForce {
        call.answer = refusal(&output, ids);
        return Ok(Rows::new());
    }
    understood(&output, call, ids)
}

/// What the documentation lets a refusal say.
fn refusal(output: &Output, ids: &Ids) -> Answer {
    let said = output.err();
    if output.code == 0 && said.is_empty() {
        return Answer::Done;
    }
    let after = |words: &str| said.split_once(words).map(|(_, rest)| rest);
    if let Some(rest) = after("is in use by container ") {
        let id: String = rest.chars().take_while(char::is_ascii_hexdigit).collect();
        return Answer::InUse(Some(ids.number(&id)));
    }
    if said.contains("no such container") {
        return Answer::Gone;
    }
    let status = after(": it is ").and_then(|rest| Status::parse(rest.split(' ').next()?));
    match status {
        Some(status) if said.contains("(possible now: ") => Answer::Refused(status),
        _ => Answer::Other(output.to_string()),
    }
}

fn understood(output: &Output, call: &mut Call, ids: &Ids) -> Result<Rows> {
    let text = output.out();
    let json = || serde_json::from_str::<Value>(&text).with_context(|| output.to_string());
    if call.verb == Verb::List {
        return rows(&json()?, ids).with_context(|| output.to_string());
    }
    if call.verb == Verb::Create {
        call.id = Some(ids.number(text.trim_end()));
    } else if call.verb == Verb::Start {
        call.answer = Answer::Started(None);
    } else if call.verb == Verb::Wait {
        call.answer = Answer::Ended(text.trim_end().parse()?);
    } else if call.verb == Verb::Read {
        let found = json()?[0].clone();
        call.id = found["Id"].as_str().map(|id| ids.number(id));
        call.answer = Answer::Seen(Seen {
            name: found["Name"].as_str().and_then(name_of),
            status: found["State"]["Status"].as_str().and_then(Status::parse),
            ..Seen::default()
        });
    }
    Ok(Rows::new())
}

fn rows(list: &Value, ids: &Ids) -> Option<Rows> {
    list.as_array()?
        .iter()
        .map(|row| {
            let name = name_of(row["Names"][0].as_str()?)?;
            let status = Status::parse(row["State"].as_str()?)?;
            Some((name, (ids.number(row["Id"].as_str()?), status)))
        })
        .collect()
}
