//! How fast a client may speak.

use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(10);
/// Frames of a window that are heard.
const HEARD: u32 = 20;
/// More frames than this in a window end the socket.
const BORNE: u32 = 100;
/// So many malformed frames end the socket.
const MALFORMED: u32 = 10;

/// Counts one socket's incoming frames.
#[derive(Debug)]
pub struct Pace {
    window_began: Instant,
    frames: u32,
    malformed: u32,
}

/// What becomes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Heard,
    Dropped,
    Flood,
}

impl Pace {
    pub fn new(now: Instant) -> Self {
        Self { window_began: now, frames: 0, malformed: 0 }
    }

    /// Counts a frame.
    pub fn frame(&mut self, now: Instant) -> Verdict {
        if now.duration_since(self.window_began) >= WINDOW {
            (self.window_began, self.frames) = (now, 0);
        }
        self.frames += 1;
        match self.frames {
            frames if frames <= HEARD => Verdict::Heard,
            frames if frames <= BORNE => Verdict::Dropped,
            _ => Verdict::Flood,
        }
    }

    /// Counts a malformed frame; true when it is one too many.
    pub fn malformed(&mut self) -> bool {
        self.malformed += 1;
        self.malformed >= MALFORMED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_frames_in_ten_seconds_are_heard_and_more_than_a_hundred_are_a_flood() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let verdicts: Vec<_> = (0..101).map(|_| pace.frame(start)).collect();
        assert!(verdicts[..20].iter().all(|verdict| *verdict == Verdict::Heard));
        assert!(verdicts[20..100].iter().all(|verdict| *verdict == Verdict::Dropped));
        assert_eq!(verdicts[100], Verdict::Flood);
        assert_eq!(pace.frame(start + WINDOW), Verdict::Heard);
    }

    #[test]
    fn the_tenth_malformed_frame_is_the_last() {
        let mut pace = Pace::new(Instant::now());
        assert!((0..9).all(|_| !pace.malformed()));
        assert!(pace.malformed());
    }
}
