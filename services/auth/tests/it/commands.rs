use futures_util::future::join_all;
use serde_json::json;

use crate::support::{PASSWORD, TestApp, eventually, new_account};

const ACCOUNTS: &str = "/internal/accounts";

fn path(command: &serde_json::Value, what: &str) -> String {
    format!("/internal/commands/{}/{what}", command["command_id"].as_str().unwrap())
}

#[tokio::test]
async fn a_new_account_is_pending_until_it_is_confirmed() {
    let app = TestApp::spawn().await;
    let command = new_account("siti");
    let created = app.internal(ACCOUNTS, &command).await;
    assert_eq!(created.status, 200);
    assert_eq!(created.body["data"]["id"], command["account_id"]);
    assert_eq!(created.body["data"]["username"], "siti");
    assert_eq!(app.command(&command["command_id"]).await["state"], "pending");
    assert_eq!(app.login("siti", PASSWORD, "10.0.0.1").await.error(), (400, "INVALID_CREDENTIALS"));
    assert_eq!(
        app.count("select count(*) from outbox where event_type = 'account.created'").await,
        1,
        "only the admin's"
    );

    let confirmed = app.internal(&path(&command, "confirm"), &json!({})).await;
    assert_eq!(confirmed.body["data"]["state"], "applied");
    assert_eq!(confirmed.body["data"]["account"], created.body["data"]);
    assert_eq!(app.login("siti", PASSWORD, "10.0.0.1").await.status, 200);
    assert_eq!(app.count("select count(*) from outbox where event_type = 'account.created'").await, 2);
}

#[tokio::test]
async fn a_repeated_call_gets_the_same_answer_and_changes_nothing() {
    let app = TestApp::spawn().await;
    let command = new_account("siti");
    let first = app.internal(ACCOUNTS, &command).await;
    assert_eq!(app.internal(ACCOUNTS, &command).await.body, first.body);
    let confirmed = app.internal(&path(&command, "confirm"), &json!({})).await;
    assert_eq!(app.internal(&path(&command, "confirm"), &json!({})).await.body, confirmed.body);
    assert_eq!(app.internal(ACCOUNTS, &command).await.body, first.body);
    assert_eq!(app.count("select count(*) from outbox where event_type = 'account.created'").await, 2);
}

#[tokio::test]
async fn a_pending_account_reserves_its_names_in_any_case() {
    let app = TestApp::spawn().await;
    app.internal(ACCOUNTS, &new_account("siti")).await;
    let mut other = new_account("siti");
    other["email"] = "other@sekolah.sch.id".into();
    assert_eq!(app.internal(ACCOUNTS, &other).await.error(), (409, "USERNAME_TAKEN"));
    let mut other = new_account("other");
    other["email"] = " SITI@sekolah.sch.id ".into();
    assert_eq!(app.internal(ACCOUNTS, &other).await.error(), (409, "DUPLICATE_EMAIL"));
    // If both clash, the user name speaks.
    assert_eq!(app.internal(ACCOUNTS, &new_account("siti")).await.error(), (409, "USERNAME_TAKEN"));
    // A refused command is not applied, and may come again with better names.
    assert_eq!(app.command(&other["command_id"]).await["state"], "unknown");
}

#[tokio::test]
async fn of_many_calls_at_once_for_one_name_one_wins() {
    let app = TestApp::spawn().await;
    let commands: Vec<_> = (0..8).map(|_| new_account("siti")).collect();
    let answers = join_all(commands.iter().map(|command| app.internal(ACCOUNTS, command))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert!(answers.iter().all(|answer| answer.status == 200 || answer.error() == (409, "USERNAME_TAKEN")));
}

#[tokio::test]
async fn of_many_calls_at_once_with_one_id_all_get_the_one_answer() {
    let app = TestApp::spawn().await;
    let command = new_account("siti");
    let answers = join_all((0..8).map(|_| app.internal(ACCOUNTS, &command))).await;
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.body == answers[0].body), "{answers:?}");
}

#[tokio::test]
async fn cancelling_frees_the_names_and_refuses_the_id_for_good() {
    let app = TestApp::spawn().await;
    let command = new_account("siti");
    app.internal(ACCOUNTS, &command).await;
    let cancelled = app.internal(&path(&command, "cancel"), &json!({})).await;
    assert_eq!(cancelled.body["data"]["state"], "cancelled");
    assert_eq!(app.internal(ACCOUNTS, &command).await.error(), (409, "COMMAND_CANCELLED"));
    assert_eq!(app.internal(&path(&command, "confirm"), &json!({})).await.error(), (409, "COMMAND_CANCELLED"));
    assert_eq!(app.internal(ACCOUNTS, &new_account("siti")).await.status, 200);
}

#[tokio::test]
async fn a_call_that_comes_after_its_cancellation_is_refused() {
    let app = TestApp::spawn().await;
    let command = new_account("siti");
    assert_eq!(app.internal(&path(&command, "cancel"), &json!({})).await.body["data"]["state"], "cancelled");
    assert_eq!(app.internal(ACCOUNTS, &command).await.error(), (409, "COMMAND_CANCELLED"));
    assert_eq!(app.command(&command["command_id"]).await["state"], "cancelled");
}

#[tokio::test]
async fn what_is_applied_cannot_be_cancelled() {
    let app = TestApp::spawn().await;
    let command = new_account("siti");
    app.internal(ACCOUNTS, &command).await;
    app.internal(&path(&command, "confirm"), &json!({})).await;
    let answer = app.internal(&path(&command, "cancel"), &json!({})).await;
    assert_eq!(answer.body["data"]["state"], "applied");
    assert_eq!(answer.body["data"]["account"]["username"], "siti");
    assert_eq!(app.login("siti", PASSWORD, "10.0.0.1").await.status, 200);
}

#[tokio::test]
async fn of_confirming_and_cancelling_at_once_one_decides() {
    let app = TestApp::spawn().await;
    let command = new_account("siti");
    app.internal(ACCOUNTS, &command).await;
    let (confirm, cancel) = (path(&command, "confirm"), path(&command, "cancel"));
    let nothing = json!({});
    let (confirmed, cancelled) = tokio::join!(app.internal(&confirm, &nothing), app.internal(&cancel, &nothing));
    let state = app.command(&command["command_id"]).await["state"].clone();
    assert_eq!(cancelled.body["data"]["state"], state);
    assert_eq!(confirmed.status == 200, state == "applied");
    let login = app.login("siti", PASSWORD, "10.0.0.1").await.status;
    assert_eq!(login == 200, state == "applied");
}

#[tokio::test]
async fn what_nobody_confirms_expires_after_ten_minutes() {
    let mut app = TestApp::spawn().await;
    let (old, young) = (new_account("siti"), new_account("budi"));
    app.internal(ACCOUNTS, &old).await;
    app.sql("update commands set created_at = now() - interval '11 minutes'").await;
    app.internal(ACCOUNTS, &young).await;
    // The job looks at once when the service starts, and then every minute.
    app.auth.kill().await;
    app.auth.restart().await;
    eventually("it expires", async || app.command(&old["command_id"]).await["state"] == "cancelled").await;
    assert_eq!(app.command(&young["command_id"]).await["state"], "pending");
    assert_eq!(app.internal(ACCOUNTS, &new_account("siti")).await.status, 200);
}

#[tokio::test]
async fn names_and_passwords_keep_the_rules_and_all_broken_fields_are_named() {
    let app = TestApp::spawn().await;
    let mut command = new_account("siti");
    command["username"] = "Admin".into();
    command["email"] = "nobody".into();
    command["password"] = "1234567".into();
    let answer = app.internal(ACCOUNTS, &command).await;
    assert_eq!(answer.error(), (422, "VALIDATION_ERROR"));
    assert_eq!(answer.fields(), ["username", "email", "password"]);
}

#[tokio::test]
async fn without_the_internal_token_nobody_is_let_in_and_the_public_listener_knows_nothing() {
    let app = TestApp::spawn().await;
    let url = app.auth.internal_url().join(ACCOUNTS).unwrap();
    let answer = grafikarsa_devstack::testing::http_client().post(url).json(&new_account("siti")).send().await.unwrap();
    assert_eq!(answer.status(), 401);
    assert_eq!(app.post(ACCOUNTS).json(&new_account("siti")).send().await.error(), (404, "NOT_FOUND"));
}

#[tokio::test]
async fn an_unknown_command_cannot_be_confirmed() {
    let app = TestApp::spawn().await;
    let command = new_account("siti");
    let answer = app.internal(&path(&command, "confirm"), &json!({})).await;
    assert_eq!(answer.error(), (404, "COMMAND_NOT_FOUND"));
}
