use std::time::Duration;

use grafikarsa_config::{Reader, Secret};

/// What the listeners and the middleware need to know.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// Address both listeners bind to.
    pub host: String,
    /// Port of the public listener, behind nginx.
    pub port: u16,
    /// Port of the internal listener, which nginx never proxies to.
    pub internal_port: u16,
    /// Exact origins of the web client.
    pub cors_origins: Vec<String>,
    /// Requests a signed-in user may make per window; guests of one address get ten times as many.
    pub rate_limit_requests: u32,
    /// The window.
    pub rate_limit_duration: Duration,
    /// What other services show to use `/internal/*`.
    pub internal_token: Secret,
    /// How long the service goes on accepting connections after SIGTERM, so that nginx stops using it first.
    pub shutdown_grace: Duration,
}

impl HttpSettings {
    /// Reads `APP_HOST`, `APP_PORT`, `INTERNAL_PORT`, `CORS_ORIGINS`, `RATE_LIMIT_REQUESTS`, `RATE_LIMIT_DURATION`,
    /// `INTERNAL_API_TOKEN` and `SHUTDOWN_GRACE`.
    pub fn read(env: &mut Reader, port: u16, internal_port: u16) -> Self {
        let grace = if env.environment().is_production() { Duration::from_secs(5) } else { Duration::ZERO };
        let settings = Self {
            host: env.string("APP_HOST", "0.0.0.0"),
            port: env.parse("APP_PORT", port),
            internal_port: env.parse("INTERNAL_PORT", internal_port),
            cors_origins: env.list("CORS_ORIGINS", &["http://localhost:3000"]),
            rate_limit_requests: env.parse("RATE_LIMIT_REQUESTS", 600),
            rate_limit_duration: env.duration("RATE_LIMIT_DURATION", Duration::from_secs(60)),
            internal_token: env.secret("INTERNAL_API_TOKEN", 32),
            shutdown_grace: env.duration("SHUTDOWN_GRACE", grace),
        };
        if settings.cors_origins.iter().any(|origin| origin == "*") {
            env.problem("CORS_ORIGINS", "must list exact origins, credentials are allowed");
        }
        if settings.rate_limit_requests == 0 || settings.rate_limit_duration.is_zero() {
            env.problem("RATE_LIMIT_REQUESTS", "and RATE_LIMIT_DURATION must be above zero");
        }
        settings
    }
}
