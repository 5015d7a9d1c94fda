//! Labels of portfolios, for everybody.

use axum::extract::State;
use grafikarsa_http::{ApiResult, Data, Envelope, Query, search_text};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::AppState;

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list))
}

/// A label.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TagRef {
    pub id: Uuid,
    pub nama: String,
}

#[derive(Debug, Deserialize, IntoParams)]
struct Filter {
    /// Part of the name.
    search: Option<String>,
}

/// Tags by name, at most 1000.
#[utoipa::path(
    get,
    path = "/api/v1/tags",
    tag = "tags",
    params(Filter),
    responses((status = 200, body = Envelope<Vec<TagRef>>)),
)]
async fn list(State(app): State<AppState>, Query(filter): Query<Filter>) -> ApiResult<Data<Vec<TagRef>>> {
    let search = search_text("search", filter.search.as_deref())?;
    let tags = sqlx::query_as!(
        TagRef,
        "
        select id, nama
        from tags
        where deleted_at is null and ($1::text is null or nama ilike $1)
        order by nama, id
        limit 1000
        ",
        search,
    )
    .fetch_all(&app.db)
    .await?;
    Ok(Data::new(tags))
}
