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
};
use tokio_util::sync::CancellationToken;

use crate::{HttpSettings, InternalGuard, internal, middleware, rate_limit::GeneralLimit};

/// A check of `/readyz`: `Err` says what is not ready.
pub type Readiness = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

/// Open connections of one listener; more wait in the kernel's queue.
const CONNECTIONS: usize = 8192;
/// Idle connections are kept longer than nginx keeps them (15 s), so that nginx never writes into a closing one.
const IDLE: Duration = Duration::from_secs(60);
/// After this long the requests still running are dropped.
const DRAIN: Duration = Duration::from_secs(20);
/// One readiness check may take this long.
const CHECK: Duration = Duration::from_secs(2);

/// A service about to be served.
pub struct Service {
    name: &'static str,
    settings: HttpSettings,
    verifier: Verifier,
    api: Router,
    open: Router,
    internal: Router,
    checks: Vec<(&'static str, Readiness)>,
}

impl Service {
    /// An empty service called `name`.
    pub fn new(name: &'static str, settings: HttpSettings, verifier: Verifier) -> Self {
        Self {
            name,
            settings,
            verifier,
            api: Router::new(),
            open: Router::new(),
            internal: Router::new(),
            checks: Vec::new(),
        }
    }

    /// Routes under `/api/v1`: with CORS, identity, the general rate limit, `no-store` and the time limit.
    #[must_use]
    pub fn api(mut self, router: Router) -> Self {
        self.api = self.api.merge(router);
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

    /// Serves until `shutdown`, then drains: goes on accepting for the grace time with `Connection: close` on every
    /// answer, closes the listeners, and waits for what still runs, 20 s at the most.
    ///
    /// # Errors
    /// A port cannot be bound.
    pub async fn serve(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let bind = |port: u16| {
            let address = format!("{}:{port}", self.settings.host);
            async move { TcpListener::bind(&address).await.with_context(|| format!("cannot listen on {address}")) }
        };
        let public = bind(self.settings.port).await?;
        let internal_listener = bind(self.settings.internal_port).await?;

        let draining = Arc::new(AtomicBool::new(false));
        let limit = Arc::new(GeneralLimit::new(&self.settings));
        tokio::spawn(shutdown.clone().run_until_cancelled_owned(sweep(limit.clone())));
        let api = middleware::api(self.api, &self.settings, self.verifier, limit);
        let public_routes = middleware::outermost(self.open.merge(api), draining.clone());
        let guard = InternalGuard::new(&self.settings.internal_token);
        let internal_routes =
            middleware::outermost(probes(self.checks).merge(internal::guarded(self.internal, guard)), draining.clone());

        tracing::info!(
            service = self.name,
            port = public.local_addr()?.port(),
            internal_port = internal_listener.local_addr()?.port(),
            "serving"
        );
        let closing = CancellationToken::new();
        let grace = self.settings.shutdown_grace;
        let begin_draining = async {
            shutdown.cancelled().await;
            draining.store(true, Ordering::Relaxed);
            tokio::time::sleep(grace).await;
            closing.cancel();
        };
        tokio::join!(
            begin_draining,
            accept(public, public_routes, closing.clone()),
            accept(internal_listener, internal_routes, closing.clone()),
        );
        tracing::info!(service = self.name, "stopped");
        Ok(())
    }
}

async fn sweep(limit: Arc<GeneralLimit>) {
    let mut minute = tokio::time::interval(Duration::from_secs(60));
    loop {
        minute.tick().await;
        limit.forget_quiet();
    }
}

async fn accept(listener: TcpListener, routes: Router, closing: CancellationToken) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let protocol = protocol();
    let mut closed = pin!(closing.cancelled());
    loop {
        let Ok(permit) = connections.clone().acquire_owned().await else { break };
        let stream = tokio::select! {
            () = &mut closed => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, mostly: a pause lets some connections end.
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
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
        tokio::spawn(async move {
            if let Err(error) = watched.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(permit);
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still running when the time to drain was over");
    }
}

fn protocol() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(IDLE).max_buf_size(64 * 1024);
    builder
}

fn probes(checks: Vec<(&'static str, Readiness)>) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/metrics", get(async || grafikarsa_telemetry::metrics_text()))
        .route("/readyz", get(ready).with_state(Arc::new(checks)))
}

async fn ready(State(checks): State<Arc<Vec<(&'static str, Readiness)>>>) -> impl IntoResponse {
    let mut report = serde_json::Map::new();
    let mut status = StatusCode::OK;
    for (name, check) in checks.iter() {
        let outcome = match tokio::time::timeout(CHECK, check()).await {
            Ok(outcome) => outcome,
            Err(_) => Err("no answer in time".to_owned()),
        };
        if outcome.is_err() {
            status = StatusCode::SERVICE_UNAVAILABLE;
        }
        report.insert((*name).to_owned(), outcome.err().unwrap_or_else(|| "ok".to_owned()).into());
    }
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
    let answer = tokio::time::timeout(Duration::from_secs(3), ask).await.context("no answer in time")??;
    anyhow::ensure!(answer.starts_with(b"HTTP/1.1 200 "), "not ready");
    Ok(())
}
