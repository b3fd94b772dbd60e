//! `/etc/group` of the container (`group(5)`): `name:password:gid:member,member`.

use super::database::lines;
use super::spec::parse_id;
use crate::error::RootfsError;

pub(super) const FILE: &str = "/etc/group";

/// The id of the first group with that name, if the file has one.
pub(super) fn find(text: &[u8], name: &str) -> Result<Option<u32>, RootfsError> {
    for line in lines(FILE, text) {
        let line = line?;
        if line.field(0) == name.as_bytes() {
            let gid = parse_id(line.field(2)).map_err(|why| line.refuse(why))?;
            return Ok(Some(gid));
        }
    }
    Ok(None)
}

/// The ids of all groups that list `member`, in the order of the file; the same id may be there twice.
pub(super) fn listing(text: &[u8], member: &[u8]) -> Result<Vec<u32>, RootfsError> {
    let mut gids = Vec::new();
    for line in lines(FILE, text) {
        let line = line?;
        let mut members = line.field(3).split(|byte| *byte == b',');
        if members.any(|name| name == member) {
            gids.push(parse_id(line.field(2)).map_err(|why| line.refuse(why))?);
        }
    }
    Ok(gids)
}
