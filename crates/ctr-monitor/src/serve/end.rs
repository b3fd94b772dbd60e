//! The end of a run: what is left of the output, the record, the message to the clients.

use ctr_exec::frames::Stream;

use super::Monitor;
use super::container::Ended;
use super::subject::Subject;
use crate::error::MonitorError;
use crate::protocol::{Phase, Reply};
use crate::record::{ExitRecord, StartSeen};
use ctr_exec::ExitReport;

impl Monitor<'_> {
    /// The first process seems to have ended: if so, everything that has to happen once.
    pub(super) fn end(&mut self) -> Result<(), MonitorError> {
        let exit = match self.container.take_exit()? {
            Ended::NotYet => return Ok(()),
            Ended::With(status) => ExitReport::from(Some(status)),
            Ended::Unseen => ExitReport::Unknown,
        };
        self.end_sessions();
        // Before anything that waits: who notices the end by other means may remove the control group.
        let mut record = self.record(exit);
        for stream in [Stream::Stdout, Stream::Stderr] {
            for bytes in self.streams.drain(stream) {
                self.log.write(stream, &bytes);
                self.replay.push(stream, &bytes);
                self.clients.send_output(Subject::Container, stream, &bytes);
            }
        }
        record.log_bytes_lost = self.log.finish();
        // When even this small file cannot be written, the clients are still told; later readers find the exit unknown.
        let written = record.write(&self.container.request().run_dir);
        self.clients.send_exit(&Reply::Exit(record.clone()));
        self.exit = Some(record);
        self.streams.close();
        // It would hold open what was closed.
        self.keeper.dismiss();
        written
            .map_err(MonitorError::from)
            .or_else(|error| self.survive(error))
    }

    /// What is known of the run at its end.
    fn record(&self, exit: ExitReport) -> ExitRecord {
        let request = self.container.request();
        let init = self.container.stamp();
        let mut record = ExitRecord::new(&request.id, request.generation, init, exit);
        record.start = match self.container.phase() {
            Phase::Created => StartSeen::No,
            Phase::Started | Phase::Ended => StartSeen::Yes,
        };
        record.timed_out = self.container.timed_out(exit);
        record.monitors_lost = self.monitors_lost;
        record.oom_kills = self.container.oom_kills();
        record
    }

    /// The monitor goes on without a record only to serve those who are attached.
    fn survive(&self, error: MonitorError) -> Result<(), MonitorError> {
        if self.clients.len() == 0 {
            Err(error)
        } else {
            Ok(())
        }
    }
}
