//! Files in the directories of a container that nobody will ever look for.

use std::ffi::OsStr;
use std::path::Path;

use ctr_exec::session::SessionPaths;
use ctr_monitor::files;
use ctr_sys::PidRef;

use super::containers::Known;
use super::finding::FindingKind;
use super::look::Examiner;
use crate::error::EngineError;

impl Examiner<'_> {
    /// What writers that were killed have left, and what tells of other runs.
    pub(super) fn strays(
        &mut self,
        known: &Known<'_>,
        directory: &Path,
    ) -> Result<(), EngineError> {
        let sessions = SessionPaths::all(known.run_dir);
        let mut places = vec![
            directory.to_owned(),
            known.run_dir.to_owned(),
            known.run_dir.join(files::BUNDLE),
        ];
        places.extend(super::strangers::entries(&sessions));
        for place in places {
            for path in super::strangers::entries(&place) {
                self.checked.files += 1;
                self.stray(known, &path)?;
            }
        }
        Ok(())
    }

    fn stray(&mut self, known: &Known<'_>, path: &Path) -> Result<(), EngineError> {
        let subject = known.subject.clone().at(path);
        let generation = known.record.generation();
        if let Some(other) = run_told_of(path)
            && other != generation
            && path.parent() == Some(known.run_dir)
        {
            let why = format!(
                "{} tells how run {other} ended, and the present one is {generation}",
                path.display()
            );
            self.found(FindingKind::ExitRecordStale, subject, why);
        } else if let Some(pid) = writer_of(path)
            && PidRef::capture(pid)?.is_none()
        {
            let why = format!(
                "{} is part of a file whose writer, process {pid}, was killed",
                path.display()
            );
            self.found(FindingKind::TemporaryFileLeft, subject, why);
        }
        Ok(())
    }
}

/// The run whose end a file tells: `exit.N`.
fn run_told_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    name.strip_prefix("exit.")?.parse().ok()
}

/// Who wrote a file that was to be renamed when it is whole: `.NAME.PID.NUMBER.tmp`, see [`ctr_sys::replace_file`].
pub(super) fn writer_of(path: &Path) -> Option<i32> {
    let name = path.file_name().and_then(OsStr::to_str)?;
    let mut parts = name.strip_prefix('.')?.strip_suffix(".tmp")?.rsplit('.');
    let _number: u64 = parts.next()?.parse().ok()?;
    let pid = parts.next()?.parse().ok()?;
    parts.next().map(|_| pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_files_are() {
        let writer = |name: &str| writer_of(Path::new(name));
        assert_eq!(writer("/x/.exit.3.77.0.tmp"), Some(77));
        assert_eq!(writer("/x/.a.77.0"), None);
        assert_eq!(writer("/x/a.77.0.tmp"), None);
        assert_eq!(writer("/x/.77.0.tmp"), None);
        assert_eq!(run_told_of(Path::new("/x/exit.12")), Some(12));
        assert_eq!(run_told_of(Path::new("/x/exit.reserve")), None);
    }
}
