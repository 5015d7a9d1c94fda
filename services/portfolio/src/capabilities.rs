//! Who calls, with the role and the capabilities of now: a token's role is a hint that may be minutes old.

use std::{sync::Arc, time::Duration};

use axum::{extract::FromRequestParts, http::request::Parts};
use grafikarsa_http::{ApiError, ApiResult, CurrentUser, MaybeUser};
use grafikarsa_jwt::Role;
use moka::future::Cache;
use sqlx::PgPool;
use uuid::Uuid;

use crate::{AppState, users};

/// How old role and capabilities may be.
const FRESHNESS: Duration = Duration::from_secs(5);

/// A right that special roles carry. Role admin has all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    Dashboard,
    Portfolios,
    Moderation,
    Assessments,
    AssessmentMetrics,
    Tags,
    Series,
    Users,
    SpecialRoles,
    Majors,
    Classes,
    AcademicYears,
    Feedback,
    Changelog,
}

impl Capability {
    /// In the order of the catalogue.
    pub const ALL: [Self; 14] = [
        Self::Dashboard,
        Self::Portfolios,
        Self::Moderation,
        Self::Assessments,
        Self::AssessmentMetrics,
        Self::Tags,
        Self::Series,
        Self::Users,
        Self::SpecialRoles,
        Self::Majors,
        Self::Classes,
        Self::AcademicYears,
        Self::Feedback,
        Self::Changelog,
    ];

    pub fn key(self) -> &'static str {
        self.catalogued().0
    }

    /// What the role form calls it.
    pub fn label(self) -> &'static str {
        self.catalogued().1
    }

    /// Under which heading the role form shows it.
    pub fn group(self) -> &'static str {
        self.catalogued().2
    }

    fn catalogued(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Dashboard => ("dashboard", "Dashboard", "Overview"),
            Self::Portfolios => ("portfolios", "Kelola Portfolios", "Konten"),
            Self::Moderation => ("moderation", "Moderasi", "Konten"),
            Self::Assessments => ("assessments", "Penilaian", "Konten"),
            Self::AssessmentMetrics => ("assessment_metrics", "Metrik Penilaian", "Konten"),
            Self::Tags => ("tags", "Kelola Tags", "Konten"),
            Self::Series => ("series", "Kelola Series", "Konten"),
            Self::Users => ("users", "Kelola Users", "Pengguna"),
            Self::SpecialRoles => ("special_roles", "Kelola Special Roles", "Pengguna"),
            Self::Majors => ("majors", "Kelola Jurusan", "Akademik"),
            Self::Classes => ("classes", "Kelola Kelas", "Akademik"),
            Self::AcademicYears => ("academic_years", "Tahun Ajaran", "Akademik"),
            Self::Feedback => ("feedback", "Kelola Feedback", "Lainnya"),
            Self::Changelog => ("changelog", "Kelola Changelog", "Lainnya"),
        }
    }
}

/// A signed-in caller. As an extractor it asks for a valid token of an active account.
#[derive(Clone, Debug)]
pub struct Caller {
    pub id: Uuid,
    pub role: Role,
    capabilities: Arc<[String]>,
}

impl Caller {
    pub fn is_admin(&self) -> bool {
        self.role == Role::Admin
    }

    pub fn has(&self, capability: Capability) -> bool {
        self.is_admin() || self.capabilities.iter().any(|key| key == capability.key())
    }

    /// May change everybody's portfolios.
    pub fn is_manager(&self) -> bool {
        self.has(Capability::Portfolios)
    }

    pub fn require(&self, capability: Capability) -> ApiResult<()> {
        self.require_any(&[capability])
    }

    /// For what neighbouring pages read as well.
    pub fn require_any(&self, capabilities: &[Capability]) -> ApiResult<()> {
        if capabilities.iter().any(|&one| self.has(one)) { Ok(()) } else { Err(ApiError::forbidden()) }
    }

    /// Whether all these keys are among his own: nobody gives, takes or touches what he does not hold himself.
    pub fn covers(&self, keys: &[String]) -> bool {
        self.is_admin() || keys.iter().all(|key| self.capabilities.contains(key))
    }

    #[cfg(test)]
    pub fn for_test(id: Uuid, role: Role, capabilities: &[&str]) -> Self {
        Self { id, role, capabilities: capabilities.iter().map(|&key| key.to_owned()).collect() }
    }
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> ApiResult<Self> {
        let user = CurrentUser::from_request_parts(parts, app).await?;
        app.callers.get(user.id).await
    }
}

/// The caller of a route that guests may use as well.
#[derive(Clone, Debug)]
pub struct Viewer(pub Option<Caller>);

impl Viewer {
    pub fn id(&self) -> Option<Uuid> {
        self.0.as_ref().map(|caller| caller.id)
    }
}

impl FromRequestParts<AppState> for Viewer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> ApiResult<Self> {
        match MaybeUser::from_request_parts(parts, app).await?.id() {
            None => Ok(Self(None)),
            Some(id) => Ok(Self(Some(app.callers.get(id).await?))),
        }
    }
}

/// What this replica knows about callers, for a few seconds.
#[derive(Clone)]
pub struct Callers {
    db: PgPool,
    cache: Cache<Uuid, Option<Known>>,
}

#[derive(Clone, Debug)]
struct Known {
    role: Role,
    usable: bool,
    capabilities: Arc<[String]>,
}

impl Callers {
    pub fn new(db: PgPool) -> Self {
        Self { db, cache: Cache::builder().max_capacity(20_000).time_to_live(FRESHNESS).build() }
    }

    /// The caller `id` as of a few seconds ago at most.
    pub async fn get(&self, id: Uuid) -> ApiResult<Caller> {
        let known = match self.cache.get(&id).await {
            Some(known) => known,
            None => {
                let known = load(&self.db, id).await?;
                self.cache.insert(id, known.clone()).await;
                known
            }
        };
        match known {
            Some(Known { role, usable: true, capabilities }) => Ok(Caller { id, role, capabilities }),
            Some(_) => Err(users::revoked()),
            // The token is genuine, so the account exists: the event that brings it is still on its way.
            None => {
                self.forget(id).await;
                Err(ApiError::unavailable())
            }
        }
    }

    /// Drops what is known about `id`: something about it has changed.
    pub async fn forget(&self, id: Uuid) {
        self.cache.invalidate(&id).await;
    }

    /// Drops what is known about everybody: a special role has changed.
    pub fn forget_all(&self) {
        self.cache.invalidate_all();
    }
}

async fn load(db: &PgPool, id: Uuid) -> ApiResult<Option<Known>> {
    let row = sqlx::query!(
        r#"
        select
            role,
            is_active and deleted_at is null as "usable!",
            array(
                select distinct unnest(r.capabilities)
                from user_special_roles a
                join special_roles r on r.id = a.special_role_id
                where a.user_id = u.id and r.is_active and r.deleted_at is null
                order by 1
            ) as "capabilities!"
        from users u
        where id = $1
        "#,
        id,
    )
    .fetch_optional(db)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let role = row.role.parse().map_err(ApiError::internal)?;
    Ok(Some(Known { role, usable: row.usable, capabilities: row.capabilities.into() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn role_admin_has_every_capability_and_others_only_their_own() {
        let admin = Caller::for_test(Uuid::nil(), Role::Admin, &[]);
        let moderator = Caller::for_test(Uuid::nil(), Role::Student, &["moderation"]);
        assert!(admin.has(Capability::Users) && admin.is_manager());
        assert!(moderator.has(Capability::Moderation) && !moderator.is_manager());
        assert_eq!(moderator.require(Capability::Users).unwrap_err().status(), 403);
    }
}
