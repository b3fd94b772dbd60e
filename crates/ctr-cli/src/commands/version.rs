//! `version`: what this program is. Needs neither root nor a store.

use serde::Serialize;

use crate::error::{CommandError, Outcome};
use crate::io::Io;
use crate::parse::format::{Format, format};
use crate::render::json::pretty;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Form of the output: json
    #[arg(short, long)]
    format: Option<String>,
}

/// One part of a larger document, as podman lays it out: a server may stand beside the client one day.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Versions {
    client: Client,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Client {
    version: &'static str,
    os: &'static str,
    os_arch: String,
}

/// Prints the version.
pub(crate) fn run(args: &Args, io: &mut Io) -> Result<Outcome, CommandError> {
    let os = std::env::consts::OS;
    let client = Client {
        version: env!("CARGO_PKG_VERSION"),
        os,
        os_arch: format!("{os}/{}", architecture()),
    };
    match format(args.format.as_deref())? {
        Format::Json => io.block(&pretty(&Versions { client })?),
        Format::Text => {
            io.line(&format!("Version:      {}", client.version));
            io.line(&format!("OS/Arch:      {}", client.os_arch));
        }
    }
    Ok(Outcome::Done)
}

/// The word that container tools use, where it is not Rust's.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;
    use expect_test::expect;

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn for_people_and_for_programs() {
        expect![[r#"
            Version:      0.1.0
            OS/Arch:      linux/amd64
            [0]
        "#]]
        .assert_eq(&transcript(&["ctr", "version"]));
        expect![[r#"
            {
              "Client": {
                "Version": "0.1.0",
                "Os": "linux",
                "OsArch": "linux/amd64"
              }
            }
            [0]
        "#]]
        .assert_eq(&transcript(&["ctr", "version", "--format", "json"]));
        expect![[r#"
            Error: --format "{{.Version}}": must be json: templates do not exist yet
            [125]
        "#]]
        .assert_eq(&transcript(&["ctr", "version", "--format", "{{.Version}}"]));
    }
}
