//! A logged-out access token is refused by all three services within a second, whatever happened to NATS.

use std::time::Duration;

use grafikarsa_devstack::testing::ADMIN;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    house::{House, Part},
    person::{Person, eventually, within},
};

const PROMISE: Duration = Duration::from_secs(1);

/// One request to each service that asks for a token and changes nothing.
fn probes() -> [(&'static str, Method, &'static str, Value); 3] {
    let nothing = json!({ "upload_id": Uuid::nil(), "object_key": "avatars/none" });
    [
        ("auth", Method::POST, "/api/v1/auth/logout", Value::Null),
        ("portfolio", Method::GET, "/api/v1/me", Value::Null),
        ("media", Method::POST, "/api/v1/uploads/confirm", nothing),
    ]
}

/// Logs in and makes sure that portfolio and media accept the token. (A logout is auth's own answer to it.)
async fn signed_in(guest: &Person) -> Person {
    let person = guest.login(ADMIN.0, ADMIN.1).await;
    for (service, method, path, body) in &probes()[1..] {
        eventually("accepted", async || {
            let answer = person.send(method.clone(), path, Some(body.clone())).await;
            if matches!(answer.status.as_u16(), 200 | 404) { Ok(()) } else { Err(format!("{service}: {answer:?}")) }
        })
        .await;
    }
    person
}

async fn log_out(person: &Person) {
    person.insist(Method::POST, "/api/v1/auth/logout", None).await.expect(200);
}

/// Asks all three services at once until each of them refuses.
async fn is_refused_everywhere(person: &Person) {
    let refused = async |(service, method, path, body): (&str, Method, &str, Value)| {
        within(PROMISE, "refused", async || {
            let answer = person.send(method.clone(), path, Some(body.clone())).await;
            let told = answer.code();
            if told == "TOKEN_REVOKED" { Ok(()) } else { Err(format!("{service}: {} {told}", answer.status)) }
        })
        .await;
    };
    let [auth, portfolio, media] = probes();
    tokio::join!(refused(auth), refused(portfolio), refused(media));
}

#[tokio::test]
async fn a_logged_out_token_is_refused_by_every_service_within_a_second() {
    let house = House::build().await;
    let person = signed_in(&house.guest()).await;
    let other = signed_in(&house.guest()).await;
    log_out(&person).await;
    is_refused_everywhere(&person).await;
    other.get("/api/v1/me").await.expect(200);
}

#[tokio::test]
async fn it_is_refused_after_nats_was_killed_and_restarted() {
    let mut house = House::build_apart().await;
    let before = signed_in(&house.guest()).await;
    let across = signed_in(&house.guest()).await;
    log_out(&before).await;
    is_refused_everywhere(&before).await;

    house.kill(Part::Nats).await;
    // Requests go on with the last known list.
    across.get("/api/v1/me").await.expect(200);
    assert_eq!(before.get("/api/v1/me").await.code(), "TOKEN_REVOKED");
    house.restart(Part::Nats).await;
    house.is_ready().await;

    is_refused_everywhere(&before).await;
    log_out(&across).await;
    is_refused_everywhere(&across).await;
}

#[tokio::test]
async fn it_is_refused_after_the_storage_of_nats_was_deleted() {
    let mut house = House::build_apart().await;
    let before = signed_in(&house.guest()).await;
    let across = signed_in(&house.guest()).await;
    log_out(&before).await;
    is_refused_everywhere(&before).await;

    house.kill(Part::Nats).await;
    house.lose_what_nats_stored();
    house.restart(Part::Nats).await;
    house.is_ready().await;

    is_refused_everywhere(&before).await;
    log_out(&across).await;
    is_refused_everywhere(&across).await;
    // auth puts the list together again, so that a replica that starts now knows it too.
    for part in [Part::Portfolio, Part::Media] {
        house.kill(part).await;
        house.restart(part).await;
    }
    house.is_ready().await;
    eventually("known to replicas that started later", async || {
        for person in [&before, &across] {
            for (service, method, path, body) in &probes()[1..] {
                let answer = person.send(method.clone(), path, Some(body.clone())).await;
                if answer.code() != "TOKEN_REVOKED" {
                    return Err(format!("{service}: {answer:?}"));
                }
            }
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_token_logged_out_while_nats_was_down_is_refused_once_it_is_back() {
    let mut house = House::build_apart().await;
    let person = signed_in(&house.guest()).await;
    house.kill(Part::Nats).await;
    let answer = person.send(Method::POST, "/api/v1/auth/logout", None).await;
    house.restart(Part::Nats).await;
    if answer.status != 200 {
        log_out(&person).await;
    }
    eventually("refused everywhere", async || {
        for (service, method, path, body) in probes() {
            let answer = person.send(method, path, Some(body)).await;
            if answer.code() != "TOKEN_REVOKED" {
                return Err(format!("{service}: {answer:?}"));
            }
        }
        Ok(())
    })
    .await;
}
