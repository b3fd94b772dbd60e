//! The two networks there are: none and the host's.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::harness::case::cases;
use crate::harness::env::Env;

cases! {
    Core none_has_only_lo_and_it_is_up,
    Core host_is_the_hosts,
}

fn none_has_only_lo_and_it_is_up(env: &Env) -> Result<()> {
    let host = host_namespace()?;
    for flags in [&[][..], &["--network", "none"], &["--network=none"]] {
        let script = "readlink /proc/self/ns/net; cat /sys/class/net/lo/flags; ip -o link | wc -l; ip -o addr show lo | grep -c 127.0.0.1/8";
        let out = env.run(flags, &["sh", "-c", script])?.ok()?;
        let lines: Vec<&str> = out.lines().collect();
        ensure!(lines.len() == 4, "{out:?}");
        ensure!(lines[0] != host, "it is the host's network namespace");
        // IFF_UP is 1, IFF_LOOPBACK is 8.
        ensure!(lines[1] == "0x9", "the flags of lo are {}", lines[1]);
        ensure!(lines[2] == "1", "there are {} links", lines[2]);
        ensure!(lines[3] == "1", "lo has no address: {out:?}");
    }
    Ok(())
}

fn host_is_the_hosts(env: &Env) -> Result<()> {
    let host = host_namespace()?;
    env.run(&["--network", "host"], &["readlink", "/proc/self/ns/net"])?
        .prints(&format!("{host}\n"))?;
    // The host's interfaces are seen, and not to be changed.
    let output = env.run(
        &["--network", "host"],
        &["ip", "link", "set", "lo", "mtu", "65536"],
    )?;
    ensure!(
        output.code != 0,
        "the host's network can be changed: {output}"
    );
    Ok(())
}

fn host_namespace() -> Result<String> {
    let link = fs::read_link("/proc/self/ns/net").context("read the network namespace")?;
    Ok(link.to_string_lossy().into_owned())
}
