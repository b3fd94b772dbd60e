use super::super::patience::GRACE;
use super::*;
use crate::protocol::{MonitorStatus, Phase};
use ctr_exec::frames;
use ctr_sys::{PidStamp, seqpacket_pair};
use std::os::fd::AsFd;

/// An attached client, and its end of the connection.
fn attached() -> (Client, OwnedFd) {
    let (ours, theirs) = seqpacket_pair().unwrap();
    let mut client = Client::new(ours, ClientId(0)).unwrap();
    client.attach(Subject::Container, Role::Observer, ClientInput::Taken);
    (client, theirs)
}

/// Any message.
fn message() -> Reply {
    Reply::Status(MonitorStatus {
        generation: 1,
        phase: Phase::Ended,
        init: PidStamp::own().unwrap(),
    })
}

fn stall(client: &mut Client) {
    let bytes = vec![0; MAX_PAYLOAD];
    while client.outbox.queued() < QUEUE_LIMIT / 2 {
        client.send_output(Stream::Stdout, &bytes);
        client.write();
    }
}

#[test]
fn the_time_to_take_the_rest_begins_with_the_end() {
    let (mut client, _theirs) = attached();
    stall(&mut client);
    let long_ago = Instant::now().checked_sub(GRACE * 2).unwrap();
    client.outbox.pretend_moved(long_ago);
    client.forgive();
    client.send_exit(&message());
    client.see_to_patience(Patience::Ending);
    assert!(client.is_open() && !client.is_done(Patience::Ending));
    assert!(client.timeout(Patience::Ending).unwrap() > Duration::ZERO);
    client.ended = Some(long_ago);
    client.see_to_patience(Patience::Ending);
    assert!(!client.is_open());
}

#[test]
fn small_writes_cost_no_more_than_large_ones() {
    let (mut client, theirs) = attached();
    stall(&mut client);
    let (packets, queued) = (client.outbox.packets().len(), client.outbox.queued());
    for _ in 0..10_000 {
        client.send_output(Stream::Stdout, b"x");
    }
    assert_eq!(client.outbox.packets().len(), packets + 1);
    assert!(client.outbox.queued() - queued < 11_000);
    // What cannot be joined is counted with what it costs.
    let (packets, queued) = (client.outbox.packets().len(), client.outbox.queued());
    for _ in 0..1000 {
        client.send_output(Stream::Stderr, b"x");
        client.send_output(Stream::Stdout, b"x");
    }
    assert_eq!(client.outbox.packets().len(), packets + 2000);
    assert!(client.outbox.queued() - queued > 2000 * size_of::<Vec<u8>>());
    rustix::io::ioctl_fionbio(&theirs, true).unwrap();
    let mut bytes = 0;
    while !client.outbox.is_empty() {
        client.write();
        while let Ok(Frame::Data(_, part)) = frames::receive(theirs.as_fd()) {
            bytes += part.len();
        }
    }
    assert!(bytes > 12_000);
    assert_eq!(client.outbox.queued(), 0);
}
