use axum::extract::State;
use grafikarsa_http::{ApiError, ApiResult, Body, Data};
use serde::Deserialize;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{AppState, blocks, capabilities::Caller, portfolios::access};

/// An object that somebody wants to delete.
#[derive(Debug, Deserialize)]
pub struct Deletion {
    user_id: Uuid,
    object_key: String,
    url: String,
    kind: String,
    owner_id: Uuid,
    portfolio_id: Option<Uuid>,
}

/// Says whether the user may delete the object, and notes that it goes: no block takes it from then on. Blocks are
/// written with their portfolio's row locked, and so is this. Repeating it changes nothing.
pub async fn permit(State(app): State<AppState>, Body(deletion): Body<Deletion>) -> ApiResult<Data<()>> {
    let caller = match app.callers.get(deletion.user_id).await {
        Ok(caller) => caller,
        // Deactivated or deleted in the meantime. The peer would take a 401 for its own.
        Err(error) if error.status().is_client_error() => return Err(ApiError::forbidden()),
        Err(error) => return Err(error),
    };
    let mut tx = app.db.begin().await?;
    match deletion.portfolio_id {
        Some(portfolio) => of_portfolio(&app, &mut tx, &caller, &deletion, portfolio).await?,
        None => of_person(&mut tx, &caller, &deletion).await?,
    }
    // Also where the confirmation has not arrived yet.
    sqlx::query!(
        "
        insert into media_objects (
            object_key, upload_id, url, kind, owner_id, portfolio_id, content_type, size, width, height, placeholder,
            confirmed_at, deleted_at
        )
        values ($1, '00000000-0000-0000-0000-000000000000', $2, $3, $4, $5, '', 0, 0, 0, '', now(), now())
        on conflict on constraint media_objects_pkey do update
        set deleted_at = coalesce(media_objects.deleted_at, excluded.deleted_at)
        ",
        deletion.object_key,
        deletion.url,
        deletion.kind,
        deletion.owner_id,
        deletion.portfolio_id,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Data::new(()))
}

async fn of_portfolio(
    app: &AppState,
    connection: &mut PgConnection,
    caller: &Caller,
    deletion: &Deletion,
    portfolio: Uuid,
) -> ApiResult<()> {
    match access::lock(connection, portfolio).await {
        Ok(portfolio) => portfolio.must_be_editable_by(caller)?,
        // What is left of a deleted one may be removed by an admin before the sweep does it.
        Err(error) if error.code() == "PORTFOLIO_NOT_FOUND" && caller.is_admin() => return Ok(()),
        Err(error) => return Err(error),
    }
    if blocks::refer_to(connection, portfolio, &deletion.object_key, &app.rules.storage_base).await? {
        return Err(ApiError::conflict("OBJECT_IN_USE", "File masih dipakai oleh sebuah blok konten"));
    }
    Ok(())
}

/// A picture that was given to another user is his.
async fn of_person(connection: &mut PgConnection, caller: &Caller, deletion: &Deletion) -> ApiResult<()> {
    let given_to = sqlx::query_scalar!("select given_to from media_objects where object_key = $1", deletion.object_key)
        .fetch_optional(connection)
        .await?
        .flatten();
    let holder = given_to.unwrap_or(deletion.owner_id);
    if caller.is_admin() || caller.id == holder { Ok(()) } else { Err(ApiError::forbidden()) }
}
