use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ctr_rootfs::{ContainerEnv, GeneratedFiles, HostsFile, Privileges, ResolvConf};

use crate::tree::Tree;

fn env() -> ContainerEnv {
    ContainerEnv {
        engine: "ctr-0.1.0".into(),
        name: "web_1".into(),
        id: "4f2a".into(),
        image: String::new(),
        image_id: String::new(),
        privileges: Privileges::Root,
    }
}

/// Writes the files and compares them, by their places in the container, with what is expected of each.
fn check(files: &GeneratedFiles, expected: &[(&str, &str)]) {
    let dir = Tree::new();
    let mounts = files.write(dir.path()).unwrap();
    assert_eq!(mounts.len(), expected.len());
    for (mount, (destination, text)) in mounts.iter().zip(expected) {
        assert_eq!(mount.destination, Path::new(destination));
        assert_eq!(mount.source.parent(), Some(dir.path()));
        assert_eq!(
            fs::read_to_string(&mount.source).unwrap(),
            *text,
            "{destination}"
        );
        let mode = fs::metadata(&mount.source).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o644, "{destination}");
    }
}

const CONTAINERENV: &str =
    "engine=\"ctr-0.1.0\"\nname=\"web_1\"\nid=\"4f2a\"\nimage=\"\"\nimageid=\"\"\nrootless=0\n";

#[test]
fn an_isolated_container_knows_itself_only() {
    check(
        &GeneratedFiles::isolated("web".into(), env()),
        &[
            ("/etc/hostname", "web\n"),
            (
                "/etc/hosts",
                "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\tweb web_1\n",
            ),
            ("/etc/resolv.conf", ""),
            ("/run/.containerenv", CONTAINERENV),
        ],
    );
}

#[test]
fn a_container_in_the_hosts_network_resolves_as_the_host_does() {
    let host = Tree::new();
    host.file("hosts", "10.0.0.9 db")
        .file("run/resolv.conf", "nameserver 10.0.0.1\n");
    host.link("resolv.conf", "run/resolv.conf");
    let mut files = GeneratedFiles::host_network("db".into(), env());
    files.hosts = HostsFile::CopyOf(host.at("hosts"));
    files.resolv_conf = ResolvConf::CopyOf(host.at("resolv.conf"));
    let expected = |hosts, resolv_conf| {
        [
            ("/etc/hostname", "db\n"),
            ("/etc/hosts", hosts),
            ("/etc/resolv.conf", resolv_conf),
            ("/run/.containerenv", CONTAINERENV),
        ]
    };
    check(
        &files,
        &expected("10.0.0.9 db\n127.0.1.1\tweb_1\n", "nameserver 10.0.0.1\n"),
    );
    files.resolv_conf = ResolvConf::CopyOf(host.at("missing"));
    check(&files, &expected("10.0.0.9 db\n127.0.1.1\tweb_1\n", ""));
}

#[test]
fn a_refused_value_leaves_no_file() {
    let dir = Tree::new();
    let mut files = GeneratedFiles::isolated("web".into(), env());
    files.container_env.image = "a\nrootless=1".into();
    let error = files.write(dir.path()).unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"invalid image name "a\nrootless=1": control characters are not allowed"#
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_file_of_the_host_that_cannot_be_copied_is_an_error() {
    let host = Tree::new();
    host.fifo("fifo").dir("dir").sparse("large", 2 << 20);
    for name in ["fifo", "dir", "large"] {
        let mut files = GeneratedFiles::host_network("web".into(), env());
        files.hosts = HostsFile::CopyOf(host.at(name));
        files.write(Tree::new().path()).unwrap_err();
    }
}
