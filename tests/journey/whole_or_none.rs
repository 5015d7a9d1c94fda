//! POST /admin/users crosses two services: killed at any moment on either side it leaves a whole user or none, and the
//! same call then succeeds.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    house::{House, Part},
    person::{Person, eventually},
    steps::{Journey, Step},
};

const PASSWORD: &str = "rahasia-murid-1";
/// Moments of the kill, in milliseconds after the request; hashing the password takes the middle ones.
const MOMENTS: [u64; 14] = [1, 3, 6, 10, 15, 20, 26, 32, 40, 50, 60, 75, 90, 120];

fn wish(username: &str) -> Value {
    json!({
        "username": username,
        "email": format!("{username}@siswa.example"),
        "password": PASSWORD,
        "nama": "Murid Baru",
        "role": "student",
    })
}

async fn kill_at_every_moment(victim: Part) {
    let mut house = House::build().await;
    let mut journey = Journey::new(house.guest(), "nobody");
    journey.take(Step::AdminLogsIn).await;
    let books = house.books().await;
    let admin = journey.admin.clone().unwrap();
    for (number, moment) in MOMENTS.into_iter().enumerate() {
        let username = format!("murid_{number}");
        let (answer, ()) = tokio::join!(admin.post("/api/v1/admin/users", wish(&username)), async {
            tokio::time::sleep(Duration::from_millis(moment)).await;
            house.kill(victim).await;
            house.restart(victim).await;
        });
        house.is_ready().await;
        eventually("decided", async || match books.open_commands().await {
            Ok(0) => Ok(()),
            open => Err(format!("open commands: {open:?}")),
        })
        .await;
        let (in_auth, in_portfolio) = books.halves_of(&username).await;
        assert_eq!(in_auth, in_portfolio, "half a user after {moment} ms; the answer was {answer:?}");
        assert!(in_auth || !answer.status.is_success(), "{username} was promised and is lost");
        succeeds_now(&admin, &username, in_auth).await;
        house.guest().login(&username, PASSWORD).await;
    }
    books.balance(MOMENTS.len(), 0).await;
}

/// The same call again: the user is created, or is there already.
async fn succeeds_now(admin: &Person, username: &str, exists: bool) {
    let answer = eventually("answered", async || {
        let answer = admin.post("/api/v1/admin/users", wish(username)).await;
        if answer.is_outage() { Err(format!("{answer:?}")) } else { Ok(answer) }
    })
    .await;
    if exists {
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (409, "DUPLICATE_USERNAME"));
    } else {
        assert!(answer.status == 201 || answer.code() == "DUPLICATE_USERNAME", "{answer:?}");
    }
}

#[tokio::test]
async fn auth_killed_at_any_moment_leaves_a_whole_user_or_none() {
    kill_at_every_moment(Part::Auth).await;
}

#[tokio::test]
async fn portfolio_killed_at_any_moment_leaves_a_whole_user_or_none() {
    kill_at_every_moment(Part::Portfolio).await;
}
