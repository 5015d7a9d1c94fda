use axum::extract::State;
use grafikarsa_http::{ApiError, ApiResult, Page, PageEnvelope, Paging, Query};
use serde::Deserialize;
use sqlx::{Postgres, QueryBuilder};
use utoipa::IntoParams;
use uuid::Uuid;

use super::{KelasDetail, Row};
use crate::{
    AppState,
    capabilities::{Caller, Capability},
    portfolios::filters,
    window,
};

#[derive(Debug, Deserialize, IntoParams)]
pub struct Filter {
    tahun_ajaran_id: Option<String>,
    jurusan_id: Option<String>,
    /// 10, 11 or 12.
    tingkat: Option<String>,
}

struct Filters {
    year: Option<Uuid>,
    jurusan: Option<Uuid>,
    tingkat: Option<i32>,
}

impl Filters {
    fn push(&self, query: &mut QueryBuilder<Postgres>) {
        if let Some(year) = self.year {
            query.push(" and k.tahun_ajaran_id = ").push_bind(year);
        }
        if let Some(jurusan) = self.jurusan {
            query.push(" and k.jurusan_id = ").push_bind(jurusan);
        }
        if let Some(tingkat) = self.tingkat {
            query.push(" and k.tingkat = ").push_bind(tingkat);
        }
    }
}

/// Classes, those of the active year first.
#[utoipa::path(
    get,
    path = "/api/v1/admin/kelas",
    tag = "admin academic",
    params(Filter, ("page" = Option<i64>, Query), ("limit" = Option<i64>, Query)),
    security(("bearer" = [])),
    responses((status = 200, body = PageEnvelope<KelasDetail>)),
)]
pub async fn list(
    State(app): State<AppState>,
    caller: Caller,
    Query(filter): Query<Filter>,
    paging: Paging,
) -> ApiResult<Page<KelasDetail>> {
    let filters = Filters {
        year: filters::uuid("tahun_ajaran_id", filter.tahun_ajaran_id.as_deref())?,
        jurusan: filters::uuid("jurusan_id", filter.jurusan_id.as_deref())?,
        tingkat: match filter.tingkat.as_deref().map(str::trim) {
            None | Some("") => None,
            Some("10") => Some(10),
            Some("11") => Some(11),
            Some("12") => Some(12),
            Some(_) => return Err(ApiError::syntax("tingkat", "Tingkat harus 10, 11, atau 12")),
        },
    };
    caller.require_any(&[Capability::Classes, Capability::Users, Capability::Series])?;
    let window = paging.with(1000, 1000);
    let mut count = QueryBuilder::new("select count(*) from kelas k where k.deleted_at is null");
    filters.push(&mut count);
    let total: i64 = count.build_query_scalar().fetch_one(&app.db).await?;
    let mut query = super::select();
    filters.push(&mut query);
    query.push(" order by t.is_active desc, t.tahun_mulai desc, k.tingkat, k.nama, k.id");
    window::push(&mut query, window);
    let rows: Vec<Row> = query.build_query_as().fetch_all(&app.db).await?;
    Ok(Page::new(rows.into_iter().map(KelasDetail::from).collect(), window, total))
}
