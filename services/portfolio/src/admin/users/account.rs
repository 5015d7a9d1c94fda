//! What happens to an account as a whole.

use axum::extract::State;
use grafikarsa_http::{ApiResult, CurrentUser, Data, DeferredBody, Envelope, FieldErrors, Id, Nothing, account_rules};
use serde::Deserialize;
use utoipa::ToSchema;

use super::target::Target;
use crate::{
    AppState,
    accounts::{
        change::{self, AccountChange},
        profile_change::{Audit, PictureChange, ProfileChange},
    },
    capabilities::Caller,
};

#[derive(Deserialize, ToSchema)]
pub struct NewPassword {
    /// 8 characters to 72 bytes.
    new_password: Option<String>,
}

/// Gives an account another password and ends its sessions.
#[utoipa::path(
    patch,
    path = "/api/v1/admin/users/{id}/password",
    tag = "admin users",
    params(("id" = Uuid, Path)),
    request_body = NewPassword,
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Nothing>)),
)]
pub async fn reset_password(
    State(app): State<AppState>,
    caller: Caller,
    user: CurrentUser,
    Id(id): Id,
    body: DeferredBody<NewPassword>,
) -> ApiResult<Data<()>> {
    let target = Target::changeable(&mut *app.db.acquire().await?, &caller, id).await?;
    let body = body.read().await?;
    let password = body.new_password.unwrap_or_default();
    let mut errors = FieldErrors::new();
    errors.check("new_password", account_rules::new_password(&password));
    errors.finish()?;
    let account = AccountChange {
        password: Some(password),
        spared_session: (target.id == caller.id).then_some(user.session),
        ..AccountChange::default()
    };
    run(&app, &caller, &target, account, "user.password", &["password"]).await?;
    Ok(Data::none().message("Password berhasil direset"))
}

/// Lets the user log in again.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users/{id}/activate",
    tag = "admin users",
    params(("id" = Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Nothing>)),
)]
pub async fn activate(State(app): State<AppState>, caller: Caller, Id(id): Id) -> ApiResult<Data<()>> {
    let target = Target::changeable(&mut *app.db.acquire().await?, &caller, id).await?;
    set_active(&app, &caller, &target, true).await?;
    Ok(Data::none().message("Pengguna berhasil diaktifkan"))
}

/// Ends the user's sessions and hides him, until he is activated again.
#[utoipa::path(
    post,
    path = "/api/v1/admin/users/{id}/deactivate",
    tag = "admin users",
    params(("id" = Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Nothing>)),
)]
pub async fn deactivate(State(app): State<AppState>, caller: Caller, Id(id): Id) -> ApiResult<Data<()>> {
    let target = Target::changeable(&mut *app.db.acquire().await?, &caller, id).await?;
    target.must_not_be(&caller)?;
    set_active(&app, &caller, &target, false).await?;
    Ok(Data::none().message("Pengguna berhasil dinonaktifkan"))
}

/// Deletes account and profile; their names and numbers are free again.
#[utoipa::path(
    delete,
    path = "/api/v1/admin/users/{id}",
    tag = "admin users",
    params(("id" = Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Nothing>)),
)]
pub async fn delete(State(app): State<AppState>, caller: Caller, Id(id): Id) -> ApiResult<Data<()>> {
    let target = Target::changeable(&mut *app.db.acquire().await?, &caller, id).await?;
    target.must_not_be(&caller)?;
    let account = AccountChange { delete: Some(true), ..AccountChange::default() };
    let profile = ProfileChange {
        avatar: target.avatar_url.as_ref().map(|_| PictureChange::Clear),
        banner: target.banner_url.as_ref().map(|_| PictureChange::Clear),
        audit: Some(Audit { action: "user.delete".to_owned(), fields: Vec::new() }),
        ..ProfileChange::default()
    };
    change::run(&app, caller.id, target.id, account, profile).await?;
    Ok(Data::none().message("Pengguna berhasil dihapus"))
}

/// What is so already is no change, and is not asked of auth.
async fn set_active(app: &AppState, caller: &Caller, target: &Target, active: bool) -> ApiResult<()> {
    if target.is_active == active {
        return Ok(());
    }
    let account = AccountChange { is_active: Some(active), ..AccountChange::default() };
    let action = if active { "user.activate" } else { "user.deactivate" };
    run(app, caller, target, account, action, &["is_active"]).await
}

async fn run(
    app: &AppState,
    caller: &Caller,
    target: &Target,
    account: AccountChange,
    action: &str,
    fields: &[&str],
) -> ApiResult<()> {
    let fields = fields.iter().map(|&field| field.to_owned()).collect();
    let audit = Some(Audit { action: action.to_owned(), fields });
    let profile = ProfileChange { audit, ..ProfileChange::default() };
    change::run(app, caller.id, target.id, account, profile).await
}
