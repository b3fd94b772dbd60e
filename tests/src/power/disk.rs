//! A disk as it may be found after the power was cut: what was synced is there, and of the rest anything may be.
//!
//! The model is the strict one that POSIX allows, not what one file system happens to do. What is written to a file is safe once that
//! file was synced, and only as far as it was written before the sync began. That a name leads to a file is safe once the directory was
//! synced. Of what is not safe, each change may have reached the disk or not, in whatever order, and of a write each sector of 512 bytes
//! for itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::harness::tree::{directory, mode};
use crate::race::plan::Random;

/// A file or a directory, for as long as anybody speaks of it.
pub(crate) type Node = usize;

/// The directory that everything lies in; it was there before, and is safe.
pub(crate) const BASE: Node = 0;

/// What a disk writes whole.
pub(crate) const SECTOR: usize = 512;

/// A change that was made, or asked to be safe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// A name leads to a new file or directory.
    Make {
        parent: Node,
        name: String,
        node: Node,
        kind: Kind,
    },
    /// A name leads nowhere any more.
    Remove {
        parent: Node,
        name: String,
    },
    /// What has this name has another one, in the same directory.
    Rename {
        parent: Node,
        from: String,
        to: String,
    },
    Write {
        file: Node,
        at: usize,
        bytes: Vec<u8>,
    },
    Length {
        file: Node,
        length: usize,
    },
    /// What was changed about the node before the change with this number is safe.
    Sync {
        node: Node,
        before: usize,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    File,
    Directory,
}

/// How cruel the cut is to what is not safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Nothing of it has reached the disk.
    Nothing,
    /// All of it has.
    Everything,
    /// Of each file and directory, what was changed first has.
    Beginning,
    /// Any of it has.
    Any,
    /// Any of it, and of a write any of its sectors.
    Torn,
}

/// All of them.
pub(crate) const CUTS: [Cut; 5] = [
    Cut::Nothing,
    Cut::Everything,
    Cut::Beginning,
    Cut::Any,
    Cut::Torn,
];

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Contents {
    bytes: Vec<u8>,
    names: BTreeMap<String, (Node, Kind)>,
}

#[derive(Clone, Debug, Default)]
struct State {
    safe: Contents,
    /// With the number of each.
    unsafe_changes: Vec<(usize, Change)>,
}

/// The disk after so many changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    nodes: BTreeMap<Node, State>,
    count: usize,
}

impl Disk {
    /// The next change is made.
    pub(crate) fn apply(&mut self, change: &Change) {
        let number = self.count;
        self.count += 1;
        match change {
            Change::Sync { node, before } => self.nodes.entry(*node).or_default().sync(*before),
            Change::Make { parent: node, .. }
            | Change::Remove { parent: node, .. }
            | Change::Rename { parent: node, .. }
            | Change::Write { file: node, .. }
            | Change::Length { file: node, .. } => {
                let state = self.nodes.entry(*node).or_default();
                state.unsafe_changes.push((number, change.clone()));
            }
        }
    }

    /// What is found when the power is cut now.
    pub(crate) fn cut(&self, cut: Cut, random: &mut Random) -> Image {
        let found = |(node, state): (&Node, &State)| (*node, state.found(cut, random));
        Image(self.nodes.iter().map(found).collect())
    }
}

impl State {
    fn sync(&mut self, before: usize) {
        let all = std::mem::take(&mut self.unsafe_changes);
        for (number, change) in all {
            if number < before {
                self.safe.take(&change);
            } else {
                self.unsafe_changes.push((number, change));
            }
        }
    }

    fn found(&self, cut: Cut, random: &mut Random) -> Contents {
        let mut found = self.safe.clone();
        let count = self.unsafe_changes.len();
        let beginning = random.below(count + 1);
        for (place, (_, change)) in self.unsafe_changes.iter().enumerate() {
            let there = match cut {
                Cut::Nothing => false,
                Cut::Everything => true,
                Cut::Beginning => place < beginning,
                Cut::Any | Cut::Torn => random.below(2) == 0,
            };
            if there && cut == Cut::Torn {
                found.take_torn(change, random);
            } else if there {
                found.take(change);
            }
        }
        found
    }
}

impl Contents {
    fn take(&mut self, change: &Change) {
        match change {
            Change::Make {
                name, node, kind, ..
            } => {
                self.names.insert(name.clone(), (*node, *kind));
            }
            Change::Remove { name, .. } => {
                self.names.remove(name);
            }
            Change::Rename { from, to, .. } => {
                if let Some(entry) = self.names.remove(from) {
                    self.names.insert(to.clone(), entry);
                }
            }
            Change::Write { at, bytes, .. } => self.write(*at, bytes),
            Change::Length { length, .. } => self.bytes.resize(*length, 0),
            Change::Sync { .. } => {}
        }
    }

    fn take_torn(&mut self, change: &Change, random: &mut Random) {
        let Change::Write { at, bytes, .. } = change else {
            return self.take(change);
        };
        // Sectors are counted from the beginning of the file.
        let first = (SECTOR - at % SECTOR).min(bytes.len());
        let (head, rest) = bytes.split_at(first);
        let mut place = *at;
        for part in std::iter::once(head).chain(rest.chunks(SECTOR)) {
            if random.below(2) == 0 {
                self.write(place, part);
            }
            place += part.len();
        }
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        let end = at + bytes.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[at..end].copy_from_slice(bytes);
    }
}

/// What is found on a disk.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Image(BTreeMap<Node, Contents>);

impl Image {
    /// Lays it out below a directory that is empty.
    pub(crate) fn lay_out(&self, place: &Path) -> Result<()> {
        self.lay_out_node(BASE, place)
    }

    fn lay_out_node(&self, node: Node, place: &Path) -> Result<()> {
        let Some(contents) = self.0.get(&node) else {
            return Ok(());
        };
        for (name, (child, kind)) in &contents.names {
            let path = place.join(name);
            match kind {
                Kind::Directory => {
                    directory(&path, 0o700)?;
                    self.lay_out_node(*child, &path)?;
                }
                Kind::File => {
                    let bytes = self.0.get(child).map(|contents| &contents.bytes[..]);
                    put(&path, bytes.unwrap_or_default())?;
                }
            }
        }
        Ok(())
    }

    /// The file with this path below the base; `None` when no name leads to it.
    pub(crate) fn file(&self, path: &str) -> Option<&[u8]> {
        let mut node = BASE;
        for name in path.split('/') {
            node = self.0.get(&node)?.names.get(name)?.0;
        }
        Some(
            self.0
                .get(&node)
                .map_or(&[][..], |contents| &contents.bytes),
        )
    }

    /// The names in the directory with this path.
    pub(crate) fn names(&self, path: &str) -> Vec<String> {
        let mut node = BASE;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let entry = self
                .0
                .get(&node)
                .and_then(|contents| contents.names.get(name));
            let Some((child, _)) = entry else {
                return Vec::new();
            };
            node = *child;
        }
        let contents = self.0.get(&node);
        contents.map_or_else(Vec::new, |contents| {
            contents.names.keys().cloned().collect()
        })
    }
}

/// A file of an image.
#[expect(
    clippy::disallowed_methods,
    reason = "nobody looks at an image before all of it is there"
)]
fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("write {}", path.display()))?;
    mode(path, 0o600)
}
