//! Copies of accounts that were lost, or went back in time, are made good by auth's events.

use serde_json::json;
use sqlx::PgPool;

use crate::{
    house::{House, Part},
    person::eventually,
};

/// Everything that portfolio keeps of auth's accounts.
async fn copies(portfolio: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        "select json_build_array(
             id, account_version, username, email, role, is_active, must_change_password, deleted_at is not null,
             created_at
         )::text
         from users
         order by id",
    )
    .fetch_all(portfolio)
    .await
    .unwrap()
}

async fn returns_to(portfolio: &PgPool, expected: &[String]) {
    eventually("as before", async || {
        let found = copies(portfolio).await;
        if found == expected { Ok(()) } else { Err(format!("{found:#?} instead of {expected:#?}")) }
    })
    .await;
}

/// Accounts in every state, known to portfolio.
async fn populate(house: &House, portfolio: &PgPool) {
    let admin = house.admin().await;
    let mut people = Vec::new();
    for username in ["budi", "siti", "adi", "dewi", "eka"] {
        let body = json!({
            "username": username, "email": format!("{username}@sekolah.sch.id"), "password": "rahasia-sekali",
            "nama": username, "role": "student",
        });
        let data = admin.post("/api/v1/admin/users", body).await.expect(201);
        people.push(data["id"].as_str().unwrap().parse().unwrap());
    }
    house.change(people[1], json!({ "is_active": false })).await;
    house.change(people[2], json!({ "username": "adi_baru", "email": "adi.baru@sekolah.sch.id" })).await;
    house.change(people[3], json!({ "delete": true })).await;
    house.change(people[4], json!({ "role": "alumni" })).await;
    eventually("known to portfolio", async || {
        let known: i64 = sqlx::query_scalar(
            "select count(*) from users
             where not is_active or username = 'adi_baru' or deleted_at is not null or role = 'alumni'",
        )
        .fetch_one(portfolio)
        .await
        .unwrap();
        if known == 4 { Ok(()) } else { Err(format!("{known} of 4")) }
    })
    .await;
}

/// As a database that was restored from before everything.
async fn forget(portfolio: &PgPool) {
    for statement in [
        "update users set account_version = 0, username = 'hilang_' || left(id::text, 8), email = id::text, role = 'student',
             is_active = true, deleted_at = null, must_change_password = not must_change_password,
             created_at = created_at - interval '1 year'",
        "delete from inbox",
    ] {
        sqlx::query(statement).execute(portfolio).await.unwrap();
    }
}

#[tokio::test]
async fn a_rebuild_gives_a_consumer_that_lost_its_copies_the_same_rows() {
    let mut house = House::build().await;
    let portfolio = house.books().await.portfolio;
    populate(&house, &portfolio).await;
    let before = copies(&portfolio).await;
    house.kill(Part::Portfolio).await;
    forget(&portfolio).await;
    house.restart(Part::Portfolio).await;
    assert_ne!(copies(&portfolio).await, before);
    house.run("auth", &["events", "rebuild", "accounts"]).await;
    returns_to(&portfolio, &before).await;
}

#[tokio::test]
async fn a_lost_bus_is_made_good_by_publishing_again() {
    let mut house = House::build_apart().await;
    let portfolio = house.books().await.portfolio;
    populate(&house, &portfolio).await;
    let before = copies(&portfolio).await;
    house.kill(Part::Portfolio).await;
    house.kill(Part::Nats).await;
    house.lose_what_nats_stored();
    forget(&portfolio).await;
    house.restart(Part::Nats).await;
    house.restart(Part::Portfolio).await;
    house.is_ready().await;
    house.run("auth", &["events", "republish", "--since", "2026-01-01T00:00:00Z"]).await;
    returns_to(&portfolio, &before).await;
}
