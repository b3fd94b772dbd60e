//! What the library would get wrong if it had the specification as it is.

use std::path::Path;

use ctr_oci::DEFAULT_UMASK;
use ctr_sys::{FileKind, Root};
use oci_spec::runtime::{Capabilities, LinuxCapabilities, Process, Spec};

use super::missing;
use crate::error::{Result, RuntimeError};

/// Larger user databases of a container are not searched for a home directory.
const PASSWD_LIMIT: u64 = 10 << 20;

/// Makes it what the library understands rightly.
pub(super) fn correct(spec: &mut Spec, bundle: &Path) -> Result<()> {
    let console = console_in_rootfs(spec);
    let root = spec.root_mut().as_mut().ok_or_else(|| missing("root"))?;
    let rootfs = bundle.join(root.path());
    root.set_path(rootfs.clone());
    let tree = Root::open(&rootfs)?;
    refuse_links(&tree, &rootfs)?;
    if console {
        refuse_console(&tree, &rootfs)?;
    }
    if let Some(process) = spec.process_mut() {
        correct_process(process, &tree)?;
    }
    // Enforced by this crate instead.
    if let Some(resources) = spec
        .linux_mut()
        .as_mut()
        .and_then(|it| it.resources_mut().as_mut())
    {
        resources.set_devices(None);
    }
    Ok(())
}

/// As [`correct`], for a process in the container whose root is `tree`.
pub(super) fn correct_process(process: &mut Process, tree: &Root) -> Result<()> {
    let umask = process.user().umask().unwrap_or(DEFAULT_UMASK);
    process.user_mut().set_umask(Some(umask));
    set_capabilities(process);
    set_home(process, tree)
}

/// A link in place of these directories would lead the runtime's own writes elsewhere.
fn refuse_links(tree: &Root, rootfs: &Path) -> Result<()> {
    for name in ["/proc", "/sys"] {
        let found = tree.metadata_nofollow(Path::new(name))?;
        if found.is_some_and(|found| found.kind != FileKind::Directory) {
            let what = format!("{name} in {}", rootfs.display());
            return Err(RuntimeError::invalid(
                what,
                "must be a directory, not a link or a file",
            ));
        }
    }
    Ok(())
}

/// Whether `/dev/console` is going to be made in the container's own files, because there is a terminal and nothing is mounted on `/dev`.
fn console_in_rootfs(spec: &Spec) -> bool {
    let process = spec.process().as_ref();
    let mut mounts = spec.mounts().iter().flatten();
    process.is_some_and(|process| process.terminal() == Some(true))
        && !mounts.any(|mount| mount.destination() == Path::new("/dev"))
}

/// The library opens the file for writing, to mount the terminal on it: a link in place of its directory would have the file made
/// elsewhere, for example in a volume, and a pipe would have the creation wait for ever.
fn refuse_console(tree: &Root, rootfs: &Path) -> Result<()> {
    let refuse = |name: &str, why: &str| {
        let what = format!("{name} in {}", rootfs.display());
        Err(RuntimeError::invalid(what, why))
    };
    match tree.metadata_nofollow(Path::new("/dev"))? {
        Some(found) if found.kind == FileKind::Directory => {}
        Some(_) | None => return refuse("/dev", "must be a directory, for a terminal"),
    }
    match tree.metadata_nofollow(Path::new("/dev/console"))? {
        None => Ok(()),
        Some(found) if matches!(found.kind, FileKind::Regular | FileKind::CharDevice) => Ok(()),
        Some(_) => refuse("/dev/console", "must be a file or a device, for a terminal"),
    }
}

/// A set that is not named is empty. The library would leave the process what it has, which is everything.
fn set_capabilities(process: &mut Process) {
    let given = process.capabilities().as_ref();
    let named = |set: fn(&LinuxCapabilities) -> &Option<Capabilities>| {
        Some(
            given
                .and_then(|given| set(given).clone())
                .unwrap_or_default(),
        )
    };
    let mut complete = LinuxCapabilities::default();
    complete
        .set_bounding(named(LinuxCapabilities::bounding))
        .set_effective(named(LinuxCapabilities::effective))
        .set_inheritable(named(LinuxCapabilities::inheritable))
        .set_permitted(named(LinuxCapabilities::permitted))
        .set_ambient(named(LinuxCapabilities::ambient));
    process.set_capabilities(Some(complete));
}

/// Without `HOME` the library asks the C library for it inside the container, which may load a library of the container into a
/// process that still holds descriptors of the host.
fn set_home(process: &mut Process, tree: &Root) -> Result<()> {
    let uid = process.user().uid();
    let mut environment = process.env().clone().unwrap_or_default();
    let is_set = |entry: &String| {
        entry
            .strip_prefix("HOME=")
            .is_some_and(|home| !home.is_empty())
    };
    if !environment.iter().any(is_set) {
        environment.retain(|entry| !entry.starts_with("HOME="));
        let passwd = tree.read(Path::new("/etc/passwd"), PASSWD_LIMIT)?;
        let home = home_of(uid, passwd.as_deref().unwrap_or_default());
        environment.push(format!("HOME={home}"));
    }
    process.set_env(Some(environment));
    Ok(())
}

/// The home directory of `uid` in a file in the form of `passwd(5)`.
fn home_of(uid: u32, passwd: &[u8]) -> String {
    let fallback = if uid == 0 { "/root" } else { "/" };
    let uid = uid.to_string();
    let text = String::from_utf8_lossy(passwd);
    let home = text.lines().find_map(|line| {
        let mut fields = line.split(':').skip(2);
        (fields.next()? == uid).then(|| fields.nth(2)).flatten()
    });
    home.filter(|home| !home.is_empty())
        .unwrap_or(fallback)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn home_directories_are_looked_up() {
        let passwd = b"root:x:0:0:r:/r:/bin/sh\nbad\nu:x:7:7::/home/u:/bin/sh\ne:x:8:8:::\n";
        assert_eq!(home_of(0, passwd), "/r");
        assert_eq!(home_of(7, passwd), "/home/u");
        assert_eq!(home_of(8, passwd), "/");
        assert_eq!(home_of(9, passwd), "/");
        assert_eq!(home_of(0, b""), "/root");
    }
}
