use axum::extract::State;
use grafikarsa_http::{ApiError, ApiResult, Data, Envelope, Id, Page, PageEnvelope, Paging, Query, search_text};
use serde::Deserialize;
use sqlx::{Postgres, QueryBuilder};
use utoipa::IntoParams;

use super::{Feedback, FeedbackStatus, Kategori, Row, load, select};
use crate::{
    AppState,
    capabilities::{Caller, Capability},
    totals, window,
};

#[derive(Debug, Deserialize, IntoParams)]
pub struct Filter {
    /// `pending`, `read` or `resolved`.
    status: Option<String>,
    /// `bug`, `saran` or `lainnya`.
    kategori: Option<String>,
    /// Part of the text, or of its author's name or user name.
    search: Option<String>,
}

struct Filters {
    status: Option<FeedbackStatus>,
    kategori: Option<Kategori>,
    search: Option<String>,
}

impl Filter {
    fn read(&self) -> ApiResult<Filters> {
        let unknown = |field| ApiError::syntax(field, "Nilai filter tidak dikenal");
        let given = |value: Option<&str>| value.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        let status = given(self.status.as_deref())
            .map(|text| FeedbackStatus::parse(&text).ok_or_else(|| unknown("status")))
            .transpose()?;
        let kategori = given(self.kategori.as_deref())
            .map(|text| Kategori::parse(&text).ok_or_else(|| unknown("kategori")))
            .transpose()?;
        Ok(Filters { status, kategori, search: search_text("search", self.search.as_deref())? })
    }
}

impl Filters {
    fn push(&self, query: &mut QueryBuilder<Postgres>) {
        if let Some(status) = self.status {
            query.push(" and f.status = ").push_bind(status.as_str());
        }
        if let Some(kategori) = self.kategori {
            query.push(" and f.kategori = ").push_bind(kategori.as_str());
        }
        if let Some(pattern) = &self.search {
            // Authors as an array, found before the messages are looked at: so both sides of the `or` have an index. The
            // index of people is on their names and bios together; of these the names count.
            query.push(" and (f.pesan ilike ").push_bind(pattern.clone());
            query.push(
                " or f.user_id = any(array(select o.id from users o where o.deleted_at is null and o.search_text ilike ",
            );
            query.push_bind(pattern.clone());
            query.push(" and (o.nama ilike ").push_bind(pattern.clone());
            query.push(" or o.username ilike ").push_bind(pattern.clone()).push("))))");
        }
    }
}

/// Messages, the newest first. Looking at them changes nothing.
#[utoipa::path(
    get,
    path = "/api/v1/admin/feedback",
    tag = "feedback",
    operation_id = "list_feedback",
    params(Filter, ("page" = Option<i64>, Query), ("limit" = Option<i64>, Query)),
    security(("bearer" = [])),
    responses((status = 200, body = PageEnvelope<Feedback>)),
)]
pub async fn list(
    State(app): State<AppState>,
    caller: Caller,
    Query(filter): Query<Filter>,
    paging: Paging,
) -> ApiResult<Page<Feedback>> {
    let filters = filter.read()?;
    caller.require(Capability::Feedback)?;
    let window = paging.with(20, 100);
    let mut query = select();
    filters.push(&mut query);
    query.push(" order by f.created_at desc, f.id desc");
    window::push(&mut query, window);
    let rows: Vec<Row> = query.build_query_as().fetch_all(&app.db).await?;
    let total = match totals::of_last_page(window, rows.len()) {
        Some(total) => total,
        None => {
            let mut count = QueryBuilder::new("select count(*) from feedback f where true");
            filters.push(&mut count);
            count.build_query_scalar().fetch_one(&app.db).await?
        }
    };
    Ok(Page::new(rows.into_iter().map(Feedback::from).collect(), window, total))
}

/// One message.
#[utoipa::path(
    get,
    path = "/api/v1/admin/feedback/{id}",
    tag = "feedback",
    operation_id = "get_feedback",
    params(("id" = uuid::Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Feedback>)),
)]
pub async fn detail(State(app): State<AppState>, caller: Caller, Id(id): Id) -> ApiResult<Data<Feedback>> {
    caller.require(Capability::Feedback)?;
    Ok(Data::new(load(&mut *app.db.acquire().await?, id).await?))
}
