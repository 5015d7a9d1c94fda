use axum::extract::State;
use grafikarsa_http::{ApiResult, Data, Envelope, Path, Query, clean};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool, PgTransaction, QueryBuilder};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    access,
    card::{self, PortfolioCard},
};
use crate::{
    AppState,
    blocks::ContentBlock,
    capabilities::{Caller, Viewer},
};

/// A portfolio with its content.
#[derive(Debug, Serialize, ToSchema)]
pub struct PortfolioDetail {
    pub user_id: Uuid,
    #[serde(flatten)]
    pub card: PortfolioCard,
    pub content_blocks: Vec<ContentBlock>,
}

#[derive(Debug, Deserialize, IntoParams)]
pub struct Owner {
    /// User name of the owner; without it the newest published portfolio of that slug is meant.
    username: Option<String>,
}

/// A portfolio by the name in its address. Who may not see it learns nothing of it.
#[utoipa::path(
    get,
    path = "/api/v1/portfolios/{id}",
    tag = "portfolios",
    params(("id" = String, Path, description = "The slug"), Owner),
    security((), ("bearer" = [])),
    responses((status = 200, body = Envelope<PortfolioDetail>)),
)]
pub async fn detail(
    State(app): State<AppState>,
    viewer: Viewer,
    Path(slug): Path<String>,
    Query(owner): Query<Owner>,
) -> ApiResult<Data<PortfolioDetail>> {
    let username = owner.username.as_deref().map(clean).filter(|name| !name.is_empty());
    if slug.contains('\0') || username.is_some_and(|name| name.contains('\0')) {
        return Err(access::not_found());
    }
    let mut snapshot = snapshot(&app.db).await?;
    let id =
        match username {
            Some(username) => {
                sqlx::query_scalar!(
                    "
                select p.id
                from portfolios p
                join users u on u.id = p.user_id and u.deleted_at is null
                where lower(u.username) = lower($1) and p.slug = $2 and p.deleted_at is null
                ",
                    username,
                    slug,
                )
                .fetch_optional(&mut *snapshot)
                .await?
            }
            None => sqlx::query_scalar!(
                "select id from portfolios where slug = $1 and is_public order by published_at desc, id desc limit 1",
                slug,
            )
            .fetch_optional(&mut *snapshot)
            .await?,
        };
    let row = match id {
        Some(id) => row(&mut snapshot, id, viewer.id()).await?,
        None => None,
    };
    let row = row.ok_or_else(access::not_found)?;
    if !access::is_visible(row.user_id, row.status, row.owner_hidden, viewer.0.as_ref()) {
        return Err(access::not_found());
    }
    let detail = complete(&mut snapshot, row, viewer.0.as_ref()).await?;
    snapshot.commit().await?;
    Ok(Data::new(detail))
}

/// One moment of the database. Whether a portfolio may be seen depends on its row, and what is seen are its blocks: a
/// change between the two would show what nobody has reviewed.
pub async fn snapshot(db: &PgPool) -> Result<PgTransaction<'static>, sqlx::Error> {
    db.begin_with("begin isolation level repeatable read read only").await
}

/// The portfolio `id` as `caller` sees it, whatever its status.
pub async fn load(snapshot: &mut PgConnection, id: Uuid, caller: &Caller) -> ApiResult<PortfolioDetail> {
    let row = row(snapshot, id, Some(caller.id)).await?.ok_or_else(access::not_found)?;
    complete(snapshot, row, Some(caller)).await
}

async fn row(snapshot: &mut PgConnection, id: Uuid, viewer: Option<Uuid>) -> ApiResult<Option<card::Row>> {
    let mut query = QueryBuilder::new("");
    card::select(&mut query, "portfolios p", viewer);
    query.push("where p.deleted_at is null and p.id = ").push_bind(id);
    Ok(query.build_query_as().fetch_optional(snapshot).await?)
}

async fn complete(snapshot: &mut PgConnection, row: card::Row, viewer: Option<&Caller>) -> ApiResult<PortfolioDetail> {
    let with_review = viewer.is_some_and(|caller| caller.id == row.user_id || access::is_reviewer(row.status, caller));
    let content_blocks = ContentBlock::of_portfolio(snapshot, row.id).await?;
    Ok(PortfolioDetail { user_id: row.user_id, card: row.into_card(with_review), content_blocks })
}
