use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use grafikarsa_events::commands::{ReplayError, list, replay};
use uuid::Uuid;

use crate::support::{World, eventually, note};

/// A consumer that cannot apply version 1 until it is mended.
fn picky(world: &World) -> Arc<AtomicBool> {
    let mended = Arc::new(AtomicBool::new(false));
    let flag = mended.clone();
    tokio::spawn(world.consumer("picky").run(world.shutdown.child_token(), move |connection, message| {
        let poison = message.version == 1 && !flag.load(Ordering::SeqCst);
        Box::pin(async move {
            anyhow::ensure!(!poison, "cannot digest this");
            note(connection, "picky", message).await
        })
    }));
    mended
}

#[tokio::test]
async fn a_poisonous_event_goes_to_the_dead_letters_and_the_others_pass() {
    let world = World::new().await;
    world.relay();
    let mended = picky(&world);
    let account = Uuid::now_v7();
    let id = world.change(account, 1).await;
    world.change(Uuid::now_v7(), 2).await;
    eventually("it is given up", || async { !list(&world.pool).await.expect("a list").is_empty() }).await;
    eventually("the other is applied", || async { world.applied("picky").await == [2] }).await;

    let letters = list(&world.pool).await.expect("a list");
    assert_eq!(letters.len(), 1);
    let letter = &letters[0];
    assert_eq!(
        (letter.consumer.as_str(), letter.event_id, letter.event_type.as_str()),
        ("test_picky", id, "account.changed")
    );
    assert_eq!((letter.aggregate_id, letter.aggregate_version, letter.tries), (account, 1, 3));
    assert_eq!((letter.error.as_str(), letter.replayed_at), ("cannot digest this", None));

    mended.store(true, Ordering::SeqCst);
    assert!(replay(&world.pool, &world.bus, letter.id).await.expect("it is asked for"));
    assert_eq!(world.applied("picky").await, [2, 1]);
    assert!(list(&world.pool).await.expect("a list").is_empty());
}

#[tokio::test]
async fn a_replay_that_fails_again_is_a_dead_letter_again() {
    let world = World::new().await;
    world.relay();
    picky(&world);
    world.change(Uuid::now_v7(), 1).await;
    eventually("it is given up", || async { !list(&world.pool).await.expect("a list").is_empty() }).await;
    let before = list(&world.pool).await.expect("a list").remove(0);
    assert!(!replay(&world.pool, &world.bus, before.id).await.expect("it is asked for"));
    eventually("it is given up again", || async {
        list(&world.pool).await.expect("a list").iter().any(|letter| letter.failed_at > before.failed_at)
    })
    .await;
    let letters = list(&world.pool).await.expect("a list");
    assert_eq!((letters.len(), letters[0].id, letters[0].tries, letters[0].replayed_at), (1, before.id, 4, None));
}

#[tokio::test]
async fn a_replay_reaches_only_the_consumer_that_failed() {
    let world = World::new().await;
    world.relay();
    world.record("content");
    let mended = picky(&world);
    world.change(Uuid::now_v7(), 1).await;
    eventually("it is given up", || async { !list(&world.pool).await.expect("a list").is_empty() }).await;
    mended.store(true, Ordering::SeqCst);
    let id = list(&world.pool).await.expect("a list")[0].id;
    assert!(replay(&world.pool, &world.bus, id).await.expect("it is asked for"));
    assert_eq!(world.applied("picky").await, [1]);
    world.change(Uuid::now_v7(), 2).await;
    eventually("what follows is applied", || async { world.applied("content").await.contains(&2) }).await;
    assert_eq!(world.applied("content").await, [1, 2]);
}

#[tokio::test]
async fn an_unknown_dead_letter_is_not_replayed() {
    let world = World::new().await;
    let error = replay(&world.pool, &world.bus, 4711).await.expect_err("there is none");
    assert!(matches!(error, ReplayError::NotFound(4711)), "{error}");
}
