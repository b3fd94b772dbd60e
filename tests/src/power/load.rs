//! The work during which the power will be cut: a few processes that create, start, rename, stop and remove containers, traced.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Error, Result, ensure};
use rustix::fs::{CWD, Mode, mkfifoat};

use super::record::{Record, Recorder, uses_the_store};
use crate::faults::tracer::{Interest, Plan, Programs, Role, Until, trace};
use crate::race::client::{Client, Ids, Worker};
use crate::race::history::{Answer, Call, Verb};
use crate::race::plan::{Random, Wish, wish};
use crate::race::worker;

/// How many processes work.
const WORKERS: usize = 4;

/// How many names they have.
const NAMES: u8 = 6;

/// A recording that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(1800);

/// So long after the last call the cleanups are through.
const QUIET: Duration = Duration::from_millis(500);

/// Says that it is traced, and waits for the end of the work.
const STAGE: &str = "echo traced > \"$0/traced\"; read -r line < \"$0/over\"";

/// What comes of the work.
type Worked = (Vec<Vec<Call>>, Vec<Client<'static>>);

/// What was recorded.
pub(crate) struct Recording {
    pub(crate) records: Vec<Record>,
    /// What each worker was asked and has answered, in order.
    pub(crate) calls: BTreeMap<i32, Vec<Call>>,
}

/// Works below this directory, with so many wishes for each process.
pub(crate) fn record(program: &Path, base: &Path, wishes: usize, seed: u64) -> Result<Recording> {
    worker(program, "prepare", base)?;
    for name in ["traced", "over"] {
        mkfifoat(CWD, base.join(name), Mode::from_raw_mode(0o600)).context("make a pipe")?;
    }
    let workers = (0..WORKERS).map(|_| Worker::on(program, base));
    let workers: Vec<Worker> = workers.collect::<Result<_>>()?;
    let pids: Vec<i32> = workers.iter().map(Worker::pid).collect();
    let text = base.to_str().context("a path of the tests is no text")?;
    let mut recorder = Recorder::new(text, pids.clone());
    let attach: Vec<(i32, Role)> = pids.iter().map(|pid| (*pid, Role::Cli)).collect();
    let plan = Plan {
        programs: &Programs::default(),
        interest: &|role| match role {
            role if uses_the_store(role) => Interest::Calls,
            Role::Container => Interest::Nothing,
            // Among what these start there is a cleanup command now and then.
            Role::Cli
            | Role::Child
            | Role::Monitor
            | Role::Keeper
            | Role::Cleanup
            | Role::Runtime => Interest::Family,
        },
        until: Until::Quiet(QUIET),
        patience: PATIENCE,
        attach: &attach,
    };
    let words = ["/bin/sh", "-c", STAGE, text].map(str::to_owned);
    let (calls, clients) = std::thread::scope(|scope| {
        let work = scope.spawn(|| work(workers, base, wishes, seed));
        let traced = trace(&words, &plan, &mut |call| recorder.see(call))?;
        ensure!(!traced.hung, "the work hung");
        work.join()
            .map_err(|_| Error::msg("the work has panicked"))?
    })?;
    // They end when nobody traces them any more: who traces them would take their end for himself.
    for client in clients {
        if let Client::Library(worker) = client {
            worker.finish()?;
        }
    }
    ensure!(
        recorder.unknown.is_empty(),
        "calls that the model of the disk does not know: {:?}",
        recorder.unknown
    );
    Ok(Recording {
        records: recorder.records,
        calls: pids.into_iter().zip(calls).collect(),
    })
}

/// All of the work, once everybody is traced: the calls of each worker, and the workers.
fn work(workers: Vec<Worker>, base: &Path, wishes: usize, seed: u64) -> Result<Worked> {
    let mut word = String::new();
    let mut traced = File::open(base.join("traced")).context("wait for the tracer")?;
    traced.read_to_string(&mut word)?;
    let ids = Ids::default();
    let mut clients: Vec<Client<'static>> = workers.into_iter().map(Client::Library).collect();
    let mut calls = std::thread::scope(|scope| {
        let threads = clients.iter_mut().enumerate().map(|(process, client)| {
            let ids = &ids;
            let mut random = Random::new(seed ^ (process as u64).rotate_left(32));
            scope.spawn(move || {
                (0..wishes)
                    .map(|_| one(client, process, next(&mut random), ids))
                    .collect::<Result<Vec<Call>>>()
            })
        });
        let threads: Vec<_> = threads.collect();
        let joined = threads.into_iter().map(|thread| {
            let result = thread.join();
            result.map_err(|_| Error::msg("a client has panicked"))?
        });
        joined.collect::<Result<Vec<Vec<Call>>>>()
    })?;
    for name in 0..NAMES {
        let wish = Wish {
            verb: Verb::RemoveByForce,
            name,
            to_name: None,
        };
        calls[0].push(one(&mut clients[0], 0, wish, &ids)?);
    }
    let mut over = File::options().write(true).open(base.join("over"))?;
    over.write_all(b"over\n").context("end the work")?;
    Ok((calls, clients))
}

fn one(client: &mut Client<'_>, process: usize, wish: Wish, ids: &Ids) -> Result<Call> {
    let mut calls = client.ask(process, wish, (ids, NAMES))?;
    let call = calls.pop().context("a call has an answer")?;
    ensure!(!matches!(call.answer, Answer::Other(_)), "{call}");
    Ok(call)
}

/// A wish that changes something, as a rule, and that does not wait. What is promised comes often.
fn next(random: &mut Random) -> Wish {
    loop {
        let mut wish = wish(random, NAMES);
        if wish.to_name.is_none() && random.below(3) == 0 {
            wish.verb = [Verb::Create, Verb::Create, Verb::Remove][random.below(3)];
        }
        let waits = matches!(wish.verb, Verb::Wait | Verb::List | Verb::Read);
        if !waits && wish.to_name != Some(wish.name) {
            return wish;
        }
    }
}
