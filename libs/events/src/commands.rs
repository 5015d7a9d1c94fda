//! What `<service> events …` does, without the command line: `dead-letters list`, `dead-letters replay <id>` and
//! `republish --since <time>`.

pub use crate::{
    dead_letters::{DeadLetter, ReplayError, list, replay},
    outbox::republish,
};
