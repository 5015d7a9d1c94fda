//! Two listeners: the public one behind nginx, and an internal one for probes, metrics and other services.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use grafikarsa_jwt::Verifier;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{Instant, interval_at, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{HttpSettings, InternalGuard, internal, middleware, rate_limit::GeneralLimit};

/// A check of `/readyz`: `Err` says what is not ready.
pub type Readiness = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

/// Open connections of one listener; more wait in the kernel's queue.
const CONNECTIONS: usize = 8192;
/// Idle connections are kept longer than nginx keeps them (15 s), so that nginx never writes into a closing one.
const IDLE: Duration = Duration::from_secs(60);
/// After the listeners are closed everything ends within this time, by force if need be.
const DRAIN: Duration = Duration::from_secs(20);
/// The last part of it, which no request may use up: the work of [`Service::finally`] needs it.
const LAST: Duration = Duration::from_secs(3);
/// One readiness check may take this long.
const CHECK: Duration = Duration::from_secs(2);

/// When the log says for the first time that the public listener stays closed, and how often from then on.
const FIRST_REPORT: Duration = Duration::from_secs(1);
const NEXT_REPORT: Duration = Duration::from_secs(10);

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A service about to be served.
pub struct Service {
    name: &'static str,
    settings: HttpSettings,
    verifier: Verifier,
    api: Router,
    slow: middleware::SlowRoutes,
    open: Router,
    internal: Router,
    checks: Vec<(&'static str, Readiness)>,
    conditions: Vec<(&'static str, Work)>,
    finally: Work,
    drain: Duration,
}

impl Service {
    /// An empty service called `name`.
    pub fn new(name: &'static str, settings: HttpSettings, verifier: Verifier) -> Self {
        Self {
            name,
            settings,
            verifier,
            api: Router::new(),
            slow: Vec::new(),
            open: Router::new(),
            internal: Router::new(),
            checks: Vec::new(),
            conditions: Vec::new(),
            finally: Box::pin(async {}),
            drain: DRAIN,
        }
    }

    /// Routes under `/api/v1`: with CORS, identity, the general rate limit, `no-store` and the time limit.
    #[must_use]
    pub fn api(mut self, router: Router) -> Self {
        self.api = self.api.merge(router);
        self
    }

    /// Lets the requests of one route under `/api/v1`, such as `/api/v1/admin/import/students`, take this long instead
    /// of the 30 s that are every other route's.
    #[must_use]
    pub fn slow(mut self, path: &'static str, limit: Duration) -> Self {
        self.slow.push((path, limit));
        self
    }

    /// Routes outside of the API (`/storage`) that answer for their own headers and are never limited.
    #[must_use]
    pub fn open(mut self, router: Router) -> Self {
        self.open = self.open.merge(router);
        self
    }

    /// Routes of the internal listener, with paths under `/internal`; all of them ask for the internal token.
    #[must_use]
    pub fn internal(mut self, router: Router) -> Self {
        self.internal = self.internal.merge(router);
        self
    }

    /// Adds a check to `/readyz`.
    #[must_use]
    pub fn ready_when<F, Fut>(mut self, name: &'static str, check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.checks.push((name, Arc::new(move || Box::pin(check()))));
        self
    }

    /// Keeps the public listener closed until `condition` is over, and `/readyz` at 503: for what must be known before
    /// the first request, because nginx asks nobody whether a replica is ready. Several conditions all have to hold.
    #[must_use]
    pub fn serve_after<F>(mut self, name: &'static str, condition: F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.conditions.push((name, Box::pin(condition)));
        self
    }

    /// What is left to do after the last request, such as ending the relay and closing the pool. It is done however
    /// [`Service::serve`] ends, within what is left of the time to drain: 3 s at least.
    #[must_use]
    pub fn finally<F>(mut self, work: F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.finally = Box::pin(work);
        self
    }

    /// Serves until `shutdown`, then drains: goes on accepting for the grace time with `Connection: close` on every
    /// answer, closes the listeners, waits for what still runs, and does the work of [`Service::finally`]. Everything
    /// is over 20 s after the listeners were closed: requests that take longer are cut off. Cancels `shutdown` if it
    /// ends by an error.
    ///
    /// # Errors
    /// A port cannot be bound.
    pub async fn serve(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let Self { name, settings, verifier, api, slow, open, internal, checks, conditions, finally, drain } = self;
        let draining = Arc::new(AtomicBool::new(false));
        let limit = Arc::new(GeneralLimit::new(&settings));
        tokio::spawn(shutdown.clone().run_until_cancelled_owned(sweep(limit.clone())));
        let api = middleware::api(api, &settings, verifier, limit, slow);
        let public_routes = middleware::outermost(open.merge(api), draining.clone());
        let guard = InternalGuard::new(&settings.internal_token);
        let is_open = Arc::new(AtomicBool::new(false));
        let internal_routes = middleware::outermost(
            probes(checks, is_open.clone()).merge(internal::guarded(internal, guard)),
            draining.clone(),
        );

        let bind = |port: u16| {
            let address = format!("{}:{port}", settings.host);
            async move { TcpListener::bind(&address).await.with_context(|| format!("cannot listen on {address}")) }
        };
        let end = End { closing: CancellationToken::new(), aborting: CancellationToken::new() };
        let listening = async {
            let internal_listener = bind(settings.internal_port).await?;
            let internal_port = internal_listener.local_addr()?.port();
            let public = async {
                if !hold(conditions, &shutdown).await {
                    return Ok(());
                }
                let public = bind(settings.port).await?;
                is_open.store(true, Ordering::Release);
                tracing::info!(service = name, port = public.local_addr()?.port(), internal_port, "serving");
                accept(public, public_routes, &end).await;
                anyhow::Ok(())
            };
            let internal = async {
                accept(internal_listener, internal_routes, &end).await;
                Ok(())
            };
            tokio::try_join!(public, internal).map(drop)
        };
        let mut closed = None;
        let timetable = async {
            shutdown.cancelled().await;
            draining.store(true, Ordering::Relaxed);
            sleep(settings.shutdown_grace).await;
            closed = Some(Instant::now());
            end.closing.cancel();
            sleep(drain.saturating_sub(LAST)).await;
            tracing::warn!("requests were still running when the time to drain was over");
            end.aborting.cancel();
            std::future::pending().await
        };
        let outcome = tokio::select! {
            outcome = listening => outcome,
            never = timetable => never,
        };

        shutdown.cancel();
        let left = closed.map_or(drain, |closed| drain.saturating_sub(closed.elapsed()));
        if timeout(left, finally).await.is_err() {
            tracing::warn!("the work after the last request was not done when the time to drain was over");
        }
        tracing::info!(service = name, "stopped");
        outcome
    }
}

/// How a listener ends: accepts nothing more, then cuts its connections.
struct End {
    closing: CancellationToken,
    aborting: CancellationToken,
}

/// Waits until all `conditions` hold; false when `shutdown` comes first.
async fn hold(conditions: Vec<(&'static str, Work)>, shutdown: &CancellationToken) -> bool {
    for (name, mut condition) in conditions {
        let mut reports = interval_at(Instant::now() + FIRST_REPORT, NEXT_REPORT);
        loop {
            tokio::select! {
                biased;
                () = &mut condition => break,
                () = shutdown.cancelled() => return false,
                _ = reports.tick() => tracing::warn!(condition = name, "the public listener stays closed: waiting"),
            }
        }
    }
    true
}

async fn sweep(limit: Arc<GeneralLimit>) {
    let mut minute = tokio::time::interval(Duration::from_secs(60));
    loop {
        minute.tick().await;
        limit.forget_quiet();
    }
}

async fn accept(listener: TcpListener, routes: Router, end: &End) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let protocol = protocol();
    let mut closed = pin!(end.closing.cancelled());
    loop {
        let accepted = async {
            let permit = connections.clone().acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, stream) = tokio::select! {
            () = &mut closed => break,
            accepted = accepted => match accepted {
                (permit, Ok((stream, _))) => (permit, stream),
                (_, Err(error)) => {
                    // Out of file descriptors, mostly: a pause lets some connections end.
                    tracing::warn!(%error, "a connection was not accepted");
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was not set");
        }
        let service = TowerToHyperService::new(routes.clone());
        let connection = protocol.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
        let watched = graceful.watch(connection);
        let aborting = end.aborting.clone();
        tokio::spawn(async move {
            if let Some(Err(error)) = aborting.run_until_cancelled_owned(watched).await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(permit);
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

fn protocol() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(IDLE).max_buf_size(64 * 1024);
    builder
}

struct Probes {
    checks: Vec<(&'static str, Readiness)>,
    is_open: Arc<AtomicBool>,
}

fn probes(checks: Vec<(&'static str, Readiness)>, is_open: Arc<AtomicBool>) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/metrics", get(async || grafikarsa_telemetry::metrics_text()))
        .route("/readyz", get(ready).with_state(Arc::new(Probes { checks, is_open })))
}

async fn ready(State(probes): State<Arc<Probes>>) -> impl IntoResponse {
    let mut report = serde_json::Map::new();
    let mut status = StatusCode::OK;
    let mut note = |name: &str, outcome: Result<(), String>| {
        if outcome.is_err() {
            status = StatusCode::SERVICE_UNAVAILABLE;
        }
        report.insert(name.to_owned(), outcome.err().unwrap_or_else(|| "ok".to_owned()).into());
    };
    for (name, check) in &probes.checks {
        note(name, timeout(CHECK, check()).await.unwrap_or_else(|_| Err("no answer in time".to_owned())));
    }
    let is_open = probes.is_open.load(Ordering::Acquire);
    note("listener", if is_open { Ok(()) } else { Err("the public listener is closed".to_owned()) });
    (status, Json(report))
}

/// Asks this machine's `/readyz`, for container health checks.
///
/// # Errors
/// The service does not answer, or is not ready.
pub async fn healthcheck(internal_port: u16) -> anyhow::Result<()> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let ask = async {
        let mut stream = TcpStream::connect(("127.0.0.1", internal_port)).await?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
        let mut answer = Vec::new();
        stream.take(4096).read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = timeout(Duration::from_secs(3), ask).await.context("no answer in time")??;
    anyhow::ensure!(answer.starts_with(b"HTTP/1.1 200 "), "not ready");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use axum::http::Uri;
    use grafikarsa_config::{Reader, Secret};
    use grafikarsa_devstack::process::free_port;
    use grafikarsa_jwt::{RevocationList, TokenKeys};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        sync::Notify,
    };

    use super::*;

    /// A service whose time to drain is 300 ms longer than what is kept for the last work.
    fn service(api: Router) -> (Service, u16) {
        let (port, internal_port) = (free_port().unwrap(), free_port().unwrap());
        let mut env = Reader::from_map(
            [
                ("APP_ENV", "development".to_owned()),
                ("APP_HOST", "127.0.0.1".to_owned()),
                ("INTERNAL_API_TOKEN", "t".repeat(32)),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        let settings = HttpSettings::read(&mut env, port, internal_port);
        let keys = TokenKeys::new(&Secret::new("k".repeat(32)), Duration::from_secs(900));
        let mut service = Service::new("test", settings, Verifier::new(keys, RevocationList::in_memory())).api(api);
        service.drain = LAST + Duration::from_millis(300);
        (service, port)
    }

    /// Sends a request and gives the connection back with the answer still to be read.
    async fn request(port: u16, uri: Uri) -> TcpStream {
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut stream = loop {
            match TcpStream::connect(("127.0.0.1", port)).await {
                Ok(stream) => break stream,
                Err(error) => assert!(Instant::now() < deadline, "nobody listens: {error}"),
            }
            sleep(Duration::from_millis(5)).await;
        };
        stream.write_all(format!("GET {uri} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
        stream
    }

    #[tokio::test]
    async fn a_request_that_does_not_end_is_cut_off_before_the_last_work() {
        let begun = Arc::new(Notify::new());
        let notice = begun.clone();
        let events = Arc::new(Mutex::new(Vec::new()));
        let (dropped, done) = (events.clone(), events.clone());
        let endless = async move || {
            // Is dropped with the request.
            struct Noted(Arc<Mutex<Vec<&'static str>>>);
            impl Drop for Noted {
                fn drop(&mut self) {
                    self.0.lock().unwrap().push("request");
                }
            }
            let _noted = Noted(dropped);
            notice.notify_one();
            std::future::pending::<()>().await;
        };
        let (service, port) = service(Router::new().route("/endless", get(endless)));
        let shutdown = CancellationToken::new();
        let serving = service.finally(async move { done.lock().unwrap().push("last work") }).serve(shutdown.clone());
        let serving = tokio::spawn(serving);
        let mut stream = request(port, Uri::from_static("/endless")).await;
        begun.notified().await;
        let stopped = Instant::now();
        shutdown.cancel();
        serving.await.unwrap().unwrap();
        assert!(stopped.elapsed() < Duration::from_secs(2), "{:?}", stopped.elapsed());
        assert_eq!(*events.lock().unwrap(), ["request", "last work"]);
        let mut answer = Vec::new();
        let _cut = stream.read_to_end(&mut answer).await;
        assert!(answer.is_empty(), "there was no answer");
    }

    #[tokio::test]
    async fn last_work_that_does_not_end_is_given_up() {
        let (mut service, port) = service(Router::new());
        service.drain = Duration::from_millis(300);
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(service.finally(std::future::pending()).serve(shutdown.clone()));
        drop(request(port, Uri::from_static("/")).await);
        let stopped = Instant::now();
        shutdown.cancel();
        serving.await.unwrap().unwrap();
        assert!(stopped.elapsed() < Duration::from_secs(2), "{:?}", stopped.elapsed());
    }

    #[tokio::test]
    async fn a_port_that_is_taken_ends_the_background_too() {
        let (service, port) = service(Router::new());
        let _taken = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let shutdown = CancellationToken::new();
        let background = shutdown.clone();
        let error = service.finally(async move { background.cancelled().await }).serve(shutdown).await.unwrap_err();
        assert!(error.to_string().contains(&port.to_string()), "{error:#}");
    }
}
