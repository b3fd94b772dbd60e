//! Collecting what a program says, from a thread of its own, for others to wait upon.

use std::io::Read;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What came out of a pipe so far.
#[derive(Default)]
pub(crate) struct Stream {
    state: Mutex<StreamState>,
    changed: Condvar,
}

#[derive(Default)]
pub(crate) struct StreamState {
    pub(crate) bytes: Vec<u8>,
    pub(crate) ended: bool,
}

/// Reads a pipe to its end from a thread of its own.
pub(crate) fn collect(mut pipe: impl Read + Send + 'static) -> Arc<Stream> {
    let stream = Arc::new(Stream::default());
    let shared = Arc::clone(&stream);
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let count = pipe.read(&mut buffer).unwrap_or(0);
            if count == 0 {
                shared.end();
                return;
            }
            shared.push(&buffer[..count]);
        }
    });
    stream
}

impl Stream {
    /// Adds bytes.
    pub(crate) fn push(&self, bytes: &[u8]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.bytes.extend_from_slice(bytes);
        self.changed.notify_all();
    }

    /// Says that no more bytes come.
    pub(crate) fn end(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.ended = true;
        self.changed.notify_all();
    }

    /// Waits until the condition holds; whether it did before the time was over.
    pub(crate) fn wait(&self, time: Duration, holds: impl Fn(&StreamState) -> bool) -> bool {
        let end = Instant::now() + time;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !holds(&state) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }

    /// All bytes so far.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.bytes.clone()
    }
}
