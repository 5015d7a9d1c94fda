//! How fast a client may speak.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

const WINDOW: Duration = Duration::from_secs(10);
/// Frames that are heard in any such time.
const HEARD: usize = 20;
/// More frames than this in any such time end the socket.
const BORNE: usize = 100;
/// So many malformed frames end the socket.
const MALFORMED: u32 = 10;

/// Counts one socket's incoming frames.
#[derive(Debug, Default)]
pub struct Pace {
    heard: Recent<HEARD>,
    borne: Recent<BORNE>,
    flooded: bool,
    malformed: u32,
}

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Heard,
    Dropped,
    Flood,
}

/// The times of the last frames, at most so many and none that is older than the window.
#[derive(Debug, Default)]
struct Recent<const MOST: usize>(VecDeque<Instant>);

impl<const MOST: usize> Recent<MOST> {
    /// Notes a frame, unless there have been too many.
    fn take(&mut self, now: Instant) -> bool {
        while self.0.front().is_some_and(|then| now.duration_since(*then) >= WINDOW) {
            self.0.pop_front();
        }
        let has_room = self.0.len() < MOST;
        if has_room {
            self.0.push_back(now);
        }
        has_room
    }
}

impl Pace {
    /// Counts a frame. What is dropped leaves room for what comes later.
    fn frame(&mut self, now: Instant) -> Verdict {
        if self.flooded || !self.borne.take(now) {
            self.flooded = true;
            return Verdict::Flood;
        }
        if self.heard.take(now) { Verdict::Heard } else { Verdict::Dropped }
    }

    /// Counts a malformed frame; true when it is one too many.
    fn malformed(&mut self) -> bool {
        self.malformed += 1;
        self.malformed >= MALFORMED
    }
}

/// The pace of one socket: its task counts messages, and what reads the connection the fragments that are none yet.
#[derive(Clone, Debug, Default)]
pub struct SharedPace(Arc<Mutex<Pace>>);

impl SharedPace {
    /// Counts a frame.
    pub fn frame(&self, now: Instant) -> Verdict {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).frame(now)
    }

    /// Whether there were too many frames.
    pub fn is_flooded(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).flooded
    }

    /// Counts a malformed frame; true when it is one too many.
    pub fn malformed(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).malformed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_frames_in_ten_seconds_are_heard_and_more_than_a_hundred_are_a_flood() {
        let start = Instant::now();
        let mut pace = Pace::default();
        let verdicts: Vec<_> = (0..100).map(|_| pace.frame(start)).collect();
        assert!(verdicts[..20].iter().all(|verdict| *verdict == Verdict::Heard));
        assert!(verdicts[20..].iter().all(|verdict| *verdict == Verdict::Dropped));
        assert_eq!(pace.frame(start + WINDOW), Verdict::Heard, "the window is over");
        let mut pace = Pace::default();
        assert!((0..100).all(|_| pace.frame(start) != Verdict::Flood));
        assert_eq!(pace.frame(start + Duration::from_millis(9_999)), Verdict::Flood);
    }

    #[test]
    fn no_ten_seconds_have_more_wherever_they_begin() {
        let start = Instant::now();
        let late = start + Duration::from_millis(9900);
        let mut pace = Pace::default();
        assert_eq!(pace.frame(start), Verdict::Heard);
        assert!((0..19).all(|_| pace.frame(late) == Verdict::Heard));
        // The first one has left the window, the others have not.
        assert_eq!(pace.frame(start + WINDOW), Verdict::Heard);
        assert_eq!(pace.frame(start + WINDOW), Verdict::Dropped);
        assert!((0..79).all(|_| pace.frame(start + WINDOW) == Verdict::Dropped));
        assert_eq!(pace.frame(start + WINDOW), Verdict::Flood);
    }

    #[test]
    fn who_is_a_little_too_fast_is_still_heard() {
        let start = Instant::now();
        let mut pace = Pace::default();
        let verdicts: Vec<_> = (0..300).map(|number| pace.frame(start + Duration::from_millis(400) * number)).collect();
        assert_eq!(verdicts.iter().filter(|verdict| **verdict == Verdict::Heard).count(), 240);
        assert!(pace.borne.0.len() <= BORNE && pace.heard.0.len() <= HEARD);
    }

    #[test]
    fn the_tenth_malformed_frame_is_the_last() {
        let mut pace = Pace::default();
        assert!((0..9).all(|_| !pace.malformed()));
        assert!(pace.malformed());
    }
}
