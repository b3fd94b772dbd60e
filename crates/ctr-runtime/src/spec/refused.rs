//! What the library would silently ignore, or carry out on the host: refused.

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

fn unsupported_top(spec: &Spec) -> [(&'static str, bool); 4] {
    // The library sets names only in a namespace that it makes.
    let shared = !spec.linux().as_ref().is_some_and(|linux| {
        namespaces(linux).any(|namespace| namespace == (LinuxNamespaceType::Uts, None))
    });
    [
        (
            "a hostname without a new UTS namespace",
            shared && spec.hostname().is_some(),
        ),
        (
            "a domainname without a new UTS namespace",
            shared && spec.domainname().is_some(),
        ),
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

/// Refuses what a process asks for and would not get.
pub(super) fn check_process(process: &Process) -> Result<()> {
    let named = |value: &Option<String>| value.as_deref().is_some_and(|text| !text.is_empty());
    refuse_all(&[
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
    let io = resources.block_io().as_ref();
    let rdma = resources.rdma().as_ref();
    let leaf_weight = io.is_some_and(|io| {
        let per_device = io.weight_device().as_deref().unwrap_or_default();
        io.leaf_weight().is_some_and(|weight| weight > 0)
            || per_device
                .iter()
                .any(|device| device.leaf_weight().is_some())
    });
    let mut asked = vec![
        (
            "linux.resources.rdma",
            rdma.is_some_and(|rdma| !rdma.is_empty()),
        ),
        ("linux.resources.blockIO.leafWeight", leaf_weight),
    ];
    match mode {
        CgroupMode::Legacy | CgroupMode::Hybrid => asked.extend(unsupported_on_v1(resources)),
        CgroupMode::Unified => asked.extend(unsupported_on_v2(resources)),
    }
    asked
}

fn unsupported_on_v1(resources: &LinuxResources) -> [(&'static str, bool); 3] {
    let unified = resources.unified().as_ref();
    let cpu = resources.cpu().as_ref();
    let io = resources.block_io().as_ref();
    let weights = io.and_then(|io| io.weight_device().as_ref());
    [
        (
            "linux.resources.unified on cgroup v1",
            unified.is_some_and(|unified| !unified.is_empty()),
        ),
        (
            "linux.resources.cpu.burst on cgroup v1",
            cpu.is_some_and(|cpu| cpu.burst().is_some()),
        ),
        (
            "linux.resources.blockIO.weightDevice on cgroup v1",
            weights.is_some_and(|weights| !weights.is_empty()),
        ),
    ]
}

fn unsupported_on_v2(resources: &LinuxResources) -> [(&'static str, bool); 2] {
    let network = resources.network().as_ref();
    let memory = resources.memory().as_ref();
    [
        (
            "linux.resources.network on cgroup v2",
            network.is_some_and(|network| {
                let priorities = network.priorities().as_deref().unwrap_or_default();
                network.class_id().is_some() || !priorities.is_empty()
            }),
        ),
        (
            "linux.resources.memory.kernel, kernelTCP, swappiness or disableOOMKiller on cgroup v2",
            memory.is_some_and(|memory| {
                memory.kernel().is_some()
                    || memory.kernel_tcp().is_some()
                    || memory.swappiness().is_some()
                    || memory.disable_oom_killer() == Some(true)
            }),
        ),
    ]
}
