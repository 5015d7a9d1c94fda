//! Changelogs in the back office. The editor sends new pictures inside of the JSON, as `data:` URLs; they are stored by
//! media before anything is saved, and what is saved holds their addresses only.

use std::{future::Future, time::Duration};

use axum::extract::DefaultBodyLimit;
use grafikarsa_http::{ApiError, ApiResult, DeferredBody};
use http::{HeaderValue, header::RETRY_AFTER};
use serde::de::DeserializeOwned;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout},
};
use tracing::Instrument as _;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::AppState;

mod block;
mod bounded;
mod create;
mod delete;
mod detail;
mod entry;
mod input;
mod list;
mod pictures;
mod publish;
mod update;
mod write;

/// The routes that take pictures.
pub const PATH: &str = "/api/v1/admin/changelogs";
pub const PATH_OF_ONE: &str = "/api/v1/admin/changelogs/{id}";
/// A little less than nginx waits for the answer.
pub const TIME_LIMIT: Duration = Duration::from_secs(58);

const BODY_LIMIT: usize = 32 * 1024 * 1024;

/// Such bodies that a replica holds at once: each may fill three times its size while it is read.
static PLACES: Semaphore = Semaphore::const_new(2);
/// How long a further one waits for its turn.
const TURN: Duration = Duration::from_secs(10);
/// nginx has the whole body before it sends any of it.
const READING: Duration = Duration::from_secs(20);
/// From the beginning of a request until its pictures are stored: what is left is for writing, so that nobody is told that
/// nothing was saved when something was.
const STORING: Duration = Duration::from_secs(45);

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list::list, create::create))
        .routes(routes!(detail::detail, update::update, delete::delete))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .routes(routes!(publish::publish))
        .routes(routes!(publish::unpublish))
}

/// The right to hold a large body.
struct Turn {
    _place: SemaphorePermit<'static>,
    /// Until then everything has to be checked and stored.
    deadline: Instant,
}

impl Turn {
    /// Waits for a place, before a byte of the body is read.
    async fn take() -> ApiResult<Self> {
        let deadline = Instant::now() + STORING;
        let busy = |_| ApiError::unavailable().with_header(RETRY_AFTER, HeaderValue::from(TURN.as_secs()));
        let place = timeout(TURN, PLACES.acquire()).await.map_err(busy)?.map_err(ApiError::internal)?;
        Ok(Self { _place: place, deadline })
    }

    async fn read<T: DeserializeOwned>(&self, body: DeferredBody<T>) -> ApiResult<T> {
        timeout(READING, body.read()).await.map_err(|late| ApiError::unavailable().because(late))?
    }
}

/// Does `work` to its end even when the caller hangs up: pictures that are stored are saved, or released.
async fn to_the_end<T: Send + 'static>(work: impl Future<Output = ApiResult<T>> + Send + 'static) -> ApiResult<T> {
    tokio::spawn(work.instrument(tracing::Span::current())).await.map_err(ApiError::internal)?
}
