//! What the library would silently ignore, or carry out on the host: refused.

use std::collections::HashMap;

use ctr_sys::CgroupMode;
use oci_spec::runtime::{Hook, Hooks, Linux, LinuxNamespaceType, LinuxResources, Process, Spec};

use super::{missing, namespaces};
use crate::error::{Result, RuntimeError};

/// Refuses the first thing that cannot be carried out.
pub(super) fn check(spec: &Spec, mode: CgroupMode) -> Result<()> {
    refuse_all(&unsupported_top(spec))?;
    let process = spec.process().as_ref().ok_or_else(|| missing("process"))?;
    check_process(process)?;
    let linux = spec.linux().as_ref().ok_or_else(|| missing("linux"))?;
    refuse_all(&unsupported_linux(linux))?;
    match linux.resources() {
        Some(resources) => refuse_all(&unsupported_resources(resources, mode)),
        None => Ok(()),
    }
}

/// What the specification asks for and whether it does: the first that is asked for refuses it.
type Asked = [(&'static str, bool)];

fn refuse_all(asked: &Asked) -> Result<()> {
    match asked.iter().find(|(_, present)| *present) {
        Some((what, _)) => Err(RuntimeError::unsupported(*what)),
        None => Ok(()),
    }
}

fn unsupported_top(spec: &Spec) -> [(&'static str, bool); 2] {
    [
        ("hooks", spec.hooks().as_ref().is_some_and(has_any)),
        ("vm", spec.vm().is_some()),
    ]
}

fn has_any(hooks: &Hooks) -> bool {
    let lists = [
        hooks.prestart(),
        hooks.create_runtime(),
        hooks.create_container(),
        hooks.start_container(),
        hooks.poststart(),
        hooks.poststop(),
    ];
    let filled = |list: &Option<Vec<Hook>>| list.as_ref().is_some_and(|list| !list.is_empty());
    lists.into_iter().any(filled)
}

fn check_process(process: &Process) -> Result<()> {
    let named = |value: &Option<String>| value.as_deref().is_some_and(|text| !text.is_empty());
    refuse_all(&[
        ("process.terminal", process.terminal() == Some(true)),
        ("process.selinuxLabel", named(process.selinux_label())),
        ("process.apparmorProfile", named(process.apparmor_profile())),
        (
            "process.execCPUAffinity",
            process.exec_cpu_affinity().is_some(),
        ),
    ])?;
    if process.args().as_ref().is_none_or(Vec::is_empty) {
        return Err(missing("process.args"));
    }
    if !process.cwd().is_absolute() {
        let what = format!("process.cwd {}", process.cwd().display());
        return Err(RuntimeError::invalid(what, "not an absolute path"));
    }
    Ok(())
}

fn unsupported_linux(linux: &Linux) -> [(&'static str, bool); 8] {
    let has_namespace = |wanted| namespaces(linux).any(|(kind, _)| kind == wanted);
    let own_mounts =
        namespaces(linux).any(|(kind, path)| kind == LinuxNamespaceType::Mount && path.is_none());
    let label = linux.mount_label().as_deref().unwrap_or_default();
    [
        ("linux.seccomp", linux.seccomp().is_some()),
        ("linux.mountLabel", !label.is_empty()),
        ("linux.intelRdt", linux.intel_rdt().is_some()),
        ("linux.memoryPolicy", linux.memory_policy().is_some()),
        ("linux.personality", linux.personality().is_some()),
        (
            "linux.netDevices",
            linux
                .net_devices()
                .as_ref()
                .is_some_and(|map| !map.is_empty()),
        ),
        ("a user namespace", has_namespace(LinuxNamespaceType::User)),
        // Without one, the library would mount on the host.
        ("a container without a new mount namespace", !own_mounts),
    ]
}

fn unsupported_resources(
    resources: &LinuxResources,
    mode: CgroupMode,
) -> Vec<(&'static str, bool)> {
    let unified = mode == CgroupMode::Unified;
    let memory = resources.memory().as_ref();
    let io = resources.block_io().as_ref();
    let weights = io
        .and_then(|io| io.weight_device().as_deref())
        .unwrap_or_default();
    let has = |map: Option<bool>| map == Some(false);
    vec![
        (
            "linux.resources.rdma",
            has(resources.rdma().as_ref().map(HashMap::is_empty)),
        ),
        (
            "linux.resources.unified on cgroup v1",
            !unified && has(resources.unified().as_ref().map(HashMap::is_empty)),
        ),
        (
            "linux.resources.network on cgroup v2",
            unified
                && resources.network().as_ref().is_some_and(|network| {
                    network.class_id().is_some()
                        || has(network.priorities().as_ref().map(Vec::is_empty))
                }),
        ),
        (
            "linux.resources.memory.kernel, kernelTCP, swappiness or disableOOMKiller on cgroup v2",
            unified
                && memory.is_some_and(|memory| {
                    memory.kernel().is_some()
                        || memory.kernel_tcp().is_some()
                        || memory.swappiness().is_some()
                        || memory.disable_oom_killer() == Some(true)
                }),
        ),
        (
            "linux.resources.cpu.burst on cgroup v1",
            !unified
                && resources
                    .cpu()
                    .as_ref()
                    .is_some_and(|cpu| cpu.burst().is_some()),
        ),
        (
            "linux.resources.blockIO.weightDevice on cgroup v1",
            !unified && !weights.is_empty(),
        ),
        (
            "linux.resources.blockIO.leafWeight",
            io.is_some_and(|io| io.leaf_weight().is_some_and(|weight| weight > 0))
                || weights.iter().any(|device| device.leaf_weight().is_some()),
        ),
    ]
}
