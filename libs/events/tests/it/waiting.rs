use std::time::Duration;

use grafikarsa_events::republish;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    consuming::long_ago,
    support::{World, append, eventually},
};

/// Far longer than it takes; a wait that is true ends at once.
const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn who_waits_sees_the_effect_of_the_event() {
    let world = World::new().await;
    world.relay();
    world.record("reader");
    for version in 1..=20 {
        let mut transaction = world.pool.begin().await.expect("a transaction");
        let id = append(&mut transaction, Uuid::now_v7(), version).await;
        let wait = world.bus.await_applied(id).await.expect("a subscription");
        transaction.commit().await.expect("it commits");
        assert!(wait.wait(LONG).await);
        assert_eq!(world.applied("reader").await.last(), Some(&version));
    }
}

#[tokio::test]
async fn the_wait_is_bounded_when_nobody_applies_the_event() {
    let world = World::new().await;
    world.relay();
    let mut transaction = world.pool.begin().await.expect("a transaction");
    let id = append(&mut transaction, Uuid::now_v7(), 1).await;
    let wait = world.bus.await_applied(id).await.expect("a subscription");
    transaction.commit().await.expect("it commits");
    let begun = Instant::now();
    assert!(!wait.wait(Duration::from_millis(200)).await);
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_redelivery_signals_again() {
    let world = World::new().await;
    world.relay();
    world.record("reader");
    let id = world.change(Uuid::now_v7(), 1).await;
    eventually("it is applied", || async { world.applied("reader").await == [1] }).await;
    let wait = world.bus.await_applied(id).await.expect("a subscription");
    republish(&world.pool, &world.bus, long_ago()).await.expect("it is sent");
    assert!(wait.wait(LONG).await);
    assert_eq!(world.applied("reader").await, [1]);
}

#[tokio::test]
async fn without_nats_the_wait_is_short_and_the_event_is_delivered_later() {
    let mut world = World::new().await;
    world.relay();
    world.record("reader");
    world.change(Uuid::now_v7(), 1).await;
    eventually("it is applied", || async { world.applied("reader").await == [1] }).await;
    world.nats.kill().await.expect("it runs");
    let begun = Instant::now();
    let mut transaction = world.pool.begin().await.expect("a transaction");
    let id = append(&mut transaction, Uuid::now_v7(), 2).await;
    let wait = world.bus.await_applied(id).await.expect("no error");
    transaction.commit().await.expect("it commits");
    assert!(!wait.wait(Duration::from_secs(2)).await);
    assert!(begun.elapsed() < Duration::from_secs(10));
    world.nats.restart().await.expect("it starts");
    eventually("it is applied", || async { world.applied("reader").await == [1, 2] }).await;
}
