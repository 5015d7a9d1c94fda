//! Event schemas, subjects and generated types.
//!
//! One `.proto` file per publisher and version lies in `proto/`. [`Event`] ties each message that travels on its own to
//! its publisher and its name; together they make the subject `<namespace>.<publisher>.v1.<name>`.
//!
//! Schemas only grow. A new field is added at the end, a new event gets a message and a line in the list below; then
//! `UPDATE_BASELINE=1 cargo test -p proto-events` records both in `baseline.txt`, which is committed.

mod event;
mod subject;

/// Events of the auth service.
pub mod auth {
    /// Version 1.
    #[allow(clippy::all, clippy::pedantic, reason = "generated")]
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/auth.v1.rs"));
    }
}

/// Events of the media service.
pub mod media {
    /// Version 1.
    #[allow(clippy::all, clippy::pedantic, reason = "generated")]
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/media.v1.rs"));
    }
}

/// Events of the portfolio service.
pub mod portfolio {
    /// Version 1.
    #[allow(clippy::all, clippy::pedantic, reason = "generated")]
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/portfolio.v1.rs"));
    }
}

pub use event::{EVENTS, Event, EventName};
pub use subject::{applied_subject, full_subject, stream_name, stream_subjects, subject};

/// The compiled schemas as an encoded `google.protobuf.FileDescriptorSet`, without comments.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.binpb"));
