//! The options that `create` and `run` share, as strings.

use clap::{ArgAction, Args};

/// What the command line says about a new container.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct CreateOptions {
    /// Directory to run on; with :O, changes go to a writable overlay and the directory stays as it is
    #[arg(long, value_name = "DIR[:O]")]
    pub(crate) rootfs: Option<String>,
    /// Name of the container [default: a generated one]
    #[arg(long)]
    pub(crate) name: Option<String>,
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
    /// Network: none or host [default: none]
    #[arg(long, alias = "net", value_name = "MODE")]
    pub(crate) network: Option<String>,
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
    #[arg(long, value_name = "SECONDS")]
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
