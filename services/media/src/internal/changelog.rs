use anyhow::anyhow;
use axum::{
    body::{Body, to_bytes},
    extract::{Path, State},
    http::{HeaderMap, header},
};
use grafikarsa_http::{ApiError, ApiResult, Data};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;
use uuid::Uuid;

use super::{Stored, keep, promise};
use crate::{
    app::AppState,
    uploads::{
        confirm::Upload,
        keys,
        kinds::Kind,
        publish::{self, Refused},
    },
};

/// Stores a picture of a changelog: the body is the file. Each call stores one of its own.
pub(super) async fn store(
    State(app): State<AppState>,
    Path(changelog): Path<Uuid>,
    headers: HeaderMap,
    body: Body,
) -> ApiResult<Data<Stored>> {
    let deadline = Instant::now() + app.confirm_time_limit;
    let too_large = || ApiError::bad_request("FILE_TOO_LARGE", "Ukuran gambar maksimal 10 MB");
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let length = length.ok_or_else(|| ApiError::syntax("body", "Ukuran gambar tidak diketahui"))?;
    if length > u64::try_from(Kind::ChangelogImage.max_bytes()).unwrap_or(0) {
        return Err(too_large());
    }
    let late = || ApiError::unavailable().because(anyhow!("a picture took too long"));
    let unavailable = |error: anyhow::Error| ApiError::unavailable().because(error);
    let room = app.images.room(length, deadline).await.map_err(unavailable)?;
    let reading = to_bytes(body, usize::try_from(length).unwrap_or(0));
    let bytes = timeout_at(deadline, reading).await.map_err(|_| late())?.map_err(|_| too_large())?;
    let work = async move {
        let looking = publish::look_into(&app, Kind::ChangelogImage, bytes, room, deadline);
        let file = match timeout_at(deadline, looking).await.map_err(|_| late())? {
            Ok(file) => file,
            Err(Refused::File(error) | Refused::ForNow(error)) => return Err(error),
        };
        let object_key = keys::new(Kind::ChangelogImage, changelog, file.content_type);
        let upload = Upload {
            id: Uuid::now_v7(),
            kind: Kind::ChangelogImage,
            owner_id: changelog,
            portfolio_id: None,
            block_id: None,
            filename: String::new(),
            declared_size: i64::try_from(length).unwrap_or(0),
            object_key: object_key.ok_or_else(|| anyhow!("a picture without an ending"))?,
        };
        promise(&app.db, &upload, file.content_type).await?;
        let writing = publish::write(&app, &upload.object_key, &file);
        timeout_at(deadline, writing).await.map_err(|_| late())?.map_err(unavailable)?;
        let mut tx = app.db.begin().await?;
        publish::insert(&mut tx, &upload, &file).await?;
        if !keep(&mut tx, &upload).await? {
            return Err(late());
        }
        tx.commit().await?;
        tracing::info!(upload = %upload.id, %changelog, size = file.bytes.len(), "a picture of a changelog was stored");
        let side = |side: u32| i32::try_from(side).unwrap_or(i32::MAX);
        let (width, height) = file.size.unwrap_or_default();
        Ok(Data::new(Stored {
            url: app.url(&upload.object_key),
            object_key: upload.object_key,
            upload_id: upload.id,
            content_type: file.content_type.to_owned(),
            size: i64::try_from(file.bytes.len()).unwrap_or(i64::MAX),
            width: side(width),
            height: side(height),
            placeholder: file.placeholder.unwrap_or_default(),
        }))
    };
    // In a task of its own: what has begun is not dropped in the middle because the caller hangs up.
    tokio::spawn(work.instrument(tracing::Span::current())).await.map_err(ApiError::internal)?
}
