//! What happens when NATS dies, or forgets.

use std::time::Duration;

use grafikarsa_config::Secret;
use grafikarsa_events::{Bus, BusError, EventsSettings, republish};
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    consuming::long_ago,
    support::{World, eventually},
};

#[tokio::test]
async fn a_killed_nats_server_loses_nothing_and_repeats_nothing() {
    let mut world = World::new().await;
    world.relay();
    world.record("all");
    for version in 1..=300 {
        if version == 100 || version == 200 {
            // In the middle of the stream: some are applied, some are on their way.
            eventually("some are applied", || async { world.applied("all").await.len() > 20 }).await;
            world.nats.kill().await.expect("it runs");
        }
        if version == 150 || version == 250 {
            world.nats.restart().await.expect("it starts");
        }
        world.change(Uuid::now_v7(), version).await;
    }
    eventually("all are applied", || async { world.applied("all").await.len() >= 300 }).await;
    let mut applied = world.applied("all").await;
    applied.sort_unstable();
    assert_eq!(applied, (1..=300).collect::<Vec<_>>());
    assert_eq!(world.unpublished().await, 0);
}

#[tokio::test]
async fn a_server_that_lost_its_storage_gets_stream_consumer_and_events_again() {
    let mut world = World::new().await;
    let (relay, stop) = world.relay();
    world.record("fast");
    world.change(Uuid::now_v7(), 1).await;
    eventually("it is applied", || async { world.applied("fast").await == [1] }).await;
    stop.cancel();
    relay.await.expect("without panic");

    world.nats.kill().await.expect("it runs");
    world.lose_storage();
    world.nats.restart().await.expect("it starts");
    world.relay();
    world.change(Uuid::now_v7(), 2).await;
    eventually("what follows is applied", || async { world.applied("fast").await == [1, 2] }).await;
    // The first event is in the new stream, too, for whoever had not read it yet.
    world.record("slow");
    eventually("a consumer that had not read it applies it", || async { world.applied("slow").await == [1, 2] }).await;
    assert_eq!(world.applied("fast").await, [1, 2]);
}

#[tokio::test]
async fn what_waits_for_a_dead_server_is_reported() {
    let metrics = PrometheusBuilder::new().install_recorder().expect("the only one of this process");
    let mut world = World::new().await;
    world.relay();
    world.change(Uuid::now_v7(), 1).await;
    eventually("it is published", || async { world.unpublished().await == 0 }).await;
    world.nats.kill().await.expect("it runs");
    world.change(Uuid::now_v7(), 2).await;
    world.change(Uuid::now_v7(), 3).await;
    let says = |line: &str| metrics.render().lines().any(|other| other == line);
    eventually("both are reported", || async { says("events_outbox_pending 2") }).await;
    world.nats.restart().await.expect("it starts");
    eventually("none is left", || async { says("events_outbox_pending 0") }).await;
}

#[tokio::test]
async fn a_stream_that_disappears_under_an_idle_relay_is_filled_again() {
    let world = World::new().await;
    world.relay();
    world.change(Uuid::now_v7(), 1).await;
    eventually("it is published", || async { world.unpublished().await == 0 }).await;
    let name = proto_events::stream_name(world.bus.namespace(), "auth");
    world.bus.jetstream().delete_stream(&name).await.expect("it was there");
    eventually("it is published again", || async { world.versions_in_stream().await == [1] }).await;
}

#[tokio::test]
async fn a_consumer_whose_database_went_back_in_time_catches_up_by_a_republication() {
    let world = World::new().await;
    world.relay();
    world.record("restored");
    for version in 1..=3 {
        world.change(Uuid::now_v7(), version).await;
    }
    eventually("all are applied", || async { world.applied("restored").await == [1, 2, 3] }).await;
    // Restored from a backup taken after the first event.
    sqlx::raw_sql(
        "delete from inbox where event_id in (select event_id from effects where version > 1);
         delete from effects where version > 1",
    )
    .execute(&world.pool)
    .await
    .expect("the restore");
    assert_eq!(republish(&world.pool, &world.bus, long_ago()).await.expect("they are sent"), 3);
    eventually("what is missing is applied", || async { world.applied("restored").await == [1, 2, 3] }).await;
    // A second time works as well.
    assert_eq!(republish(&world.pool, &world.bus, long_ago()).await.expect("they are sent"), 3);
    assert_eq!(world.versions_in_stream().await.len(), 9);
}

#[tokio::test]
async fn a_deleted_consumer_is_created_again() {
    let world = World::new().await;
    world.relay();
    world.record("deleted");
    world.change(Uuid::now_v7(), 1).await;
    eventually("it is applied", || async { world.applied("deleted").await == [1] }).await;
    let name = proto_events::stream_name(world.bus.namespace(), "auth");
    let stream = world.bus.jetstream().get_stream(name).await.expect("the stream");
    stream.delete_consumer("test_deleted").await.expect("it was there");
    world.change(Uuid::now_v7(), 2).await;
    eventually("what follows is applied", || async { world.applied("deleted").await == [1, 2] }).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_reported_without_the_password() {
    let settings = EventsSettings {
        url: Secret::new("nats://siti:hunter2@127.0.0.1:1"),
        namespace: "test".to_owned(),
        max_bytes: None,
        replicas: 1,
        connect_timeout: Duration::from_millis(500),
    };
    let begun = Instant::now();
    let error = Bus::connect(&settings, "test").await.expect_err("nobody listens there");
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert!(matches!(error, BusError::Unreachable { .. }));
    let line = error.to_string();
    assert!(line.contains("127.0.0.1:1") && !line.contains("hunter2") && !line.contains('\n'), "{line}");
}
