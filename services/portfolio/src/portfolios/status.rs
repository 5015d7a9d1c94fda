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

/// How whoever acts stands to the portfolio.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a right of its own")]
pub struct Actor {
    pub is_owner: bool,
    /// May change everybody's portfolios.
    pub is_manager: bool,
    /// May decide about waiting portfolios.
    pub is_moderator: bool,
    pub is_admin: bool,
}

/// Why an action is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not by this actor.
    Forbidden,
    /// Not from this status.
    Impossible,
}

impl Action {
    /// The status after `actor` has done this to a portfolio of `status`.
    pub fn apply(self, status: Status, actor: Actor) -> Result<Status, Refusal> {
        use Status::{Archived, Draft, PendingReview, Published, Rejected};
        if !self.is_open_to(actor) {
            return Err(Refusal::Forbidden);
        }
        match (self, status) {
            (Self::Submit, Draft | Rejected | Published) => Ok(PendingReview),
            (Self::Approve, PendingReview) => Ok(Published),
            (Self::Reject, PendingReview) => Ok(Rejected),
            (Self::Archive, Published) => Ok(Archived),
            (Self::Unarchive, Archived) => Ok(Draft),
            _ => Err(Refusal::Impossible),
        }
    }

    /// Whether `actor` may do this at all.
    pub fn is_open_to(self, actor: Actor) -> bool {
        match self {
            Self::Submit => actor.is_owner,
            // Nobody but an admin decides about his own work.
            Self::Approve | Self::Reject => actor.is_moderator && (!actor.is_owner || actor.is_admin),
            Self::Archive | Self::Unarchive => actor.is_owner || actor.is_manager,
        }
    }
}

/// The status after `actor` has really changed the content. What was approved, or waits for it, needs a new review when
/// its owner has changed it without being a manager; `remoderate` says whether the school wants that.
pub fn after_content_change(status: Status, actor: Actor, remoderate: bool) -> Status {
    match status {
        Status::Published | Status::PendingReview if remoderate && actor.is_owner && !actor.is_manager => Status::Draft,
        status => status,
    }
}

#[cfg(test)]
mod tests {
    use super::{Action::*, Status::*, *};

    const ALL: [Status; 5] = [Draft, PendingReview, Rejected, Published, Archived];
    const STRANGER: Actor = Actor { is_owner: false, is_manager: false, is_moderator: false, is_admin: false };
    const OWNER: Actor = Actor { is_owner: true, ..STRANGER };
    const MANAGER: Actor = Actor { is_manager: true, ..STRANGER };
    const MODERATOR: Actor = Actor { is_moderator: true, ..STRANGER };
    const ADMIN: Actor = Actor { is_manager: true, is_moderator: true, is_admin: true, ..STRANGER };
    /// Each of them with his own work as well.
    const ACTORS: [(&str, Actor); 8] = [
        ("stranger", STRANGER),
        ("owner", OWNER),
        ("manager", MANAGER),
        ("owner who is manager", Actor { is_owner: true, ..MANAGER }),
        ("moderator", MODERATOR),
        ("owner who is moderator", Actor { is_owner: true, ..MODERATOR }),
        ("admin", ADMIN),
        ("owner who is admin", Actor { is_owner: true, ..ADMIN }),
    ];

    #[test]
    fn the_table_of_the_contract_and_nothing_else() {
        const OWNERS: &[&str] = &["owner", "owner who is manager", "owner who is moderator", "owner who is admin"];
        const EDITORS: &[&str] =
            &["owner", "manager", "owner who is manager", "owner who is moderator", "admin", "owner who is admin"];
        const REVIEWERS: &[&str] = &["moderator", "admin", "owner who is admin"];
        #[expect(clippy::type_complexity, reason = "written once")]
        let table: [(Action, &[&str], &[(Status, Status)]); 5] = [
            (Submit, OWNERS, &[(Draft, PendingReview), (Rejected, PendingReview), (Published, PendingReview)]),
            (Approve, REVIEWERS, &[(PendingReview, Published)]),
            (Reject, REVIEWERS, &[(PendingReview, Rejected)]),
            (Archive, EDITORS, &[(Published, Archived)]),
            (Unarchive, EDITORS, &[(Archived, Draft)]),
        ];
        for (action, allowed, moves) in table {
            for (name, actor) in ACTORS {
                for status in ALL {
                    let to = moves.iter().find(|(from, _)| *from == status).map(|(_, to)| *to);
                    let expected = match to {
                        _ if !allowed.contains(&name) => Err(Refusal::Forbidden),
                        Some(to) => Ok(to),
                        None => Err(Refusal::Impossible),
                    };
                    assert_eq!(action.apply(status, actor), expected, "{action:?} of {status:?} by the {name}");
                }
            }
        }
    }

    #[test]
    fn a_content_change_by_the_owner_takes_back_what_is_published_or_waits() {
        for (name, actor) in ACTORS {
            for status in ALL {
                let taken_back =
                    ["owner", "owner who is moderator"].contains(&name) && [Published, PendingReview].contains(&status);
                let expected = if taken_back { Draft } else { status };
                assert_eq!(after_content_change(status, actor, true), expected, "{status:?} by the {name}");
                assert_eq!(after_content_change(status, actor, false), status, "a school that trusts its students");
            }
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
