//! A copy of what is stored about a container, taken without its lock.

use rusqlite::Row;

use crate::record::v1;
use crate::{Config, ContainerId, ContainerName, ParseError, Record, StateError};

/// What was stored about a container at one moment. Nothing leads from here to a change.
///
/// What cannot be read does not hide the container: [`Snapshot::corrupt`] says so, and [`Snapshot::config`] and
/// [`Snapshot::record`] are errors then.
#[derive(Clone, Debug)]
pub struct Snapshot {
    id: ContainerId,
    name: ContainerName,
    created_ns: i64,
    dependencies: Vec<ContainerId>,
    dependents: Vec<ContainerId>,
    contents: Result<Contents, String>,
}

/// What is read from JSON.
#[derive(Clone, Debug)]
pub(crate) struct Contents {
    pub(crate) config: Config,
    pub(crate) record: Record,
}

/// The columns of a snapshot, for every container or, with a condition after it, for one.
pub(crate) const SELECT: &str = "
    SELECT c.id, c.name, c.created_ns, c.config, r.status, r.generation, r.version, r.facts, r.intent,
           (SELECT group_concat(needs) FROM dependency WHERE dependency.id = c.id),
           (SELECT group_concat(id) FROM dependency WHERE needs = c.id)
    FROM container c LEFT JOIN record r ON r.id = c.id";

impl Snapshot {
    /// The id.
    pub fn id(&self) -> &ContainerId {
        &self.id
    }

    /// The name it had. A made-up one when it cannot be read.
    pub fn name(&self) -> &ContainerName {
        &self.name
    }

    /// When it was created: nanoseconds since 1970-01-01 UTC.
    pub fn created_ns(&self) -> i64 {
        self.created_ns
    }

    /// What it was asked to be.
    ///
    /// # Errors
    /// [`StateError::Corrupt`] when what is stored cannot be read.
    pub fn config(&self) -> Result<&Config, StateError> {
        self.contents().map(|contents| &contents.config)
    }

    /// What had become of it.
    ///
    /// # Errors
    /// [`StateError::Corrupt`] when what is stored cannot be read.
    pub fn record(&self) -> Result<&Record, StateError> {
        self.contents().map(|contents| &contents.record)
    }

    /// The containers that it needs.
    pub fn dependencies(&self) -> &[ContainerId] {
        &self.dependencies
    }

    /// The containers that need it.
    pub fn dependents(&self) -> &[ContainerId] {
        &self.dependents
    }

    /// What cannot be read of it; `None` when all can.
    pub fn corrupt(&self) -> Option<&str> {
        self.contents.as_ref().err().map(String::as_str)
    }

    fn contents(&self) -> Result<&Contents, StateError> {
        self.contents
            .as_ref()
            .map_err(|reason| StateError::Corrupt {
                id: self.id.clone(),
                reason: reason.clone(),
            })
    }

    /// The parts that a lock holder works with.
    pub(crate) fn into_parts(self) -> Result<(ContainerName, Contents), StateError> {
        let Self { id, name, .. } = self;
        match self.contents {
            Ok(contents) => Ok((name, contents)),
            Err(reason) => Err(StateError::Corrupt { id, reason }),
        }
    }

    /// One of which only the id is known.
    pub(crate) fn unreadable(id: &ContainerId, reason: String) -> Self {
        Self {
            id: id.clone(),
            name: ContainerName::unreadable(id),
            created_ns: 0,
            dependencies: Vec::new(),
            dependents: Vec::new(),
            contents: Err(reason),
        }
    }

    /// Reads a row of [`SELECT`]. Only one without an id is an error.
    pub(crate) fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let id: ContainerId = parse_column(row, 0)?;
        let mut faults = Vec::new();
        let name = name(row).unwrap_or_else(|fault| {
            faults.push(fault);
            ContainerName::unreadable(&id)
        });
        let created_ns = row.get(2).unwrap_or_else(|error| {
            faults.push(error.to_string());
            0
        });
        let mut needs = |column| {
            ids(row, column).unwrap_or_else(|error| {
                faults.push(error.to_string());
                Vec::new()
            })
        };
        let (dependencies, dependents) = (needs(9), needs(10));
        let contents = match contents(row) {
            Ok(contents) if contents.config.id != id => Err(format!(
                "it is that of container {}",
                contents.config.id.short()
            )),
            other => other,
        };
        Ok(Self {
            name,
            created_ns,
            dependencies,
            dependents,
            contents: faults.into_iter().next().map_or(contents, Err),
            id,
        })
    }
}

fn name(row: &Row<'_>) -> Result<ContainerName, String> {
    let value = row.get_ref(1).map_err(|error| error.to_string())?;
    let text = value.as_str().map_err(|error| error.to_string())?;
    text.parse().map_err(|error: ParseError| error.to_string())
}

fn contents(row: &Row<'_>) -> Result<Contents, String> {
    let text = |column: usize| -> Result<&str, String> {
        let value = row.get_ref(column).map_err(|error| error.to_string())?;
        value.as_str().map_err(|error| error.to_string())
    };
    let number = |column: usize| row.get::<_, i64>(column).map_err(|error| error.to_string());
    if row
        .get_ref(4)
        .is_ok_and(|status| status == rusqlite::types::ValueRef::Null)
    {
        return Err("it has no record".to_owned());
    }
    let intent = row.get_ref(8).map_err(|error| error.to_string())?;
    let stored = v1::Stored {
        status: text(4)?,
        generation: number(5)?.unsigned_abs(),
        version: u32::try_from(number(6)?).unwrap_or(u32::MAX),
        facts: text(7)?,
        intent: intent.as_str_or_null().map_err(|error| error.to_string())?,
    };
    Ok(Contents {
        config: Config::from_json(text(3)?)?,
        record: v1::decode(&stored)?,
    })
}

fn ids(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<ContainerId>> {
    let joined: Option<String> = row.get(column)?;
    joined
        .as_deref()
        .unwrap_or_default()
        .split(',')
        .filter(|id| !id.is_empty())
        .map(|id| parse_text(column, id))
        .collect()
}

pub(crate) fn parse_column(row: &Row<'_>, column: usize) -> rusqlite::Result<ContainerId> {
    parse_text(column, row.get_ref(column)?.as_str()?)
}

fn parse_text(column: usize, text: &str) -> rusqlite::Result<ContainerId> {
    text.parse::<ContainerId>().map_err(|error| {
        let kind = rusqlite::types::Type::Text;
        rusqlite::Error::FromSqlConversionFailure(column, kind, Box::new(error))
    })
}
