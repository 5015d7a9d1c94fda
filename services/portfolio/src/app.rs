use std::{sync::Arc, time::Duration};

use grafikarsa_events::{Bus, Consumer, Relay};
use grafikarsa_http::{InternalClient, Service, database, database::DatabaseSettings};
use grafikarsa_jwt::{RevocationList, TokenKeys, Verifier};
use sqlx::PgPool;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Settings, accounts,
    admin::import,
    api,
    capabilities::Callers,
    changelogs,
    chat::streaks,
    feed, internal, jobs,
    limits::Limits,
    media_events, portfolios, promotion,
    rankings::Rankings,
    realtime::{self, Realtime},
    settings::Rules,
    storage,
    totals::Totals,
    users::{self, account_events},
    views::{GuestKey, Views},
};

/// Calls to auth and media happen inside of requests: what takes longer is as good as down. Three calls in a row stay
/// below the time a transaction may be idle (10 s).
const INTERNAL_DEADLINE: Duration = Duration::from_secs(3);

/// What handlers share.
#[derive(Clone)]
pub struct AppState {
    pub db: PgPool,
    pub auth: InternalClient,
    pub media: InternalClient,
    /// Places of those who ask media with a connection in their hands.
    pub media_questions: Arc<Semaphore>,
    pub callers: Callers,
    pub rules: Arc<Rules>,
    pub limits: Arc<Limits>,
    pub rankings: Rankings,
    pub portfolio_totals: Totals<portfolios::page::Filters>,
    pub user_totals: Totals<users::list::Filters>,
    pub smart_feed: feed::smart::Memory,
    pub views: Views,
    pub realtime: Realtime,
    pub guests: GuestKey,
}

/// Runs the service until `shutdown`.
///
/// # Errors
/// PostgreSQL or NATS cannot be reached, migrations are pending, or a port is taken.
pub async fn serve(settings: Settings, shutdown: CancellationToken) -> anyhow::Result<()> {
    let db = database::connect(&settings.database, "portfolio").await?;
    database::prepare(&settings.database, &db, crate::migrator()).await?;
    streaks::check_time_zone(&db, &settings.rules.streak_time_zone).await?;
    let bus = Bus::connect(&settings.events, "portfolio").await?;
    // Ends after the last request, so that what that wrote is still told and no ended session comes through.
    let last = CancellationToken::new();
    let revocations = RevocationList::watch(bus.client().clone(), bus.namespace(), last.clone());
    let keys = TokenKeys::new(&settings.access_secret, settings.access_lifetime);
    let verifier = Verifier::new(keys, revocations.clone());
    let (views, recorder) = Views::new();
    let rules = Arc::new(settings.rules.clone());
    let origins = settings.http.cors_origins.clone();
    let delivery = DatabaseSettings { max_connections: realtime::DELIVERY_CONNECTIONS, ..settings.database.clone() };
    let delivery = database::connect(&delivery, "portfolio-delivery").await?;
    let (realtime, sockets) = Realtime::new(
        db.clone(),
        delivery,
        bus.clone(),
        rules.clone(),
        settings.realtime.clone(),
        verifier.clone(),
        origins,
    );
    let state = AppState {
        auth: InternalClient::new(settings.auth_url()?, &settings.http.internal_token, INTERNAL_DEADLINE)?,
        media: InternalClient::new(settings.media_url()?, &settings.http.internal_token, INTERNAL_DEADLINE)?,
        media_questions: Arc::new(Semaphore::new(storage::QUESTIONS)),
        callers: Callers::new(db.clone()),
        rules,
        limits: Arc::new(settings.limits.clone()),
        rankings: Rankings::new(settings.rankings_age),
        portfolio_totals: Totals::default(),
        user_totals: Totals::default(),
        smart_feed: feed::smart::Memory::default(),
        views,
        realtime,
        guests: GuestKey::derive(&settings.access_secret)?,
        db: db.clone(),
    };

    let background = TaskTracker::new();
    background.spawn(Relay::new(bus.clone(), (*db.connect_options()).clone(), "portfolio").run(last.clone()));
    background.spawn(recorder.run(db.clone(), last.clone()));
    background.spawn(sockets.run(shutdown.clone()));
    background.spawn(jobs::run(db.clone(), shutdown.clone()));
    background.spawn(promotion::schedule(db.clone(), shutdown.clone()));
    background.spawn(accounts::intents::recover_forever(state.clone(), shutdown.clone()));
    let consumer = |name, publisher, filter| Consumer::new(&bus, db.clone(), "portfolio", name, publisher, filter);
    let (ending, callers) = (shutdown.clone(), state.callers.clone());
    let accounts = consumer("accounts", "auth", "account.*").apply_again();
    background.spawn(accounts.run(ending, move |connection, message| {
        let callers = callers.clone();
        Box::pin(async move { account_events::apply(connection, message, &callers).await })
    }));
    background.spawn(
        consumer("logins", "auth", "session.started")
            .run(shutdown.clone(), |connection, message| Box::pin(account_events::logged_in(connection, message))),
    );
    let rules = state.rules.clone();
    background.spawn(consumer("uploads", "media", "upload.confirmed").run(
        shutdown.clone(),
        move |connection, message| {
            let rules = rules.clone();
            Box::pin(async move { media_events::confirmed(connection, message, &rules).await })
        },
    ));
    let rules = state.rules.clone();
    background.spawn(consumer("objects", "media", "object.deleted").run(
        shutdown.clone(),
        move |connection, message| {
            let rules = rules.clone();
            Box::pin(async move { media_events::deleted(connection, message, &rules).await })
        },
    ));
    background.close();

    let heard = state.realtime.heard();
    let (api, _document) = api().split_for_parts();
    Service::new("portfolio", settings.http, verifier)
        .api(api.with_state(state.clone()))
        .slow(import::PATH, import::TIME_LIMIT)
        .slow(changelogs::admin::PATH, changelogs::admin::TIME_LIMIT)
        .slow(changelogs::admin::PATH_OF_ONE, changelogs::admin::TIME_LIMIT)
        .internal(internal::router().with_state(state))
        .ready_when("postgres", move || database::ping(db.clone()))
        .ready_when("nats", move || {
            let connected = bus.is_connected();
            async move { if connected { Ok(()) } else { Err("NATS is not connected".to_owned()) } }
        })
        .serve_after("events", heard)
        .serve_after("revocations", revocations.ready())
        .finally(async move {
            last.cancel();
            background.wait().await;
        })
        .serve(shutdown)
        .await
}
