//! The processes of ours beside a container: monitor, keeper, writer of the log.

use std::time::Duration;

use ctr_monitor::{MonitorClient, MonitorError, files};
use ctr_sys::{Deadline, Liveness, PidRef};

use super::containers::Known;
use super::finding::{Finding, FindingKind, Subject};
use super::look::Examiner;
use crate::error::EngineError;

/// How long all monitors together may take to answer.
const ANSWERS: Duration = Duration::from_millis(400);

/// A monitor that is to be asked how it is.
pub(super) struct Question {
    subject: Subject,
    witness: String,
    client: MonitorClient,
}

impl Examiner<'_> {
    /// Whether it runs on.
    pub(super) fn without_monitor(&mut self, known: &Known<'_>) -> Result<bool, EngineError> {
        let subject = || known.subject.clone();
        let init = known.record.init().map(PidRef::open).transpose()?.flatten();
        let keeper = Liveness::holder(&known.run_dir.join(files::KEEPER))?;
        match (&init, &keeper) {
            (None, None) => {
                let why = format!(
                    "it is recorded as {}, and neither its first process nor its monitor is there: how it ended is not known",
                    known.record.status()
                );
                self.found(FindingKind::EndUnseen, subject(), why);
            }
            (Some(_), None) => {
                let why = "it runs, and its monitor was killed: its output is lost";
                self.found(FindingKind::MonitorLost, subject(), why);
            }
            (_, Some(keeper)) => {
                let pid = keeper.stamp().pid;
                let why = format!(
                    "its monitor was killed, and the keeper (process {pid}) does not take its place"
                );
                self.found(
                    FindingKind::KeeperWithoutMonitor,
                    subject().process(pid),
                    why,
                );
            }
        }
        // A keeper has the other end of its socket.
        if keeper.is_none()
            && let Some(writer) = self.holder(&known.run_dir.join(files::LOG_LOCK))
        {
            let why = format!(
                "process {} still writes its log, and its monitor is gone: perhaps the disk stands still",
                writer.pid
            );
            self.found(
                FindingKind::LogWriterLeft,
                subject().process(writer.pid),
                why,
            );
        }
        Ok(init.is_some())
    }

    /// The processes of ours beside it that stand still, whatever else goes on.
    pub(super) fn stopped_processes(&mut self, known: &Known<'_>) -> Result<(), EngineError> {
        let monitor = Liveness::holder(&known.run_dir.join(files::ALIVE))?;
        let keeper = Liveness::holder(&known.run_dir.join(files::KEEPER))?;
        let writer = self.holder(&known.run_dir.join(files::LOG_LOCK));
        let writer = writer
            .map(|writer| PidRef::open(writer.stamp()))
            .transpose()?;
        // A keeper whose monitor is gone has a finding of its own.
        let keeper = keeper.filter(|_| monitor.is_some());
        for (process, kind, what) in [
            (
                monitor,
                FindingKind::MonitorStopped,
                "its monitor stands still, so its output waits, its end is not seen, and nobody can reach it",
            ),
            (
                keeper,
                FindingKind::KeeperStopped,
                "the keeper of its monitor stands still, and could not take the monitor's place",
            ),
            (
                writer.flatten(),
                FindingKind::LogWriterStopped,
                "the process that writes its log stands still, so output will be dropped",
            ),
        ] {
            if let Some(process) = process
                && process.is_stopped()?
            {
                let subject = known.subject.clone().process(process.stamp().pid);
                self.found(kind, subject, what);
            }
        }
        Ok(())
    }

    /// Sends its monitor a question; the answer is waited for together with those of others.
    pub(super) fn ask(&mut self, known: &Known<'_>) {
        if let Ok(Some(client)) = MonitorClient::connect(known.run_dir)
            && client.ask_status().is_ok()
        {
            self.questions.push(Question {
                subject: known.subject.clone(),
                witness: self.witness.clone(),
                client,
            });
        }
    }

    /// Waits for the answers of all monitors that were asked.
    pub(super) fn monitors(&mut self) {
        let questions = std::mem::take(&mut self.questions);
        let stuck = Finding::new(FindingKind::NotExamined, Subject::default(), "");
        self.step("wait for the answers of monitors", stuck, |examiner| {
            let deadline = Deadline::after(ANSWERS);
            for mut question in questions {
                examiner.checked.monitors += 1;
                // One that is gone has ended, or given way to its keeper.
                if let Err(MonitorError::NoAnswer { .. }) = question.client.status_answer(deadline)
                {
                    examiner.witness = question.witness;
                    let why = "its monitor takes a connection and does not answer";
                    examiner.found(FindingKind::MonitorSilent, question.subject, why);
                }
            }
            examiner.witness.clear();
            Ok(())
        });
    }
}
