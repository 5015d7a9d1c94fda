use axum::extract::State;
use grafikarsa_http::{ApiResult, Data, Envelope, Id};

use super::LikeResult;
use crate::{AppState, capabilities::Caller, portfolios::access};

/// Like a portfolio no longer, whether it is still published or not.
#[utoipa::path(
    delete,
    path = "/api/v1/portfolios/{id}/like",
    tag = "likes",
    params(("id" = uuid::Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<LikeResult>, description = "Also when there was no like")),
)]
pub async fn unlike(State(app): State<AppState>, caller: Caller, Id(id): Id) -> ApiResult<Data<LikeResult>> {
    super::refuse_admins(&caller)?;
    let portfolio = access::find(&app.db, id).await?;
    if !portfolio.is_visible_to(Some(&caller)) && !super::is_liked(&app.db, id, caller.id).await? {
        return Err(access::not_found());
    }

    let mut tx = app.db.begin().await?;
    super::lock_liker(&mut tx, caller.id).await?;
    let gone = sqlx::query!("delete from portfolio_likes where portfolio_id = $1 and user_id = $2", id, caller.id);
    let like_count = if gone.execute(&mut *tx).await?.rows_affected() == 1 {
        sqlx::query_scalar!("update portfolios set like_count = like_count - 1 where id = $1 returning like_count", id)
            .fetch_one(&mut *tx)
            .await?
    } else {
        super::count(&mut tx, id).await?
    };
    tx.commit().await?;
    Ok(Data::new(LikeResult { is_liked: false, like_count }).message("Batal menyukai portofolio"))
}
