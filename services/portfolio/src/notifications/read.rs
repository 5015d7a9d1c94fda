use axum::extract::State;
use grafikarsa_http::{ApiResult, Data, Envelope, Id, Nothing};

use crate::{AppState, capabilities::Caller};

/// Marks a notification as read, for good; a second time changes nothing.
#[utoipa::path(
    patch,
    path = "/api/v1/notifications/{id}/read",
    tag = "notifications",
    params(("id" = Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Nothing>)),
)]
pub async fn read(State(app): State<AppState>, caller: Caller, Id(id): Id) -> ApiResult<Data<()>> {
    let found = sqlx::query!(
        "
        update notifications
        set read_at = coalesce(read_at, now())
        where id = $1 and user_id = $2 and deleted_at is null
        ",
        id,
        caller.id,
    )
    .execute(&app.db)
    .await?;
    if found.rows_affected() == 0 {
        return Err(super::not_found());
    }
    Ok(Data::none().message("Notifikasi ditandai sudah dibaca"))
}

/// Marks everything that the caller was told as read.
#[utoipa::path(
    post,
    path = "/api/v1/notifications/read-all",
    tag = "notifications",
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Nothing>)),
)]
pub async fn read_all(State(app): State<AppState>, caller: Caller) -> ApiResult<Data<()>> {
    // In the order of their ids, so that two calls at once do not wait for each other in a circle.
    sqlx::query!(
        "
        update notifications
        set read_at = now()
        where id in (
            select id
            from notifications
            where user_id = $1 and read_at is null and deleted_at is null
            order by id
            for no key update
        )
        ",
        caller.id,
    )
    .execute(&app.db)
    .await?;
    Ok(Data::none().message("Semua notifikasi ditandai sudah dibaca"))
}
