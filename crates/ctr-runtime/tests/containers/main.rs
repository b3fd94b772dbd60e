//! Real containers, as root. One thread only, because the calls under test fork: no test harness, the cases run one after another.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests, though without the harness that marks them as such"
)]

mod agreement;
mod command_line;
mod devices;
mod exec;
mod failures;
mod lifecycle;
mod namespaces;
mod process;
mod sandbox;
mod sessions;
mod terminals;

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
    process::only_three_descriptors_are_open,
    process::a_waiting_first_process_holds_nothing_of_the_caller,
    process::signals_are_at_their_defaults,
    process::the_environment_is_that_of_the_specification_in_its_order,
    process::users_and_groups_are_those_of_the_specification,
    process::capabilities_that_are_not_named_are_not_held,
    process::the_umask_is_022_or_what_is_asked_for,
    process::loopback_is_up_and_the_only_interface,
    process::the_default_devices_are_there,
    process::a_file_for_its_owner_only_can_be_executed,
    process::the_host_name_is_its_own,
    process::streams_are_handed_over,
    process::a_pipe_can_be_opened_again_by_the_user,
    terminals::the_program_has_the_terminal,
    terminals::a_shell_controls_its_jobs,
    terminals::a_terminal_belongs_to_the_user,
    terminals::a_waiting_process_has_the_terminal_alone,
    terminals::the_session_is_told_when_the_terminal_goes,
    terminals::terminal_and_console_socket_come_together,
    terminals::what_lies_at_dev_console_is_not_followed,
    failures::commands_that_cannot_be_executed_are_told_apart,
    failures::what_only_fails_at_execution_ends_with_126_or_127,
    failures::unenforceable_specifications_are_refused_before_anything_happens,
    failures::a_library_failure_says_what_and_leaves_nothing,
    failures::a_group_that_is_lived_in_is_refused_and_left_alone,
    failures::a_creation_that_was_cut_short_can_be_deleted,
    failures::a_passed_deadline_is_a_timeout_and_force_cleans_up,
    devices::rules_hold_on_this_machine,
    devices::rules_hold_on_a_unified_hierarchy,
    devices::containers_live_and_die_on_a_unified_hierarchy,
    exec::a_process_joins_the_container,
    exec::limits_that_are_not_named_are_those_of_the_container,
    exec::a_process_leaves_nothing_behind,
    exec::a_process_has_a_terminal_of_its_own,
    exec::what_cannot_be_executed_is_told_apart_and_leaves_nothing,
    exec::nothing_is_inherited_but_what_is_asked_for,
    exec::a_paused_container_stands_still,
    exec::pausing_works_on_a_unified_hierarchy,
    exec::a_process_follows_the_first_one_into_its_group,
    sessions::a_process_is_made_in_its_group,
    sessions::a_process_is_made_in_its_group_on_a_unified_hierarchy,
    sessions::programs_make_a_process_in_its_group_on_a_unified_hierarchy,
    sessions::a_group_that_is_missing_or_elsewhere_is_refused,
    sessions::a_session_is_ended_alone_or_with_its_container,
    sessions::descriptors_come_at_their_numbers,
    sessions::descriptors_change_places,
    sessions::descriptors_that_cannot_be_had_are_refused,
    namespaces::those_of_another_container_are_joined,
    namespaces::a_mounted_namespace_is_joined,
    namespaces::those_of_the_host_are_kept,
    namespaces::a_joined_network_is_left_as_it_is,
    namespaces::what_is_left_in_a_joined_pid_namespace_ends_with_its_container,
    namespaces::a_name_is_not_set_in_a_namespace_of_others,
    namespaces::a_missing_namespace_is_named_and_leaves_nothing,
    namespaces::the_oom_score_is_adjusted_or_the_failure_says_so,
    agreement::runc_answers_the_same,
    command_line::the_verbs_work_as_those_of_runc,
    command_line::a_run_passes_signals_on_and_ends_as_its_container,
    command_line::the_program_cannot_be_overwritten,
    command_line::descriptors_are_passed_on_as_asked,
    command_line::limits_come_through_a_socket,
    command_line::errors_go_to_the_log_and_leave_nothing,
    command_line::features_and_version_are_told,
];

fn main() -> std::process::ExitCode {
    let words: Vec<_> = std::env::args_os().collect();
    if words.get(1).is_some_and(|word| word == "oci-runtime") {
        let (program, arguments) = words.split_at(2);
        let code = ctr_runtime::oci_runtime_main(program, arguments.to_vec());
        return std::process::ExitCode::from(u8::try_from(code).unwrap());
    }
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
        let verdict = if catch_unwind(case).is_ok() {
            "ok"
        } else {
            "FAILED"
        };
        failed += usize::from(verdict == "FAILED");
        println!("test {name} ... {verdict}");
    }
    // The parent of all the groups that the cases made.
    let groups = ctr_sys::Cgroups::detect().unwrap();
    groups.remove("/ctr-runtime-tests").unwrap();
    println!("{failed} failed");
    std::process::ExitCode::from(u8::from(failed > 0))
}
