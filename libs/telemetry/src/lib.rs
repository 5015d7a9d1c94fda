//! Logs, traces and metrics, set up once per process.
//!
//! Logs go to standard output, as JSON lines in production and as readable text in development. Every request and every
//! event has a trace, whose id its log lines carry and which crosses HTTP and NATS by the functions of [`propagation`];
//! spans are exported over OTLP when an endpoint is set.

pub mod propagation;
mod settings;

use std::{io, sync::OnceLock, time::Duration};

use anyhow::Context as _;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    runtime,
    trace::{SdkTracerProvider, span_processor_with_async_runtime::BatchSpanProcessor},
};
use tokio::time::MissedTickBehavior;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer as _,
    filter::{FilterExt as _, LevelFilter, filter_fn},
    fmt::MakeWriter,
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

pub use settings::{LogFormat, TelemetrySettings};

static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();

/// Bucket bounds of request durations, in seconds.
const SECONDS: [f64; 11] = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// How often recorded durations are sorted into their buckets. Until then each of them is kept.
const UPKEEP: Duration = Duration::from_secs(5);

/// Keeps the exporter alive; sends what is left when it is dropped.
#[derive(Debug)]
pub struct Guard {
    provider: SdkTracerProvider,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Err(error) = self.provider.shutdown_with_timeout(Duration::from_secs(2)) {
            tracing::debug!(%error, "the last spans were not exported");
        }
    }
}

/// Starts logging, tracing and metrics for this process. Must run inside the tokio runtime.
///
/// # Errors
/// An unreadable log filter, an exporter that cannot be built, or a second call in one process.
pub fn init(service: &'static str, settings: &TelemetrySettings) -> anyhow::Result<Guard> {
    let provider = provider(service, settings.otlp_endpoint.as_deref())?;
    subscriber(service, settings, &provider, io::stdout)?.try_init().context("logging was already started")?;
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .and_then(PrometheusBuilder::install_recorder)
        .context("metrics were already started")?;
    let handle = METRICS.get_or_init(|| handle);
    tokio::spawn(keep_up(|| handle.run_upkeep()));
    Ok(Guard { provider })
}

/// All metrics of this process in Prometheus' text format; empty before [`init`].
pub fn metrics_text() -> String {
    METRICS
        .get()
        .map(|handle| {
            handle.run_upkeep();
            handle.render()
        })
        .unwrap_or_default()
}

/// Keeps the memory of histograms bounded where nobody asks for the metrics.
async fn keep_up(upkeep: impl Fn()) {
    let mut rounds = tokio::time::interval(UPKEEP);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        upkeep();
    }
}

/// Writes lines to `output` and gives spans their place in a trace.
fn subscriber<W>(
    service: &'static str,
    settings: &TelemetrySettings,
    provider: &SdkTracerProvider,
    output: W,
) -> anyhow::Result<impl Subscriber + Send + Sync + use<W>>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    // What nobody exports is not collected either: then only the ids matter.
    let exports = settings.otlp_endpoint.is_some();
    let traces = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer(service))
        .with_location(exports)
        .with_threads(exports)
        .with_tracked_inactivity(exports);
    let lines = match settings.log_format {
        LogFormat::Json => tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .with_writer(output)
            .boxed(),
        LogFormat::Pretty => tracing_subscriber::fmt::layer().with_target(false).with_writer(output).boxed(),
    };
    let wanted = || EnvFilter::try_new(&settings.log_level).context("LOG_LEVEL is no log filter");
    // The spans of requests and events are made at every log level: a warning needs its ids most of all, and the trace
    // of the caller must go on.
    let spans = || {
        filter_fn(|metadata: &Metadata<'_>| metadata.is_span() && *metadata.level() <= Level::INFO)
            .with_max_level_hint(LevelFilter::INFO)
    };
    let traced = if exports { wanted()? } else { EnvFilter::new("off") };
    Ok(tracing_subscriber::registry()
        .with(traces.with_filter(traced.or(spans())))
        .with(lines.with_filter(wanted()?.or(spans()))))
}

/// Makes the ids of traces; exports their spans if there is an `endpoint`.
fn provider(service: &'static str, endpoint: Option<&str>) -> anyhow::Result<SdkTracerProvider> {
    let provider = SdkTracerProvider::builder();
    let Some(endpoint) = endpoint else { return Ok(provider.build()) };
    // The exporter's HTTP client panics without one; whoever chooses it later finds it chosen.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .with_timeout(Duration::from_secs(5))
        .build()
        .context("the OTLP exporter cannot be built")?;
    Ok(provider
        .with_span_processor(BatchSpanProcessor::builder(exporter, runtime::Tokio).build())
        .with_resource(Resource::builder().with_service_name(service).build())
        .build())
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    };

    use tracing::{Instrument as _, field::Empty};

    use super::*;
    use crate::propagation::{TRACEPARENT, current_traceparent, inject_http, inject_nats, join_trace};

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const TRACEPARENT_OF_CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    /// Runs `work` in the span of a request that came with `traceparent`, and gives what was logged.
    async fn in_request(log_level: &str, traceparent: Option<&str>, work: impl Future<Output = ()>) -> String {
        let settings =
            TelemetrySettings { log_level: log_level.to_owned(), log_format: LogFormat::Json, otlp_endpoint: None };
        let lines = Arc::new(Mutex::new(Vec::new()));
        let provider = provider("test", None).unwrap();
        let _default =
            tracing::subscriber::set_default(subscriber("test", &settings, &provider, Written(lines.clone())).unwrap());
        let span = tracing::info_span!("request", request_id = "r", trace_id = Empty);
        join_trace(&span, traceparent);
        work.instrument(span).await;
        let lines = lines.lock().unwrap();
        String::from_utf8(lines.clone()).unwrap()
    }

    #[derive(Clone)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Written {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    // The end of the exporter blocks its thread until another one has done the work.
    #[tokio::test(flavor = "multi_thread")]
    async fn an_exporter_can_be_built_before_anything_else_has_chosen_a_crypto_provider() {
        let provider = provider("test", Some("http://localhost:4318/")).unwrap();
        drop(Guard { provider });
    }

    #[tokio::test]
    async fn without_an_exporter_the_trace_of_the_caller_goes_on_and_lines_carry_its_id() {
        let lines = in_request("info", Some(TRACEPARENT_OF_CALLER), async {
            tracing::info!("answered");
            let traceparent = current_traceparent().unwrap();
            assert!(traceparent.starts_with(&format!("00-{TRACE}-")) && traceparent.ends_with("-01"), "{traceparent}");
            assert!(!traceparent.contains("b7ad6b7169203331"), "the caller's span is not ours");
            let mut http = http::HeaderMap::new();
            inject_http(&mut http);
            assert_eq!(http[TRACEPARENT], traceparent);
            let mut nats = async_nats::HeaderMap::new();
            inject_nats(&mut nats);
            assert_eq!(nats.get(TRACEPARENT).unwrap().as_str(), traceparent);
        });
        let lines = lines.await;
        assert_eq!(lines.lines().count(), 1);
        assert!(lines.contains(&format!(r#""trace_id":"{TRACE}""#)), "{lines}");
    }

    #[tokio::test]
    async fn the_log_level_silences_lines_and_no_ids() {
        let lines = in_request("warn", Some(TRACEPARENT_OF_CALLER), async {
            tracing::info!("answered");
            tracing::warn!("late");
            assert!(current_traceparent().unwrap().contains(TRACE));
        });
        let lines = lines.await;
        assert!(lines.contains(TRACE) && lines.contains("late") && !lines.contains("answered"), "{lines}");
    }

    #[tokio::test]
    async fn who_comes_without_a_readable_trace_begins_one() {
        for traceparent in [None, Some("nonsense"), Some("00-00000000000000000000000000000000-0000000000000000-01")] {
            let lines = in_request("info", traceparent, async {
                tracing::info!(traceparent = current_traceparent().unwrap(), "answered");
            });
            let lines = lines.await;
            let id = lines.split_once(r#""trace_id":""#).unwrap().1.split_once('"').unwrap().0;
            assert!(id.len() == 32 && id != "00000000000000000000000000000000", "{lines}");
            assert!(lines.contains(&format!("00-{id}-")), "{lines}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn histograms_are_kept_up_though_nobody_asks_for_the_metrics() {
        let rounds = Arc::new(AtomicU32::new(0));
        let counter = rounds.clone();
        tokio::spawn(keep_up(move || {
            counter.fetch_add(1, Ordering::Relaxed);
        }));
        tokio::time::sleep(Duration::from_secs(61)).await;
        assert_eq!(rounds.load(Ordering::Relaxed), 13);
    }
}
