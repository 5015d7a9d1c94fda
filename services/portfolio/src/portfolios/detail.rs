use axum::{
    extract::State,
    http::{HeaderMap, Method},
};
use grafikarsa_http::{ApiResult, ClientIp, Data, Envelope, Path, Query, clean};
use serde::{Deserialize, Serialize};
use sqlx::{PgExecutor, Postgres, QueryBuilder, types::Json};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    Status, access,
    card::{self, PortfolioCard},
};
use crate::{
    AppState,
    blocks::ContentBlock,
    capabilities::{Caller, Viewer},
    views,
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
    method: Method,
    ClientIp(address): ClientIp,
    headers: HeaderMap,
) -> ApiResult<Data<PortfolioDetail>> {
    let username = owner.username.as_deref().map(clean).filter(|name| !name.is_empty());
    if slug.contains('\0') || username.is_some_and(|name| name.contains('\0')) {
        return Err(access::not_found());
    }
    let mut query = QueryBuilder::new("with found as materialized (select p.id from portfolios p ");
    match username {
        Some(username) => {
            query.push("join users u on u.id = p.user_id and u.deleted_at is null where lower(u.username) = lower(");
            query.push_bind(username).push(") and p.deleted_at is null and p.slug = ").push_bind(slug);
        }
        None => {
            query.push("where p.is_public and p.slug = ").push_bind(slug);
            query.push(" order by p.published_at desc, p.id desc limit 1");
        }
    }
    query.push(")");
    let row = fetch(&app.db, query, "found join portfolios p on p.id = found.id", viewer.id()).await?;
    let row = row.ok_or_else(access::not_found)?;
    if !access::is_visible(row.card.user_id, row.card.status, row.card.owner_hidden, viewer.0.as_ref()) {
        return Err(access::not_found());
    }
    let is_view = row.card.status == Status::Published && viewer.id() != Some(row.card.user_id);
    if is_view && method == Method::GET {
        let looked = viewer.id().map_or_else(|| app.guests.guest(&headers, address), views::Viewer::User);
        app.views.record(row.card.id, looked);
    }
    Ok(Data::new(row.into_detail(viewer.0.as_ref())))
}

/// The portfolio `id` as `caller` sees it, whatever its status.
pub async fn load(executor: impl PgExecutor<'_>, id: Uuid, caller: &Caller) -> ApiResult<PortfolioDetail> {
    let mut query = QueryBuilder::new("with found as materialized (select ");
    query.push_bind(id).push("::uuid as id)");
    let source = "found join portfolios p on p.id = found.id and p.deleted_at is null";
    let row = fetch(executor, query, source, Some(caller.id)).await?.ok_or_else(access::not_found)?;
    Ok(row.into_detail(Some(caller)))
}

#[derive(Debug, sqlx::FromRow)]
struct Row {
    #[sqlx(flatten)]
    card: card::Row,
    content_blocks: Json<Vec<ContentBlock>>,
}

impl Row {
    fn into_detail(self, viewer: Option<&Caller>) -> PortfolioDetail {
        let Self { card, content_blocks: Json(content_blocks) } = self;
        let with_review =
            viewer.is_some_and(|caller| caller.id == card.user_id || access::is_reviewer(card.status, caller));
        PortfolioDetail { user_id: card.user_id, card: card.into_card(with_review), content_blocks }
    }
}

/// Row and blocks in one statement, that is at one moment: whether a portfolio may be seen depends on its row, and what
/// is seen are its blocks. A change between the two would show what nobody has reviewed.
async fn fetch(
    executor: impl PgExecutor<'_>,
    mut query: QueryBuilder<Postgres>,
    source: &str,
    viewer: Option<Uuid>,
) -> Result<Option<Row>, sqlx::Error> {
    let blocks = "
            (
                select coalesce(json_agg(
                    json_build_object(
                        'id', b.id,
                        'block_type', b.block_type,
                        'block_order', b.block_order,
                        'payload', b.payload,
                        'series_instruksi', t.instruksi,
                        'created_at', b.created_at,
                        'updated_at', b.updated_at
                    )
                    order by b.block_order
                ), '[]')
                from content_blocks b
                left join series_blocks t
                    on t.series_id = s.id and t.block_order = b.block_order and t.block_type = b.block_type
                where b.portfolio_id = p.id
            ) as content_blocks,";
    card::select(&mut query, blocks, source, viewer);
    query.build_query_as().fetch_optional(executor).await
}
