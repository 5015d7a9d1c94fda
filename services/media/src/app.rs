use std::{sync::Arc, time::Duration};

use axum::Router;
use grafikarsa_events::{Bus, Consumer, Relay};
use grafikarsa_http::{InternalClient, Service, database, openapi::document};
use grafikarsa_jwt::{RevocationList, TokenKeys, Verifier};
use sqlx::PgPool;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::{Settings, events, images::pool::ImagePool, internal, storage, store::Store, sweeps, uploads};

/// A call to portfolio happens inside of a request: what takes longer is as good as down.
const INTERNAL_DEADLINE: Duration = Duration::from_secs(3);

/// What handlers work with. Cheap to clone.
#[derive(Clone)]
pub(crate) struct AppState {
    pub(crate) db: PgPool,
    pub(crate) bus: Bus,
    pub(crate) store: Store,
    pub(crate) images: ImagePool,
    pub(crate) portfolio: InternalClient,
    pub(crate) signatures: storage::Signatures,
    /// What public addresses of objects begin with.
    pub(crate) storage_base: Arc<str>,
    /// How long a confirmation may take until its commit.
    pub(crate) confirm_time_limit: Duration,
}

impl AppState {
    fn new(settings: &Settings, db: PgPool, bus: Bus) -> anyhow::Result<Self> {
        Ok(Self {
            db,
            bus,
            store: Store::new(&settings.store),
            images: ImagePool::new(),
            portfolio: InternalClient::new(
                settings.portfolio_url()?,
                &settings.http.internal_token,
                INTERNAL_DEADLINE,
            )?,
            signatures: storage::Signatures::new(&settings.http.internal_token),
            storage_base: settings.storage_base.clone().into(),
            confirm_time_limit: settings.confirm_time_limit,
        })
    }

    /// The public address of an object.
    pub(crate) fn url(&self, object_key: &str) -> String {
        format!("{}/{object_key}", self.storage_base)
    }
}

/// The description of the public routes.
pub fn openapi() -> OpenApi {
    let mut document = routes().into_openapi();
    document.merge(storage::documentation());
    document.merge(uploads::documentation());
    document
}

fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(document()).merge(uploads::routes())
}

fn api(app: AppState) -> Router {
    let (router, _) = routes().split_for_parts();
    router.with_state(app)
}

/// Runs the service until `shutdown`.
///
/// # Errors
/// PostgreSQL or NATS cannot be reached, migrations are pending, or a port is taken.
pub async fn serve(settings: Settings, shutdown: CancellationToken) -> anyhow::Result<()> {
    let db = database::connect(&settings.database, "media").await?;
    database::prepare(&settings.database, &db, crate::migrator()).await?;
    let bus = Bus::connect(&settings.events, "media").await?;
    // Ends after the last request, so that what that wrote is still told and no ended session comes through.
    let last = CancellationToken::new();
    let revocations = RevocationList::watch(bus.client().clone(), bus.namespace(), last.clone());
    let keys = TokenKeys::new(&settings.access_secret, settings.access_lifetime);
    let app = AppState::new(&settings, db.clone(), bus.clone())?;

    let background = TaskTracker::new();
    if settings.store.create_bucket {
        background.spawn(create_bucket(app.store.clone(), shutdown.clone()));
    }
    background.spawn(Relay::new(bus.clone(), (*db.connect_options()).clone(), "media").run(last.clone()));
    background.spawn(sweeps::run(app.clone(), shutdown.clone()));
    let consumer = |name, publisher, filter| Consumer::new(&bus, db.clone(), "media", name, publisher, filter);
    background.spawn(
        consumer("accounts", "auth", "account.*")
            .run(shutdown.clone(), |connection, message| Box::pin(events::account_changed(connection, message))),
    );
    background.spawn(
        consumer("portfolios", "portfolio", "portfolio.*")
            .run(shutdown.clone(), |connection, message| Box::pin(events::portfolio_changed(connection, message))),
    );
    let base = app.storage_base.clone();
    background.spawn(consumer("released", "portfolio", "media.released").run(
        shutdown.clone(),
        move |connection, message| {
            let base = base.clone();
            Box::pin(async move { events::media_released(connection, message, &base).await })
        },
    ));
    background.close();

    let store = app.store.clone();
    Service::new("media", settings.http, Verifier::new(keys, revocations.clone()))
        .api(api(app.clone()))
        .open(storage::router(app.clone()))
        .internal(internal::router().with_state(app))
        .ready_when("postgres", move || database::ping(db.clone()))
        .ready_when("nats", move || {
            let connected = bus.is_connected();
            async move { if connected { Ok(()) } else { Err("NATS is not connected".to_owned()) } }
        })
        .ready_when("store", move || {
            let store = store.clone();
            async move { store.ping().await }
        })
        .serve_after("revocations", revocations.ready())
        .finally(async move {
            last.cancel();
            background.wait().await;
        })
        .serve(shutdown)
        .await
}

/// Does the background work `step`, or all of it, now.
///
/// # Errors
/// PostgreSQL or NATS cannot be reached, another sweep is at work, or a step did not end.
pub async fn sweep(settings: &Settings, step: Option<sweeps::Step>) -> anyhow::Result<()> {
    let db = database::connect(&settings.database, "media-sweep").await?;
    let bus = Bus::connect(&settings.events, "media-sweep").await?;
    sweeps::now(&AppState::new(settings, db, bus)?, step).await
}

/// The store may come up after this service: tries until it is there.
async fn create_bucket(store: Store, shutdown: CancellationToken) {
    while let Err(error) = store.ensure_bucket().await {
        tracing::warn!(error = format!("{error:#}"), "the bucket is not there yet");
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
        }
    }
}
