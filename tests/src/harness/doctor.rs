//! What `doctor` finds, and the ways in which cases put something wrong: the database and the files of a container, behind the back of
//! the engine.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use rusqlite::Connection;
use serde_json::Value;

use super::env::Env;
use super::machine::{PARENT, cgroup_roots};
use super::process::Process;
use super::wait;

impl Env {
    /// The report of `doctor`. The exit code is right.
    pub(crate) fn doctor(&self, flags: &[&str]) -> Result<Value> {
        let words = [&["doctor", "--format", "json"], flags].concat();
        let output = self.ctr(&words)?;
        let report: Value = serde_json::from_str(&output.out())
            .with_context(|| format!("read the report: {output}"))?;
        let code = i32::from(!problems(&report)?.is_empty());
        ensure!(output.code == code, "{output}");
        let number = |key: &str| report[key].as_u64().with_context(|| key.to_owned());
        ensure!(
            number("took_ms")? <= number("limit_ms")?,
            "it took longer than it may: {report}"
        );
        Ok(report)
    }

    /// It finds exactly these problems, each a kind and what it is about: the name of a container, else a path, in the directory of
    /// the case where it can be.
    pub(crate) fn check_found(&self, expected: &[&str]) -> Result<()> {
        let report = self.doctor(&[])?;
        ensure!(report["complete"] == true, "{report:#}");
        self.check_problems(&report, expected)
    }

    pub(crate) fn check_problems(&self, report: &Value, expected: &[&str]) -> Result<()> {
        let found = self.shown(&problems(report)?)?;
        let mut expected: Vec<&str> = expected.to_vec();
        expected.sort_unstable();
        ensure!(
            found == expected,
            "{found:#?}\ninstead of\n{expected:#?}\n{report:#}"
        );
        Ok(())
    }

    /// Kind and subject of each, sorted.
    fn shown(&self, findings: &[Value]) -> Result<Vec<String>> {
        let directory = self.name("");
        let mut shown = Vec::new();
        for finding in findings {
            let kind = finding["kind"].as_str().context("kind")?;
            let explanation = finding["explanation"].as_str().context("explanation")?;
            let remedy = finding["remedy"].as_str().context("remedy")?;
            ensure!(!explanation.is_empty() && !remedy.is_empty(), "{finding}");
            let subject = &finding["subject"];
            let text = ["name", "path", "id"]
                .iter()
                .find_map(|key| subject[*key].as_str())
                .unwrap_or("the engine");
            let text = text.strip_prefix(&directory).unwrap_or(text);
            shown.push(format!("{kind} {text}"));
        }
        shown.sort_unstable();
        Ok(shown)
    }

    /// Nothing is wrong.
    pub(crate) fn check_well(&self) -> Result<()> {
        self.check_found(&[])
    }

    /// A repair puts it right, all of it, and says so.
    pub(crate) fn check_repaired(&self) -> Result<()> {
        self.repair()?;
        self.check_well()
    }

    /// A repair puts all of it right, by its own account.
    pub(crate) fn repair(&self) -> Result<()> {
        let report = self.doctor(&["--repair"])?;
        self.check_problems(&report, &[])?;
        let repairs = report["repairs"].as_array().context("repairs")?;
        let done = |one: &&Value| one["repair"]["result"] == "done";
        ensure!(repairs.iter().any(|one| done(&one)), "{report:#}");
        Ok(())
    }

    /// A repair leaves it as it is, and says so.
    pub(crate) fn check_not_repaired(&self, expected: &[&str]) -> Result<()> {
        let report = self.doctor(&["--repair"])?;
        let repairs = report["repairs"].as_array().context("repairs")?;
        let left = |one: &Value| one["repair"]["result"] == "left";
        ensure!(repairs.iter().all(left), "{report:#}");
        self.check_problems(&report, expected)
    }

    /// Changes the database behind the back of the engine; `?1` is the id.
    pub(crate) fn sql(&self, statement: &str, id: &str) -> Result<()> {
        let database = Connection::open(self.root().join("state.db"))?;
        database.busy_timeout(wait::PATIENCE)?;
        let changed = database.execute(statement, [id])?;
        ensure!(changed == 1, "{changed} rows changed: {statement}");
        Ok(())
    }

    /// The run directory of a container.
    pub(crate) fn run_dir(&self, id: &str) -> PathBuf {
        self.runroot().join("run").join(id)
    }

    /// Its own directory.
    pub(crate) fn own_dir(&self, id: &str) -> PathBuf {
        self.root().join("containers").join(id)
    }

    /// The process that writes the log of a container, as soon as there is one.
    pub(crate) fn log_writer(&self, id: &str) -> Result<Process> {
        let path = self.run_dir(id).join("log.lock");
        let pid = wait::until("a writer of the log", || lock_holder(&path))?;
        Process::open(pid)?.context("the writer of the log is there")
    }

    /// A container that has run and is cleaned up after; its id.
    pub(crate) fn ended(&self, name: &str) -> Result<String> {
        let id = self.detached(name, &[], "true")?;
        self.wait_for_cleanup(name)?;
        Env::wait_for_cleaners(&id)?;
        Ok(id)
    }

    /// A container that runs, with its keeper; its id.
    pub(crate) fn running(&self, name: &str) -> Result<String> {
        let id = self.detached(name, &[], "echo ready; sleep 100000")?;
        self.wait_for_log(name, "ready")?;
        self.keeper(&id)?;
        Ok(id)
    }
}

fn problems(report: &Value) -> Result<Vec<Value>> {
    let findings = report["findings"].as_array().context("findings")?;
    let problem = |finding: &&Value| finding["severity"] == "problem";
    Ok(findings.iter().filter(problem).cloned().collect())
}

/// The process that has a lock on a file, by the kernel's table.
fn lock_holder(path: &Path) -> Result<Option<i32>> {
    use std::os::unix::fs::MetadataExt;
    let Ok(found) = fs::metadata(path) else {
        return Ok(None);
    };
    let table = fs::read_to_string("/proc/locks").context("read the locks")?;
    let inode = format!(":{}", found.ino());
    let holder = table.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let pid = words.clone().nth(4)?;
        let waits = words.clone().nth(1) == Some("->");
        let own = words.nth(5)?.ends_with(&inode);
        (own && !waits).then(|| pid.parse().ok())?
    });
    Ok(holder)
}

/// The control group of a container, in every tree.
pub(crate) fn groups(id: &str) -> Result<Vec<PathBuf>> {
    let roots = cgroup_roots()?;
    Ok(roots
        .iter()
        .map(|root| root.join(PARENT).join(id))
        .collect())
}

/// Makes the control group of a container in the tree that the program has least to do with: in any one it must be found.
pub(crate) fn make_group(id: &str) -> Result<PathBuf> {
    let groups = groups(id)?;
    let group = groups.last().context("there are control groups")?.clone();
    fs::create_dir_all(&group).with_context(|| format!("make {}", group.display()))?;
    Ok(group)
}
