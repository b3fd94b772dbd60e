//! The files that the engine gives a container: `/etc/hosts`, `/etc/hostname`, `/etc/resolv.conf`, `/run/.containerenv`.
//!
//! They are written in the engine's run directory and mounted over their places by the runtime, so that no link of the container can
//! lead a write elsewhere. Every value is checked before it becomes part of a line; what does not fit is refused, never trimmed.
//! `/etc/passwd` and `/etc/group` stay as the root file system has them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use ctr_sys::{Root, Sync, replace_file};

use crate::error::RootfsError;

/// The most that is copied of a file of the host, in bytes.
const MAX_HOST_FILE: u64 = 1024 * 1024;
/// The longest name that the kernel stores (`sethostname(2)`), in bytes.
const MAX_HOSTNAME: usize = 64;
/// Readable by every user of the container; the directory on the host is private.
const MODE: u32 = 0o644;

const LOCAL_HOSTS: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";
/// The address of a host's own name where no network gives it one.
const OWN_ADDRESS: &str = "127.0.1.1";

/// What `/etc/hosts` begins with; the container's own names follow where they are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostsFile {
    /// The local names only.
    Local,
    /// A copy of a file of the host; a missing one is empty.
    CopyOf(PathBuf),
}

/// What `/etc/resolv.conf` holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResolvConf {
    /// Nothing: there is no network to ask a server on.
    Empty,
    /// A copy of a file of the host; a missing one is empty.
    CopyOf(PathBuf),
}

/// Whether the engine runs as the host's root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privileges {
    /// It does.
    Root,
    /// It runs as a user.
    User,
}

/// What `/run/.containerenv` tells programs about the container that they run in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerEnv {
    /// The engine with its version, as in `ctr-0.1.0`.
    pub engine: String,
    /// The container's name.
    pub name: String,
    /// The container's id.
    pub id: String,
    /// The image's name; empty for a container made from a directory, whose path is the host's business.
    pub image: String,
    /// The image's id; empty likewise.
    pub image_id: String,
    /// Written as `rootless=0` or `rootless=1`.
    pub privileges: Privileges,
}

/// All generated files of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratedFiles {
    /// The container's host name: letters, digits, `-`, `_` and `.`, at most 64 bytes.
    pub hostname: String,
    /// `/etc/hosts`.
    pub hosts: HostsFile,
    /// `/etc/resolv.conf`.
    pub resolv_conf: ResolvConf,
    /// `/run/.containerenv`.
    pub container_env: ContainerEnv,
}

/// A file of the host that a runtime shall mount into the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratedMount {
    /// The file on the host.
    pub source: PathBuf,
    /// Its place in the container.
    pub destination: PathBuf,
}

impl GeneratedFiles {
    /// The files of a container with a network namespace of its own and nothing in it but `lo`.
    pub fn isolated(hostname: String, container_env: ContainerEnv) -> Self {
        Self {
            hostname,
            hosts: HostsFile::Local,
            resolv_conf: ResolvConf::Empty,
            container_env,
        }
    }

    /// The files of a container in the host's network: it resolves names as the host does.
    pub fn host_network(hostname: String, container_env: ContainerEnv) -> Self {
        Self {
            hostname,
            hosts: HostsFile::CopyOf("/etc/hosts".into()),
            resolv_conf: ResolvConf::CopyOf("/etc/resolv.conf".into()),
            container_env,
        }
    }

    /// Checks every value, without touching a file.
    ///
    /// # Errors
    /// [`RootfsError::Field`] names the first value that cannot be written.
    pub fn check(&self) -> Result<(), RootfsError> {
        check_hostname(&self.hostname)?;
        let env = &self.container_env;
        let fields = [
            ("engine name", &env.engine),
            ("container name", &env.name),
            ("container id", &env.id),
            ("image name", &env.image),
            ("image id", &env.image_id),
        ];
        fields
            .into_iter()
            .try_for_each(|(field, value)| check_text(field, value))?;
        if env.name.contains(|c: char| c.is_whitespace() || c == '#') {
            let why = "blanks and '#' cannot be part of a name in /etc/hosts";
            return Err(invalid("container name", &env.name, why));
        }
        Ok(())
    }

    /// Writes the files into `dir`, which exists and belongs to the engine, each replaced as a whole. The answer lists where they
    /// go, parents of nothing else, in a fixed order.
    ///
    /// # Errors
    /// Those of [`GeneratedFiles::check`]. [`RootfsError::Sys`]: a file of the host cannot be read, or one of ours written.
    pub fn write(&self, dir: &Path) -> Result<Vec<GeneratedMount>, RootfsError> {
        self.check()?;
        let files = [
            ("hostname", "/etc/hostname", self.hostname_text()),
            ("hosts", "/etc/hosts", self.hosts_text()?),
            ("resolv.conf", "/etc/resolv.conf", self.resolv_conf_text()?),
            (
                "containerenv",
                "/run/.containerenv",
                self.container_env.text(),
            ),
        ];
        let mut mounts = Vec::with_capacity(files.len());
        for (name, destination, text) in files {
            let source = dir.join(name);
            replace_file(&source, &text, MODE, Sync::No)
                .map_err(RootfsError::sys("write the generated file", &source))?;
            mounts.push(GeneratedMount {
                source,
                destination: destination.into(),
            });
        }
        Ok(mounts)
    }

    fn hostname_text(&self) -> Vec<u8> {
        format!("{}\n", self.hostname).into_bytes()
    }

    fn hosts_text(&self) -> Result<Vec<u8>, RootfsError> {
        let mut text = match &self.hosts {
            HostsFile::Local => LOCAL_HOSTS.as_bytes().to_vec(),
            HostsFile::CopyOf(path) => read_host_file(path)?,
        };
        if !text.is_empty() && !text.ends_with(b"\n") {
            text.push(b'\n');
        }
        let mut own: Vec<&str> = vec![&self.hostname, &self.container_env.name];
        own.dedup();
        own.retain(|name| !name.is_empty() && !names_host(&text, name));
        if !own.is_empty() {
            text.extend_from_slice(format!("{OWN_ADDRESS}\t{}\n", own.join(" ")).as_bytes());
        }
        Ok(text)
    }

    fn resolv_conf_text(&self) -> Result<Vec<u8>, RootfsError> {
        match &self.resolv_conf {
            ResolvConf::Empty => Ok(Vec::new()),
            ResolvConf::CopyOf(path) => read_host_file(path),
        }
    }
}

impl ContainerEnv {
    /// `key="value"` lines that a shell can read.
    fn text(&self) -> Vec<u8> {
        let mut text = String::new();
        let values = [
            ("engine", &self.engine),
            ("name", &self.name),
            ("id", &self.id),
            ("image", &self.image),
            ("imageid", &self.image_id),
        ];
        for (key, value) in values {
            writeln!(text, "{key}=\"{}\"", quoted(value)).expect("writing to a String cannot fail");
        }
        let rootless = match self.privileges {
            Privileges::Root => 0,
            Privileges::User => 1,
        };
        writeln!(text, "rootless={rootless}").expect("writing to a String cannot fail");
        text.into_bytes()
    }
}

/// The inside of a double-quoted shell word.
fn quoted(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for c in value.chars() {
        if matches!(c, '"' | '\\' | '$' | '`') {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

/// Whether a line of a hosts file gives `name` an address.
fn names_host(hosts: &[u8], name: &str) -> bool {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r');
    hosts.split(|byte| *byte == b'\n').any(|line| {
        let content = line.split(|byte| *byte == b'#').next().unwrap_or_default();
        let mut words = content.split(blank).filter(|word| !word.is_empty());
        words.next().is_some() && words.any(|word| word.eq_ignore_ascii_case(name.as_bytes()))
    })
}

/// The host's own files go through the same opener as the container's: regular, without waiting on a FIFO, up to a cap.
fn read_host_file(path: &Path) -> Result<Vec<u8>, RootfsError> {
    let host = Root::open(Path::new("/")).map_err(RootfsError::sys("open the host's", "/"))?;
    let text = host
        .read(path, MAX_HOST_FILE)
        .map_err(RootfsError::sys("read the host's", path))?;
    Ok(text.unwrap_or_default())
}

fn check_hostname(name: &str) -> Result<(), RootfsError> {
    let refuse = |why| Err(invalid("hostname", name, why));
    if name.is_empty() || name.len() > MAX_HOSTNAME {
        return refuse("it must have 1 to 64 bytes");
    }
    let label_is_good = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    if !name.split('.').all(label_is_good) {
        return refuse(
            "its parts between dots must be letters, digits, '-' and '_', with no '-' at an end",
        );
    }
    Ok(())
}

fn check_text(field: &'static str, value: &str) -> Result<(), RootfsError> {
    if value.chars().any(char::is_control) {
        return Err(invalid(field, value, "control characters are not allowed"));
    }
    Ok(())
}

fn invalid(field: &'static str, value: &str, why: &'static str) -> RootfsError {
    RootfsError::Field {
        field,
        value: value.to_owned(),
        why,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn env(name: &str) -> ContainerEnv {
        ContainerEnv {
            engine: "ctr-0.1.0".into(),
            name: name.into(),
            id: "4f".repeat(32),
            image: String::new(),
            image_id: String::new(),
            privileges: Privileges::Root,
        }
    }

    fn check(hostname: &str, name: &str) -> Result<(), RootfsError> {
        GeneratedFiles::isolated(hostname.into(), env(name)).check()
    }

    #[test]
    fn values_that_would_forge_a_line_are_refused() {
        let (longest, too_long) = ("a".repeat(64), "a".repeat(65));
        for (hostname, name) in [
            ("web", "web_1"),
            ("a.example.org", "x.y-z"),
            (&longest, "n"),
        ] {
            check(hostname, name).unwrap();
        }
        for hostname in [
            &too_long,
            "",
            "a\n6.6.6.6 registry.example",
            "a b",
            "-a",
            "a-",
            "a..b",
            ".",
            "a#b",
            "a\u{e9}",
        ] {
            check(hostname, "n").unwrap_err();
        }
        for name in ["n\nx", "n x", "n#x", "n\u{1b}[2J", "n\u{85}", "n\u{2003}x"] {
            check("h", name).unwrap_err();
        }
    }

    #[test]
    fn own_names_are_added_once() {
        let text = |hosts: &str, hostname: &str, name: &str| {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("hosts");
            replace_file(&path, hosts.as_bytes(), 0o600, Sync::No).unwrap();
            let mut files = GeneratedFiles::isolated(hostname.into(), env(name));
            files.hosts = HostsFile::CopyOf(path);
            String::from_utf8(files.hosts_text().unwrap()).unwrap()
        };
        assert_eq!(text("", "h", "n"), "127.0.1.1\th n\n");
        assert_eq!(text("", "h", "h"), "127.0.1.1\th\n");
        assert_eq!(text("10.0.0.1 h", "h", "n"), "10.0.0.1 h\n127.0.1.1\tn\n");
        assert_eq!(text("10.0.0.1\tx H\tn\n", "h", "n"), "10.0.0.1\tx H\tn\n");
        assert_eq!(text("# h\nh x\n", "h", "x"), "# h\nh x\n127.0.1.1\th\n");
    }

    #[test]
    fn containerenv_is_quoted_for_a_shell() {
        let mut env = env("n");
        env.image = r#"a"b\c$d`e"#.into();
        let text = String::from_utf8(env.text()).unwrap();
        assert!(text.contains("image=\"a\\\"b\\\\c\\$d\\`e\"\n"), "{text}");
        assert!(text.ends_with("rootless=0\n"), "{text}");
    }

    proptest! {
        #[test]
        fn accepted_values_make_exactly_the_lines_of_the_form(hostname in "\\PC{0,8}|[a-z.\\n -]{0,8}", name in "[a-z\\n\\t #_]{0,8}") {
            let files = GeneratedFiles::isolated(hostname, env(&name));
            if files.check().is_ok() {
                let lines = |text: Vec<u8>| text.split(|byte| *byte == b'\n').count() - 1;
                prop_assert_eq!(lines(files.hostname_text()), 1);
                prop_assert!(lines(files.hosts_text().expect("no file is read")) <= 3);
                prop_assert_eq!(lines(files.container_env.text()), 6);
            }
        }
    }
}
