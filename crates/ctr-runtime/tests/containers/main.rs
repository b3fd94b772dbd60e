//! Real containers, as root. One thread only, because the calls under test fork: no test harness, the cases run one after another.

mod lifecycle;
mod sandbox;

use std::panic::catch_unwind;

type Case = (&'static str, fn());

macro_rules! cases {
    ($($module:ident :: $name:ident),* $(,)?) => {
        &[$((concat!(stringify!($module), "::", stringify!($name)), $module::$name)),*]
    };
}

const CASES: &[Case] = cases![
    lifecycle::a_container_lives_and_leaves_nothing,
    lifecycle::a_zombie_is_stopped,
    lifecycle::a_running_container_is_only_deleted_by_force,
    lifecycle::a_created_container_can_be_deleted,
    lifecycle::signals_reach_the_first_process_or_all,
    lifecycle::create_here_makes_a_child_of_the_callers_parent,
    lifecycle::the_caller_keeps_its_own_state,
];

fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let filter = arguments.iter().find(|word| !word.starts_with('-'));
    if !rustix::process::geteuid().is_root() || !std::path::Path::new("/usr/bin/busybox").exists() {
        println!("skipped: containers need root and /usr/bin/busybox");
        return std::process::ExitCode::SUCCESS;
    }
    let mut failed = 0;
    for (name, case) in CASES {
        if filter.is_some_and(|filter| !name.contains(filter.as_str())) {
            continue;
        }
        let verdict = if catch_unwind(case).is_ok() { "ok" } else { "FAILED" };
        failed += usize::from(verdict == "FAILED");
        println!("test {name} ... {verdict}");
    }
    println!("{failed} failed");
    std::process::ExitCode::from(u8::from(failed > 0))
}
