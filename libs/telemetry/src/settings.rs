use grafikarsa_config::{Environment, Reader};

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line, for machines.
    Json,
    /// Readable text, for people.
    Pretty,
}

/// What this library needs to know.
#[derive(Clone, Debug)]
pub struct TelemetrySettings {
    /// Filter of `tracing-subscriber`, such as `info` or `info,sqlx=warn`.
    pub log_level: String,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Base address of an OTLP/HTTP collector; no export without it.
    pub otlp_endpoint: Option<String>,
}

impl TelemetrySettings {
    /// Reads `LOG_LEVEL`, `LOG_FORMAT` and `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn read(env: &mut Reader) -> Self {
        let default = if env.environment() == Environment::Production { "json" } else { "pretty" };
        let log_format = match env.string("LOG_FORMAT", default).as_str() {
            "json" => LogFormat::Json,
            "pretty" => LogFormat::Pretty,
            _ => {
                env.problem("LOG_FORMAT", "must be json or pretty");
                LogFormat::Json
            }
        };
        Self {
            log_level: env.string("LOG_LEVEL", "info,sqlx=warn,async_nats=warn"),
            log_format,
            otlp_endpoint: env.optional("OTEL_EXPORTER_OTLP_ENDPOINT"),
        }
    }
}
