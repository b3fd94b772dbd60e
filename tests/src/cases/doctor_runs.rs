//! `doctor`: what a run needs and has lost, or has left behind: control groups, mounts, sockets, the runtime's memory, exec sessions.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::harness::case::cases;
use crate::harness::doctor::{groups, make_group};
use crate::harness::env::Env;
use crate::harness::program::Call;
use crate::harness::tree::{directory, remove, write};

cases! {
    Full its_run_directory_is_gone,
    Full a_run_directory_that_was_left,
    Core a_control_group_that_was_left,
    Core processes_that_were_left,
    Core the_control_group_of_a_removed_container,
    Core out_of_its_control_group,
    Full its_volume_is_not_mounted_any_more,
    Full a_socket_that_is_gone,
    Full forgotten_by_its_runtime,
    Full its_runtime_knows_something_else,
    Full a_session_that_was_going,
    Full a_session_without_a_record,
    Full a_session_whose_record_is_damaged,
}

fn its_run_directory_is_gone(env: &Env) -> Result<()> {
    let id = env.running("bare")?;
    remove(&env.run_dir(&id))?;
    env.check_found(&["run-directory-missing bare"])?;
    env.remove("bare")?;
    env.check_well()
}

fn a_run_directory_that_was_left(env: &Env) -> Result<()> {
    let id = env.ended("over")?;
    directory(&env.run_dir(&id), 0o700)?;
    env.check_found(&["run-directory-left over"])?;
    env.check_repaired()?;
    ensure!(!env.run_dir(&id).exists());
    env.remove("over")
}

fn a_control_group_that_was_left(env: &Env) -> Result<()> {
    let id = env.ended("over")?;
    let group = make_group(&id)?;
    env.check_found(&["control-group-left over"])?;
    env.check_repaired()?;
    ensure!(!group.exists());
    env.remove("over")
}

fn processes_that_were_left(env: &Env) -> Result<()> {
    let id = env.ended("over")?;
    let group = make_group(&id)?;
    let process = Call::new("/bin/sleep").args(["100000"]).spawn()?;
    write(&group.join("cgroup.procs"), &process.pid().to_string())?;
    env.check_found(&["processes-left over"])?;
    env.check_repaired()?;
    ensure!(process.finish()?.code != 0);
    env.remove("over")
}

fn the_control_group_of_a_removed_container(env: &Env) -> Result<()> {
    let id = env.ended("gone")?;
    env.remove("gone")?;
    let group = make_group(&id)?;
    env.check_found(&[&format!("control-group-without-record /ctr/{id}")])?;
    env.check_repaired()?;
    ensure!(!group.exists());
    Ok(())
}

fn out_of_its_control_group(env: &Env) -> Result<()> {
    let id = env.running("free")?;
    let pid = env.state_number("free", "Pid")?.to_string();
    for group in groups(&id)? {
        if group.exists() {
            let root = group.parent().and_then(|parent| parent.parent());
            write(
                &root.context("the root of the tree")?.join("cgroup.procs"),
                &pid,
            )?;
        }
    }
    env.check_found(&["outside-control-group free"])?;
    env.ctr(&["container", "refresh", "free"])?
        .prints("free\n")?;
    env.check_well()?;
    env.remove("free")
}

fn its_volume_is_not_mounted_any_more(env: &Env) -> Result<()> {
    let (_, volume) = env.out()?;
    env.detached("bare", &["-v", &volume], "echo ready; sleep 100000")?;
    env.wait_for_log("bare", "ready")?;
    env.check_well()?;
    let pid = env.state_number("bare", "Pid")?.to_string();
    let unmount = Call::new("nsenter").args(["-t", &pid, "-m", "umount", "/out"]);
    ensure!(unmount.output()?.code == 0);
    env.check_found(&["mount-missing bare"])?;
    env.ctr(&["restart", "bare"])?.prints("bare\n")?;
    env.check_well()?;
    env.remove("bare")
}

fn a_socket_that_is_gone(env: &Env) -> Result<()> {
    let id = env.running("deaf")?;
    fs::remove_file(env.run_dir(&id).join("control.sock"))?;
    env.check_found(&["control-socket-missing deaf"])?;
    env.remove("deaf")?;
    env.check_well()
}

fn forgotten_by_its_runtime(env: &Env) -> Result<()> {
    let id = env.running("free")?;
    remove(&env.run_dir(&id).join("runtime").join(&id))?;
    env.check_found(&["runtime-state-missing free"])?;
    env.ctr(&["restart", "free"])?.prints("free\n")?;
    env.check_well()?;
    env.remove("free")
}

fn its_runtime_knows_something_else(env: &Env) -> Result<()> {
    let id = env.running("twin")?;
    directory(&env.run_dir(&id).join("runtime/other"), 0o700)?;
    env.check_found(&["runtime-state-unknown twin"])?;
    env.check_repaired()?;
    env.remove("twin")
}

const SESSION: &str = "00000000000000000000000000000000000000000000000000000000000000bb";

fn a_session_that_was_going(env: &Env) -> Result<()> {
    let id = env.running("host")?;
    let path = env
        .run_dir(&id)
        .join("exec")
        .join(format!("{SESSION}.going"));
    directory(&path, 0o700)?;
    env.check_found(&["session-left host"])?;
    env.check_repaired()?;
    ensure!(!path.exists());
    env.remove("host")
}

fn a_session_without_a_record(env: &Env) -> Result<()> {
    let id = env.running("host")?;
    directory(&env.run_dir(&id).join("exec").join(SESSION), 0o700)?;
    env.check_found(&["session-left host"])?;
    env.check_repaired()?;
    env.remove("host")
}

fn a_session_whose_record_is_damaged(env: &Env) -> Result<()> {
    let id = env.running("host")?;
    let path = env.run_dir(&id).join("exec").join(SESSION);
    directory(&path, 0o700)?;
    write(&path.join("session.json"), "{")?;
    env.check_found(&["session-unreadable host"])?;
    env.check_repaired()?;
    ensure!(!path.exists());
    env.remove("host")
}
