//! The operations, as commands.

use anyhow::Result;

use super::status::Status;
use super::table::{Effect, Oracle};

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Init,
    Start,
    Restart,
    Attach,
    Exec,
    Signal,
    Kill,
    Stop,
    Pause,
    Unpause,
    Cleanup,
    Refresh,
    Rename,
    Remove,
    RemoveByForce,
}

impl Operation {
    /// All of them, in the order of the table.
    pub(super) const ALL: [Operation; 15] = [
        Operation::Init,
        Operation::Start,
        Operation::Restart,
        Operation::Attach,
        Operation::Exec,
        Operation::Signal,
        Operation::Kill,
        Operation::Stop,
        Operation::Pause,
        Operation::Unpause,
        Operation::Cleanup,
        Operation::Refresh,
        Operation::Rename,
        Operation::Remove,
        Operation::RemoveByForce,
    ];

    /// The word of the table, the verb of a refusal, and the command that a refusal names.
    fn texts(self) -> [&'static str; 3] {
        match self {
            Operation::Init => ["Init", "initialize", "init"],
            Operation::Start => ["Start", "start", "start"],
            Operation::Restart => ["Restart", "restart", "restart"],
            Operation::Attach => ["Attach", "attach to", "attach"],
            Operation::Exec => ["Exec", "execute a process in", "exec"],
            Operation::Signal => ["Signal", "signal", "kill"],
            Operation::Kill => ["Kill", "kill", "kill"],
            Operation::Stop => ["Stop", "stop", "stop"],
            Operation::Pause => ["Pause", "pause", "pause"],
            Operation::Unpause => ["Unpause", "unpause", "unpause"],
            Operation::Cleanup => ["Cleanup", "clean up after", "cleanup"],
            Operation::Refresh => ["Refresh", "refresh", "refresh"],
            Operation::Rename => ["Rename", "rename", "rename"],
            Operation::Remove => ["Remove", "remove", "rm"],
            Operation::RemoveByForce => ["RemoveByForce", "remove", "rm -f"],
        }
    }

    /// The word of the table.
    pub(super) fn name(self) -> &'static str {
        self.texts()[0]
    }

    /// What a refusal says that it cannot do.
    pub(super) fn verb(self) -> &'static str {
        self.texts()[1]
    }

    /// What a refusal calls it when it is possible.
    fn command(self) -> &'static str {
        self.texts()[2]
    }

    /// The command on a container.
    pub(super) fn words<'a>(self, name: &'a str, new_name: &'a str) -> Vec<&'a str> {
        let mut words = match self {
            Operation::Init => vec!["init"],
            Operation::Start => vec!["start"],
            Operation::Restart => vec!["restart"],
            Operation::Attach => vec!["attach", "--no-stdin"],
            Operation::Exec => return vec!["exec", name, "true"],
            Operation::Signal => vec!["kill", "-s", "USR1"],
            Operation::Kill => vec!["kill", "-s", "KILL"],
            Operation::Stop => vec!["stop"],
            Operation::Pause => vec!["pause"],
            Operation::Unpause => vec!["unpause"],
            Operation::Cleanup => vec!["container", "cleanup"],
            Operation::Refresh => vec!["container", "refresh"],
            Operation::Rename => return vec!["rename", name, new_name],
            Operation::Remove => vec!["rm"],
            Operation::RemoveByForce => vec!["rm", "-f"],
        };
        words.push(name);
        words
    }

    /// What the command prints when it succeeds.
    pub(super) fn prints(self, name: &str) -> String {
        if [Operation::Rename, Operation::Attach, Operation::Exec].contains(&self) {
            return String::new();
        }
        format!("{name}\n")
    }

    /// Whether it takes in what has happened meanwhile: one without the lock only looks.
    pub(super) fn takes_lock(self) -> bool {
        self != Operation::Exec
    }

    /// The exit code of a refusal. A cleanup comes from every monitor, and whoever comes second finds nothing to do: that is no failure.
    pub(super) fn refusal_code(self) -> i32 {
        let others = [(Operation::Cleanup, 0), (Operation::Remove, 2)];
        let own = others.iter().find(|(known, _)| *known == self);
        own.map_or(125, |(_, code)| *code)
    }

    /// Whether a list of what is possible in a status must name the command, may, or must not.
    fn named(self, effect: &Effect) -> Named {
        match (self, effect) {
            (_, Effect::Refused) => Named::Never,
            // Both mend what is broken, which is no advice for everyone; what changes nothing is none either.
            (Operation::Refresh | Operation::RemoveByForce, _) | (_, Effect::Stays) => Named::Maybe,
            (_, Effect::Moves(_)) => Named::Always,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    Always,
    Maybe,
    Never,
}

/// What is wrong with a list of what is possible in a status.
pub(super) fn faults(oracle: &Oracle, status: Status, listed: &[&str]) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    let (mut always, mut known) = (Vec::new(), Vec::new());
    for operation in Operation::ALL {
        match operation.named(&oracle.effect(operation, status)?) {
            Named::Always => always.push(operation.command()),
            Named::Maybe => known.push(operation.command()),
            Named::Never => {}
        }
    }
    // A container can always be removed, one way or the other.
    if !always.contains(&"rm") {
        always.push("rm -f");
    }
    known.extend(&always);
    for (index, word) in listed.iter().enumerate() {
        if !known.contains(word) {
            faults.push(format!("{word} is not possible and is named"));
        }
        if listed[..index].contains(word) {
            faults.push(format!("{word} is named twice"));
        }
    }
    for word in always.iter().filter(|word| !listed.contains(word)) {
        faults.push(format!("{word} is possible and is not named"));
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_list_is_told() {
        let oracle = Oracle::read().unwrap();
        let check = |listed: &[&str]| faults(&oracle, Status::Paused, listed).unwrap();
        assert_eq!(check(&["kill", "unpause", "rename", "rm -f"]), [""; 0]);
        assert_eq!(check(&["kill", "unpause", "rm -f"]), [""; 0]);
        assert_eq!(
            check(&["kill", "kill", "stop"]),
            [
                "kill is named twice",
                "stop is not possible and is named",
                "unpause is possible and is not named",
                "rm -f is possible and is not named"
            ]
        );
    }
}
