//! What a confirmation does with the bytes: inspect, write under the final key, commit with the event, wait for portfolio.

use std::time::Duration;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use grafikarsa_events::outbox;
use grafikarsa_http::{ApiError, ApiResult};
use proto_events::media::v1::{UploadConfirmed, Variant};
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    confirm::{Upload, already_confirmed},
    contents, keys,
};
use crate::{
    app::AppState,
    images::{self, BadImage, Format, Rendering},
    store::Object,
};

/// How long the answer waits until portfolio has set its fields. The event is durable either way.
const APPLIED: Duration = Duration::from_secs(2);

/// A file that may be published.
#[derive(Debug)]
pub(super) struct Inspected {
    content_type: &'static str,
    bytes: Bytes,
    size: Option<(u32, u32)>,
    placeholder: Option<String>,
    variants: Vec<Rendering>,
}

/// Why a file is not published.
pub(super) enum Refused {
    /// It will never be.
    File(ApiError),
    /// Nothing is known about it.
    Unavailable(anyhow::Error),
}

impl From<anyhow::Error> for Refused {
    fn from(error: anyhow::Error) -> Self {
        Self::Unavailable(error)
    }
}

/// Checks size, type and picture. The bytes that were checked are the ones that are published: another PUT of the same
/// URL meanwhile changes nothing.
pub(super) async fn inspect(app: &AppState, upload: &Upload, object: Object) -> Result<Inspected, Refused> {
    let declared = u64::try_from(upload.declared_size).unwrap_or(0);
    if object.size > declared {
        let message = "Ukuran file melebihi yang didaftarkan";
        return Err(Refused::File(ApiError::bad_request("FILE_TOO_LARGE", message)));
    }
    if object.size < declared {
        return Err(invalid("File tidak terunggah seluruhnya"));
    }
    let bytes = object.collect().await?;
    let found = contents::sniff(&bytes).filter(|found| upload.kind.content_types().contains(found));
    let Some(content_type) = found else {
        let message = "Isi file bukan tipe yang diperbolehkan";
        return Err(Refused::File(ApiError::bad_request("INVALID_CONTENT_TYPE", message)));
    };
    let Some(format) = Format::of(content_type) else {
        return Ok(Inspected { content_type, bytes, size: None, placeholder: None, variants: Vec::new() });
    };
    let header = images::header(format, &bytes).map_err(refused)?;
    let widths = upload.kind.variant_widths();
    let length = bytes.len();
    let work = move || images::publish(format, &bytes, header, widths);
    let picture = app.images.run(header, length, work).await?.map_err(refused)?;
    Ok(Inspected {
        content_type,
        bytes: picture.bytes,
        size: Some((picture.width, picture.height)),
        placeholder: Some(picture.placeholder),
        variants: picture.variants,
    })
}

fn refused(why: BadImage) -> Refused {
    match why {
        BadImage::TooLarge => invalid("Gambar maksimal 10.000 piksel per sisi dan 50 megapiksel"),
        BadImage::TooHungry => invalid("Gambar terlalu besar untuk diproses"),
        BadImage::Undecodable => invalid("File rusak atau tidak dapat dibaca"),
    }
}

fn invalid(message: &'static str) -> Refused {
    Refused::File(ApiError::bad_request("INVALID_FILE", message))
}

/// Writes the objects, then commits rows and event together. Until the commit nobody can see the objects, and a
/// repetition writes the same ones again.
pub(super) async fn publish(app: &AppState, upload: &Upload, claim: Uuid, file: Inspected) -> ApiResult<()> {
    let unavailable = |error: anyhow::Error| ApiError::unavailable().because(error);
    let size = i64::try_from(file.bytes.len()).map_err(ApiError::internal)?;
    let etag = etag(&file.bytes);
    app.store.put(&upload.object_key, file.content_type, file.bytes.clone()).await.map_err(unavailable)?;
    for variant in &file.variants {
        let key = keys::variant(&upload.object_key, variant.width);
        app.store.put(&key, file.content_type, variant.bytes.clone()).await.map_err(unavailable)?;
    }

    let mut tx = app.db.begin().await?;
    let won = sqlx::query!(
        "
        update uploads
        set state = 'confirmed',
            settled_at = now()
        where id = $1
          and state = 'issued'
          and claim = $2
        ",
        upload.id,
        claim,
    )
    .execute(&mut *tx)
    .await?
    .rows_affected();
    if won == 0 {
        return Err(already_confirmed());
    }
    let side = |pick: fn((u32, u32)) -> u32| file.size.map(pick).and_then(|side| i32::try_from(side).ok());
    sqlx::query!(
        "
        insert into objects
            (object_key, upload_id, kind, owner_id, portfolio_id, block_id, content_type, size, etag, width, height,
             placeholder, filename)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        ",
        upload.object_key,
        upload.id,
        upload.kind.as_str(),
        upload.owner_id,
        upload.portfolio_id,
        upload.block_id,
        file.content_type,
        size,
        etag,
        side(|(width, _)| width),
        side(|(_, height)| height),
        file.placeholder,
        upload.filename,
    )
    .execute(&mut *tx)
    .await?;
    for variant in &file.variants {
        insert_variant(&mut tx, &upload.object_key, variant).await?;
    }
    let event = outbox::append(&mut tx, &announcement(app, upload, &file, size), upload.id, 1).await?;
    // Before the commit, or the signal could come before anybody listens.
    let applied = app.bus.await_applied(event).await.map_err(|error| ApiError::unavailable().because(error))?;
    tx.commit().await?;
    tracing::info!(
        upload = %upload.id, kind = upload.kind.as_str(), content_type = file.content_type, size,
        "an upload was published"
    );
    if !applied.wait(APPLIED).await {
        tracing::warn!(upload = %upload.id, "portfolio has not applied the upload yet");
    }
    Ok(())
}

/// Records a rendering; of two made at once, either will do.
pub(crate) async fn insert_variant(
    connection: &mut PgConnection,
    object_key: &str,
    variant: &Rendering,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "
        insert into variants (object_key, width, height, stored_key, size, etag)
        values ($1, $2, $3, $4, $5, $6)
        on conflict (object_key, width) do update set
            height = excluded.height,
            size = excluded.size,
            etag = excluded.etag
        ",
        object_key,
        i32::try_from(variant.width).unwrap_or(i32::MAX),
        i32::try_from(variant.height).unwrap_or(i32::MAX),
        keys::variant(object_key, variant.width),
        i64::try_from(variant.bytes.len()).unwrap_or(i64::MAX),
        etag(&variant.bytes),
    )
    .execute(connection)
    .await
    .map(drop)
}

/// A strong validator: other bytes, other text.
pub(crate) fn etag(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes)[..16])
}

fn announcement(app: &AppState, upload: &Upload, file: &Inspected, size: i64) -> UploadConfirmed {
    let (width, height) = file.size.unwrap_or_default();
    UploadConfirmed {
        upload_id: upload.id.to_string(),
        kind: upload.kind.as_str().to_owned(),
        owner_id: upload.owner_id.to_string(),
        portfolio_id: upload.portfolio_id.map(|id| id.to_string()),
        block_id: upload.block_id.map(|id| id.to_string()),
        object_key: upload.object_key.clone(),
        url: app.url(&upload.object_key),
        content_type: file.content_type.to_owned(),
        size,
        width,
        height,
        placeholder: file.placeholder.clone().unwrap_or_default(),
        variants: file
            .variants
            .iter()
            .map(|variant| Variant {
                width: variant.width,
                object_key: keys::variant(&upload.object_key, variant.width),
            })
            .collect(),
    }
}
