use axum::extract::State;
use grafikarsa_http::{ApiError, ApiResult, Data, DeferredBody, Envelope, FieldErrors, InternalError, required_line};
use grafikarsa_jwt::Role;
use serde::{Deserialize, Serialize};
use sqlx::{Acquire as _, PgConnection, types::Json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    detail::{self, AdminUserDetail},
    pictures::{self, Picture},
    profile::{self, NewProfile},
    rules,
};
use crate::{
    AppState,
    accounts::{
        change::ATTEMPTS,
        intents::{self, Command},
    },
    capabilities::{Caller, Capability},
    users::copy::{self, Account},
};

#[derive(Deserialize, ToSchema)]
pub struct NewUser {
    username: Option<String>,
    email: Option<String>,
    /// 8 characters to 72 bytes.
    password: Option<String>,
    nama: Option<String>,
    /// `student`, `alumni` or `admin`; absent: `student`.
    role: Option<String>,
    nisn: Option<String>,
    nis: Option<String>,
    /// Ignored unless the role is `student`.
    kelas_id: Option<Uuid>,
    tahun_masuk: Option<i32>,
    tahun_lulus: Option<i32>,
    /// A picture that the actor has uploaded.
    avatar_url: Option<String>,
    /// A picture that the actor has uploaded.
    banner_url: Option<String>,
}

/// What auth is asked for. The password goes no further.
#[derive(Serialize)]
struct CreateAccount {
    command_id: Uuid,
    account_id: Uuid,
    username: String,
    email: String,
    password: String,
    role: Role,
    must_change_password: bool,
}

/// What the request asks for, and may.
struct Checked {
    account: CreateAccount,
    profile: NewProfile,
    avatar: Option<Picture>,
    banner: Option<Picture>,
}

/// Creates a user: account and profile, or neither.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users",
    tag = "admin users",
    request_body = NewUser,
    security(("bearer" = [])),
    responses((status = 201, body = Envelope<AdminUserDetail>)),
)]
pub async fn create(
    State(app): State<AppState>,
    caller: Caller,
    body: DeferredBody<NewUser>,
) -> ApiResult<Data<AdminUserDetail>> {
    caller.require(Capability::Users)?;
    let body = body.read().await?;
    let checked = check(&app, &caller, body).await?;
    intents::recover_names(&app, &checked.account.username, &checked.account.email).await?;
    let id = run(&app, caller.id, checked).await?;
    // Somebody may have asked as this user before he existed.
    app.callers.forget(id).await;
    Ok(Data::created(detail::load(&app.db, id).await?).message("Pengguna berhasil dibuat"))
}

/// Every broken field at once, then the rule that depends on the values.
async fn check(app: &AppState, caller: &Caller, new: NewUser) -> ApiResult<Checked> {
    let mut errors = FieldErrors::new();
    let username = rules::username(&mut errors, new.username.as_deref());
    let email = rules::email(&mut errors, new.email.as_deref());
    rules::password(&mut errors, new.password.as_deref());
    let nama = required_line(&mut errors, "nama", "Nama", new.nama.as_deref(), 2..=100);
    let role = new.role.as_deref().map_or(Ok(Role::Student), |role| role.trim().parse());
    if role.is_err() {
        errors.add("role", "Role tidak dikenal");
    }
    let role = role.unwrap_or(Role::Student);
    let nisn = rules::nisn(&mut errors, new.nisn.as_deref());
    let nis = rules::nis(&mut errors, new.nis.as_deref());
    rules::years(&mut errors, new.tahun_masuk, new.tahun_lulus);
    let mut connection = app.db.acquire().await?;
    let kelas_id = new.kelas_id.filter(|_| role == Role::Student);
    if let Some(kelas) = kelas_id
        && !kelas_exists(&mut connection, kelas).await?
    {
        errors.add("kelas_id", "Kelas tidak ditemukan");
    }
    let (avatar, banner) = (new.avatar_url.as_deref(), new.banner_url.as_deref());
    let place = ("avatar_url", "avatars");
    let avatar = pictures::check(app, &mut connection, &mut errors, caller, None, place, avatar).await?;
    let place = ("banner_url", "banners");
    let banner = pictures::check(app, &mut connection, &mut errors, caller, None, place, banner).await?;
    errors.finish()?;
    if role == Role::Admin && !caller.is_admin() {
        return Err(ApiError::forbidden());
    }
    // Alumni leave three years after they came, unless somebody knows better.
    let leaves = new.tahun_masuk.filter(|_| role == Role::Alumni).map(|masuk| masuk + 3);
    let account = CreateAccount {
        command_id: Uuid::now_v7(),
        account_id: Uuid::now_v7(),
        username,
        email,
        password: new.password.unwrap_or_default(),
        role,
        must_change_password: true,
    };
    let profile = NewProfile {
        nama,
        nisn,
        nis,
        kelas_id,
        tahun_masuk: new.tahun_masuk,
        tahun_lulus: new.tahun_lulus.or(leaves),
        avatar: None,
        banner: None,
    };
    Ok(Checked { account, profile, avatar, banner })
}

pub async fn kelas_exists(connection: &mut PgConnection, id: Uuid) -> ApiResult<bool> {
    let found = sqlx::query_scalar!("select id from kelas where id = $1 and deleted_at is null", id);
    Ok(found.fetch_optional(connection).await?.is_some())
}

/// The command itself, in the order that the module `intents` explains. Returns the new user.
async fn run(app: &AppState, actor: Uuid, checked: Checked) -> ApiResult<Uuid> {
    let Checked { account: mut new, mut profile, avatar, banner } = checked;
    for _ in 0..ATTEMPTS {
        profile.avatar = pictures::copy(app, avatar.as_ref(), new.account_id).await?;
        profile.banner = pictures::copy(app, banner.as_ref(), new.account_id).await?;
        let mut connection = app.db.acquire().await?;
        open(&mut connection, actor, &new, &profile).await?;
        let mut tx = connection.begin().await?;
        if intents::lock(&mut tx, new.command_id).await? {
            let id = new.account_id;
            carry_out(app, tx, actor, new, profile).await?;
            return Ok(id);
        }
        (new.command_id, new.account_id) = (Uuid::now_v7(), Uuid::now_v7());
    }
    Err(ApiError::unavailable())
}

/// Commits the intent, on the connection that locks it in the next moment.
async fn open(
    connection: &mut PgConnection,
    actor: Uuid,
    new: &CreateAccount,
    profile: &NewProfile,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "
        insert into account_intents (command_id, account_id, actor_id, username, email, role, profile)
        values ($1, $2, $3, $4, $5, $6, $7)
        ",
        new.command_id,
        new.account_id,
        actor,
        new.username,
        new.email,
        new.role.as_str(),
        Json(profile) as _,
    )
    .execute(connection)
    .await
    .map(drop)
}

async fn carry_out(
    app: &AppState,
    mut tx: sqlx::PgTransaction<'_>,
    actor: Uuid,
    new: CreateAccount,
    profile: NewProfile,
) -> ApiResult<()> {
    let command = new.command_id;
    let pending: Account = match app.auth.post("/internal/accounts", &new).await {
        Ok(account) => account,
        Err(error) => {
            if let Some(account) = abandoned(app, &error, command).await? {
                // Impossible before the confirmation, but never to be left half done.
                profile::write(&mut tx, actor, &account, &profile).await?;
                return finish(tx, command, &account).await;
            }
            intents::close(&mut tx, command, "cancelled").await?;
            tx.commit().await?;
            return Err(refusal(error));
        }
    };

    // The unique indexes speak while the account can still be taken back.
    let mut attempt = tx.begin().await?;
    let written = profile::write(&mut attempt, actor, &pending, &profile).await;
    match written {
        Ok(()) => attempt.commit().await?,
        Err(error) => {
            attempt.rollback().await?;
            intents::settle(app, command).await?;
            intents::close(&mut tx, command, "cancelled").await?;
            tx.commit().await?;
            return Err(conflict(error));
        }
    }

    let confirmed: Result<Command, InternalError> =
        app.auth.post(&format!("/internal/commands/{command}/confirm"), &()).await;
    let account = match confirmed {
        Ok(Command { account: Some(account), .. }) => account,
        Ok(Command { account: None, .. }) => return Err(ApiError::unavailable()),
        // Whether it took effect is unknown: asking for the cancellation tells.
        Err(error) => match intents::settle(app, command).await {
            Ok(Some(account)) => account,
            Ok(None) => {
                tx.rollback().await?;
                let mut connection = app.db.acquire().await?;
                intents::close(&mut connection, command, "cancelled").await?;
                return Err(refusal(error));
            }
            // The open intent remembers; it is settled as soon as auth answers.
            Err(_) => return Err(ApiError::unavailable().because(error)),
        },
    };
    finish(tx, command, &account).await
}

async fn finish(mut tx: sqlx::PgTransaction<'_>, command: Uuid, account: &Account) -> ApiResult<()> {
    copy::store(&mut tx, account).await?;
    intents::close(&mut tx, command, "done").await?;
    tx.commit().await?;
    Ok(())
}

/// After a failed creation: makes sure that a call which arrives late is refused. An answer that refuses the command
/// needs nothing. `Some` is an account that exists all the same.
async fn abandoned(app: &AppState, error: &InternalError, command: Uuid) -> ApiResult<Option<Account>> {
    match error {
        InternalError::Api { status, .. } if status.is_client_error() => Ok(None),
        // When auth does not answer this either, the intent stays open for the recovery.
        _ => Ok(intents::settle(app, command).await?),
    }
}

/// auth's refusals in the words of this route.
fn refusal(error: InternalError) -> ApiError {
    match &error {
        InternalError::Api { code, .. } if code == "USERNAME_TAKEN" => {
            ApiError::conflict("DUPLICATE_USERNAME", "Username sudah digunakan")
        }
        InternalError::Api { code, .. } if code == "DUPLICATE_EMAIL" => {
            ApiError::conflict("DUPLICATE_EMAIL", "Email sudah digunakan")
        }
        // Somebody took this request for dead while it was waiting.
        InternalError::Api { code, .. } if code == "COMMAND_CANCELLED" => ApiError::unavailable().because(error),
        _ => error.into(),
    }
}

fn conflict(error: sqlx::Error) -> ApiError {
    match error.as_database_error().and_then(|error| error.constraint()) {
        Some("users_nis_key") => ApiError::conflict("DUPLICATE_NIS", "NIS sudah digunakan"),
        Some("users_nisn_key") => ApiError::conflict("DUPLICATE_NISN", "NISN sudah digunakan"),
        _ => error.into(),
    }
}
