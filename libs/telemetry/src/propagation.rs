//! The W3C trace context over HTTP and NATS headers.

use opentelemetry::{
    Context, global,
    propagation::{Extractor, Injector},
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The header that carries the trace context.
pub const TRACEPARENT: &str = "traceparent";

/// The `traceparent` of the current span, if it is part of a sampled or remote trace.
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

/// Makes `span` a child of the trace that `traceparent` names; an unreadable value changes nothing.
pub fn set_parent(span: &Span, traceparent: &str) {
    struct One<'a>(&'a str);
    impl Extractor for One<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            (key == TRACEPARENT).then_some(self.0)
        }
        fn keys(&self) -> Vec<&str> {
            vec![TRACEPARENT]
        }
    }
    let context: Context = global::get_text_map_propagator(|propagator| propagator.extract(&One(traceparent)));
    // Without an exporter there is no trace to join, which is no fault.
    drop(span.set_parent(context));
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
