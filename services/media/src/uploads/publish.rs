//! What a confirmation does with the bytes: inspect, write under the final key, commit with the event, wait for portfolio.

use std::time::Duration;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use futures_util::future::{try_join, try_join_all};
use grafikarsa_events::outbox;
use grafikarsa_http::{ApiError, ApiResult};
use proto_events::media::v1::{UploadConfirmed, Variant};
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    confirm::{Upload, already_confirmed, late},
    contents, keys,
    kinds::Kind,
};
use crate::{
    app::AppState,
    images::{self, BadImage, Format, Rendering, pool::Room},
};

/// How long the answer waits until portfolio has set its fields. The event is durable either way.
const APPLIED: Duration = Duration::from_secs(2);

/// A file that may be published.
#[derive(Debug)]
pub(crate) struct Inspected {
    pub(crate) content_type: &'static str,
    pub(crate) bytes: Bytes,
    /// Width and height.
    pub(crate) size: Option<(u32, u32)>,
    /// ThumbHash in base64.
    pub(crate) placeholder: Option<String>,
    variants: Vec<Rendering>,
    /// For as long as the bytes are held.
    #[expect(dead_code, reason = "it is held, not read")]
    room: Room,
}

/// Why a file is not published.
pub(crate) enum Refused {
    /// It never will be.
    File(ApiError),
    /// It may be tried again.
    ForNow(ApiError),
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Self::ForNow(error)
    }
}

impl From<anyhow::Error> for Refused {
    fn from(error: anyhow::Error) -> Self {
        Self::ForNow(ApiError::unavailable().because(error))
    }
}

/// An archive's list of contents takes several times its bytes when it is read.
const TIMES_ARCHIVE: u64 = 8;

/// Checks size, type and picture of what was PUT. The bytes that were checked are the ones that are published: another
/// PUT of the same URL meanwhile changes nothing.
pub(super) async fn inspect(app: &AppState, upload: &Upload, deadline: Instant) -> Result<Inspected, Refused> {
    let declared = u64::try_from(upload.declared_size).unwrap_or(0);
    let room = app.images.room(declared, deadline).await?;
    let object = app
        .store
        .get(&keys::staging(upload.id), None)
        .await?
        .ok_or_else(|| ApiError::bad_request("OBJECT_NOT_FOUND", "File belum diunggah, silakan unggah kembali"))?;
    if object.size > declared {
        let message = "Ukuran file melebihi yang didaftarkan";
        return Err(Refused::File(ApiError::bad_request("FILE_TOO_LARGE", message)));
    }
    if object.size < declared {
        return Err(invalid("File tidak terunggah seluruhnya"));
    }
    look_into(app, upload.kind, object.collect().await?, room, deadline).await
}

/// Checks that the bytes are of a type for `kind`, and makes of them what is published.
pub(crate) async fn look_into(
    app: &AppState,
    kind: Kind,
    bytes: Bytes,
    room: Room,
    deadline: Instant,
) -> Result<Inspected, Refused> {
    let size = bytes.len() as u64;
    let found = if kind == Kind::Document {
        let file = bytes.clone();
        let work = move || Ok(contents::sniff(&file));
        app.images.run(TIMES_ARCHIVE * size, &room, deadline, work).await?.map_err(refused)?
    } else {
        contents::sniff(&bytes)
    };
    let found = found.filter(|found| kind.content_types().contains(found));
    let Some(content_type) = found else {
        let message = "Isi file bukan tipe yang diperbolehkan";
        return Err(Refused::File(ApiError::bad_request("INVALID_CONTENT_TYPE", message)));
    };
    let Some(format) = Format::of(content_type) else {
        return Ok(Inspected { content_type, bytes, size: None, placeholder: None, variants: Vec::new(), room });
    };
    let header = images::header(format, &bytes).map_err(refused)?;
    let widths = kind.variant_widths();
    let work = move || images::publish(format, &bytes, header, widths);
    // The cleaned copy is as large as the file.
    let picture = app.images.run(header.memory + size, &room, deadline, work).await?.map_err(refused)?;
    Ok(Inspected {
        content_type,
        bytes: picture.bytes,
        size: Some((picture.width, picture.height)),
        placeholder: Some(picture.placeholder),
        variants: picture.variants,
        room,
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

/// Writes the objects. Until the commit nobody can see them, and a repetition writes the same ones again.
pub(crate) async fn write(app: &AppState, object_key: &str, file: &Inspected) -> anyhow::Result<()> {
    let picture = app.store.put(object_key, file.content_type, file.bytes.clone());
    let renderings = file.variants.iter().map(|it| write_variant(app, object_key, file.content_type, it));
    try_join(picture, try_join_all(renderings)).await.map(drop)
}

/// Writes a rendering in both its forms.
pub(crate) async fn write_variant(
    app: &AppState,
    object_key: &str,
    content_type: &str,
    variant: &Rendering,
) -> anyhow::Result<()> {
    app.store.put(&keys::variant(object_key, variant.width), content_type, variant.bytes.clone()).await?;
    if let Some(webp) = &variant.webp {
        app.store.put(&keys::webp_variant(object_key, variant.width), "image/webp", webp.clone()).await?;
    }
    Ok(())
}

/// Commits rows and event together, unless `deadline` is over: the client is being told then that nothing happened.
pub(super) async fn commit(
    app: &AppState,
    upload: &Upload,
    claim: Uuid,
    file: Inspected,
    deadline: Instant,
) -> ApiResult<Option<String>> {
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
    insert(&mut tx, upload, &file).await?;
    let event = outbox::append(&mut tx, &announcement(app, upload, &file), upload.id, 1).await?;
    // Before the commit, or the signal could come before anybody listens.
    let applied = app.bus.await_applied(event).await.map_err(|error| ApiError::unavailable().because(error))?;
    if Instant::now() >= deadline {
        return Err(late());
    }
    tx.commit().await?;
    tracing::info!(
        upload = %upload.id, kind = upload.kind.as_str(), content_type = file.content_type,
        size = file.bytes.len(), "an upload was published"
    );
    let placeholder = file.placeholder.clone();
    // Others may need the room more than this wait does.
    drop(file);
    if !applied.wait(APPLIED).await {
        tracing::warn!(upload = %upload.id, "portfolio has not applied the upload yet");
    }
    Ok(placeholder)
}

/// The rows of what was written: from the commit on it is served.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    upload: &Upload,
    file: &Inspected,
) -> Result<(), sqlx::Error> {
    let side = |pick: fn((u32, u32)) -> u32| file.size.map(pick).and_then(|side| i32::try_from(side).ok());
    sqlx::query!(
        "
        insert into objects
            (object_key, upload_id, kind, owner_id, portfolio_id, block_id, content_type, size, etag, width, height,
             placeholder, filename, look_again_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, now() + grace($3))
        ",
        upload.object_key,
        upload.id,
        upload.kind.as_str(),
        upload.owner_id,
        upload.portfolio_id,
        upload.block_id,
        file.content_type,
        size(&file.bytes),
        etag(&file.bytes),
        side(|(width, _)| width),
        side(|(_, height)| height),
        file.placeholder,
        upload.filename,
    )
    .execute(&mut *connection)
    .await?;
    for variant in &file.variants {
        insert_variant(connection, &upload.object_key, variant).await?;
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
        insert into variants (object_key, width, height, stored_key, size, etag, webp_size, webp_etag)
        values ($1, $2, $3, $4, $5, $6, $7, $8)
        on conflict (object_key, width) do update set
            height = excluded.height,
            size = excluded.size,
            etag = excluded.etag,
            webp_size = excluded.webp_size,
            webp_etag = excluded.webp_etag
        ",
        object_key,
        i32::try_from(variant.width).unwrap_or(i32::MAX),
        i32::try_from(variant.height).unwrap_or(i32::MAX),
        keys::variant(object_key, variant.width),
        size(&variant.bytes),
        etag(&variant.bytes),
        variant.webp.as_ref().map(size),
        variant.webp.as_deref().map(etag),
    )
    .execute(connection)
    .await
    .map(drop)
}

fn size(bytes: &Bytes) -> i64 {
    i64::try_from(bytes.len()).unwrap_or(i64::MAX)
}

/// A strong validator: other bytes, other text.
pub(crate) fn etag(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes)[..16])
}

fn announcement(app: &AppState, upload: &Upload, file: &Inspected) -> UploadConfirmed {
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
        size: size(&file.bytes),
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
