use std::net::IpAddr;

use axum::{extract::State, http::StatusCode};
use chrono::{DateTime, Utc};
use grafikarsa_events::outbox;
use grafikarsa_http::{ApiError, ApiResult, Body, ClientIp, Counter, Data, Envelope, FieldErrors};
use grafikarsa_jwt::Role;
use proto_events::auth::v1::LoggedIn;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};
use tracing::field::display;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    Ending, TokenGrant,
    cookie::{RefreshCookie, WithCookie as _},
    device::Device,
    end,
    tokens::RefreshToken,
};
use crate::{
    app::AppState,
    limits::{Limits, noted},
    passwords::{MAX_CHARS, Verdict},
    revocations::Unannounced,
};

/// Live sessions of one account; a further login ends the least recently used one.
const SESSIONS: i64 = 20;
const IDENTIFIER_CHARS: usize = 255;

#[derive(Deserialize, ToSchema)]
pub(crate) struct LoginRequest {
    /// User name or e-mail address; upper and lower case are the same.
    #[schema(required = true, min_length = 1, max_length = 255)]
    username: Option<String>,
    #[schema(required = true, value_type = String, min_length = 1, max_length = 1024)]
    password: Option<SecretString>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LoginAnswer {
    #[serde(flatten)]
    grant: TokenGrant,
    user: UserBrief,
}

/// The signed-in user, as far as the login page needs to know.
#[derive(Debug, Serialize, ToSchema)]
struct UserBrief {
    id: Uuid,
    username: String,
    nama: String,
    #[schema(value_type = String)]
    role: Role,
    avatar_url: Option<String>,
}

/// Log in with user name or e-mail address
#[utoipa::path(
    post, path = "/api/v1/auth/login", tag = "auth",
    request_body = LoginRequest,
    responses((status = 200, body = Envelope<LoginAnswer>, description = "Signed in; the refresh token is in the cookie")),
)]
pub(crate) async fn login(
    State(app): State<AppState>,
    ClientIp(address): ClientIp,
    device: Device,
    RefreshCookie(old): RefreshCookie,
    Body(body): Body<LoginRequest>,
) -> ApiResult<Data<LoginAnswer>> {
    let (identifier, password) = body.check()?;

    let mut attempt = Attempt::begin(&app.pool, &app.limits, identifier, address).await?;
    let answer = try_login(&app, &mut attempt, password, address, &device, old).await;
    match &answer {
        Ok(_) => attempt.succeeded(&app.pool).await,
        // Something of ours was down: nothing is consumed.
        Err(error) if error.status().is_server_error() => attempt.forget(&app.pool).await,
        Err(_) => {}
    }
    answer
}

async fn try_login(
    app: &AppState,
    attempt: &mut Attempt,
    password: SecretString,
    address: IpAddr,
    device: &Device,
    old: Option<RefreshToken>,
) -> ApiResult<Data<LoginAnswer>> {
    let account = find(&app.pool, &attempt.identifier, address).await?;
    attempt.count(&app.pool, &app.limits, account.as_ref()).await?;

    let stored = account.as_ref().map(|account| account.password_hash.clone());
    let verdict = app.passwords.verify(password, stored).await?;
    let (Some(account), Verdict::Right | Verdict::RightUpgraded(_)) = (account, &verdict) else {
        return Err(invalid_credentials().clear_cookie(&app.sessions));
    };
    if !account.is_active {
        return Err(disabled());
    }

    let token = RefreshToken::generate();
    let mut tx = app.pool.begin().await?;
    lock(&mut tx, &account).await?;
    if let Verdict::RightUpgraded(hash) = &verdict {
        upgrade(&mut tx, account.id, hash).await?;
    }
    let replaced = match &old {
        Some(old) => replace(app, &mut tx, &old.hash(&app.sessions.refresh_secret)).await?,
        None => Unannounced::default(),
    };
    let unannounced = make_room(app, &mut tx, account.id).await?.and(replaced);
    let session = start(app, &mut tx, account.id, &token, device, address).await?;
    remember(&mut tx, account.id, address, session.now).await?;
    let event = LoggedIn { account_id: account.id.to_string(), at_ms: session.now.timestamp_millis() };
    outbox::append(&mut tx, &event, account.id, session.version).await?;
    tx.commit().await?;

    app.revocations.announce(unannounced).await;
    let role = session.role.parse().map_err(ApiError::internal)?;
    let access_token = app.keys.mint(account.id, role, session.id, session.token_epoch, Utc::now());
    let answer = LoginAnswer {
        grant: TokenGrant::new(access_token.map_err(ApiError::internal)?, app.keys.lifetime()),
        user: UserBrief {
            id: account.id,
            nama: session.nama.unwrap_or_else(|| session.username.clone()),
            username: session.username,
            role,
            avatar_url: session.avatar_url,
        },
    };
    Ok(Data::new(answer).set_cookie(&app.sessions, &token))
}

impl LoginRequest {
    /// The identifier in lower case, and the password as it is.
    fn check(self) -> ApiResult<(String, SecretString)> {
        let mut errors = FieldErrors::new();
        let identifier = self.username.as_deref().unwrap_or_default().trim().to_lowercase();
        match identifier.chars().count() {
            0 => errors.add("username", "Username atau email wajib diisi"),
            1..=IDENTIFIER_CHARS if !identifier.contains('\0') => {}
            1..=IDENTIFIER_CHARS => errors.add("username", "Username berisi karakter yang tidak diperbolehkan"),
            _ => errors.add("username", "Username atau email maksimal 255 karakter"),
        }
        let password = self.password.unwrap_or_default();
        match password.expose_secret().chars().count() {
            0 => errors.add("password", "Password wajib diisi"),
            1..=MAX_CHARS => {}
            _ => errors.add("password", "Password maksimal 1024 karakter"),
        }
        errors.finish()?;
        Ok((identifier, password))
    }
}

fn invalid_credentials() -> ApiError {
    // Not 401: the web client answers that with a refresh, which may sign in the former owner of a left-over cookie.
    ApiError::bad_request("INVALID_CREDENTIALS", "Username atau password salah")
}

fn disabled() -> ApiError {
    ApiError::forbidden_with("ACCOUNT_DISABLED", "Akun Anda telah dinonaktifkan, silakan hubungi admin")
}

/// The hits of one attempt. They are counted before the password is looked at, so that many attempts at once cannot
/// all be the last allowed one, and taken back when the attempt was no failure.
struct Attempt {
    identifier: String,
    address: IpAddr,
    own: Counter,
    requests: Counter,
    others: Vec<Counter>,
}

impl Attempt {
    /// The bucket of identifier and address is asked first: what it refuses counts nowhere else.
    async fn begin(pool: &PgPool, limits: &Limits, identifier: String, address: IpAddr) -> ApiResult<Self> {
        let own = limits.failed_identifier(&identifier, address);
        let requests = limits.login_requests(address);
        let attempt = Self { identifier, address, own, requests, others: Vec::new() };
        attempt.own.hit(pool).await?;
        if let Err(refused) = attempt.requests.hit(pool).await {
            attempt.take_back(pool).await;
            return Err(refused);
        }
        Ok(attempt)
    }

    /// An address from which the account has logged in lately is the owner's, whatever others do elsewhere.
    async fn count(&mut self, pool: &PgPool, limits: &Limits, account: Option<&Candidate>) -> ApiResult<()> {
        let mut counters = Vec::with_capacity(2);
        if !account.is_some_and(|account| account.knows_address) {
            counters.push(limits.failed_account(account.map(|account| account.id), &self.identifier));
        }
        counters.push(limits.failed_address(self.address));
        for counter in counters {
            if let Err(refused) = counter.hit(pool).await {
                if refused.status() == StatusCode::TOO_MANY_REQUESTS {
                    // What is refused here is no failed login in the other buckets either.
                    self.take_back(pool).await;
                    self.others.clear();
                    // Without the identifier: people type passwords there.
                    let (account, address) = (account.map(|account| display(account.id)), self.address);
                    tracing::warn!(target: "security", account, %address, "too many failed logins");
                }
                return Err(refused);
            }
            self.others.push(counter);
        }
        Ok(())
    }

    /// It has never been.
    async fn forget(&self, pool: &PgPool) {
        self.take_back(pool).await;
        noted(self.requests.take_back(pool).await);
    }

    async fn take_back(&self, pool: &PgPool) {
        noted(self.own.take_back(pool).await);
        self.take_back_others(pool).await;
    }

    /// A success forgives the failures of this identifier at this address, and only its own hit elsewhere.
    async fn succeeded(&self, pool: &PgPool) {
        noted(self.own.clear(pool).await);
        self.take_back_others(pool).await;
    }

    async fn take_back_others(&self, pool: &PgPool) {
        for counter in &self.others {
            noted(counter.take_back(pool).await);
        }
    }
}

/// Whom the identifier names.
struct Candidate {
    id: Uuid,
    password_hash: String,
    is_active: bool,
    /// Logged in from this address within 30 days.
    knows_address: bool,
}

async fn find(pool: &PgPool, identifier: &str, address: IpAddr) -> Result<Option<Candidate>, sqlx::Error> {
    let is_email = identifier.contains('@');
    sqlx::query_as!(
        Candidate,
        r#"
        select
            id,
            password_hash,
            is_active,
            exists (
                select from login_addresses l
                where l.account_id = accounts.id and l.address = $3 and l.logged_in_at > now() - interval '30 days'
            ) as "knows_address!"
        from accounts
        where
            (($2 and lower(email) = $1) or (not $2 and lower(username) = $1))
            and deleted_at is null
            and not is_pending
        "#,
        identifier,
        is_email,
        address.to_string(),
    )
    .fetch_optional(pool)
    .await
}

/// Locks the account and makes sure that it is still the one whose password was verified.
async fn lock(connection: &mut PgConnection, verified: &Candidate) -> ApiResult<()> {
    let account = sqlx::query!(
        r#"
        select password_hash, is_active, deleted_at is null as "exists!"
        from accounts
        where id = $1
        for update
        "#,
        verified.id,
    );
    match account.fetch_optional(connection).await? {
        Some(account) if account.exists && !account.is_active => Err(disabled()),
        Some(account) if account.exists && account.password_hash == verified.password_hash => Ok(()),
        // Changed within these milliseconds, perhaps only upgraded by another login: a repetition decides.
        Some(account) if account.exists => Err(ApiError::unavailable()),
        _ => Err(invalid_credentials()),
    }
}

async fn upgrade(connection: &mut PgConnection, account: Uuid, hash: &str) -> Result<(), sqlx::Error> {
    sqlx::query!("update accounts set password_hash = $2 where id = $1 and password_hash like '$2%'", account, hash,)
        .execute(connection)
        .await?;
    Ok(())
}

/// Ends the session whose cookie the browser still sends, whoever owns it: computers at school are shared. Its access
/// tokens run out by themselves.
async fn replace(app: &AppState, connection: &mut PgConnection, old_hash: &[u8]) -> Result<Unannounced, sqlx::Error> {
    let session = sqlx::query_scalar!("select session_id from refresh_tokens where hash = $1", old_hash);
    match session.fetch_optional(&mut *connection).await? {
        Some(session) if end(connection, session, Ending::Replaced).await? => {
            app.revocations.of_ended(connection, session).await
        }
        _ => Ok(Unannounced::default()),
    }
}

/// Ends the least recently used sessions until there is room for one more.
async fn make_room(app: &AppState, connection: &mut PgConnection, account: Uuid) -> Result<Unannounced, sqlx::Error> {
    let ended = sqlx::query_scalar!(
        r#"
        update sessions
        set ended_at = now(), ended_reason = $3
        where ended_at is null and id in (
            select id
            from sessions
            where account_id = $1 and ended_at is null and expires_at > now()
            order by coalesce(last_used_at, created_at) desc, id desc
            offset $2
        )
        returning id
        "#,
        account,
        SESSIONS - 1,
        Ending::TooMany.as_str(),
    )
    .fetch_all(&mut *connection)
    .await?;
    app.revocations.of_sessions(connection, &ended).await
}

/// A session that has just begun, with what its tokens and the answer need.
struct Started {
    id: Uuid,
    now: DateTime<Utc>,
    role: String,
    token_epoch: i64,
    version: i64,
    username: String,
    nama: Option<String>,
    avatar_url: Option<String>,
}

/// Stores session and refresh token, and reads role and epoch in the same statement: no token is minted from an older
/// state than its session's.
async fn start(
    app: &AppState,
    connection: &mut PgConnection,
    account: Uuid,
    token: &RefreshToken,
    device: &Device,
    address: IpAddr,
) -> Result<Started, sqlx::Error> {
    sqlx::query_as!(
        Started,
        r#"
        with session as (
            insert into sessions (id, account_id, user_agent, device_type, browser, os, ip_address, expires_at)
            values ($1, $2, $3, $4, $5, $6, $7, now() + make_interval(secs => $8))
            returning id, account_id, expires_at
        ),
        token as (
            insert into refresh_tokens (id, session_id, hash, expires_at)
            select $9, id, $10, expires_at
            from session
        )
        select
            session.id,
            now() as "now!",
            a.role,
            a.token_epoch,
            a.version,
            a.username,
            a.nama,
            a.avatar_url
        from session
        join accounts a on a.id = session.account_id
        "#,
        Uuid::now_v7(),
        account,
        device.user_agent,
        device.device_type,
        device.browser,
        device.os,
        known(address),
        app.sessions.lifetime.as_secs_f64(),
        Uuid::now_v7(),
        token.hash(&app.sessions.refresh_secret),
    )
    .fetch_one(connection)
    .await
}

async fn remember(
    connection: &mut PgConnection,
    account: Uuid,
    address: IpAddr,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!("update accounts set last_login_at = $2 where id = $1", account, now)
        .execute(&mut *connection)
        .await?;
    sqlx::query!(
        r#"
        insert into login_addresses (account_id, address, logged_in_at)
        values ($1, $2, $3)
        on conflict (account_id, address) do update set logged_in_at = excluded.logged_in_at
        "#,
        account,
        address.to_string(),
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Without nginx in front the address is not known.
pub(super) fn known(address: IpAddr) -> Option<String> {
    (!address.is_unspecified()).then(|| address.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(username: Option<&str>, password: Option<&str>) -> LoginRequest {
        LoginRequest { username: username.map(str::to_owned), password: password.map(SecretString::from) }
    }

    #[test]
    fn the_identifier_is_trimmed_and_compared_in_lower_case_and_the_password_is_not_touched() {
        let (identifier, password) = request(Some("  Budi@Example.ID "), Some(" Rahasia ")).check().unwrap();
        assert_eq!((identifier.as_str(), password.expose_secret()), ("budi@example.id", " Rahasia "));
    }

    #[test]
    fn missing_empty_and_long_fields_are_422() {
        let long = "x".repeat(1025);
        for (username, password) in [
            (None, Some("x")),
            (Some("x"), None),
            (Some("  "), Some("x")),
            (Some("x"), Some("")),
            (Some(&long[..256]), Some("x")),
            (Some("a\0b"), Some("x")),
            (Some("x"), Some(long.as_str())),
        ] {
            assert_eq!(request(username, password).check().unwrap_err().status(), 422);
        }
        assert!(request(Some(&long[..255]), Some(&long[..1024])).check().is_ok());
    }
}
