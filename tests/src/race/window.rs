//! One window of the history: it begins with nothing, all processes ask at the same time, and at its end everything is removed by
//! force. So the checker needs to know nothing of what was before, and a name that cannot be freed is seen at once.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use anyhow::{Error, Result};

use super::client::{Client, Ids};
use super::history::{Answer, Call, Name, Verb};
use super::plan::{Random, Wish, wish};

/// How many wishes a process has in a window.
pub(crate) const WISHES: usize = 40;

/// What a window has led to.
#[derive(Debug, Default)]
pub(crate) struct Window {
    pub(crate) calls: Vec<Call>,
    /// How many wishes were asked: a list is one, and a call for each name.
    pub(crate) asked: usize,
    /// The names that have an owner after all was removed.
    pub(crate) wedged: Vec<Name>,
}

/// How far the processes are.
#[derive(Debug, Default)]
struct Stand {
    done: usize,
    waiting: usize,
    /// Everybody waits or is done: all goes away.
    over: bool,
    calls: Vec<Call>,
    asked: usize,
    errors: Vec<Error>,
}

/// Where they meet.
struct Meeting<'a> {
    stand: Mutex<Stand>,
    news: Condvar,
    processes: usize,
    names: u8,
    ids: &'a Ids,
}

/// Lets the processes loose, each with a chance of its own.
pub(crate) fn run(clients: &mut [Client<'_>], names: u8, seed: u64) -> Result<Window> {
    let ids = Ids::default();
    let meeting = Meeting {
        stand: Mutex::default(),
        news: Condvar::new(),
        processes: clients.len(),
        names,
        ids: &ids,
    };
    std::thread::scope(|scope| {
        for (process, client) in clients.iter_mut().enumerate() {
            let meeting = &meeting;
            let mut random = Random::new(seed ^ (process as u64).rotate_left(32));
            scope.spawn(move || {
                let result = meeting.take_part(process, client, &mut random);
                let mut stand = meeting.stand();
                stand.errors.extend(result.err());
            });
        }
    });
    let stand = meeting.stand.into_inner();
    let mut stand = stand.unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = stand.errors.pop() {
        return Err(error);
    }
    let list = Wish {
        verb: Verb::List,
        name: 0,
        to_name: None,
    };
    let rows = clients[0].ask(0, list, (&ids, names))?;
    let owned = rows.iter().filter(|call| call.answer != Answer::Row(None));
    let wedged = owned.map(|call| call.name).collect();
    stand.calls.extend(rows);
    Ok(Window {
        calls: stand.calls,
        asked: stand.asked + 1,
        wedged,
    })
}

impl Meeting<'_> {
    fn stand(&self) -> MutexGuard<'_, Stand> {
        self.stand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_part(
        &self,
        process: usize,
        client: &mut Client<'_>,
        random: &mut Random,
    ) -> Result<()> {
        let asked = self.ask_all(process, client, random);
        let turn = self.await_the_others();
        asked?;
        for name in (0..self.names).filter(|name| turn.is_mine(*name)) {
            let wish = Wish {
                verb: Verb::RemoveByForce,
                name,
                to_name: None,
            };
            self.ask(process, client, wish)?;
        }
        Ok(())
    }

    fn ask_all(&self, process: usize, client: &mut Client<'_>, random: &mut Random) -> Result<()> {
        for _ in 0..WISHES {
            let mut wish = wish(random, self.names);
            if wish.verb == Verb::Wait && !self.may_wait() {
                wish.verb = Verb::Read;
            }
            let answer = self.ask(process, client, wish);
            let mut stand = self.stand();
            if wish.verb == Verb::Wait {
                stand.waiting -= 1;
            }
            answer?;
            if stand.over {
                break;
            }
        }
        Ok(())
    }

    fn ask(&self, process: usize, client: &mut Client<'_>, wish: Wish) -> Result<()> {
        let calls = client.ask(process, wish, (self.ids, self.names))?;
        let mut stand = self.stand();
        stand.calls.extend(calls);
        stand.asked += 1;
        Ok(())
    }

    /// Somebody else must be left who ends what is waited for.
    fn may_wait(&self) -> bool {
        let mut stand = self.stand();
        if stand.over || stand.waiting + 1 >= self.processes {
            return false;
        }
        stand.waiting += 1;
        self.look_around(&mut stand);
        true
    }

    fn look_around(&self, stand: &mut Stand) {
        if stand.done > 0 && stand.done + stand.waiting == self.processes {
            stand.over = true;
            self.news.notify_all();
        }
    }

    /// Returns when nobody asks any more, with what is to be removed by the caller.
    fn await_the_others(&self) -> Turn {
        let mut stand = self.stand();
        let late = stand.over;
        let number = stand.done;
        stand.done += 1;
        self.look_around(&mut stand);
        while !stand.over {
            let woken = self.news.wait(stand);
            stand = woken.unwrap_or_else(PoisonError::into_inner);
        }
        Turn {
            number: (!late).then_some(number),
            of: self.processes,
        }
    }
}

/// Which names a process removes in the end. All processes that were done before the end remove all names, so that none is left to
/// one that waits; beginning with different ones, they are in each other's way as much as they can.
struct Turn {
    number: Option<usize>,
    of: usize,
}

impl Turn {
    fn is_mine(&self, name: Name) -> bool {
        // The first one that was done removes everything; two more help it.
        match self.number {
            Some(0) => true,
            Some(number) => usize::from(name) % self.of.max(1) == number,
            None => false,
        }
    }
}
