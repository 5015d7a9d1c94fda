use axum::extract::State;
use grafikarsa_http::{
    ApiResult, Data, DeferredBody, Envelope, FieldErrors, Id, nullable, optional_text, required_line, required_text,
};
use serde::Deserialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::SeriesDetail;
use crate::{
    AppState,
    admin::audit,
    capabilities::{Caller, Capability},
};

const BLOCK_TYPES: [&str; 6] = ["text", "image", "table", "youtube", "button", "embed"];
const MOST_BLOCKS: usize = 50;

#[derive(Debug, Deserialize, ToSchema)]
pub struct SeriesInput {
    /// 1 to 100 characters.
    nama: Option<String>,
    /// At most 2000 characters.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    deskripsi: Option<Option<String>>,
    /// Absent: true.
    is_active: Option<bool>,
    /// 1 to 50, in their order.
    blocks: Option<Vec<BlockInput>>,
}

#[derive(Debug, Deserialize, ToSchema)]
struct BlockInput {
    /// `text`, `image`, `table`, `youtube`, `button` or `embed`.
    block_type: Option<String>,
    /// 1 to 1000 characters.
    instruksi: Option<String>,
}

/// What is to be written; absent is unchanged.
struct Checked {
    nama: Option<String>,
    deskripsi: Option<Option<String>>,
    is_active: Option<bool>,
    /// Types and instructions.
    blocks: Option<(Vec<String>, Vec<String>)>,
}

impl SeriesInput {
    fn check(self, is_new: bool) -> ApiResult<Checked> {
        let mut errors = FieldErrors::new();
        let nama = (is_new || self.nama.is_some())
            .then(|| required_line(&mut errors, "nama", "Nama", self.nama.as_deref(), 1..=100));
        let deskripsi = self
            .deskripsi
            .map(|deskripsi| optional_text(&mut errors, "deskripsi", "Deskripsi", deskripsi.as_deref(), 0..=2000));
        let blocks = (is_new || self.blocks.is_some())
            .then(|| check_blocks(&mut errors, self.blocks.as_deref().unwrap_or_default()));
        errors.finish()?;
        Ok(Checked { nama, deskripsi, is_active: self.is_active, blocks })
    }
}

fn check_blocks(errors: &mut FieldErrors, blocks: &[BlockInput]) -> (Vec<String>, Vec<String>) {
    if blocks.is_empty() || blocks.len() > MOST_BLOCKS {
        errors.add("blocks", format!("Series harus memiliki 1 sampai {MOST_BLOCKS} blok"));
        return Default::default();
    }
    let check = |(place, block): (usize, &BlockInput)| {
        let block_type = block.block_type.as_deref().unwrap_or_default().trim();
        if !BLOCK_TYPES.contains(&block_type) {
            errors.add(format!("blocks[{place}].block_type"), "Jenis blok tidak dikenal");
        }
        let field = format!("blocks[{place}].instruksi");
        let instruksi = required_text(errors, &field, "Instruksi", block.instruksi.as_deref(), 1..=1000);
        (block_type.to_owned(), instruksi)
    };
    blocks.iter().enumerate().map(check).unzip()
}

/// Creates a template.
#[utoipa::path(
    post,
    path = "/api/v1/admin/series",
    tag = "admin content",
    request_body = SeriesInput,
    security(("bearer" = [])),
    responses((status = 201, body = Envelope<SeriesDetail>)),
)]
pub async fn create(
    State(app): State<AppState>,
    caller: Caller,
    body: DeferredBody<SeriesInput>,
) -> ApiResult<Data<SeriesDetail>> {
    caller.require(Capability::Series)?;
    let new = body.read().await?.check(true)?;
    let id = Uuid::now_v7();
    let mut tx = app.db.begin().await?;
    sqlx::query!(
        "insert into series (id, nama, deskripsi, is_active) values ($1, $2, $3, $4)",
        id,
        new.nama,
        new.deskripsi.flatten(),
        new.is_active.unwrap_or(true),
    )
    .execute(&mut *tx)
    .await
    .map_err(super::duplicate)?;
    if let Some(blocks) = &new.blocks {
        insert_blocks(&mut tx, id, blocks).await?;
    }
    audit::record(&mut tx, caller.id, "series.create", id, &["nama", "deskripsi", "is_active", "blocks"]).await?;
    let series = super::load(&mut tx, id).await?;
    tx.commit().await?;
    Ok(Data::created(series).message("Series berhasil dibuat"))
}

/// Changes a template; blocks that are sent take the place of all. Portfolios made with it stay as they are.
#[utoipa::path(
    patch,
    path = "/api/v1/admin/series/{id}",
    tag = "admin content",
    params(("id" = Uuid, Path)),
    request_body = SeriesInput,
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<SeriesDetail>)),
)]
pub async fn update(
    State(app): State<AppState>,
    caller: Caller,
    Id(id): Id,
    body: DeferredBody<SeriesInput>,
) -> ApiResult<Data<SeriesDetail>> {
    caller.require(Capability::Series)?;
    super::load(&mut *app.db.acquire().await?, id).await?;
    let change = body.read().await?.check(false)?;
    let changed: Vec<&str> = [
        change.nama.is_some().then_some("nama"),
        change.deskripsi.is_some().then_some("deskripsi"),
        change.is_active.is_some().then_some("is_active"),
        change.blocks.is_some().then_some("blocks"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let mut tx = app.db.begin().await?;
    if !changed.is_empty() {
        let updated = sqlx::query!(
            "
            update series
            set nama = coalesce($2, nama),
                deskripsi = case when $3 then $4 else deskripsi end,
                is_active = coalesce($5, is_active),
                updated_at = now()
            where id = $1 and deleted_at is null
            ",
            id,
            change.nama,
            change.deskripsi.is_some(),
            change.deskripsi.flatten(),
            change.is_active,
        )
        .execute(&mut *tx)
        .await
        .map_err(super::duplicate)?;
        if updated.rows_affected() == 0 {
            return Err(super::not_found());
        }
        if let Some(blocks) = &change.blocks {
            sqlx::query!("delete from series_blocks where series_id = $1", id).execute(&mut *tx).await?;
            insert_blocks(&mut tx, id, blocks).await?;
        }
        audit::record(&mut tx, caller.id, "series.update", id, &changed).await?;
    }
    let series = super::load(&mut tx, id).await?;
    tx.commit().await?;
    Ok(Data::new(series).message("Series berhasil diperbarui"))
}

async fn insert_blocks(
    connection: &mut PgConnection,
    series: Uuid,
    (types, instructions): &(Vec<String>, Vec<String>),
) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = types.iter().map(|_| Uuid::now_v7()).collect();
    sqlx::query!(
        "
        insert into series_blocks (id, series_id, block_type, block_order, instruksi)
        select b.id, $1, b.block_type, (b.place - 1)::integer, b.instruksi
        from unnest($2::uuid[], $3::text[], $4::text[]) with ordinality as b (id, block_type, instruksi, place)
        ",
        series,
        &ids,
        types,
        instructions,
    )
    .execute(connection)
    .await
    .map(drop)
}
