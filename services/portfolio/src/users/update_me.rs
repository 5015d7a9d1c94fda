use axum::extract::State;
use grafikarsa_http::{
    ApiError, ApiResult, Body, Data, Envelope, FieldErrors, account_rules, clean, nullable, optional_text,
    required_line,
};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    AppState,
    accounts::{
        change::{self, AccountChange},
        profile_change::ProfileChange,
    },
    capabilities::Caller,
};

/// What to change; absent is unchanged, and so is `null` but for `bio`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct MeChange {
    /// 2 to 100 characters.
    nama: Option<String>,
    /// 3 to 30 of `a-z0-9_`, and none of the web client's own paths.
    username: Option<String>,
    /// At most 500 characters; empty or `null` clears it.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    bio: Option<Option<String>>,
    email: Option<String>,
}

/// What the web client merges over its stored user.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct MeBrief {
    id: Uuid,
    username: String,
    email: String,
    nama: String,
    bio: Option<String>,
}

/// Change one's own profile and account.
#[utoipa::path(
    patch,
    path = "/api/v1/me",
    tag = "users",
    request_body = MeChange,
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<MeBrief>)),
)]
pub async fn update(
    State(app): State<AppState>,
    caller: Caller,
    Body(body): Body<MeChange>,
) -> ApiResult<Data<MeBrief>> {
    let current = load(&app.db, caller.id).await?;
    let (account, profile) = body.check(&current)?;
    change::run(&app, caller.id, caller.id, account, profile).await.map_err(gone)?;
    Ok(Data::new(load(&app.db, caller.id).await?).message("Profil berhasil diperbarui"))
}

/// Deleted in the meantime: a matter of the token, never a 404.
fn gone(error: ApiError) -> ApiError {
    if error.code() == "USER_NOT_FOUND" { super::revoked() } else { error }
}

async fn load(db: &PgPool, id: Uuid) -> ApiResult<MeBrief> {
    let me = sqlx::query_as!(
        MeBrief,
        "select id, username, email, nama, bio from users where id = $1 and is_active and deleted_at is null",
        id,
    );
    me.fetch_optional(db).await?.ok_or_else(super::revoked)
}

impl MeChange {
    /// What really differs from `current`, each half for its owner. The own value always passes, also when it breaks
    /// rules that are newer than it.
    fn check(self, current: &MeBrief) -> ApiResult<(AccountChange, ProfileChange)> {
        let mut errors = FieldErrors::new();
        let nama = self
            .nama
            .filter(|nama| clean(nama) != current.nama)
            .map(|nama| required_line(&mut errors, "nama", "Nama", Some(&nama), 2..=100));
        // Upper case is refused, not converted.
        let username = self.username.map(|name| clean(&name).to_owned()).filter(|name| *name != current.username);
        if let Some(username) = &username {
            errors.check("username", account_rules::username(username));
        }
        let bio = self
            .bio
            .map(|bio| optional_text(&mut errors, "bio", "Bio", bio.as_deref(), 0..=500))
            .filter(|bio| *bio != current.bio);
        let email = self.email.map(|email| account_rules::normal_email(&email)).filter(|email| *email != current.email);
        if let Some(email) = &email {
            errors.check("email", account_rules::email(email));
        }
        errors.finish()?;
        let account = AccountChange { username, email, ..AccountChange::default() };
        Ok((account, ProfileChange { nama, bio, ..ProfileChange::default() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn current() -> MeBrief {
        MeBrief {
            id: Uuid::nil(),
            username: "Budi.S".to_owned(),
            email: "budi@sekolah.sch.id".to_owned(),
            nama: "B".to_owned(),
            bio: Some("Halo".to_owned()),
        }
    }

    fn check(body: serde_json::Value) -> ApiResult<(AccountChange, ProfileChange)> {
        serde_json::from_value::<MeChange>(body).unwrap().check(&current())
    }

    #[test]
    fn own_values_pass_though_they_break_newer_rules_and_change_nothing() {
        let body = serde_json::json!({
            "username": " Budi.S ", "email": " BUDI@sekolah.sch.id", "nama": "B ", "bio": " Halo ",
        });
        let (account, profile) = check(body).unwrap();
        assert!(account.is_empty());
        assert_eq!((profile.nama, profile.bio), (None, None));
    }

    #[test]
    fn null_clears_the_bio_and_means_unchanged_for_the_others() {
        let body = serde_json::json!({ "username": null, "email": null, "nama": null, "bio": null });
        let (account, profile) = check(body).unwrap();
        assert!(account.is_empty());
        assert_eq!((profile.nama, profile.bio), (None, Some(None)));
        assert_eq!(check(serde_json::json!({ "bio": " " })).unwrap().1.bio, Some(None));
        assert_eq!(check(serde_json::json!({})).unwrap().1.bio, None);
    }
}
