use axum::extract::State;
use grafikarsa_http::{ApiError, ApiResult, Body, Data, FieldErrors, Id, account_rules as rules};
use grafikarsa_jwt::Role;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::commands::{self, State as CommandState};
use crate::{
    accounts::{self, Account},
    app::AppState,
    revocations::{Kept, Unannounced},
    sessions::{self, Ending},
};

/// Number of the advisory lock under which admins are taken away.
const LAST_ADMIN: i64 = 0x6175_7468_0003;

/// What is to become of an account; what is absent stays as it is.
#[derive(Default, Deserialize)]
pub(super) struct ChangeAccount {
    command_id: Uuid,
    username: Option<String>,
    email: Option<String>,
    role: Option<Role>,
    is_active: Option<bool>,
    password: Option<SecretString>,
    delete: Option<bool>,
    /// The last graduation that the caller knows of: this role corrects it, even if its event is still under way.
    graduation: Option<i64>,
    /// The calling session of somebody who resets his own password: it stays, with its access tokens.
    spared_session: Option<Uuid>,
}

/// Changes an account, and ends what the change ends. All or nothing; a repetition gets the same answer.
pub(super) async fn change_account(
    State(app): State<AppState>,
    Id(id): Id,
    Body(mut body): Body<ChangeAccount>,
) -> ApiResult<Data<Account>> {
    if let Some(answered) = commands::answered(&app, body.command_id).await? {
        return Ok(Data::new(answered));
    }
    // Not worth the work of a hash if this fails already. What counts is the look under the lock.
    body.check(&find(&app.pool, id).await?)?;
    let hash = match body.password.take() {
        Some(password) => Some(app.passwords.hash(password).await?),
        None => None,
    };

    let mut tx = app.pool.begin().await?;
    if !commands::claim(&mut tx, body.command_id, CommandState::Applied, id).await? {
        tx.rollback().await?;
        let answered = commands::answered(&app, body.command_id).await?;
        return answered.map(Data::new).ok_or_else(ApiError::unavailable);
    }
    let stored = lock(&mut tx, id).await?;
    body.check(&stored)?;
    let (username, email) = (body.new_username(&stored), body.new_email(&stored));
    accounts::refuse_taken(&mut tx, id, username.as_deref(), email.as_deref()).await?;
    let plan = Plan::of(stored, &body, hash);
    if plan.takes_admin() {
        leave_an_admin(&mut tx, id).await?;
    }
    let mut unannounced = Unannounced::default();
    if plan.changes() {
        unannounced = plan.carry_out(&app, &mut tx, id).await?;
    }
    let account = accounts::load(&mut tx, id).await?;
    if plan.changes() {
        accounts::announce_changed(&mut tx, &account).await?;
    }
    commands::keep(&mut tx, body.command_id, &account).await?;
    tx.commit().await?;

    plan.log(id);
    // If the caller has gone away by now, the background work announces it within a second or two.
    app.revocations.announce(unannounced).await;
    Ok(Data::new(account))
}

impl ChangeAccount {
    /// The new user name. One's own is no change, whatever the rules say by now.
    fn new_username(&self, stored: &Stored) -> Option<String> {
        let name = self.username.as_deref()?.trim();
        (name != stored.username).then(|| name.to_owned())
    }

    /// The new e-mail address in normal form, likewise.
    fn new_email(&self, stored: &Stored) -> Option<String> {
        let email = self.email.as_deref()?;
        let normal = rules::normal_email(email);
        (email.trim() != stored.email && normal != stored.email).then_some(normal)
    }

    fn check(&self, stored: &Stored) -> ApiResult<()> {
        let mut errors = FieldErrors::new();
        if let Some(username) = self.new_username(stored) {
            errors.check("username", rules::username(&username));
        }
        if let Some(email) = self.new_email(stored) {
            errors.check("email", rules::email(&email));
        }
        if let Some(password) = &self.password {
            errors.check("password", rules::new_password(password.expose_secret()));
        }
        errors.finish()
    }
}

/// An account as far as a change looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stored {
    username: String,
    email: String,
    role: String,
    is_active: bool,
    must_change_password: bool,
    deleted: bool,
    graduation: i64,
}

impl Stored {
    fn is_active_admin(&self) -> bool {
        self.role == Role::Admin.as_str() && self.is_active && !self.deleted
    }
}

/// What a command comes to, by the contract's table of what ends what.
struct Plan {
    before: Stored,
    after: Stored,
    /// Of the new password.
    hash: Option<String>,
    spared: Option<Uuid>,
}

impl Plan {
    fn of(before: Stored, wanted: &ChangeAccount, hash: Option<String>) -> Self {
        let after = Stored {
            username: wanted.new_username(&before).unwrap_or_else(|| before.username.clone()),
            email: wanted.new_email(&before).unwrap_or_else(|| before.email.clone()),
            role: wanted.role.map_or_else(|| before.role.clone(), |role| role.as_str().to_owned()),
            is_active: wanted.is_active.unwrap_or(before.is_active),
            // Who resets his own password is the only one who knows it.
            must_change_password: before.must_change_password || (hash.is_some() && wanted.spared_session.is_none()),
            deleted: wanted.delete == Some(true),
            graduation: wanted.graduation.map_or(before.graduation, |number| number.max(before.graduation)),
        };
        Self { before, after, hash, spared: wanted.spared_session }
    }

    fn changes(&self) -> bool {
        self.hash.is_some() || self.after != self.before
    }

    /// One active admin less.
    fn takes_admin(&self) -> bool {
        self.before.is_active_admin() && !self.after.is_active_admin()
    }

    fn deactivates(&self) -> bool {
        self.before.is_active && !self.after.is_active
    }

    fn changes_role(&self) -> bool {
        self.before.role != self.after.role
    }

    /// Why the sessions end, all but the spared one.
    fn ends(&self) -> Option<Ending> {
        if self.after.deleted {
            Some(Ending::Deleted)
        } else if self.deactivates() {
            Some(Ending::Deactivated)
        } else {
            self.hash.as_ref().map(|_| Ending::PasswordReset)
        }
    }

    /// Only a reset spares one.
    fn spared_session(&self) -> Option<Uuid> {
        self.spared.filter(|_| self.ends() == Some(Ending::PasswordReset))
    }

    /// All access tokens issued before are refused, but the spared ones.
    fn refuses_tokens(&self) -> bool {
        self.ends().is_some() || self.changes_role()
    }

    /// The session whose access tokens stay good. Another role spares none.
    fn spared_tokens(&self) -> Option<Uuid> {
        self.spared_session().filter(|_| !self.changes_role())
    }

    /// The sessions that live on without the tokens they have.
    fn kept_sessions(&self) -> Kept {
        match (self.ends(), self.spared_session()) {
            (None, _) => Kept::All,
            (Some(_), Some(session)) if self.changes_role() => Kept::One(session),
            (Some(_), _) => Kept::Nobody,
        }
    }

    /// Writes it, in the transaction that holds the account's lock.
    async fn carry_out(&self, app: &AppState, connection: &mut PgConnection, id: Uuid) -> ApiResult<Unannounced> {
        let epoch = sqlx::query_scalar!(
            r#"
            update accounts
            set
                username = $2,
                email = $3,
                role = $4,
                is_active = $5,
                must_change_password = $6,
                -- As precise as events tell it, so that every copy is the same.
                deleted_at = case when $7 then date_trunc('milliseconds', now()) end,
                password_hash = coalesce($8, password_hash),
                token_epoch = token_epoch + case when $9 then 1 else 0 end,
                graduation = $10,
                version = version + 1
            where id = $1
            returning token_epoch
            "#,
            id,
            self.after.username,
            self.after.email,
            self.after.role,
            self.after.is_active,
            self.after.must_change_password,
            self.after.deleted,
            self.hash,
            self.refuses_tokens(),
            self.after.graduation,
        )
        .fetch_one(&mut *connection)
        .await;
        let epoch = accounts::names_are_free(epoch)?;
        if let Some(ending) = self.ends() {
            sessions::end_all(connection, id, self.spared_session(), ending).await?;
        }
        if !self.refuses_tokens() {
            return Ok(Unannounced::default());
        }
        Ok(app.revocations.of_epoch(connection, id, epoch, self.spared_tokens(), self.kept_sessions()).await?)
    }

    fn log(&self, account: Uuid) {
        for (happened, what) in [
            (self.hash.is_some(), "a password was reset"),
            (self.deactivates(), "an account was deactivated"),
            (self.after.deleted, "an account was deleted"),
        ] {
            if happened {
                tracing::info!(target: "security", %account, "{what}");
            }
        }
    }
}

async fn find(pool: &PgPool, id: Uuid) -> ApiResult<Stored> {
    let stored = sqlx::query_as!(
        Stored,
        r#"
        select
            username,
            email,
            role,
            is_active,
            must_change_password,
            deleted_at is not null as "deleted!",
            graduation
        from accounts
        where id = $1 and deleted_at is null and not is_pending
        "#,
        id,
    );
    stored.fetch_optional(pool).await?.ok_or_else(not_found)
}

async fn lock(connection: &mut PgConnection, id: Uuid) -> ApiResult<Stored> {
    let stored = sqlx::query_as!(
        Stored,
        r#"
        select
            username,
            email,
            role,
            is_active,
            must_change_password,
            deleted_at is not null as "deleted!",
            graduation
        from accounts
        where id = $1 and deleted_at is null and not is_pending
        for update
        "#,
        id,
    );
    stored.fetch_optional(connection).await?.ok_or_else(not_found)
}

fn not_found() -> ApiError {
    ApiError::not_found("ACCOUNT_NOT_FOUND", "Akun tidak ditemukan")
}

/// Whoever takes an admin away does it under one lock, until the commit: of admins who remove each other at once, the
/// last one stays.
async fn leave_an_admin(connection: &mut PgConnection, taken: Uuid) -> ApiResult<()> {
    sqlx::query!("select pg_advisory_xact_lock($1)", LAST_ADMIN).execute(&mut *connection).await?;
    // A statement of its own, whose snapshot sees what the holder of the lock before us has committed.
    let another = sqlx::query_scalar!(
        r#"
        select exists (
            select from accounts
            where role = 'admin' and is_active and deleted_at is null and not is_pending and id <> $1
        ) as "another!"
        "#,
        taken,
    );
    if another.fetch_one(connection).await? {
        return Ok(());
    }
    Err(ApiError::conflict("LAST_ADMIN", "Harus ada setidaknya satu admin yang aktif"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: Uuid = Uuid::max();
    const HASH: &str = "a hash";

    fn stored(role: Role) -> Stored {
        Stored {
            username: "siti".to_owned(),
            email: "siti@sekolah.sch.id".to_owned(),
            role: role.as_str().to_owned(),
            is_active: true,
            must_change_password: false,
            deleted: false,
            graduation: 0,
        }
    }

    fn nothing() -> ChangeAccount {
        ChangeAccount::default()
    }

    #[test]
    fn what_ends_what_is_the_contracts_table() {
        let own = || ChangeAccount { spared_session: Some(SESSION), ..nothing() };
        let (kept, refused) = ((false, None), (true, None));
        let nobody_ends = (None, None);
        for (change, wanted, hash, ends, tokens) in [
            ("nothing", nothing(), None, nobody_ends, kept),
            ("a name", ChangeAccount { username: Some("siti_a".to_owned()), ..nothing() }, None, nobody_ends, kept),
            ("the same role", ChangeAccount { role: Some(Role::Student), ..nothing() }, None, nobody_ends, kept),
            ("another role", ChangeAccount { role: Some(Role::Alumni), ..nothing() }, None, nobody_ends, refused),
            ("… spares nobody", ChangeAccount { role: Some(Role::Alumni), ..own() }, None, nobody_ends, refused),
            ("activation", ChangeAccount { is_active: Some(true), ..nothing() }, None, nobody_ends, kept),
            (
                "deactivation",
                ChangeAccount { is_active: Some(false), ..nothing() },
                None,
                (Some(Ending::Deactivated), None),
                refused,
            ),
            (
                "deletion",
                ChangeAccount { delete: Some(true), ..nothing() },
                None,
                (Some(Ending::Deleted), None),
                refused,
            ),
            ("a reset", nothing(), Some(HASH), (Some(Ending::PasswordReset), None), refused),
            (
                "a reset of one's own",
                own(),
                Some(HASH),
                (Some(Ending::PasswordReset), Some(SESSION)),
                (true, Some(SESSION)),
            ),
            (
                "… with another role",
                ChangeAccount { role: Some(Role::Admin), ..own() },
                Some(HASH),
                (Some(Ending::PasswordReset), Some(SESSION)),
                refused,
            ),
            (
                "… with a deactivation",
                ChangeAccount { is_active: Some(false), ..own() },
                Some(HASH),
                (Some(Ending::Deactivated), None),
                refused,
            ),
        ] {
            let plan = Plan::of(stored(Role::Student), &wanted, hash.map(str::to_owned));
            assert_eq!((plan.ends(), plan.spared_session()), ends, "{change}");
            assert_eq!((plan.refuses_tokens(), plan.spared_tokens()), tokens, "{change}");
        }
    }

    #[test]
    fn an_admin_is_taken_away_by_another_role_a_deactivation_and_a_deletion() {
        for (wanted, takes) in [
            (ChangeAccount { role: Some(Role::Student), ..nothing() }, true),
            (ChangeAccount { is_active: Some(false), ..nothing() }, true),
            (ChangeAccount { delete: Some(true), ..nothing() }, true),
            (ChangeAccount { role: Some(Role::Admin), is_active: Some(true), delete: Some(false), ..nothing() }, false),
            (ChangeAccount { username: Some("bu_siti".to_owned()), ..nothing() }, false),
        ] {
            assert_eq!(Plan::of(stored(Role::Admin), &wanted, None).takes_admin(), takes);
            assert!(!Plan::of(stored(Role::Student), &wanted, None).takes_admin());
            let inactive = Stored { is_active: false, ..stored(Role::Admin) };
            assert!(!Plan::of(inactive, &wanted, None).takes_admin());
        }
    }

    #[test]
    fn a_reset_makes_the_owner_change_the_password_unless_it_is_ones_own() {
        let own = ChangeAccount { spared_session: Some(SESSION), ..nothing() };
        for (wanted, hash, must) in [(nothing(), Some(HASH), true), (own, Some(HASH), false), (nothing(), None, false)]
        {
            let plan = Plan::of(stored(Role::Student), &wanted, hash.map(str::to_owned));
            assert_eq!(plan.after.must_change_password, must);
        }
    }

    #[test]
    fn what_is_stored_already_is_no_change_and_breaks_no_rule() {
        let old = Stored { username: "Bu Siti".to_owned(), email: "siti@@sekolah".to_owned(), ..stored(Role::Student) };
        let same = ChangeAccount {
            username: Some(" Bu Siti ".to_owned()),
            email: Some("SITI@@sekolah".to_owned()),
            role: Some(Role::Student),
            is_active: Some(true),
            delete: Some(false),
            spared_session: Some(SESSION),
            ..nothing()
        };
        assert!(same.check(&old).is_ok());
        assert!(!Plan::of(old, &same, None).changes());
        assert_eq!(same.check(&stored(Role::Student)).unwrap_err().status(), 422);
    }
}
