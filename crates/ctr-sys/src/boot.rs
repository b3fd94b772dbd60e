//! Which boot of the machine this is.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Context, SysError, SysResult};
use crate::kernel_file;

const PATH: &str = "/proc/sys/kernel/random/boot_id";

/// The kernel's random id of the running boot (`random(4)`): a record that carries another one is from before a reboot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BootId(String);

impl BootId {
    /// The id of the running boot.
    ///
    /// # Errors
    /// When `/proc` is not mounted or holds something else.
    pub fn current() -> SysResult<Self> {
        let text = kernel_file::read_text(PATH).context("read", || PATH.to_owned())?;
        let id = text.trim();
        if id.is_empty() {
            return Err(SysError::invalid("read", PATH, "the boot id is empty"));
        }
        Ok(Self(id.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
