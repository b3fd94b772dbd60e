//! Runs one command in a container through runc, and nothing of this house but `ctr-oci` (and `ctr-sys` below it).
//!
//! ```text
//! cargo run -p ctr-oci --example drive_runc                          # a root made of the host's programs, `id` in it
//! cargo run -p ctr-oci --example drive_runc -- /srv/rootfs sh -c ls  # a root file system and a command of yours
//! ```
//!
//! Needs root and a runc in one of the usual directories; says so when there is none.

use std::error::Error;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use ctr_oci::{
    Access, BindMount, Bundle, CliRuntime, CliRuntimeConfig, CreateCall, DeleteMode, OciError,
    OciRuntime, SpecBuilder, StdioFds, Target, find_runtime, version_verdict,
};
use ctr_sys::{Deadline, ExitStatus, Subreaper, reap_any, set_subreaper, wait_readable};

/// Any call of the runtime that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    match run() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let mut next: Option<&dyn Error> = Some(&*error);
            while let Some(cause) = next {
                eprintln!("drive_runc: {cause}");
                next = cause.source();
            }
            ExitCode::from(125)
        }
    }
}

fn run() -> Result<u8, Box<dyn Error>> {
    let program = match find_runtime("runc", &[]) {
        Ok(program) => program,
        Err(error @ OciError::RuntimeNotFound { .. }) => {
            eprintln!("drive_runc: {error}; install runc to run this example");
            return Ok(125);
        }
        Err(error) => return Err(error.into()),
    };
    let temp = tempfile::tempdir()?;
    let mut args = std::env::args().skip(1);
    let root = args.next().map(PathBuf::from);
    let command: Vec<String> = args.collect();

    let spec = builder(root.as_deref(), temp.path())?
        .args(if command.is_empty() {
            vec!["id".to_owned()]
        } else {
            command
        })
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .hostname("drive-runc".parse()?)
        .cgroup_path("/drive-runc")
        .build()?;
    let bundle = Bundle::write(&temp.path().join("bundle"), &spec)?;

    let runtime = CliRuntime::new(CliRuntimeConfig::new("runc", program, temp.path()));
    let features = runtime.features(Deadline::after(PATIENCE))?;
    let version = features.version.as_deref().unwrap_or("unknown");
    println!(
        "runtime: {} {version}, {:?}",
        features.name,
        version_verdict(&features.name, version)
    );

    let code = drive(&runtime, temp.path(), &bundle)?;
    println!("exit code: {code}");
    Ok(u8::try_from(code).unwrap_or(u8::MAX))
}

/// The given root, or an empty directory with the host's programs in it, read-only.
fn builder(root: Option<&Path>, temp: &Path) -> Result<SpecBuilder, Box<dyn Error>> {
    if let Some(root) = root {
        return Ok(SpecBuilder::new(&root.canonicalize()?));
    }
    let root = temp.join("rootfs");
    std::fs::create_dir(&root)?;
    let mut builder = SpecBuilder::new(&root);
    for directory in ["/bin", "/lib", "/lib64", "/usr"] {
        if Path::new(directory).is_dir() {
            builder = builder.mount(BindMount {
                source: directory.into(),
                destination: directory.into(),
                access: Access::ReadOnly,
            });
        }
    }
    Ok(builder)
}

/// create, start, wait, delete; deleted also when a step before has failed.
fn drive(runtime: &dyn OciRuntime, temp: &Path, bundle: &Bundle) -> Result<i32, Box<dyn Error>> {
    let state = temp.join("state");
    let target = || Target {
        root: &state,
        id: "drive-runc",
        deadline: Deadline::after(PATIENCE),
    };
    // The container's first process becomes our child when runc has gone, so that we are told its exit code.
    set_subreaper(Subreaper::On)?;
    let ended = create_and_wait(runtime, &target, temp, bundle);
    let deleted = runtime.delete(target(), DeleteMode::Force);
    let status = ended?;
    deleted?;
    Ok(status.code())
}

fn create_and_wait<'a>(
    runtime: &dyn OciRuntime,
    target: &dyn Fn() -> Target<'a>,
    temp: &Path,
    bundle: &Bundle,
) -> Result<ExitStatus, Box<dyn Error>> {
    let null = File::open("/dev/null")?;
    let (stdout, stderr) = (std::io::stdout(), std::io::stderr());
    let call = CreateCall {
        bundle: bundle.path(),
        pid_file: &temp.join("pid"),
        stdio: StdioFds {
            stdin: null.as_fd(),
            stdout: stdout.as_fd(),
            stderr: stderr.as_fd(),
        },
        console: None,
    };
    let created = runtime.create(target(), call)?;
    let process = ctr_sys::PidRef::capture(created.pid)?
        .ok_or("the container ended before it was started")?;
    println!(
        "created: pid {}, {:?}",
        created.pid,
        runtime.state(target())?.status
    );
    runtime.start(target())?;
    wait_readable(process.as_fd(), Deadline::never())?;
    loop {
        match reap_any()? {
            Some((pid, status)) if pid == created.pid => return Ok(status),
            Some(_) => {}
            None => return Err("somebody else took the exit code of the container".into()),
        }
    }
}
