//! Random walks over the status table, against what each status promises.

use ctr_state::{Status, Trigger};
use proptest::prelude::*;

/// What a walk has made of a container, as somebody who knows nothing of the table would tell it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts that are independent of each other"
)]
struct Facts {
    made: bool,
    started: bool,
    frozen: bool,
    ended: bool,
    removing: bool,
}

impl Facts {
    fn after(self, trigger: Trigger) -> Self {
        match trigger {
            Trigger::Init => Self {
                made: true,
                ..Self::default()
            },
            Trigger::Start => Self {
                started: true,
                ..self
            },
            Trigger::Pause => Self {
                frozen: true,
                ..self
            },
            Trigger::Unpause => Self {
                frozen: false,
                ..self
            },
            Trigger::BeginStop | Trigger::Kill => self,
            Trigger::ExitSeen => Self {
                ended: true,
                frozen: false,
                ..self
            },
            Trigger::Cleaned | Trigger::Rebooted => Self {
                made: false,
                frozen: false,
                ..self
            },
            // As it was before the run that did not come to be.
            Trigger::TakenBack => Self {
                made: false,
                started: true,
                ended: true,
                ..self
            },
            Trigger::BeginRemove => Self {
                removing: true,
                ..self
            },
        }
    }

    fn check(self, status: Status) {
        let holds = match status {
            Status::Configured => !self.made && !self.started && !self.ended,
            Status::Created => self.made && !self.started && !self.ended,
            Status::Running => self.made && self.started && !self.frozen && !self.ended,
            Status::Paused => self.made && self.started && self.frozen && !self.ended,
            Status::Stopping => self.made && !self.frozen && !self.ended,
            Status::Stopped => self.made && self.ended,
            Status::Exited => !self.made,
            Status::Removing => self.removing,
        };
        assert!(holds, "{status:?} with {self:?}");
        assert!(
            status == Status::Removing || !self.removing,
            "removal has no way back"
        );
    }
}

proptest! {
    #[test]
    fn a_status_keeps_its_promise(walk in prop::collection::vec(0..Trigger::COUNT, 0..40)) {
        let (mut status, mut facts) = (Status::Configured, Facts::default());
        for index in walk {
            let trigger = Trigger::ALL[index];
            match status.after(trigger) {
                Ok(after) => {
                    facts = facts.after(trigger);
                    status = after;
                    facts.check(status);
                }
                Err(refusal) => {
                    prop_assert_eq!(refusal.status, status);
                    prop_assert_eq!(refusal.trigger, trigger);
                }
            }
        }
    }
}

#[test]
fn every_status_is_reached_and_can_be_left_by_a_reboot() {
    let mut reached = vec![Status::Configured];
    let mut next = 0;
    while let Some(status) = reached.get(next).copied() {
        let after = Trigger::ALL
            .into_iter()
            .filter_map(|trigger| status.after(trigger).ok());
        for status in after {
            if !reached.contains(&status) {
                reached.push(status);
            }
        }
        assert!(status.after(Trigger::Rebooted).is_ok());
        next += 1;
    }
    assert_eq!(reached.len(), Status::COUNT);
}
