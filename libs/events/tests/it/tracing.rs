use std::sync::{Arc, Mutex};

use grafikarsa_telemetry::propagation::current_traceparent;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::{propagation::TraceContextPropagator, trace::SdkTracerProvider};
use tracing::{Instrument as _, info_span};
use tracing_subscriber::layer::SubscriberExt as _;
use uuid::Uuid;

use crate::support::{World, eventually};

#[tokio::test]
async fn an_event_is_applied_in_the_trace_of_the_request_that_caused_it() {
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    let tracer = SdkTracerProvider::builder().build().tracer("test");
    let subscriber = tracing_subscriber::registry().with(tracing_opentelemetry::layer().with_tracer(tracer));
    // For all tests of this process: what a span's first user finds decides whether the span is ever recorded.
    tracing::subscriber::set_global_default(subscriber).expect("no other test sets one");

    let world = World::new().await;
    world.relay();
    let seen = Arc::new(Mutex::new(None));
    let slot = seen.clone();
    tokio::spawn(world.consumer("traced").run(world.shutdown.child_token(), move |_, _| {
        let slot = slot.clone();
        Box::pin(async move {
            *slot.lock().expect("not poisoned") = current_traceparent();
            Ok(())
        })
    }));
    let request = async {
        world.change(Uuid::now_v7(), 1).await;
        current_traceparent()
    };
    let request = request.instrument(info_span!("request")).await.expect("a trace");
    eventually("it is applied", || async { seen.lock().expect("not poisoned").is_some() }).await;
    let applied = seen.lock().expect("not poisoned").clone().expect("a trace");

    let parts = |traceparent: &str| traceparent.split('-').map(str::to_owned).collect::<Vec<_>>();
    let (request, applied) = (parts(&request), parts(&applied));
    assert_eq!(request[1], applied[1], "one trace");
    assert_ne!(request[2], applied[2], "two spans");
}
