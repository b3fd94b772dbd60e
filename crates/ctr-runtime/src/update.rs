//! `update`: other limits for a container that exists.
//!
//! The control files are written here: the library would put its own device rules into force again whenever it touches a group of cgroup
//! v1. As with other runtimes, a limit of 0 means "leave it", and -1 "no limit".

use ctr_oci::Target;
use ctr_sys::{CgroupMode, Cgroups};
use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxPids, LinuxResources};
use serde_json::Value;

use crate::error::{Result, RuntimeError};
use crate::verbs::Found;

/// One limit: control files and what each would get. The first one that the group has is written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Write(Vec<(&'static str, String)>);

/// Writes that belong together: where the kernel refuses the first while the second has its old value, the other order is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Step(Vec<Write>);

/// Puts new limits into force for a container that has not ended. Those that come before one that the kernel refuses stay.
pub(crate) fn update(target: Target<'_>, resources: &LinuxResources) -> Result<()> {
    check(resources)?;
    let found = Found::new(target)?;
    let (Some(record), Some(_)) = (&found.record, &found.process) else {
        return Err(found.wrong_status()?);
    };
    let cgroups = Cgroups::detect()?;
    let read = |file: &str| cgroups.read_control(&record.cgroup, file);
    let steps = match cgroups.mode() {
        CgroupMode::Legacy | CgroupMode::Hybrid => on_v1(resources),
        CgroupMode::Unified => {
            let cpu_max = read("cpu.max")?.unwrap_or_default();
            on_v2(resources, &cpu_max)?
        }
    };
    for step in &steps {
        step.take(&cgroups, &record.cgroup)?;
    }
    Ok(())
}

impl Step {
    fn one(file: &'static str, value: &impl ToString) -> Self {
        Self(vec![Write::new(file, value)])
    }

    fn take(&self, cgroups: &Cgroups, cgroup: &str) -> Result<()> {
        let write = |write: &Write| write.carry_out(cgroups, cgroup);
        match self.0.as_slice() {
            [first, second] if write(first).is_err() => {
                write(second)?;
                write(first)
            }
            [_, second] => write(second),
            writes => writes.iter().try_for_each(write),
        }
    }
}

impl Write {
    fn new(file: &'static str, value: &impl ToString) -> Self {
        Self(vec![(file, value.to_string())])
    }

    fn carry_out(&self, cgroups: &Cgroups, cgroup: &str) -> Result<()> {
        for (file, value) in &self.0 {
            if cgroups.read_control(cgroup, file)?.is_some() {
                return Ok(cgroups.write_control(cgroup, file, value)?);
            }
        }
        let file = self.0.first().map_or("", |(file, _)| file);
        Err(RuntimeError::invalid(
            format!("{file} of cgroup {cgroup}"),
            "the kernel has no such control here",
        ))
    }
}

/// What can be updated, as the specification calls it.
const UPDATED: [&str; 10] = [
    "memory.limit",
    "memory.reservation",
    "memory.swap",
    "cpu.shares",
    "cpu.quota",
    "cpu.period",
    "cpu.cpus",
    "cpu.mems",
    "pids.limit",
    "blockIO.weight",
];

/// Refuses what is not updated, and values that are none.
fn check(resources: &LinuxResources) -> Result<()> {
    if let Some(what) = not_updated(resources) {
        return Err(RuntimeError::unsupported(format!("an update of {what}")));
    }
    let io = resources.block_io().as_ref();
    let weight = io.and_then(LinuxBlockIo::weight).unwrap_or(0);
    if weight != 0 && !(10..=1000).contains(&weight) {
        return Err(RuntimeError::invalid(
            format!("blockIO.weight {weight}"),
            "must be from 10 to 1000",
        ));
    }
    Ok(())
}

/// The first limit that is asked for and would not be set.
fn not_updated(resources: &LinuxResources) -> Option<String> {
    let document = serde_json::to_value(resources).ok()?;
    for (part, limits) in document.as_object()? {
        let Some(limits) = limits.as_object() else {
            if is_nothing(limits) {
                continue;
            }
            return Some(part.clone());
        };
        for (limit, value) in limits {
            let name = format!("{part}.{limit}");
            if !UPDATED.contains(&name.as_str()) && !is_nothing(value) {
                return Some(name);
            }
        }
    }
    None
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

fn set<T: PartialEq + Default>(value: Option<T>) -> Option<T> {
    value.filter(|value| *value != T::default())
}

fn on_v1(resources: &LinuxResources) -> Vec<Step> {
    let mut steps = Vec::new();
    if let Some(memory) = resources.memory() {
        let limit = set(memory.limit());
        let limit = limit.map(|limit| Write::new("memory.limit_in_bytes", &limit));
        let swap = set(memory.swap());
        let swap = swap.map(|limit| Write::new("memory.memsw.limit_in_bytes", &limit));
        steps.push(Step(limit.into_iter().chain(swap).collect()));
        let reservation = set(memory.reservation());
        steps.extend(reservation.map(|limit| Step::one("memory.soft_limit_in_bytes", &limit)));
    }
    if let Some(cpu) = resources.cpu() {
        steps.extend(set(cpu.shares()).map(|shares| Step::one("cpu.shares", &shares)));
        let period = set(cpu.period()).map(|period| Write::new("cpu.cfs_period_us", &period));
        let quota = set(cpu.quota()).map(|quota| Write::new("cpu.cfs_quota_us", &quota));
        steps.push(Step(period.into_iter().chain(quota).collect()));
        steps.extend(cpuset(cpu));
    }
    steps.extend(pids(resources));
    let io = resources.block_io().as_ref();
    let weight = set(io.and_then(LinuxBlockIo::weight));
    let files = ["blkio.bfq.weight", "blkio.weight"];
    steps.extend(
        weight.map(|it| Step(vec![Write(files.map(|file| (file, it.to_string())).into())])),
    );
    steps
}

/// `cpu_max` is what `cpu.max` has now: quota and period are set together there.
fn on_v2(resources: &LinuxResources, cpu_max: &str) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    if let Some(memory) = resources.memory() {
        let limit = set(memory.limit());
        steps.extend(limit.map(|limit| Step::one("memory.max", &or_max(limit))));
        if let Some(swap) = set(memory.swap()) {
            steps.push(Step::one("memory.swap.max", &swap_alone(swap, limit)?));
        }
        let reservation = set(memory.reservation());
        steps.extend(reservation.map(|low| Step::one("memory.low", &or_max(low))));
    }
    if let Some(cpu) = resources.cpu() {
        let shares = set(cpu.shares());
        steps.extend(shares.map(|shares| Step::one("cpu.weight", &weight_of_shares(shares))));
        let (quota, period) = (set(cpu.quota()), set(cpu.period()));
        if quota.is_some() || period.is_some() {
            let mut now = cpu_max.split_whitespace().map(str::to_owned);
            let now_quota = now.next().unwrap_or_else(|| "max".to_owned());
            let now_period = now.next().unwrap_or_else(|| "100000".to_owned());
            let quota = quota.map_or(now_quota, or_max);
            let period = period.map_or(now_period, |period| period.to_string());
            steps.push(Step::one("cpu.max", &format!("{quota} {period}")));
        }
        steps.extend(cpuset(cpu));
    }
    steps.extend(pids(resources));
    let io = resources.block_io().as_ref();
    if let Some(weight) = set(io.and_then(LinuxBlockIo::weight)) {
        // Where only the general control is there, 10 to 1000 become 1 to 10000.
        let general = 1 + (u32::from(weight) - 10) * 9999 / 990;
        let choices = [
            ("io.bfq.weight", weight.to_string()),
            ("io.weight", general.to_string()),
        ];
        steps.push(Step(vec![Write(choices.into())]));
    }
    Ok(steps)
}

fn cpuset(cpu: &LinuxCpu) -> impl Iterator<Item = Step> {
    let cpus = set(cpu.cpus().clone()).map(|cpus| Step::one("cpuset.cpus", &cpus));
    let mems = set(cpu.mems().clone()).map(|mems| Step::one("cpuset.mems", &mems));
    cpus.into_iter().chain(mems)
}

fn pids(resources: &LinuxResources) -> Option<Step> {
    let limit = set(resources.pids().as_ref().map(LinuxPids::limit))?;
    Some(Step::one("pids.max", &or_max(limit)))
}

fn or_max(limit: i64) -> String {
    if limit < 0 {
        return "max".to_owned();
    }
    limit.to_string()
}

/// The specification's swap counts memory too, the kernel's does not.
fn swap_alone(swap: i64, limit: Option<i64>) -> Result<String> {
    match limit {
        _ if swap < 0 => Ok("max".to_owned()),
        Some(limit) if limit > 0 && swap >= limit => Ok((swap - limit).to_string()),
        Some(_) | None => Err(RuntimeError::invalid(
            format!("memory.swap {swap}"),
            "counts memory too: it needs a memory.limit beside it that is not larger",
        )),
    }
}

/// Shares (2 to 262144) as a weight (1 to 10000), on the curve that other runtimes use: it goes through the ends and through both
/// defaults (1024 and 100).
fn weight_of_shares(shares: u64) -> u32 {
    let shares = u32::try_from(shares.clamp(2, 262_144)).unwrap_or(262_144);
    let log = f64::from(shares).log2();
    let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 1 to 10000, as the shares are from 2 to 262144"
    )]
    let weight = 10_f64.powf(exponent).ceil() as u32;
    weight.clamp(1, 10_000)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn resources(text: &Value) -> LinuxResources {
        serde_json::from_value(text.clone()).unwrap()
    }

    fn shown(steps: &[Step]) -> String {
        let write = |write: &Write| {
            let choices = write
                .0
                .iter()
                .map(|(file, value)| format!("{file}={value}"));
            choices.collect::<Vec<_>>().join("|")
        };
        let step = |step: &Step| step.0.iter().map(write).collect::<Vec<_>>().join("+");
        let shown: Vec<_> = steps
            .iter()
            .map(step)
            .filter(|step| !step.is_empty())
            .collect();
        shown.join(" ")
    }

    #[test]
    fn limits_become_values_of_control_files() {
        let check = |text: Value, v1: &str, v2: &str| {
            let resources = resources(&text);
            super::check(&resources).unwrap();
            assert_eq!(shown(&on_v1(&resources)), v1, "{text}");
            assert_eq!(
                shown(&on_v2(&resources, "max 100000").unwrap()),
                v2,
                "{text}"
            );
        };
        check(
            json!({ "memory": { "limit": 100, "swap": 300, "reservation": 50 } }),
            "memory.limit_in_bytes=100+memory.memsw.limit_in_bytes=300 memory.soft_limit_in_bytes=50",
            "memory.max=100 memory.swap.max=200 memory.low=50",
        );
        check(
            json!({ "memory": { "limit": -1, "swap": -1 } }),
            "memory.limit_in_bytes=-1+memory.memsw.limit_in_bytes=-1",
            "memory.max=max memory.swap.max=max",
        );
        check(
            json!({ "cpu": { "shares": 1024, "quota": 5000, "period": 10000, "cpus": "0", "mems": "0" } }),
            "cpu.shares=1024 cpu.cfs_period_us=10000+cpu.cfs_quota_us=5000 cpuset.cpus=0 cpuset.mems=0",
            "cpu.weight=100 cpu.max=5000 10000 cpuset.cpus=0 cpuset.mems=0",
        );
        check(
            json!({ "cpu": { "quota": -1 } }),
            "cpu.cfs_quota_us=-1",
            "cpu.max=max 100000",
        );
        check(
            json!({ "pids": { "limit": -1 } }),
            "pids.max=max",
            "pids.max=max",
        );
        check(
            json!({ "blockIO": { "weight": 1000 } }),
            "blkio.bfq.weight=1000|blkio.weight=1000",
            "io.bfq.weight=1000|io.weight=10000",
        );
        // As other runtimes have it in the file that they show as an example.
        let nothing = json!({
            "memory": { "limit": 0, "reservation": 0, "swap": 0, "kernel": 0, "kernelTCP": 0 },
            "cpu": { "shares": 0, "quota": 0, "period": 0, "realtimeRuntime": 0, "cpus": "", "mems": "" },
            "blockIO": { "weight": 0 },
        });
        check(nothing, "", "");
    }

    #[test]
    fn the_ends_and_the_defaults_of_the_weights_meet() {
        for (shares, weight) in [
            (0, 1),
            (2, 1),
            (1024, 100),
            (262_144, 10_000),
            (u64::MAX, 10_000),
        ] {
            assert_eq!(weight_of_shares(shares), weight, "{shares}");
        }
    }

    #[test]
    fn what_is_not_updated_is_refused() {
        for text in [
            json!({ "devices": [{ "allow": true }] }),
            json!({ "unified": { "memory.high": "1" } }),
            json!({ "memory": { "swappiness": 1 } }),
            json!({ "cpu": { "burst": 1 } }),
            json!({ "blockIO": { "weight": 9 } }),
            json!({ "blockIO": { "throttleReadBpsDevice": [{ "major": 1, "minor": 1, "rate": 1 }] } }),
            json!({ "network": { "classID": 1 } }),
        ] {
            super::check(&resources(&text)).unwrap_err();
        }
        let alone = resources(&json!({ "memory": { "swap": 300 } }));
        on_v2(&alone, "").unwrap_err();
    }
}
