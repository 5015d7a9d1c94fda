//! The W3C trace context over HTTP and NATS headers.

use opentelemetry::{
    Context, global,
    propagation::{Extractor, Injector},
    trace::TraceContextExt as _,
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The header that carries the trace context.
pub const TRACEPARENT: &str = "traceparent";

/// The `traceparent` of the current span; `None` outside of any.
pub fn current_traceparent() -> Option<String> {
    struct One(Option<String>);
    impl Injector for One {
        fn set(&mut self, key: &str, value: String) {
            if key == TRACEPARENT {
                self.0 = Some(value);
            }
        }
    }
    let mut one = One(None);
    global::get_text_map_propagator(|propagator| propagator.inject_context(&Span::current().context(), &mut one));
    one.0
}

/// Makes `span` a part of the trace that `traceparent` names, or of a new one if it is absent or unreadable, and records
/// the trace's id in the span's field `trace_id`. To be called before the span is entered.
pub fn join_trace(span: &Span, traceparent: Option<&str>) {
    struct One<'a>(&'a str);
    impl Extractor for One<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            (key == TRACEPARENT).then_some(self.0)
        }
        fn keys(&self) -> Vec<&str> {
            vec![TRACEPARENT]
        }
    }
    if let Some(traceparent) = traceparent {
        let context: Context = global::get_text_map_propagator(|propagator| propagator.extract(&One(traceparent)));
        // A process that has not started telemetry has no traces, which is no fault.
        drop(span.set_parent(context));
    }
    let context = span.context();
    let trace = context.span().span_context().clone();
    if trace.is_valid() {
        span.record("trace_id", tracing::field::display(trace.trace_id()));
    }
}

/// Puts the trace context of the current span into the headers of an outgoing HTTP request.
pub fn inject_http(headers: &mut http::HeaderMap) {
    if let Some(value) = current_traceparent().and_then(|value| value.parse().ok()) {
        headers.insert(TRACEPARENT, value);
    }
}

/// Puts the trace context of the current span into the headers of an outgoing NATS message.
pub fn inject_nats(headers: &mut async_nats::HeaderMap) {
    if let Some(value) = current_traceparent() {
        headers.insert(TRACEPARENT, value.as_str());
    }
}
