//! The options that `create` and `run` share, as strings.

use clap::{ArgAction, Args};

/// What the command line says about a new container.
#[derive(Clone, Debug, Default, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(crate) struct CreateOptions {
    /// Directory to run on; with :O, changes go to a writable overlay and the directory stays as it is
    #[arg(long, value_name = "DIR[:O]")]
    pub(crate) rootfs: Option<String>,
    /// Name of the container [default: a generated one]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Remove a container that has the name already, even if it runs
    #[arg(long)]
    pub(crate) replace: bool,
    /// Remove the container when it has ended
    #[arg(long)]
    pub(crate) rm: bool,
    /// Environment variable; KEY alone takes the value of this shell
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    pub(crate) env: Vec<String>,
    /// Working directory in the container
    #[arg(short, long, value_name = "DIR")]
    pub(crate) workdir: Option<String>,
    /// User, and group, by name or number
    #[arg(short, long, value_name = "USER[:GROUP]")]
    pub(crate) user: Option<String>,
    /// Directory or file of the host to show in the container; OPTIONS are ro and rw
    #[arg(short, long, value_name = "SRC:DST[:OPTIONS]")]
    pub(crate) volume: Vec<String>,
    /// Host name [default: the short id]
    #[arg(short = 'h', long)]
    pub(crate) hostname: Option<String>,
    /// Program that is put before the command: one word, or a JSON array
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) entrypoint: Option<String>,
    /// Label, for lists and filters
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub(crate) label: Vec<String>,
    /// Annotation for the OCI runtime
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) annotation: Vec<String>,
    /// Network: none, host or container:NAME [default: none]
    #[arg(long, alias = "net", value_name = "MODE")]
    pub(crate) network: Option<String>,
    /// Whose processes it sees: private, host or container:NAME [default: private]
    #[arg(long, value_name = "MODE")]
    pub(crate) pid: Option<String>,
    /// Whose message queues and shared memory it has: private, host or container:NAME [default: private]
    #[arg(long, value_name = "MODE")]
    pub(crate) ipc: Option<String>,
    /// Whose host name it has: private, host or container:NAME [default: private]
    #[arg(long, value_name = "MODE")]
    pub(crate) uts: Option<String>,
    /// Container that is started before it: NAME, NAME:started, or NAME:exited-ok for one that must have ended with code 0
    #[arg(long, value_name = "NAME[:STATE]")]
    pub(crate) requires: Vec<String>,
    /// When it is started again: no, on-failure[:RETRIES], always or unless-stopped [default: no]
    #[arg(long, value_name = "POLICY")]
    pub(crate) restart: Option<String>,
    /// Seconds after which it is killed; 0 is no limit [default: 0]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub(crate) timeout: Option<String>,
    /// How willingly the kernel kills in it for want of memory: -1000 to 1000
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub(crate) oom_score_adj: Option<String>,
    /// Log driver: k8s-file (also as json-file), journald, passthrough or none [default: k8s-file]
    #[arg(long, value_name = "DRIVER")]
    pub(crate) log_driver: Option<String>,
    /// Option of the log: path=FILE, max-size=SIZE, max-file=NUMBER [default: 2 with a size], tag=TEXT
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) log_opt: Vec<String>,
    /// Signal that stop sends [default: TERM]
    #[arg(long, value_name = "SIGNAL")]
    pub(crate) stop_signal: Option<String>,
    /// Seconds between the stop signal and KILL [default: 10]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub(crate) stop_timeout: Option<String>,
    /// File that the container's id is written to; must not exist
    #[arg(long, value_name = "FILE")]
    pub(crate) cidfile: Option<String>,
    /// File that the pid of the container's first process is written to
    #[arg(long, value_name = "FILE")]
    pub(crate) pidfile: Option<String>,
    /// Keep the standard input open
    #[arg(short, long)]
    pub(crate) interactive: bool,
    /// Give the program a terminal
    #[arg(short, long)]
    pub(crate) tty: bool,
    /// Published ports come in a later version
    #[arg(short, long, hide = true, value_name = "PORTS")]
    pub(crate) publish: Vec<String>,
    /// Print help
    // Written out because -h is the host name here.
    #[arg(long, action = ArgAction::Help)]
    pub(crate) help: Option<bool>,
    /// Program and arguments
    #[arg(trailing_var_arg = true)]
    pub(crate) command: Vec<String>,
}
