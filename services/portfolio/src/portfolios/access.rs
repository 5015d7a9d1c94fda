//! Who may do what with a portfolio.

use grafikarsa_http::{ApiError, ApiResult};
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::{Status, events::State, status::Actor};
use crate::capabilities::{Caller, Capability};

/// A portfolio that is not deleted, nor is its owner.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub id: Uuid,
    pub user_id: Uuid,
    pub status: Status,
    pub version: i64,
    pub judul: String,
    pub slug: String,
    pub thumbnail_url: Option<String>,
    pub series_id: Option<Uuid>,
    /// The owner is deactivated.
    pub owner_hidden: bool,
}

pub fn not_found() -> ApiError {
    ApiError::not_found("PORTFOLIO_NOT_FOUND", "Portofolio tidak ditemukan")
}

/// The portfolio `id`, for the checks that come before the body is read.
pub async fn find(executor: impl PgExecutor<'_>, id: Uuid) -> ApiResult<Loaded> {
    let portfolio = sqlx::query_as!(
        Loaded,
        r#"
        select
            p.id,
            p.user_id,
            p.status as "status: Status",
            p.version,
            p.judul,
            p.slug,
            p.thumbnail_url,
            p.series_id,
            p.owner_hidden
        from portfolios p
        join users u on u.id = p.user_id and u.deleted_at is null
        where p.id = $1 and p.deleted_at is null
        "#,
        id,
    )
    .fetch_optional(executor)
    .await?;
    portfolio.ok_or_else(not_found)
}

/// The portfolio `id` with its row locked: every write of it and of its blocks begins here.
pub async fn lock(connection: &mut PgConnection, id: Uuid) -> ApiResult<Loaded> {
    let portfolio = sqlx::query_as!(
        Loaded,
        r#"
        select
            p.id,
            p.user_id,
            p.status as "status: Status",
            p.version,
            p.judul,
            p.slug,
            p.thumbnail_url,
            p.series_id,
            p.owner_hidden
        from portfolios p
        join users u on u.id = p.user_id and u.deleted_at is null
        where p.id = $1 and p.deleted_at is null
        for no key update of p
        "#,
        id,
    )
    .fetch_optional(connection)
    .await?;
    portfolio.ok_or_else(not_found)
}

impl Loaded {
    pub fn state(&self) -> State {
        State { id: self.id, owner: self.user_id, version: self.version, status: self.status }
    }

    pub fn is_visible_to(&self, caller: Option<&Caller>) -> bool {
        is_visible(self.user_id, self.status, self.owner_hidden, caller)
    }

    /// How `caller` stands to it.
    pub fn actor(&self, caller: &Caller) -> Actor {
        Actor {
            is_owner: self.user_id == caller.id,
            is_manager: caller.is_manager(),
            is_moderator: caller.has(Capability::Moderation),
            is_admin: caller.is_admin(),
        }
    }

    /// 403 unless the caller is owner or manager.
    pub fn must_be_editable_by(&self, caller: &Caller) -> ApiResult<()> {
        if can_edit(self.user_id, caller) { Ok(()) } else { Err(ApiError::forbidden()) }
    }
}

/// Owner or manager.
pub fn can_edit(owner: Uuid, caller: &Caller) -> bool {
    owner == caller.id || caller.is_manager()
}

/// Manager, or moderator while the portfolio waits for a review.
pub fn is_reviewer(status: Status, caller: &Caller) -> bool {
    caller.is_manager() || (status == Status::PendingReview && caller.has(Capability::Moderation))
}

/// Whether `caller` (or a guest) may see a portfolio at all.
pub fn is_visible(owner: Uuid, status: Status, owner_hidden: bool, caller: Option<&Caller>) -> bool {
    let public = status == Status::Published && !owner_hidden;
    public || caller.is_some_and(|caller| caller.id == owner || is_reviewer(status, caller))
}

#[cfg(test)]
mod tests {
    use grafikarsa_jwt::Role;

    use super::*;

    #[test]
    fn visibility_follows_the_glossary_of_the_contract() {
        let owner = Uuid::from_u128(1);
        let other = Uuid::from_u128(2);
        let student = |id| Caller::for_test(id, Role::Student, &[]);
        let moderator = Caller::for_test(other, Role::Student, &["moderation"]);
        let manager = Caller::for_test(other, Role::Student, &["portfolios"]);
        let admin = Caller::for_test(other, Role::Admin, &[]);
        // status, owner hidden: seen by guest, other student, owner, moderator, manager, admin
        let table = [
            (Status::Published, false, [true, true, true, true, true, true]),
            (Status::Published, true, [false, false, true, false, true, true]),
            (Status::Draft, false, [false, false, true, false, true, true]),
            (Status::PendingReview, false, [false, false, true, true, true, true]),
            (Status::Rejected, false, [false, false, true, false, true, true]),
            (Status::Archived, false, [false, false, true, false, true, true]),
        ];
        for (status, hidden, expected) in table {
            let seen = |caller: Option<&Caller>| is_visible(owner, status, hidden, caller);
            let found = [
                seen(None),
                seen(Some(&student(other))),
                seen(Some(&student(owner))),
                seen(Some(&moderator)),
                seen(Some(&manager)),
                seen(Some(&admin)),
            ];
            assert_eq!(found, expected, "{status:?} hidden={hidden}");
        }
    }
}
