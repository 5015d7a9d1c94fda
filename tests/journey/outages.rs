//! The main job, with a part of the house killed in the middle of each of its steps and started again.

use std::time::Duration;

use crate::{
    house::{House, Part},
    steps::{Journey, Step},
};

/// Kills `part` while each step is on its way, at another moment each time.
async fn the_journey_survives(part: Part) {
    let mut house = House::build_apart().await;
    let mut journey = Journey::new(house.guest(), "siti");
    journey.take(Step::AdminLogsIn).await;
    for (number, step) in (0u64..).zip(Step::ALL).skip(1) {
        tokio::join!(journey.take(step), async {
            // Not for waiting: it chooses the moment.
            tokio::time::sleep(Duration::from_millis(number * 13 % 50)).await;
            house.kill(part).await;
            house.restart(part).await;
        });
    }
    house.is_ready().await;
    journey.take(Step::GuestFindsIt).await;
    journey.take(Step::GuestSeesPicture).await;
    house.books().await.balance(1, 1).await;
}

#[tokio::test]
async fn the_journey_survives_postgresql() {
    the_journey_survives(Part::Postgres).await;
}

#[tokio::test]
async fn the_journey_survives_nats() {
    the_journey_survives(Part::Nats).await;
}

#[tokio::test]
async fn the_journey_survives_the_object_store() {
    the_journey_survives(Part::Store).await;
}

#[tokio::test]
async fn the_journey_survives_auth() {
    the_journey_survives(Part::Auth).await;
}

#[tokio::test]
async fn the_journey_survives_portfolio() {
    the_journey_survives(Part::Portfolio).await;
}

#[tokio::test]
async fn the_journey_survives_media() {
    the_journey_survives(Part::Media).await;
}
