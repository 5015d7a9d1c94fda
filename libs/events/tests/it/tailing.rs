//! What every replica sees as it happens.

use grafikarsa_events::{Bus, Tail, Tailed};
use proto_events::{Event as _, auth::v1::AccountChanged};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{World, eventually, in_time};

/// What a tail says, in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Live,
    Paused,
    Event(i64),
    Missed,
}

struct Watching(UnboundedReceiver<Said>);

impl Watching {
    fn start(bus: &Bus, filter: &str, shutdown: CancellationToken) -> Self {
        let (said, heard) = mpsc::unbounded_channel();
        let tail = Tail::new(bus, "auth", filter);
        tokio::spawn(tail.run(shutdown, move |tailed| {
            let said = said.clone();
            Box::pin(async move {
                let short = match tailed {
                    Tailed::Live => Said::Live,
                    Tailed::Paused => Said::Paused,
                    Tailed::Missed => Said::Missed,
                    Tailed::Event(event) => {
                        assert_eq!(event.name, AccountChanged::NAME);
                        Said::Event(event.version)
                    }
                };
                // Fails when the test has heard enough.
                said.send(short).ok();
            })
        }));
        Self(heard)
    }

    async fn next(&mut self) -> Said {
        in_time("the tail says something", self.0.recv()).await.expect("it goes on")
    }

    /// Everything up to and with `last`.
    async fn until(&mut self, last: Said) -> Vec<Said> {
        let mut heard = vec![self.next().await];
        while heard.last() != Some(&last) {
            heard.push(self.next().await);
        }
        heard
    }
}

#[tokio::test]
async fn each_tail_sees_all_that_happens_from_its_beginning_on_in_order() {
    let world = World::new().await;
    world.relay();
    world.change(Uuid::now_v7(), 1).await;
    let mut first = Watching::start(&world.peer, "account.*", world.shutdown.child_token());
    world.record("all");
    eventually("the first is published", || async { world.applied("all").await == [1] }).await;
    let mut second = Watching::start(&world.peer, "account.*", world.shutdown.child_token());
    let mut deaf = Watching::start(&world.peer, "session.*", world.shutdown.child_token());
    assert_eq!(second.next().await, Said::Live);
    assert_eq!(deaf.next().await, Said::Live);
    for version in 2..=50 {
        world.change(Uuid::now_v7(), version).await;
    }
    let expected: Vec<Said> = (2..=50).map(Said::Event).collect();
    assert_eq!(second.until(Said::Event(50)).await, expected);
    let heard = first.until(Said::Event(50)).await;
    assert!(heard.ends_with(&expected), "{heard:?}");
    deaf.0.close();
    assert_eq!(deaf.0.recv().await, None);
}

#[tokio::test]
async fn a_killed_server_pauses_the_tail_which_then_goes_on_behind_the_last_event() {
    let mut world = World::new().await;
    world.relay();
    let mut tail = Watching::start(&world.peer, "account.*", world.shutdown.child_token());
    assert_eq!(tail.next().await, Said::Live);
    for version in 1..=120 {
        if version == 40 || version == 80 {
            world.nats.kill().await.expect("it runs");
        }
        if version == 50 || version == 100 {
            world.nats.restart().await.expect("it starts");
        }
        world.change(Uuid::now_v7(), version).await;
    }
    let heard = tail.until(Said::Event(120)).await;
    let versions: Vec<i64> =
        heard.iter().filter_map(|said| if let Said::Event(version) = said { Some(*version) } else { None }).collect();
    assert_eq!(versions, (1..=120).collect::<Vec<_>>());
    assert!(heard.contains(&Said::Paused) && !heard.contains(&Said::Missed), "{heard:?}");
}

#[tokio::test]
async fn a_lost_storage_is_told_before_anything_new() {
    let mut world = World::new().await;
    let (relay, stop) = world.relay();
    let mut tail = Watching::start(&world.peer, "account.*", world.shutdown.child_token());
    world.change(Uuid::now_v7(), 1).await;
    assert_eq!(tail.until(Said::Event(1)).await, [Said::Live, Said::Event(1)]);
    stop.cancel();
    relay.await.expect("without panic");
    world.nats.kill().await.expect("it runs");
    world.lose_storage();
    world.nats.restart().await.expect("it starts");
    let heard = tail.until(Said::Live).await;
    assert!(heard.contains(&Said::Missed), "{heard:?}");
    world.relay();
    world.change(Uuid::now_v7(), 2).await;
    tail.until(Said::Event(2)).await;
}

#[tokio::test]
async fn a_consumer_that_the_server_forgets_is_made_anew_without_a_gap() {
    let world = World::new().await;
    world.relay();
    let mut tail = Watching::start(&world.peer, "account.*", world.shutdown.child_token());
    world.change(Uuid::now_v7(), 1).await;
    tail.until(Said::Event(1)).await;
    let name = proto_events::stream_name(world.bus.namespace(), "auth");
    let stream = world.bus.jetstream().get_stream(name).await.expect("it is there");
    let consumers: Vec<String> = futures_util::TryStreamExt::try_collect(stream.consumer_names()).await.expect("names");
    for consumer in consumers {
        stream.delete_consumer(&consumer).await.expect("it is deleted");
    }
    for version in 2..=10 {
        world.change(Uuid::now_v7(), version).await;
    }
    let heard = tail.until(Said::Event(10)).await;
    let events: Vec<_> = heard.iter().filter(|said| matches!(said, Said::Event(_))).copied().collect();
    assert_eq!(events, (2..=10).map(Said::Event).collect::<Vec<_>>());
    assert!(!heard.contains(&Said::Missed));
}

#[tokio::test]
async fn what_the_stream_drops_before_a_slow_tail_has_it_is_told() {
    let world = World::new().await;
    world.relay();
    let (said, mut heard) = mpsc::unbounded_channel();
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let held = gate.clone();
    let tail = Tail::new(&world.peer, "auth", "account.*");
    tokio::spawn(tail.run(world.shutdown.child_token(), move |tailed| {
        let (said, held) = (said.clone(), held.clone());
        Box::pin(async move {
            let is_event = matches!(tailed, Tailed::Event(_));
            said.send(tailed).ok();
            if is_event {
                drop(held.acquire().await);
            }
        })
    }));
    assert!(matches!(in_time("it is live", heard.recv()).await, Some(Tailed::Live)));
    // More than are on their way at once.
    for version in 1..=400 {
        world.change(Uuid::now_v7(), version).await;
    }
    eventually("all are published", || async { world.unpublished().await == 0 }).await;
    let name = proto_events::stream_name(world.bus.namespace(), "auth");
    world.bus.jetstream().get_stream(name).await.expect("it is there").purge().await.expect("it is emptied");
    gate.close();
    while !matches!(in_time("something is told", heard.recv()).await, Some(Tailed::Missed)) {}
}
