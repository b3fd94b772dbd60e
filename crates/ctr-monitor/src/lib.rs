//! The small process beside a running container: its streams, its log, its exit record and the cleanup after it.
