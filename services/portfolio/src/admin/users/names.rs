//! Whether a name is free, asked while a form is filled in. auth decides when it is sent.

use axum::extract::State;
use grafikarsa_http::{ApiError, ApiResult, Data, Envelope, Query, account_rules, clean};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    AppState,
    capabilities::{Caller, Capability},
    portfolios::filters,
};

#[derive(Debug, Deserialize, IntoParams)]
pub struct UsernameQuery {
    username: Option<String>,
    /// Whose own name does not count.
    exclude_id: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct UsernameFree {
    username: String,
    available: bool,
}

#[derive(Debug, Deserialize, IntoParams)]
pub struct EmailQuery {
    email: Option<String>,
    /// Whose own address does not count.
    exclude_id: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct EmailFree {
    email: String,
    available: bool,
}

/// Whether somebody could be called so.
#[utoipa::path(
    get,
    path = "/api/v1/admin/users/check-username",
    tag = "admin users",
    params(UsernameQuery),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<UsernameFree>)),
)]
pub async fn check_username(
    State(app): State<AppState>,
    caller: Caller,
    Query(query): Query<UsernameQuery>,
) -> ApiResult<Data<UsernameFree>> {
    let username = required("username", query.username.as_deref())?.to_lowercase();
    let exclude = filters::uuid("exclude_id", query.exclude_id.as_deref())?;
    caller.require(Capability::Users)?;
    let taken = sqlx::query_scalar!(
        r#"
        select exists (
            select from users where lower(username) = $1 and deleted_at is null and id is distinct from $2
        ) as "taken!"
        "#,
        username,
        exclude,
    )
    .fetch_one(&app.db)
    .await?;
    let available = !taken && account_rules::username(&username).is_ok();
    Ok(Data::new(UsernameFree { username, available }))
}

/// Whether somebody could have this address.
#[utoipa::path(
    get,
    path = "/api/v1/admin/users/check-email",
    tag = "admin users",
    params(EmailQuery),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<EmailFree>)),
)]
pub async fn check_email(
    State(app): State<AppState>,
    caller: Caller,
    Query(query): Query<EmailQuery>,
) -> ApiResult<Data<EmailFree>> {
    let email = account_rules::normal_email(required("email", query.email.as_deref())?);
    let exclude = filters::uuid("exclude_id", query.exclude_id.as_deref())?;
    caller.require(Capability::Users)?;
    let taken = sqlx::query_scalar!(
        r#"
        select exists (
            select from users where lower(email) = $1 and deleted_at is null and id is distinct from $2
        ) as "taken!"
        "#,
        email,
        exclude,
    )
    .fetch_one(&app.db)
    .await?;
    let available = !taken && account_rules::email(&email).is_ok();
    Ok(Data::new(EmailFree { email, available }))
}

fn required<'a>(field: &str, value: Option<&'a str>) -> ApiResult<&'a str> {
    let text = clean(value.unwrap_or_default());
    if text.is_empty() || text.contains('\0') || (field == "username" && text.chars().count() > 100) {
        return Err(ApiError::syntax(field, "Isian wajib diisi, maksimal 100 karakter"));
    }
    Ok(text)
}
