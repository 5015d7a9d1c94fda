use std::time::Duration;

use sqlx::{Connection as _, PgConnection, postgres::PgListener};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::support::{World, append, changed, eventually, in_time};

#[tokio::test]
async fn an_event_that_commits_late_is_published_although_later_ones_went_before_it() {
    let world = World::new().await;
    world.relay();
    let mut slow = world.pool.begin().await.expect("a transaction");
    append(&mut slow, Uuid::now_v7(), 1).await;
    world.change(Uuid::now_v7(), 2).await;
    eventually("the later position is published", || async { world.versions_in_stream().await == [2] }).await;
    slow.commit().await.expect("it commits");
    eventually("the earlier position follows", || async { world.versions_in_stream().await == [2, 1] }).await;
}

#[tokio::test]
async fn of_many_commits_in_a_row_few_notify() {
    let world = World::new().await;
    let schema: String = sqlx::query_scalar("select current_schema()").fetch_one(&world.pool).await.expect("a schema");
    let mut listener = PgListener::connect_with(&world.pool).await.expect("a connection");
    listener.listen(&format!("outbox_{schema}")).await.expect("it listens");
    for version in 1..=20 {
        world.change(Uuid::now_v7(), version).await;
    }
    // The quiet time after the last one is over for this one.
    sleep(Duration::from_millis(300)).await;
    world.change(Uuid::now_v7(), 21).await;
    let mut notifications = 0;
    while timeout(Duration::from_secs(1), listener.recv()).await.is_ok() {
        notifications += 1;
    }
    assert!((2..21).contains(&notifications), "{notifications}");
    world.relay();
    eventually("all are published", || async { world.unpublished().await == 0 }).await;
}

#[tokio::test]
async fn a_rolled_back_event_is_never_published() {
    let world = World::new().await;
    world.relay();
    let mut transaction = world.pool.begin().await.expect("a transaction");
    append(&mut transaction, Uuid::now_v7(), 1).await;
    transaction.rollback().await.expect("it rolls back");
    world.change(Uuid::now_v7(), 2).await;
    eventually("the committed one is published", || async {
        world.unpublished().await == 0 && !world.stream().await.is_empty()
    })
    .await;
    assert_eq!(world.versions_in_stream().await, [2]);
}

#[tokio::test]
async fn events_of_one_aggregate_keep_their_order() {
    let world = World::new().await;
    world.relay();
    let account = Uuid::now_v7();
    for version in 1..=250 {
        world.change(account, version).await;
    }
    eventually("all are published", || async { world.unpublished().await == 0 }).await;
    assert_eq!(world.versions_in_stream().await, (1..=250).collect::<Vec<_>>());
}

#[tokio::test]
async fn two_relays_publish_each_event_once_and_the_second_takes_over() {
    let world = World::new().await;
    let relays = [world.relay(), world.relay()];
    for version in 1..=50 {
        world.change(Uuid::now_v7(), version).await;
    }
    eventually("all are published", || async { world.unpublished().await == 0 }).await;
    assert_eq!(world.versions_in_stream().await, (1..=50).collect::<Vec<_>>());

    // Whichever holds the lock is among them: each is stopped in turn, and a third one goes on.
    let third = world.relay();
    for (relay, stop) in relays {
        stop.cancel();
        in_time("the relay stops", relay).await.expect("without panic");
    }
    world.change(Uuid::now_v7(), 51).await;
    eventually("the third takes over", || async { world.unpublished().await == 0 }).await;
    assert_eq!(world.versions_in_stream().await, (1..=51).collect::<Vec<_>>());
    drop(third);
}

#[tokio::test]
async fn a_relay_without_the_lock_publishes_nothing() {
    let world = World::new().await;
    let mut other = PgConnection::connect_with(&world.pool.connect_options()).await.expect("a connection");
    sqlx::query("select pg_advisory_lock(hashtextextended('auth.outbox', 0))")
        .execute(&mut other)
        .await
        .expect("the lock");
    world.change(Uuid::now_v7(), 1).await;
    world.relay();
    // It asks for the lock, is refused, and asks again a second later.
    let mut asked = "select count(*) from pg_stat_activity
                     where application_name = 'auth-relay' and datname = current_database() and query like '%try_advisory%'";
    for _ in 0..2 {
        eventually("it asks for the lock", || async { world.count(asked).await == 1 }).await;
        asked = "select count(*) from pg_stat_activity
                 where application_name = 'auth-relay' and datname = current_database() and query like '%try_advisory%'
                     and query_start > backend_start + interval '900 milliseconds'";
    }
    assert_eq!(world.unpublished().await, 1);
    other.close().await.expect("it closes");
    eventually("it is published", || async { world.unpublished().await == 0 }).await;
}

#[tokio::test]
async fn a_relay_whose_connection_was_cut_goes_on_with_a_new_one() {
    let world = World::new().await;
    world.relay();
    world.change(Uuid::now_v7(), 1).await;
    eventually("it is published", || async { world.unpublished().await == 0 }).await;
    let cut = "select count(pg_terminate_backend(pid)) from pg_stat_activity
               where datname = current_database() and application_name = 'auth-relay'";
    assert_eq!(world.count(cut).await, 1);
    world.change(Uuid::now_v7(), 2).await;
    eventually("it is published", || async { world.unpublished().await == 0 }).await;
    assert_eq!(world.versions_in_stream().await, [1, 2]);
}

#[tokio::test]
async fn what_was_committed_just_before_a_shutdown_is_still_published() {
    let world = World::new().await;
    let (relay, stop) = world.relay();
    world.change(Uuid::now_v7(), 1).await;
    eventually("the relay works", || async { world.unpublished().await == 0 }).await;
    world.change(Uuid::now_v7(), 2).await;
    stop.cancel();
    in_time("the relay stops", relay).await.expect("without panic");
    assert_eq!(world.unpublished().await, 0);
}

#[tokio::test]
async fn an_event_carries_what_a_receiver_needs_to_know_before_reading_it() {
    let world = World::new().await;
    world.relay();
    let account = Uuid::now_v7();
    let id = world.change(account, 7).await;
    eventually("it is published", || async { world.unpublished().await == 0 }).await;
    let stream = world.bus.jetstream().get_stream(format!("{}_auth", world.bus.namespace())).await.expect("the stream");
    let message = stream.get_raw_message(1).await.expect("the event");
    assert_eq!(&*message.subject, format!("{}.auth.v1.account.changed", world.bus.namespace()));
    let header = |name: &str| message.headers.get(name).map(|value| value.as_str().to_owned());
    assert_eq!(header("Nats-Msg-Id"), Some(id.to_string()));
    assert_eq!(header("Grafikarsa-Event-Id"), Some(id.to_string()));
    assert_eq!(header("Grafikarsa-Event-Type").as_deref(), Some("account.changed"));
    assert_eq!(header("Grafikarsa-Aggregate"), Some(account.to_string()));
    assert_eq!(header("Grafikarsa-Version").as_deref(), Some("7"));
    assert!(header("Grafikarsa-Event-Time").is_some());
    let config = &stream.cached_info().config;
    assert_eq!(config.max_age.as_secs(), 14 * 24 * 3600);
    assert_eq!(config.subjects, [format!("{}.auth.v1.>", world.bus.namespace())]);
}

#[tokio::test]
async fn the_trace_of_the_writer_travels_with_the_event() {
    let world = World::new().await;
    world.relay();
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    world.change(Uuid::now_v7(), 1).await;
    eventually("the relay works", || async { world.unpublished().await == 0 }).await;
    // Held back from the relay until the trace is in the row.
    let mut transaction = world.pool.begin().await.expect("a transaction");
    let id = append(&mut transaction, Uuid::now_v7(), 2).await;
    sqlx::query("update outbox set traceparent = $1 where id = $2")
        .bind(traceparent)
        .bind(id)
        .execute(&mut *transaction)
        .await
        .expect("the row");
    transaction.commit().await.expect("it commits");
    eventually("it is published", || async { world.unpublished().await == 0 }).await;
    let stream = world.bus.jetstream().get_stream(format!("{}_auth", world.bus.namespace())).await.expect("the stream");
    let message = stream.get_raw_message(2).await.expect("the event");
    assert_eq!(message.headers.get("traceparent").map(async_nats::HeaderValue::as_str), Some(traceparent));
}

#[tokio::test]
async fn many_events_are_stored_at_once_and_keep_their_order() {
    let world = World::new().await;
    world.relay();
    let (one, another) = (Uuid::now_v7(), Uuid::now_v7());
    let events: Vec<_> = (1..=250)
        .map(|version| {
            let account = if version % 2 == 0 { one } else { another };
            (changed(account, version), account, version)
        })
        .collect();
    let mut transaction = world.pool.begin().await.expect("a transaction");
    grafikarsa_events::outbox::append_all(&mut transaction, &events).await.expect("the outbox takes them");
    grafikarsa_events::outbox::append_all(&mut transaction, &events[..0]).await.expect("none is fine");
    transaction.commit().await.expect("it commits");
    eventually("all are published", || async { world.unpublished().await == 0 }).await;
    assert_eq!(world.versions_in_stream().await, (1..=250).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_event_that_nats_would_refuse_is_refused_at_the_writer() {
    let world = World::new().await;
    let mut connection = PgConnection::connect_with(&world.pool.connect_options()).await.expect("a connection");
    let account = Uuid::now_v7();
    let mut event = changed(account, 1);
    event.account.as_mut().expect("an account").username = "a".repeat(600 * 1024);
    let result = grafikarsa_events::outbox::append(&mut connection, &event, account, 1).await;
    assert!(matches!(result, Err(sqlx::Error::Encode(_))));
    assert_eq!(world.unpublished().await, 0);
}

#[tokio::test]
async fn old_rows_leave_outbox_and_inbox_and_young_ones_stay() {
    let world = World::new().await;
    for (version, days) in [(1, 8), (2, 6)] {
        let id = world.change(Uuid::now_v7(), version).await;
        sqlx::query("update outbox set published_at = now() - make_interval(days => $1) where id = $2")
            .bind(days)
            .bind(id)
            .execute(&world.pool)
            .await
            .expect("the row");
    }
    sqlx::query(
        "insert into inbox (consumer, event_id, at) values
             ('old', gen_random_uuid(), now() - interval '31 days'), ('young', gen_random_uuid(), now() - interval '29 days')",
    )
    .execute(&world.pool)
    .await
    .expect("rows");
    world.relay();
    eventually("the old row is gone", || async { world.count("select count(*) from outbox").await == 1 }).await;
    eventually("the old row is gone", || async { world.count("select count(*) from inbox").await == 1 }).await;
    assert_eq!(world.count("select aggregate_version from outbox").await, 2);
    assert_eq!(world.count("select count(*) from inbox where consumer = 'young'").await, 1);
}

#[tokio::test]
async fn the_relay_is_woken_by_a_commit_and_not_by_a_rollback() {
    let world = World::new().await;
    let mut listener = PgListener::connect_with(&world.pool).await.expect("a connection");
    listener.listen("outbox_auth").await.expect("the channel of the schema");
    for (version, commit) in [(1, false), (2, true)] {
        let mut transaction = world.pool.begin().await.expect("a transaction");
        append(&mut transaction, Uuid::now_v7(), version).await;
        if commit { transaction.commit().await } else { transaction.rollback().await }.expect("it ends");
    }
    in_time("the notification", listener.recv()).await.expect("a notification");
    assert!(listener.next_buffered().is_none());
}
