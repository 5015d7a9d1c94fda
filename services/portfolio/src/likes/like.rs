use axum::extract::State;
use grafikarsa_http::{ApiResult, Data, Envelope, Id};
use serde_json::json;

use super::LikeResult;
use crate::{
    AppState,
    capabilities::Caller,
    notifications::{self, Kind},
    portfolios::{Status, access},
};

/// Like a published portfolio, one's own as well.
#[utoipa::path(
    post,
    path = "/api/v1/portfolios/{id}/like",
    tag = "likes",
    params(("id" = uuid::Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<LikeResult>, description = "Also when the caller liked it before")),
)]
pub async fn like(State(app): State<AppState>, caller: Caller, Id(id): Id) -> ApiResult<Data<LikeResult>> {
    super::refuse_admins(&caller)?;
    let portfolio = access::find(&app.db, id).await?;
    if portfolio.status != Status::Published || !portfolio.is_visible_to(Some(&caller)) {
        return Err(access::not_found());
    }

    let mut tx = app.db.begin().await?;
    super::lock_liker(&mut tx, caller.id).await?;
    let new = sqlx::query!(
        "insert into portfolio_likes (portfolio_id, user_id) values ($1, $2) on conflict do nothing",
        id,
        caller.id,
    );
    let like_count = if new.execute(&mut *tx).await?.rows_affected() == 1 {
        let data = json!({
            "liker_id": caller.id,
            "portfolio_id": id,
            "portfolio_judul": portfolio.judul,
            "portfolio_slug": portfolio.slug,
        });
        // Once for ever: who likes again is no news.
        let key = format!("{id}:{}", caller.id);
        notifications::insert(&mut tx, portfolio.user_id, caller.id, Kind::PortfolioLiked, &key, data).await?;
        // The row that others wait for comes last; it may have left the public lists in the meantime.
        let counted = sqlx::query_scalar!(
            "
            update portfolios
            set like_count = like_count + 1
            where id = $1 and status = 'published' and deleted_at is null
            returning like_count
            ",
            id,
        );
        counted.fetch_optional(&mut *tx).await?.ok_or_else(access::not_found)?
    } else {
        super::count(&mut tx, id).await?
    };
    tx.commit().await?;
    Ok(Data::new(LikeResult { is_liked: true, like_count }).message("Portofolio disukai"))
}
