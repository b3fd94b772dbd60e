//! The same command lines for the built-in runtime and for runc: the answers that callers act on must agree.

use std::path::Path;

use ctr_sys::{Deadline, ExitStatus, Launch, OutputLimits, Subreaper, reap_any, set_subreaper};
use serde_json::{Value, json};

use crate::sandbox::Sandbox;

/// What is compared of an answer.
#[derive(Clone, Copy)]
enum Compare {
    /// The exit code.
    Code,
    /// And what is printed.
    Printed,
}

/// A container that ends with 3 when it is asked to.
const SCRIPT: &str = "trap 'exit 3' TERM; while :; do sleep 0.1; done";

struct Side {
    program: Vec<String>,
    sandbox: Sandbox,
}

impl Side {
    fn new(program: &[&str]) -> Self {
        let user = json!({ "uid": 0, "gid": 0, "additionalGids": [7] });
        let sandbox = Sandbox::script(SCRIPT)
            .with("/process/user", user)
            .with("/process/noNewPrivileges", json!(true));
        sandbox.write_spec();
        Self {
            program: program.iter().map(|word| (*word).to_owned()).collect(),
            sandbox,
        }
    }

    /// The words with the id in place of ID.
    fn run(&self, line: &[&str]) -> (i32, String) {
        let (program, prefix) = self.program.split_first().unwrap();
        let words = line.iter().map(|word| word.replace("ID", &self.sandbox.id));
        let output = Launch::program(program)
            .args(prefix)
            .arg("--root")
            .arg(self.sandbox.root())
            .args(words)
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .cwd(self.sandbox.bundle())
            .output(OutputLimits {
                bytes: 1 << 20,
                deadline: Deadline::after(std::time::Duration::from_secs(60)),
            })
            .unwrap();
        let code = output.status.map_or(-1, ExitStatus::code);
        (code, String::from_utf8(output.stdout).unwrap())
    }

    /// As [`Side::run`]; what is printed keeps no name of this side.
    fn answer(&self, line: &[&str], compare: Compare) -> (i32, String) {
        let (code, printed) = self.run(line);
        match compare {
            Compare::Code => (code, String::new()),
            Compare::Printed => (code, printed.replace(&self.sandbox.id, "ID")),
        }
    }

    fn json(&self, line: &[&str]) -> Value {
        let (code, printed) = self.run(line);
        assert_eq!(code, 0, "{:?} {line:?}", self.program);
        serde_json::from_str(&printed).unwrap()
    }

    /// What `list` says of the container, without what differs by nature.
    fn listed(&self) -> Value {
        let pid = self.json(&["state", "ID"])["pid"].clone();
        let list = self.json(&["list", "--format", "json"]);
        let mut entry = list[0].clone();
        assert_eq!(entry["pid"], pid);
        assert_eq!(entry["bundle"].as_str(), self.sandbox.bundle().to_str());
        assert_eq!(entry["rootfs"].as_str(), self.sandbox.rootfs().to_str());
        assert!(entry["created"].as_str().unwrap().starts_with("20"));
        for field in [
            "pid",
            "bundle",
            "rootfs",
            "created",
            "ociVersion",
            "annotations",
        ] {
            entry.as_object_mut().unwrap().remove(field);
        }
        entry["id"] = json!(
            entry["id"]
                .as_str()
                .unwrap()
                .replace(&self.sandbox.id, "ID")
        );
        entry
    }
}

/// In this order: the later ones need what the earlier ones have done.
#[rustfmt::skip]
const TABLE: &[(&[&str], Compare)] = &[
    (&["create", "ID"], Compare::Code),
    (&["create", "ID"], Compare::Code),
    (&["exec", "ID", "echo", "created"], Compare::Printed),
    (&["pause", "nothere"], Compare::Code),
    (&["start", "ID"], Compare::Printed),
    (&["start", "ID"], Compare::Code),
    (&["exec", "ID", "id"], Compare::Printed),
    (&["exec", "ID", "sh", "-c", "exit 7"], Compare::Printed),
    (&["exec", "ID", "sh", "-c", "kill -9 $$"], Compare::Code),
    (&["exec", "ID", "grep", "-E", "^Cap|^NoNew|^Sig[BIC]", "/proc/self/status"], Compare::Printed),
    (&["exec", "-u", "1000:1001", "-g", "9", "ID", "id"], Compare::Printed),
    (&["exec", "--cap", "CAP_NET_RAW", "ID", "grep", "^Cap", "/proc/self/status"], Compare::Printed),
    (&["exec", "-e", "A=2", "-e", "B=3", "--cwd", "/tmp", "ID", "sh", "-c", "echo $A $B $PATH; pwd"], Compare::Printed),
    (&["exec", "ID", "nonsense"], Compare::Code),
    (&["exec", "ID", "/bin"], Compare::Code),
    (&["exec", "--cwd", "/nowhere", "ID", "true"], Compare::Code),
    (&["exec", "--preserve-fds", "99", "ID", "true"], Compare::Code),
    (&["exec", "nothere", "true"], Compare::Code),
    (&["pause", "ID"], Compare::Printed),
    (&["pause", "ID"], Compare::Code),
    (&["exec", "ID", "true"], Compare::Code),
    (&["delete", "ID"], Compare::Code),
    (&["resume", "ID"], Compare::Printed),
    (&["resume", "ID"], Compare::Code),
    (&["update", "--memory", "104857600", "--pids-limit", "50", "--cpu-share", "512", "ID"], Compare::Printed),
    (&["update", "--memory", "1", "nothere"], Compare::Code),
    (&["list", "-q"], Compare::Printed),
    (&["kill", "ID", "NONSENSE"], Compare::Code),
    (&["kill", "ID", "TERM"], Compare::Printed),
];

pub(crate) fn runc_answers_the_same() {
    if !Path::new("/usr/bin/runc").exists() {
        println!("skipped: runc is not installed");
        return;
    }
    let own = std::env::current_exe().unwrap();
    let sides = [
        Side::new(&[own.to_str().unwrap(), "oci-runtime"]),
        Side::new(&["/usr/bin/runc"]),
    ];
    set_subreaper(Subreaper::On).unwrap();
    for (line, compare) in TABLE {
        let [builtin, runc] = sides.each_ref().map(|side| side.answer(line, *compare));
        assert_eq!(builtin, runc, "{line:?}");
        if line.first() == Some(&"update") {
            let [builtin, runc] = sides.each_ref().map(limits);
            assert_eq!(builtin, runc);
        }
        let is_ending = *line == ["kill", "ID", "TERM"];
        if !is_ending {
            compare_states(&sides);
        }
    }
    wait_for_ends(sides.len());
    for side in &sides {
        assert_eq!(side.json(&["state", "ID"])["status"], "stopped");
        assert_eq!(side.run(&["exec", "ID", "true"]).0, 255);
    }
    for line in [["delete", "ID"], ["delete", "ID"], ["state", "ID"]] {
        let [builtin, runc] = sides
            .each_ref()
            .map(|side| side.answer(&line, Compare::Printed));
        assert_eq!(builtin, runc, "{line:?}");
    }
    set_subreaper(Subreaper::Off).unwrap();
    for side in sides {
        side.sandbox.assert_gone();
    }
}

/// Status, processes and the entry of the list.
fn compare_states(sides: &[Side; 2]) {
    let [builtin, runc] = sides.each_ref().map(Side::listed);
    assert_eq!(builtin, runc);
    let [builtin, runc] = sides.each_ref().map(|side| {
        let state = side.json(&["state", "ID"]);
        let pids = side.json(&["ps", "--format", "json", "ID"]);
        assert!(pids.as_array().unwrap().contains(&state["pid"]), "{pids}");
        state["status"].clone()
    });
    assert_eq!(builtin, runc);
}

fn limits(side: &Side) -> Vec<Option<String>> {
    let groups = ctr_sys::Cgroups::detect().unwrap();
    let files = [
        "memory.limit_in_bytes",
        "pids.max",
        "cpu.shares",
        "memory.max",
        "cpu.weight",
    ];
    let read = |file| groups.read_control(side.sandbox.cgroup(), file).unwrap();
    files.map(read).into()
}

/// The containers are orphans, which come to this process.
fn wait_for_ends(mut count: usize) {
    while count > 0 {
        match reap_any().unwrap() {
            Some((_, ExitStatus::Exited(3))) => count -= 1,
            Some(_) => {}
            None => std::thread::yield_now(),
        }
    }
}
