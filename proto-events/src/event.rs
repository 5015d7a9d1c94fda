use crate::{auth, media, portfolio};

/// A message that travels on its own.
pub trait Event: prost::Message + Default {
    /// The service that publishes it: `auth`, `portfolio` or `media`.
    const PUBLISHER: &str;
    /// `<entity>.<what happened>`, such as `account.changed`.
    const NAME: &str;
}

/// Message, publisher and name of an [`Event`], for checks and listings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventName {
    /// Name of the protobuf message, such as `AccountChanged`.
    pub message: &'static str,
    /// [`Event::PUBLISHER`].
    pub publisher: &'static str,
    /// [`Event::NAME`].
    pub name: &'static str,
}

macro_rules! events {
    ($($publisher:literal $name:literal => $($module:ident)::+ / $message:ident;)+) => {
        $(impl Event for $($module)::+::$message {
            const PUBLISHER: &str = $publisher;
            const NAME: &str = $name;
        })+

        /// Every event there is.
        pub const EVENTS: &[EventName] = &[
            $(EventName { message: stringify!($message), publisher: $publisher, name: $name },)+
        ];
    };
}

events! {
    "auth" "account.created" => auth::v1 / AccountCreated;
    "auth" "account.changed" => auth::v1 / AccountChanged;
    "auth" "account.deleted" => auth::v1 / AccountDeleted;
    // No `account.…`: who keeps copies of accounts reads `account.*` and has no use for logins.
    "auth" "session.started" => auth::v1 / LoggedIn;
    "portfolio" "profile.changed" => portfolio::v1 / ProfileChanged;
    "portfolio" "student.graduated" => portfolio::v1 / StudentGraduated;
    "portfolio" "portfolio.created" => portfolio::v1 / PortfolioCreated;
    "portfolio" "portfolio.status_changed" => portfolio::v1 / PortfolioStatusChanged;
    "portfolio" "portfolio.deleted" => portfolio::v1 / PortfolioDeleted;
    "portfolio" "media.released" => portfolio::v1 / MediaReleased;
    "portfolio" "chat.message_sent" => portfolio::v1 / ChatMessageSent;
    "portfolio" "chat.message_deleted" => portfolio::v1 / ChatMessageDeleted;
    "portfolio" "chat.reaction_changed" => portfolio::v1 / ChatReactionChanged;
    "portfolio" "chat.read" => portfolio::v1 / ChatRead;
    "media" "upload.confirmed" => media::v1 / UploadConfirmed;
    "media" "object.deleted" => media::v1 / ObjectDeleted;
}
