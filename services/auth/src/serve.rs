use std::sync::Arc;

use anyhow::Context as _;
use grafikarsa_events::{Bus, Relay};
use grafikarsa_http::{Service, database, shutdown_signal};
use grafikarsa_jwt::{RevocationList, RevocationWriter, TokenKeys, Verifier};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    accounts::first_admin, app, app::AppState, events, internal, jobs, passwords::Passwords, revocations::Revocations,
    settings::Settings,
};

/// Serves until SIGTERM or SIGINT.
pub(crate) async fn serve(settings: Settings) -> anyhow::Result<()> {
    let _telemetry = grafikarsa_telemetry::init("auth", &settings.telemetry)?;
    let pool = database::connect(&settings.database, "auth").await?;
    database::prepare(&settings.database, &pool, migrator()).await?;
    let bus = Bus::connect(&settings.events, "auth").await?;
    let shutdown = shutdown_signal().context("signals cannot be handled")?;

    let passwords = Passwords::new();
    first_admin::ensure(&pool, &passwords, settings.admin.as_ref()).await?;

    let keys = TokenKeys::new(&settings.access_secret, settings.access_lifetime);
    // Ends after the last request, so that what that wrote is still told and no ended session comes through.
    let last = CancellationToken::new();
    let list = RevocationList::watch(bus.client().clone(), bus.namespace(), last.clone());
    let writer = RevocationWriter::new(
        bus.client().clone(),
        bus.namespace(),
        settings.access_lifetime,
        settings.events.replicas,
    );
    let revocations = Revocations::new(pool.clone(), list.clone(), writer);

    let background = TaskTracker::new();
    background.spawn(Relay::new(bus.clone(), (*pool.connect_options()).clone(), "auth").run(last.clone()));
    background.spawn(events::follow_profiles(bus.clone(), pool.clone(), shutdown.clone()));
    background.spawn(events::follow_graduations(bus.clone(), pool.clone(), revocations.clone(), shutdown.clone()));
    background.spawn(jobs::run(pool.clone(), revocations.clone(), last.clone()));
    background.close();

    let state = AppState {
        pool: pool.clone(),
        keys: keys.clone(),
        passwords,
        revocations,
        limits: Arc::new(settings.limits),
        sessions: settings.sessions,
    };
    let ping = pool.clone();
    Service::new("auth", settings.http, Verifier::new(keys, list.clone()))
        .api(app::router(state.clone()))
        .internal(internal::router(state))
        .ready_when("postgres", move || database::ping(ping.clone()))
        .ready_when("nats", move || {
            let connected = bus.is_connected();
            async move { if connected { Ok(()) } else { Err("not connected".to_owned()) } }
        })
        .serve_after("revocations", list.ready())
        .finally(async move {
            last.cancel();
            background.wait().await;
            pool.close().await;
        })
        .serve(shutdown)
        .await
}

/// Applies pending migrations.
pub(crate) async fn migrate(settings: &Settings) -> anyhow::Result<()> {
    database::migrate(&settings.database, migrator()).await
}

/// The schema of this service.
fn migrator() -> sqlx::migrate::Migrator {
    sqlx::migrate!()
}
