//! The cases, by feature. Each module has a table of its own, and all tables are listed here.

pub(crate) mod anew;
pub(crate) mod attach_refusals;
pub(crate) mod boot;
pub(crate) mod bounded_time;
pub(crate) mod crash;
pub(crate) mod cut_off;
pub(crate) mod damaged_store;
pub(crate) mod dependencies;
pub(crate) mod detach;
pub(crate) mod devices;
pub(crate) mod doctor_files;
pub(crate) mod doctor_load;
pub(crate) mod doctor_places;
pub(crate) mod doctor_processes;
pub(crate) mod doctor_records;
pub(crate) mod doctor_runs;
pub(crate) mod doctor_stuck;
pub(crate) mod endings;
pub(crate) mod endurance;
pub(crate) mod environment;
pub(crate) mod events;
pub(crate) mod events_journal;
pub(crate) mod exec;
pub(crate) mod exec_clients;
pub(crate) mod exec_endings;
pub(crate) mod exec_ends;
pub(crate) mod exec_faults;
pub(crate) mod exec_identity;
pub(crate) mod exec_input;
pub(crate) mod exec_load;
pub(crate) mod exec_places;
pub(crate) mod exec_runtimes;
pub(crate) mod exec_sessions;
pub(crate) mod exec_streams;
pub(crate) mod exec_terminal;
pub(crate) mod exec_terminal_ends;
pub(crate) mod files;
pub(crate) mod full_disk;
pub(crate) mod holders;
pub(crate) mod identity;
pub(crate) mod inherit;
pub(crate) mod inherit_chain;
pub(crate) mod inherit_modes;
pub(crate) mod inspecting;
pub(crate) mod lifecycle;
pub(crate) mod listing;
pub(crate) mod load;
pub(crate) mod logs;
pub(crate) mod logs_disk;
pub(crate) mod matrix;
pub(crate) mod monitor_lost;
pub(crate) mod names;
pub(crate) mod network;
pub(crate) mod pid_reuse;
pub(crate) mod policies;
pub(crate) mod prune;
pub(crate) mod race;
pub(crate) mod readers;
pub(crate) mod refusals;
pub(crate) mod rename;
pub(crate) mod replay;
pub(crate) mod restart;
pub(crate) mod rootfs_refusals;
pub(crate) mod run;
pub(crate) mod runtimes;
pub(crate) mod selection;
pub(crate) mod short_lives;
pub(crate) mod signals;
pub(crate) mod stop;
pub(crate) mod streams;
pub(crate) mod terminal;
pub(crate) mod verbs;
pub(crate) mod waiting;

use crate::harness::case::Case;

/// The longest first, so that none of them is left alone at the end.
const TABLES: &[&[Case]] = &[
    race::CASES,
    load::CASES,
    exec_load::CASES,
    doctor_load::CASES,
    logs_disk::CASES,
    logs::CASES,
    pid_reuse::CASES,
    crash::CASES,
    full_disk::CASES,
    damaged_store::CASES,
    exec_ends::CASES,
    exec_terminal::CASES,
    exec_terminal_ends::CASES,
    exec_streams::CASES,
    exec_input::CASES,
    exec_clients::CASES,
    exec::CASES,
    exec_identity::CASES,
    exec_places::CASES,
    exec_sessions::CASES,
    exec_endings::CASES,
    exec_faults::CASES,
    exec_runtimes::CASES,
    replay::CASES,
    cut_off::CASES,
    boot::CASES,
    doctor_stuck::CASES,
    doctor_processes::CASES,
    doctor_records::CASES,
    doctor_files::CASES,
    doctor_runs::CASES,
    doctor_places::CASES,
    endings::CASES,
    dependencies::CASES,
    holders::CASES,
    waiting::CASES,
    anew::CASES,
    verbs::CASES,
    prune::CASES,
    rename::CASES,
    policies::CASES,
    restart::CASES,
    endurance::CASES,
    bounded_time::CASES,
    streams::CASES,
    short_lives::CASES,
    terminal::CASES,
    detach::CASES,
    events_journal::CASES,
    matrix::CASES,
    monitor_lost::CASES,
    refusals::CASES,
    attach_refusals::CASES,
    stop::CASES,
    lifecycle::CASES,
    signals::CASES,
    readers::CASES,
    run::CASES,
    identity::CASES,
    environment::CASES,
    files::CASES,
    devices::CASES,
    network::CASES,
    inherit::CASES,
    inherit_chain::CASES,
    inherit_modes::CASES,
    listing::CASES,
    inspecting::CASES,
    selection::CASES,
    names::CASES,
    events::CASES,
    rootfs_refusals::CASES,
    runtimes::CASES,
];

/// All cases, in the order in which they are begun.
pub(crate) fn all() -> Vec<Case> {
    TABLES.iter().copied().flatten().copied().collect()
}
