use axum::extract::State;
use chrono::Utc;
use grafikarsa_http::{ApiError, ApiResult, CurrentUser, Data, Envelope, Query};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{keys::Key, rights};
use crate::{app::AppState, storage::VIEW};

#[derive(Debug, Deserialize, IntoParams)]
pub(crate) struct ViewQuery {
    #[param(required)]
    object_key: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct View {
    /// Absolute, for reading this object and nothing else.
    url: String,
    /// Seconds.
    expires_in: u64,
}

/// A link to an object that the caller may see, for programs that cannot log in.
#[utoipa::path(
    get,
    path = "/api/v1/uploads/presign-view",
    tag = "uploads",
    params(ViewQuery),
    responses((status = 200, body = Envelope<View>)),
    security(("bearer" = []))
)]
pub(crate) async fn presign_view(
    State(app): State<AppState>,
    user: CurrentUser,
    Query(query): Query<ViewQuery>,
) -> ApiResult<Data<View>> {
    let text = query.object_key.unwrap_or_default();
    let key = Key::parse_named(&text).ok_or_else(|| ApiError::syntax("object_key", "Kunci objek tidak valid"))?;
    let not_found = || ApiError::not_found("OBJECT_NOT_FOUND", "File tidak ditemukan");
    let object =
        sqlx::query!("select portfolio_id from objects where object_key = $1 and deleted_at is null", key.text,)
            .fetch_optional(&app.db)
            .await?
            .ok_or_else(not_found)?;
    if key.is_document() {
        let portfolio = object.portfolio_id.ok_or_else(not_found)?;
        let visible = match rights::ask(&app, portfolio, Some(user.id)).await {
            Ok(rights) => rights.visible,
            Err(error) if error.code() == "PORTFOLIO_NOT_FOUND" => return Err(not_found()),
            Err(error) => return Err(error),
        };
        if !visible {
            return Err(ApiError::forbidden());
        }
    }
    let expires = Utc::now().timestamp() + i64::try_from(VIEW.as_secs()).unwrap_or(0);
    let url = format!("{}?{}", app.url(key.text), app.signatures.query(key.text, expires));
    Ok(Data::new(View { url, expires_in: VIEW.as_secs() }))
}
