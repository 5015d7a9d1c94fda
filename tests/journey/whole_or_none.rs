//! POST /admin/users crosses two services: killed at any step on either side it leaves a whole user or none, and the
//! same call then succeeds.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    barrier::Barrier,
    books::Books,
    house::{House, Part},
    person::{Answer, Person, eventually},
    steps::{Journey, Step},
};

const PASSWORD: &str = "rahasia-murid-1";

/// What the call writes on its way through the two services.
const STEPS: [&str; 5] =
    ["portfolio.account_intents", "auth.commands", "auth.accounts", "portfolio.users", "auth.outbox"];

/// Moments of a kill in milliseconds after the request; hashing the password takes the middle ones.
const MOMENTS: [u64; 10] = [1, 5, 10, 20, 30, 45, 60, 80, 110, 150];

struct School {
    house: House,
    books: Books,
    admin: Person,
}

impl School {
    async fn open() -> Self {
        let house = House::build().await;
        let mut journey = Journey::new(house.guest(), "nobody");
        journey.take(Step::AdminLogsIn).await;
        let books = house.books().await;
        Self { house, books, admin: journey.admin.expect("logged in") }
    }

    async fn create(admin: &Person, username: &str) -> Answer {
        admin.post("/api/v1/admin/users", wish(username)).await
    }

    /// After the kill: a whole user or none, the same call succeeds, the user logs in.
    async fn holds_its_promise(&self, username: &str, killed: &str, answer: &Answer) {
        self.house.is_ready().await;
        eventually("decided", async || match self.books.open_commands().await {
            Ok(0) => Ok(()),
            open => Err(format!("{killed}: open commands: {open:?}")),
        })
        .await;
        let (in_auth, in_portfolio) = self.books.halves_of(username).await;
        assert_eq!(in_auth, in_portfolio, "{killed} left half a user; the answer was {answer:?}");
        assert!(in_auth || !answer.status.is_success(), "{killed}: the user was promised and is lost");

        let again = eventually("answered", async || {
            let again = Self::create(&self.admin, username).await;
            if again.is_outage() { Err(format!("{again:?}")) } else { Ok(again) }
        })
        .await;
        if in_auth {
            assert_eq!((again.status.as_u16(), again.code().as_str()), (409, "DUPLICATE_USERNAME"), "{killed}");
        } else {
            assert_eq!(again.status, 201, "{killed}: {again:?}");
        }
        self.house.guest().login(username, PASSWORD).await;
    }
}

fn wish(username: &str) -> Value {
    json!({
        "username": username,
        "email": format!("{username}@siswa.example"),
        "password": PASSWORD,
        "nama": "Murid Baru",
        "role": "student",
    })
}

async fn killed_at_every_step(victim: Part) {
    let mut school = School::open().await;
    for (number, table) in STEPS.into_iter().enumerate() {
        let username = format!("langkah_{number}");
        let mut barrier = Barrier::raise(&school.house, table).await;
        let admin = school.admin.clone();
        let (answer, ()) = tokio::join!(School::create(&admin, &username), async {
            barrier.is_reached().await;
            school.house.kill(victim).await;
            barrier.fall().await;
            school.house.restart(victim).await;
        });
        school.holds_its_promise(&username, &format!("{victim:?} killed before {table}"), &answer).await;
    }
    school.books.balance(STEPS.len(), 0).await;
}

async fn killed_at_any_moment(victim: Part) {
    let mut school = School::open().await;
    for (number, moment) in MOMENTS.into_iter().enumerate() {
        let username = format!("saat_{number}");
        let admin = school.admin.clone();
        let (answer, ()) = tokio::join!(School::create(&admin, &username), async {
            // Not for waiting: it chooses the moment.
            tokio::time::sleep(Duration::from_millis(moment)).await;
            school.house.kill(victim).await;
            school.house.restart(victim).await;
        });
        school.holds_its_promise(&username, &format!("{victim:?} killed after {moment} ms"), &answer).await;
    }
    school.books.balance(MOMENTS.len(), 0).await;
}

#[tokio::test]
async fn auth_killed_at_any_step_leaves_a_whole_user_or_none() {
    killed_at_every_step(Part::Auth).await;
}

#[tokio::test]
async fn portfolio_killed_at_any_step_leaves_a_whole_user_or_none() {
    killed_at_every_step(Part::Portfolio).await;
}

#[tokio::test]
async fn auth_killed_at_any_moment_leaves_a_whole_user_or_none() {
    killed_at_any_moment(Part::Auth).await;
}

#[tokio::test]
async fn portfolio_killed_at_any_moment_leaves_a_whole_user_or_none() {
    killed_at_any_moment(Part::Portfolio).await;
}
