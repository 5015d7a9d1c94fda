//! Commands of portfolio that create many accounts at once.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{PASSWORD, TestApp, new_account};

const BATCH: &str = "/internal/accounts/batch";

fn path(command: &Value, what: &str) -> String {
    format!("/internal/commands/{}/{what}", command["command_id"].as_str().unwrap())
}

fn batch(names: &[&str]) -> Value {
    let account = |name: &&str| {
        json!({
            "account_id": Uuid::now_v7(), "username": name, "email": format!("{name}@grafikarsa.com"), "password": name,
        })
    };
    let accounts: Vec<Value> = names.iter().map(account).collect();
    json!({ "command_id": Uuid::now_v7(), "role": "student", "must_change_password": true, "accounts": accounts })
}

fn names(accounts: &Value) -> Vec<&str> {
    let mut names: Vec<&str> =
        accounts.as_array().unwrap().iter().map(|account| account["username"].as_str().unwrap()).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn a_batch_is_pending_until_it_is_confirmed_and_first_passwords_may_be_short() {
    let app = TestApp::spawn().await;
    let command = batch(&["101", "102", "103"]);
    let created = app.internal(BATCH, &command).await;
    assert_eq!(created.status, 200);
    assert_eq!(names(&created.body["data"]["accounts"]), ["101", "102", "103"]);
    assert_eq!(created.body["data"]["refused"], json!([]));
    assert_eq!(app.command(&command["command_id"]).await["state"], "pending");
    assert_eq!(app.login("101", "101", "10.0.0.1").await.error(), (400, "INVALID_CREDENTIALS"));

    // Portfolio could not store one of them.
    let without = json!({ "without": [command["accounts"][1]["account_id"]] });
    let confirmed = app.internal(&path(&command, "confirm"), &without).await;
    assert_eq!(confirmed.body["data"]["state"], "applied");
    assert_eq!(names(&confirmed.body["data"]["accounts"]), ["101", "103"]);
    let login = app.login("101", "101", "10.0.0.1").await;
    assert_eq!(login.status, 200);
    assert_eq!(app.login("102", "102", "10.0.0.1").await.error(), (400, "INVALID_CREDENTIALS"));
    let events = "select count(*) from outbox where event_type = 'account.created'";
    assert_eq!(app.count(events).await, 3, "two and the admin's");

    assert_eq!(app.internal(&path(&command, "confirm"), &json!(null)).await.body, confirmed.body);
    assert_eq!(names(&app.internal(BATCH, &command).await.body["data"]["accounts"]), ["101", "103"]);
    let cancelled = app.internal(&path(&command, "cancel"), &json!(null)).await;
    assert_eq!(cancelled.body["data"], confirmed.body["data"]);
    assert_eq!(app.count(events).await, 3);
    // The name of the one left out is free.
    assert_eq!(app.internal("/internal/accounts", &new_account("102")).await.status, 200);
}

#[tokio::test]
async fn names_that_are_taken_are_refused_and_the_others_created() {
    let app = TestApp::spawn().await;
    app.account("101").await;
    let mut other = new_account("other");
    other["email"] = "102@grafikarsa.com".into();
    app.internal("/internal/accounts", &other).await;
    let command = batch(&["101", "102", "103", "103"]);
    let answer = app.internal(BATCH, &command).await;
    assert_eq!(names(&answer.body["data"]["accounts"]), ["103"]);
    let mut codes: Vec<&str> =
        answer.body["data"]["refused"].as_array().unwrap().iter().map(|one| one["code"].as_str().unwrap()).collect();
    codes.sort_unstable();
    assert_eq!(codes, ["DUPLICATE_EMAIL", "RACE_LOST", "USERNAME_TAKEN"]);
    assert_eq!(app.internal(BATCH, &command).await.body, answer.body);
}

#[tokio::test]
async fn of_batches_at_once_each_name_goes_to_one_and_one_id_gets_one_answer() {
    let app = TestApp::spawn().await;
    let names: Vec<String> = (100..120).map(|number| number.to_string()).collect();
    let forward: Vec<&str> = names.iter().map(String::as_str).collect();
    let backward: Vec<&str> = forward.iter().rev().copied().collect();
    let (one, another) = (batch(&forward), batch(&backward));
    let (first, second, third) =
        tokio::join!(app.internal(BATCH, &one), app.internal(BATCH, &another), app.internal(BATCH, &one));
    assert_eq!(first.body, third.body);
    let created = |answer: &Value| answer["data"]["accounts"].as_array().unwrap().len();
    assert_eq!(created(&first.body) + created(&second.body), 20);
}

#[tokio::test]
async fn cancelling_a_batch_frees_its_names_and_refuses_the_id() {
    let app = TestApp::spawn().await;
    let command = batch(&["101", "102"]);
    app.internal(BATCH, &command).await;
    let cancelled = app.internal(&path(&command, "cancel"), &json!(null)).await;
    assert_eq!(cancelled.body["data"]["state"], "cancelled");
    assert_eq!(app.internal(BATCH, &command).await.error(), (409, "COMMAND_CANCELLED"));
    assert_eq!(app.internal(&path(&command, "confirm"), &json!(null)).await.error(), (409, "COMMAND_CANCELLED"));
    assert_eq!(names(&app.internal(BATCH, &batch(&["101", "102"])).await.body["data"]["accounts"]), ["101", "102"]);
    assert_eq!(app.count("select count(*) from accounts where role = 'student'").await, 2);
}

#[tokio::test]
async fn a_batch_keeps_the_rules_or_nothing_of_it_is_created() {
    let app = TestApp::spawn().await;
    let mut bad = batch(&["101", "102"]);
    bad["accounts"][0]["username"] = "Admin".into();
    bad["accounts"][1]["email"] = "nobody".into();
    bad["accounts"][1]["password"] = "".into();
    let answer = app.internal(BATCH, &bad).await;
    assert_eq!(answer.error(), (422, "VALIDATION_ERROR"));
    assert_eq!(app.internal(BATCH, &batch(&[])).await.error(), (422, "VALIDATION_ERROR"));
    assert_eq!(app.internal(BATCH, &batch(&vec!["101"; 2001])).await.error(), (422, "VALIDATION_ERROR"));
    assert_eq!(app.count("select count(*) from accounts where role = 'student'").await, 0);
}

#[tokio::test]
async fn logins_are_answered_while_a_batch_is_hashed() {
    let app = TestApp::spawn().await;
    app.account("siti").await;
    let names: Vec<String> = (1000..1300).map(|number| number.to_string()).collect();
    let command = batch(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let hashing = app.internal(BATCH, &command);
    tokio::pin!(hashing);
    let login = async {
        // The batch is under way as soon as auth is asked.
        tokio::task::yield_now().await;
        app.login("siti", PASSWORD, "10.0.0.1").await
    };
    tokio::select! {
        biased;
        answer = &mut hashing => panic!("the batch was faster: {}", answer.status),
        login = login => assert_eq!(login.status, 200),
    }
    assert_eq!(hashing.await.status, 200);
}
