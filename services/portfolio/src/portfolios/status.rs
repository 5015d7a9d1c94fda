//! The status machine.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a portfolio stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Status {
    Draft,
    PendingReview,
    Rejected,
    Published,
    Archived,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::PendingReview => "pending_review",
            Self::Rejected => "rejected",
            Self::Published => "published",
            Self::Archived => "archived",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        let all = [Self::Draft, Self::PendingReview, Self::Rejected, Self::Published, Self::Archived];
        all.into_iter().find(|status| status.as_str() == text)
    }
}

/// What moves a portfolio from one status to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Submit,
    Approve,
    Reject,
    Archive,
    Unarchive,
}

impl Action {
    /// The status after this action; `None` when it is not allowed.
    pub fn from(self, status: Status) -> Option<Status> {
        use Status::{Archived, Draft, PendingReview, Published, Rejected};
        match (self, status) {
            (Self::Submit, Draft | Rejected | Published) => Some(PendingReview),
            (Self::Approve, PendingReview) => Some(Published),
            (Self::Reject, PendingReview) => Some(Rejected),
            (Self::Archive, Published) => Some(Archived),
            (Self::Unarchive, Archived) => Some(Draft),
            _ => None,
        }
    }
}

/// The status after the owner has really changed the content, without being a manager: what was approved, or waits for
/// it, needs a new review.
pub fn after_content_change(status: Status) -> Status {
    match status {
        Status::Published | Status::PendingReview => Status::Draft,
        status => status,
    }
}

#[cfg(test)]
mod tests {
    use super::{Action::*, Status::*, *};

    const ALL: [Status; 5] = [Draft, PendingReview, Rejected, Published, Archived];

    #[test]
    fn the_table_of_the_contract_and_nothing_else() {
        let allowed = [
            (Draft, Submit, PendingReview),
            (Rejected, Submit, PendingReview),
            (Published, Submit, PendingReview),
            (PendingReview, Approve, Published),
            (PendingReview, Reject, Rejected),
            (Published, Archive, Archived),
            (Archived, Unarchive, Draft),
        ];
        for action in [Submit, Approve, Reject, Archive, Unarchive] {
            for status in ALL {
                let expected = allowed.iter().find(|row| (row.0, row.1) == (status, action)).map(|row| row.2);
                assert_eq!(action.from(status), expected, "{action:?} from {status:?}");
            }
        }
    }

    #[test]
    fn a_content_change_takes_back_what_is_published_or_waits() {
        let expected =
            [(Draft, Draft), (PendingReview, Draft), (Rejected, Rejected), (Published, Draft), (Archived, Archived)];
        for (before, after) in expected {
            assert_eq!(after_content_change(before), after);
        }
    }

    #[test]
    fn names_are_read_back() {
        for status in ALL {
            assert_eq!(Status::parse(status.as_str()), Some(status));
        }
        assert_eq!(Status::parse("Published"), None);
    }
}
