//! The main job on a house where nothing goes wrong.

use crate::{
    house::{House, Part},
    person::eventually,
    steps::{Journey, PHOTOGRAPH},
};

#[tokio::test]
async fn the_main_job_passes_through_nginx() {
    let house = House::build().await;
    let mut journey = Journey::new(house.guest(), "siti");
    journey.walk().await;
    house.books().await.balance(1, 1).await;
}

#[tokio::test]
async fn unknown_routes_are_answered_in_the_envelope() {
    let house = House::build().await;
    let answer = house.guest().get("/api/v1/nothing-here").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (404, "NOT_FOUND"));
    assert!(answer.headers.contains_key("x-request-id"));
}

#[tokio::test]
async fn a_service_that_is_down_is_answered_for_in_the_envelope() {
    let mut house = House::build().await;
    house.kill(Part::Portfolio).await;
    let answer = eventually("unavailable", async || {
        let answer = house.guest().get("/api/v1/feed?algorithm=recent").await;
        if answer.status.is_server_error() { Ok(answer) } else { Err(format!("{answer:?}")) }
    })
    .await;
    assert_eq!(answer.code(), "SERVICE_UNAVAILABLE");
    assert!(answer.headers.contains_key("x-request-id"));
}

#[tokio::test]
async fn only_signed_puts_reach_the_object_store() {
    let house = House::build().await;
    let address = house.object_address("staging/00000000-0000-4000-8000-000000000001");
    let answer = house.guest().put(&address, "image/jpeg", PHOTOGRAPH).await;
    // The store itself would answer 403, in XML.
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (404, "NOT_FOUND"));
    let answer = house.guest().fetch(&format!("{address}?X-Amz-Signature=00")).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (404, "NOT_FOUND"));
}
