use axum::extract::State;
use grafikarsa_http::{
    ApiError, ApiResult, Body, CurrentUser, Data, Envelope, FieldErrors, Nothing, account_rules as rules,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use sqlx::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    accounts,
    app::AppState,
    limits::noted,
    passwords::{MAX_CHARS, Verdict},
    revocations::Kept,
    sessions::{self, Ending, SessionUser},
};

const INVALID_PASSWORD: &str = "INVALID_PASSWORD";

#[derive(Deserialize, ToSchema)]
pub(crate) struct ChangePassword {
    #[schema(required = true, value_type = String, min_length = 1, max_length = 1024)]
    current_password: Option<SecretString>,
    /// 8 characters to 72 bytes; neither the current one, nor the user name, the e-mail address or its part before `@`.
    #[schema(required = true, value_type = String, min_length = 8)]
    new_password: Option<SecretString>,
    /// The new one again.
    #[schema(required = true, value_type = String)]
    new_password_confirmation: Option<SecretString>,
}

/// Change one's own password
#[utoipa::path(
    patch, path = "/api/v1/me/password", tag = "auth", security(("bearer" = [])),
    request_body = ChangePassword,
    responses((status = 200, body = Envelope<Nothing>, description = "All other sessions have ended")),
)]
pub(crate) async fn change_password(
    State(app): State<AppState>,
    SessionUser(user): SessionUser,
    Body(body): Body<ChangePassword>,
) -> ApiResult<Data<()>> {
    let owner = find(&app.pool, user.id).await?;
    let (current, new) = body.check(&owner)?;

    // Counted before the password is looked at, so that many tries at once cannot all be the last allowed one.
    let counter = app.limits.wrong_passwords(user.id);
    counter.hit(&app.pool).await?;
    let changed = change(&app, &user, &owner, current, new).await;
    match &changed {
        Ok(()) => noted(counter.clear(&app.pool).await),
        Err(error) if error.code() == INVALID_PASSWORD => {}
        // Something of ours was down, or the session has ended meanwhile: nothing is consumed.
        Err(_) => noted(counter.take_back(&app.pool).await),
    }
    changed?;
    Ok(Data::none().message("Password berhasil diubah"))
}

async fn change(
    app: &AppState,
    user: &CurrentUser,
    owner: &Owner,
    current: SecretString,
    new: SecretString,
) -> ApiResult<()> {
    if app.passwords.verify(current, Some(owner.password_hash.clone())).await? == Verdict::Wrong {
        return Err(ApiError::bad_request(INVALID_PASSWORD, "Password saat ini salah"));
    }
    let hash = app.passwords.hash(new).await?;

    let mut tx = app.pool.begin().await?;
    let locked =
        sqlx::query!("select password_hash, must_change_password from accounts where id = $1 for update", user.id,)
            .fetch_one(&mut *tx)
            .await?;
    // A statement of its own, whose snapshot sees what the holder of the lock before us has committed.
    if !sessions::is_live(&mut *tx, user).await? {
        return Err(sessions::revoked());
    }
    if locked.password_hash != owner.password_hash {
        // Changed within these milliseconds, perhaps only upgraded by a login: a repetition decides.
        return Err(ApiError::unavailable());
    }
    let epoch = sqlx::query_scalar!(
        r#"
        update accounts
        set
            password_hash = $2,
            must_change_password = false,
            token_epoch = token_epoch + 1,
            version = version + case when must_change_password then 1 else 0 end
        where id = $1
        returning token_epoch
        "#,
        user.id,
        hash,
    )
    .fetch_one(&mut *tx)
    .await?;
    sessions::end_all(&mut tx, user.id, Some(user.session), Ending::PasswordChanged).await?;
    // By the epoch and not by the sessions, because access tokens may have outlived theirs.
    let unannounced = app.revocations.of_epoch(&mut tx, user.id, epoch, Some(user.session), Kept::Nobody).await?;
    if locked.must_change_password {
        let account = accounts::load(&mut tx, user.id).await?;
        accounts::announce_changed(&mut tx, &account).await?;
    }
    tx.commit().await?;

    tracing::info!(target: "security", account = %user.id, "a password was changed");
    app.revocations.announce(unannounced).await;
    Ok(())
}

impl ChangePassword {
    /// The current and the new password.
    fn check(self, owner: &Owner) -> ApiResult<(SecretString, SecretString)> {
        let [current, new, confirmation] =
            [self.current_password, self.new_password, self.new_password_confirmation].map(Option::unwrap_or_default);
        let mut errors = FieldErrors::new();
        match current.expose_secret().chars().count() {
            0 => errors.add("current_password", "Password saat ini wajib diisi"),
            1..=MAX_CHARS => {}
            _ => errors.add("current_password", "Password saat ini maksimal 1024 karakter"),
        }
        errors.check("new_password", new_password(new.expose_secret(), current.expose_secret(), owner));
        if confirmation.expose_secret().is_empty() {
            errors.add("new_password_confirmation", "Konfirmasi password wajib diisi");
        } else if confirmation.expose_secret() != new.expose_secret() {
            errors.add("new_password_confirmation", "Konfirmasi password tidak sama");
        }
        errors.finish()?;
        Ok((current, new))
    }
}

/// Not what somebody who guesses would try first, and not the old one again.
fn new_password(new: &str, current: &str, owner: &Owner) -> rules::Rule {
    rules::new_password(new)?;
    let local_part = owner.email.split('@').next().unwrap_or_default();
    if [owner.username.as_str(), &owner.email, local_part].iter().any(|name| name.to_lowercase() == new.to_lowercase())
    {
        return Err("Password baru tidak boleh sama dengan username atau email");
    }
    if new == current {
        return Err("Password baru harus berbeda dari password saat ini");
    }
    Ok(())
}

/// Whose password it is.
struct Owner {
    username: String,
    email: String,
    password_hash: String,
}

async fn find(pool: &PgPool, id: Uuid) -> Result<Owner, sqlx::Error> {
    sqlx::query_as!(Owner, "select username, email, password_hash from accounts where id = $1", id)
        .fetch_one(pool)
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Owner {
        Owner {
            username: "budi_santoso".to_owned(),
            email: "budi.santoso@sekolah.sch.id".to_owned(),
            password_hash: String::new(),
        }
    }

    #[test]
    fn a_new_password_is_neither_a_name_of_the_owner_nor_the_current_one() {
        for bad in [
            "budi_santoso",
            "Budi_Santoso",
            "budi.santoso@sekolah.sch.id",
            "BUDI.SANTOSO@SEKOLAH.SCH.ID",
            "budi.santoso",
            "Budi.Santoso",
            "yang-lama",
            "1234567",
            "",
            &"x".repeat(73),
        ] {
            assert!(new_password(bad, "yang-lama", &owner()).is_err(), "{bad}");
        }
        // What only contains a name, or differs from the current one in case, is another password.
        for good in ["budi_santoso1", "sekolah.sch.id", "Yang-Lama", "12345678", &"x".repeat(72)] {
            assert!(new_password(good, "yang-lama", &owner()).is_ok(), "{good}");
        }
    }

    #[test]
    fn every_field_is_required() {
        let secret = |text: &str| Some(SecretString::from(text));
        let complete = || ChangePassword {
            current_password: secret("yang-lama"),
            new_password: secret("yang-baru"),
            new_password_confirmation: secret("yang-baru"),
        };
        assert!(complete().check(&owner()).is_ok());
        for broken in [
            ChangePassword { current_password: None, ..complete() },
            ChangePassword { current_password: secret(""), ..complete() },
            ChangePassword { current_password: secret(&"x".repeat(1025)), ..complete() },
            ChangePassword { new_password: None, ..complete() },
            ChangePassword { new_password_confirmation: None, ..complete() },
            ChangePassword { new_password_confirmation: secret("Yang-baru"), ..complete() },
            ChangePassword { new_password: None, new_password_confirmation: None, ..complete() },
        ] {
            assert_eq!(broken.check(&owner()).unwrap_err().status(), 422);
        }
        let long = ChangePassword { current_password: secret(&"é".repeat(1024)), ..complete() };
        assert!(long.check(&owner()).is_ok());
    }
}
