//! Which events the moves of a cell lead to, and which moves events tell of.

use super::operation::Operation;
use super::status::Status;
use super::table::{Effect, GONE};

/// The moves that have an event each, with its kind. The beginning of a stop is told when it has succeeded; that of a removal when the
/// container is gone.
const KINDS: [(&str, &str); 8] = [
    ("Init", "init"),
    ("Start", "start"),
    ("Pause", "pause"),
    ("Unpause", "unpause"),
    ("Kill", "kill"),
    ("ExitSeen", "died"),
    ("Cleaned", "cleanup"),
    (GONE, "remove"),
];

/// The events of a cell, in order. `end` is where its moves lead.
pub(super) fn expected(
    operation: Operation,
    status: Status,
    effect: &Effect,
    end: Option<Status>,
) -> Vec<String> {
    let mut kinds = Vec::new();
    if status == Status::Stopped && operation.takes_lock() {
        // Whoever comes next finds that it has ended.
        kinds.push("died");
    }
    let mut stopping = status == Status::Stopping;
    let mut announcement = announcement(operation, effect);
    for name in effect.moves() {
        if ["BeginStop", "Init", "Start"].contains(&name.as_str()) {
            kinds.extend(announcement.take());
        }
        stopping |= name == "BeginStop";
        let kind = KINDS.iter().find(|(known, _)| known == name);
        kinds.extend(kind.map(|(_, kind)| *kind));
        if name == "ExitSeen" && stopping {
            kinds.push("stop");
        }
    }
    if status != Status::Stopped && end == Some(Status::Stopped) {
        // The monitor sees to it.
        kinds.push("cleanup");
    }
    kinds.extend(closing(operation, effect));
    kinds.into_iter().map(str::to_owned).collect()
}

/// What is told before a container that runs, or not, is started as one that was running.
fn announcement(operation: Operation, effect: &Effect) -> Option<&'static str> {
    let anew = operation == Operation::Refresh && effect.has("BeginStop");
    (anew || operation == Operation::Restart).then_some("restart")
}

/// What is told at the end by an operation whose moves alone do not say what it was.
fn closing(operation: Operation, effect: &Effect) -> &'static [&'static str] {
    let kinds: [(Operation, &[&str]); 4] = [
        (Operation::Attach, &["attach"]),
        (Operation::Exec, &["exec", "exec_died"]),
        (Operation::Rename, &["rename"]),
        (Operation::Refresh, &["refresh"]),
    ];
    let kinds = kinds.iter().find(|(known, _)| *known == operation);
    kinds
        .filter(|_| *effect != Effect::Refused)
        .map_or(&[], |(_, kinds)| kinds)
}

/// The events in an order that does not depend on who was first. The end of a container wakes the command that stops it and, by way of
/// its monitor, the command that cleans up: one of them tells of the stop, one of the cleanup. When it is removed by force, what is
/// told between the end and the removal depends on whether they come before the removal.
pub(super) fn ordered(operation: Operation, status: Status, mut kinds: Vec<String>) -> Vec<String> {
    for at in 2..kinds.len() {
        if kinds[at - 2..=at] == ["died", "cleanup", "stop"] {
            kinds.swap(at - 1, at);
        }
    }
    if operation == Operation::RemoveByForce {
        kinds.retain(|kind| kind != "cleanup");
        if status == Status::Stopping {
            kinds.retain(|kind| kind != "stop");
        }
    }
    kinds
}

/// The moves that the events tell of, as a cell of the table; those that are not the operation's own in brackets. Where it has none
/// that anybody could see, the symbol says what it did.
pub(super) fn told(kinds: &[String], effect: &Effect, symbol: &str) -> String {
    let mut own = effect.moves();
    let mut shown = Vec::new();
    for name in moves(kinds) {
        let Some(at) = own.iter().position(|next| next == name) else {
            shown.push(format!("({name})"));
            continue;
        };
        own = &own[at + 1..];
        shown.push(name.to_owned());
    }
    if own.len() == effect.moves().len() {
        shown.push(symbol.to_owned());
    }
    shown.join(", ")
}

fn moves(kinds: &[String]) -> Vec<&'static str> {
    let mut moves = Vec::new();
    for kind in kinds {
        if kind == "stop" {
            // It began before the end that it led to.
            let end = moves.iter().rposition(|name| *name == "ExitSeen");
            moves.insert(end.unwrap_or(moves.len()), "BeginStop");
            continue;
        }
        if kind == "remove" {
            moves.push("BeginRemove");
        }
        let name = KINDS.iter().find(|(_, known)| known == kind);
        moves.extend(name.map(|(name, _)| *name));
    }
    moves
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effect(moves: &str) -> Effect {
        Effect::Moves(moves.split(' ').map(str::to_owned).collect())
    }

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn moves_become_events() {
        let check = |operation, status, moves: &str, end, kinds: &str| {
            let found = expected(operation, status, &effect(moves), end);
            assert_eq!(found.join(" "), kinds);
        };
        check(
            Operation::Restart,
            Status::Running,
            "BeginStop ExitSeen Cleaned Init Start",
            Some(Status::Running),
            "restart died stop cleanup init start",
        );
        check(
            Operation::Restart,
            Status::Stopped,
            "Cleaned Init Start",
            Some(Status::Running),
            "died cleanup restart init start",
        );
        check(
            Operation::Kill,
            Status::Stopping,
            "Kill ExitSeen",
            Some(Status::Stopped),
            "kill died stop cleanup",
        );
        check(
            Operation::Refresh,
            Status::Created,
            "Cleaned Init",
            Some(Status::Created),
            "cleanup init refresh",
        );
    }

    #[test]
    fn events_become_moves() {
        let stop = effect("BeginStop ExitSeen Cleaned");
        let raced = words("died cleanup stop");
        let kinds = ordered(Operation::Stop, Status::Running, raced);
        assert_eq!(kinds.join(" "), "died stop cleanup");
        assert_eq!(told(&kinds, &stop, "="), "BeginStop, ExitSeen, Cleaned");
        let kill = effect("Kill ExitSeen");
        assert_eq!(
            told(&words("kill died cleanup"), &kill, "="),
            "Kill, ExitSeen, (Cleaned)"
        );
        assert_eq!(told(&words("died"), &Effect::Refused, "-"), "(ExitSeen), -");
        let twice = words("died cleanup stop stop remove");
        let kinds = ordered(Operation::RemoveByForce, Status::Running, twice);
        assert_eq!(kinds.join(" "), "died stop stop remove");
    }
}
