use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use grafikarsa_events::republish;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::support::{World, eventually, in_time, note};

#[tokio::test]
async fn a_redelivered_event_is_applied_once() {
    let world = World::new().await;
    world.relay();
    world.record("once");
    world.change(Uuid::now_v7(), 1).await;
    eventually("it is applied", || async { world.applied("once").await == [1] }).await;
    assert_eq!(
        republish(&world.pool, &world.bus, DateTime::<Utc>::MIN_UTC.max(long_ago())).await.expect("it is sent"),
        1
    );
    world.change(Uuid::now_v7(), 2).await;
    eventually("what follows is applied", || async { world.applied("once").await.contains(&2) }).await;
    assert_eq!(world.applied("once").await, [1, 2]);
    assert_eq!(world.versions_in_stream().await, [1, 1, 2]);
}

#[tokio::test]
async fn an_event_with_full_state_can_be_applied_again() {
    let world = World::new().await;
    world.relay();
    let consumer = world.consumer("again").apply_again();
    tokio::spawn(consumer.run(world.shutdown.child_token(), |connection, message| note(connection, "again", message)));
    world.change(Uuid::now_v7(), 1).await;
    eventually("it is applied", || async { world.applied("again").await == [1] }).await;
    republish(&world.pool, &world.bus, long_ago()).await.expect("it is sent");
    eventually("it is applied again", || async { world.applied("again").await == [1, 1] }).await;
    assert_eq!(world.count("select count(*) from effects where again").await, 1);
}

#[tokio::test]
async fn each_consumer_applies_every_event() {
    let world = World::new().await;
    world.relay();
    world.record("one");
    world.record("two");
    world.change(Uuid::now_v7(), 1).await;
    for consumer in ["one", "two"] {
        eventually("it is applied", || async { world.applied(consumer).await == [1] }).await;
    }
}

#[tokio::test]
async fn replicas_share_the_work_and_apply_each_event_once() {
    let world = World::new().await;
    world.relay();
    world.record("shared");
    world.record("shared");
    for version in 1..=60 {
        world.change(Uuid::now_v7(), version).await;
    }
    eventually("all are applied", || async { world.applied("shared").await.len() >= 60 }).await;
    let mut applied = world.applied("shared").await;
    applied.sort_unstable();
    assert_eq!(applied, (1..=60).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_consumer_that_comes_late_gets_what_was_said_before() {
    let world = World::new().await;
    world.relay();
    world.change(Uuid::now_v7(), 1).await;
    eventually("it is published", || async { world.unpublished().await == 0 }).await;
    world.record("late");
    eventually("it is applied", || async { world.applied("late").await == [1] }).await;
}

#[tokio::test]
async fn a_failed_event_leaves_no_trace_and_comes_again() {
    let world = World::new().await;
    world.relay();
    let tries = Arc::new(AtomicU32::new(0));
    let counter = tries.clone();
    tokio::spawn(world.consumer("flaky").run(world.shutdown.child_token(), move |connection, message| {
        let counter = counter.clone();
        Box::pin(async move {
            note(&mut *connection, "flaky", message).await?;
            anyhow::ensure!(counter.fetch_add(1, Ordering::SeqCst) > 0, "the first try fails after its effect");
            Ok(())
        })
    }));
    world.change(Uuid::now_v7(), 1).await;
    eventually("it is applied", || async { !world.applied("flaky").await.is_empty() }).await;
    assert_eq!((world.applied("flaky").await, tries.load(Ordering::SeqCst)), (vec![1], 2));
}

#[tokio::test]
async fn a_panic_fails_the_event_and_not_the_consumer() {
    let world = World::new().await;
    world.relay();
    let tries = Arc::new(AtomicU32::new(0));
    tokio::spawn(world.consumer("panics").run(world.shutdown.child_token(), move |connection, message| {
        let first = tries.fetch_add(1, Ordering::SeqCst) == 0;
        Box::pin(async move {
            assert!(!first, "on purpose");
            note(connection, "panics", message).await
        })
    }));
    world.change(Uuid::now_v7(), 1).await;
    eventually("it is applied", || async { world.applied("panics").await == [1] }).await;
}

#[tokio::test]
async fn an_outage_of_the_database_buries_no_event() {
    let world = World::new().await;
    world.relay();
    // More outages than an event has tries.
    let outages = Arc::new(AtomicU32::new(0));
    let counter = outages.clone();
    tokio::spawn(world.consumer("outage").run(world.shutdown.child_token(), move |connection, message| {
        let cut = counter.fetch_add(1, Ordering::SeqCst) < 4;
        Box::pin(async move {
            if cut {
                sqlx::query("select pg_terminate_backend(pg_backend_pid())").execute(&mut *connection).await?;
            }
            note(connection, "outage", message).await
        })
    }));
    world.change(Uuid::now_v7(), 1).await;
    eventually("it is applied", || async { world.applied("outage").await == [1] }).await;
    assert_eq!(outages.load(Ordering::SeqCst), 5);
    assert_eq!(world.count("select count(*) from dead_letters").await, 0);
}

#[tokio::test]
async fn an_event_has_all_its_tries_after_an_outage() {
    let world = World::new().await;
    world.relay();
    let calls = Arc::new(AtomicU32::new(0));
    let counter = calls.clone();
    tokio::spawn(world.consumer("patient").run(world.shutdown.child_token(), move |connection, message| {
        let call = counter.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            // More outages than it may fail, then all but one of its failures.
            if call < 4 {
                sqlx::query("select pg_terminate_backend(pg_backend_pid())").execute(&mut *connection).await?;
            }
            anyhow::ensure!(call >= 6, "not yet");
            note(connection, "patient", message).await
        })
    }));
    world.change(Uuid::now_v7(), 1).await;
    eventually("it is applied", || async { world.applied("patient").await == [1] }).await;
    assert_eq!(calls.load(Ordering::SeqCst), 7);
    assert_eq!(world.count("select count(*) from dead_letters").await, 0);
}

#[tokio::test]
async fn an_event_that_loses_against_other_transactions_is_tried_more_often() {
    const CONFLICTS: [&str; 4] = [
        "do $$ begin raise exception using errcode = '40001'; end $$",
        "do $$ begin raise exception using errcode = '40P01'; end $$",
        "do $$ begin raise exception using errcode = '55P03'; end $$",
        "do $$ begin raise exception using errcode = '57014'; end $$",
    ];
    let world = World::new().await;
    world.relay();
    let calls = Arc::new(AtomicU32::new(0));
    let counter = calls.clone();
    tokio::spawn(world.consumer("loses").run(world.shutdown.child_token(), move |connection, message| {
        let call = counter.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            if let Some(&conflict) = CONFLICTS.get(call as usize) {
                sqlx::raw_sql(conflict).execute(&mut *connection).await?;
            }
            note(connection, "loses", message).await
        })
    }));
    world.change(Uuid::now_v7(), 1).await;
    eventually("it is applied", || async { world.applied("loses").await == [1] }).await;
    assert_eq!(calls.load(Ordering::SeqCst), 5);
    assert_eq!(world.count("select count(*) from dead_letters").await, 0);
}

#[tokio::test]
async fn an_event_that_takes_long_is_not_delivered_to_another_replica_meanwhile() {
    let world = World::new().await;
    world.relay();
    let calls = Arc::new(AtomicU32::new(0));
    let release = Arc::new(Notify::new());
    let (counter, gate) = (calls.clone(), release.clone());
    let consumer = world.consumer("long").ack_wait(Duration::from_millis(600));
    tokio::spawn(consumer.run(world.shutdown.child_token(), move |connection, message| {
        counter.fetch_add(1, Ordering::SeqCst);
        let gate = gate.clone();
        Box::pin(async move {
            if message.version == 1 {
                gate.notified().await;
            }
            note(connection, "long", message).await
        })
    }));
    world.change(Uuid::now_v7(), 1).await;
    eventually("it has begun", || async { calls.load(Ordering::SeqCst) == 1 }).await;
    // The server's own books say whether it delivered again; three times the wait for a sign of life pass by them.
    let name = proto_events::stream_name(world.bus.namespace(), "auth");
    let stream = world.bus.jetstream().get_stream(name).await.expect("the stream");
    let begun = tokio::time::Instant::now();
    eventually("time passes", || async { begun.elapsed() > Duration::from_millis(1800) }).await;
    let info = stream.consumer_info("test_long").await.expect("the consumer");
    assert_eq!((info.num_redelivered, info.num_ack_pending), (0, 1));
    release.notify_one();
    eventually("it is applied", || async { world.applied("long").await == [1] }).await;
}

#[tokio::test]
async fn a_shutdown_finishes_the_event_at_hand_and_gives_back_the_rest() {
    let world = World::new().await;
    world.relay();
    let begun = Arc::new(Notify::new());
    let release = Arc::new(Notify::new());
    let stop = world.shutdown.child_token();
    let (started, gate) = (begun.clone(), release.clone());
    // With this wait for an acknowledgement the rest would come back only after the test.
    let consumer = world.consumer("drains").ack_wait(Duration::from_mins(10));
    let first = tokio::spawn(consumer.run(stop.clone(), move |connection, message| {
        let (started, gate) = (started.clone(), gate.clone());
        Box::pin(async move {
            started.notify_one();
            gate.notified().await;
            note(connection, "drains", message).await
        })
    }));
    for version in 1..=5 {
        world.change(Uuid::now_v7(), version).await;
    }
    in_time("the first event is at hand", begun.notified()).await;
    eventually("all are published", || async { world.unpublished().await == 0 }).await;
    stop.cancel();
    release.notify_one();
    in_time("the consumer stops", first).await.expect("without panic");
    assert_eq!(world.applied("drains").await, [1]);
    let replica = world.consumer("drains").ack_wait(Duration::from_mins(10));
    tokio::spawn(replica.run(world.shutdown.child_token(), |connection, message| note(connection, "drains", message)));
    eventually("another replica applies the rest", || async { world.applied("drains").await.len() == 5 }).await;
}

#[tokio::test]
async fn a_foreign_message_is_put_aside() {
    let world = World::new().await;
    world.relay();
    world.record("strict");
    world.bus.ensure_stream("auth").await.expect("the stream");
    let subject = proto_events::full_subject(world.bus.namespace(), "auth", "account.changed");
    world.bus.jetstream().publish(subject, "hello".into()).await.expect("sent").await.expect("stored");
    world.change(Uuid::now_v7(), 1).await;
    eventually("what follows is applied", || async { world.applied("strict").await == [1] }).await;
}

pub fn long_ago() -> DateTime<Utc> {
    DateTime::<Utc>::UNIX_EPOCH
}
