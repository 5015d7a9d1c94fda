use axum::extract::{Path, State};
use grafikarsa_http::{ApiError, ApiResult, Data};
use serde::Serialize;
use uuid::Uuid;

use crate::{app::AppState, uploads::keys::Key};

#[derive(Debug, Serialize)]
pub(super) struct Object {
    object_key: String,
    kind: String,
    owner_id: Uuid,
    portfolio_id: Option<Uuid>,
    content_type: String,
}

/// A published object: clients use its address right after the confirmation, sometimes before the event arrives.
pub(super) async fn object(State(app): State<AppState>, Path(object_key): Path<String>) -> ApiResult<Data<Object>> {
    let not_found = || ApiError::not_found("OBJECT_NOT_FOUND", "File tidak ditemukan");
    let key = Key::parse(&object_key).ok_or_else(not_found)?;
    let object = sqlx::query_as!(
        Object,
        "
        select object_key, kind, owner_id, portfolio_id, content_type
        from objects
        where object_key = $1
          and deleted_at is null
        ",
        key.text,
    )
    .fetch_optional(&app.db)
    .await?;
    object.map(Data::new).ok_or_else(not_found)
}
