use serde_json::{Value, json};

use crate::support::{PASSWORD, TestApp, eventually, session_id};

const NEW: &str = "kata-sandi-baru";

/// What the service has said for the security log.
fn said(app: &TestApp) -> Vec<Value> {
    let lines = app.stack.log("auth");
    let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["target"] == "security").collect()
}

#[tokio::test]
async fn what_matters_to_security_is_logged_with_the_account_and_without_secrets() {
    let changes = [
        ("LOG_FORMAT", "json"),
        ("REFRESH_REUSE_GRACE_SECONDS", "0"),
        ("LIMIT_FAILED_LOGINS_ACCOUNT", "1/900"),
        ("LIMIT_FAILED_LOGINS_ADDRESS", "2/900"),
    ];
    let app = TestApp::with(&changes).await;
    let siti = app.account("siti").await;
    let reused = siti.login().await;
    app.refresh(&reused.cookie).await;
    app.refresh(&reused.cookie).await;
    let calling = siti.login().await;
    app.change_password(&calling.access, PASSWORD, NEW).await;
    app.post("/api/v1/auth/logout-all").bearer(&calling.access).send().await;
    app.change(siti.id, json!({ "password": PASSWORD })).await;
    // The second failure from a strange address, and the third of one address. What was typed as a name may be a password.
    app.login("siti", "salah-sekali", "198.51.100.1").await;
    app.login("siti", "salah-sekali", "198.51.100.2").await;
    for typed in ["typed-by-mistake-1", "typed-by-mistake-2", "typed-by-mistake-3"] {
        app.login(typed, "salah-sekali", "198.51.100.3").await;
    }
    app.change(siti.id, json!({ "is_active": false })).await;
    app.change(siti.id, json!({ "delete": true })).await;

    let expected = [
        ("a refresh token was used twice", true),
        ("a password was changed", true),
        ("an account was logged out everywhere", true),
        ("a password was reset", true),
        ("too many failed logins", true),
        ("too many failed logins", false),
        ("an account was deactivated", true),
        ("an account was deleted", true),
    ];
    eventually("all of it is written", async || said(&app).len() >= expected.len()).await;
    let said = said(&app);
    let messages: Vec<_> = said.iter().map(|line| line["message"].as_str().unwrap()).collect();
    assert_eq!(messages, expected.map(|(message, _)| message));
    for (line, (message, names_the_account)) in said.iter().zip(expected) {
        assert_eq!(line.to_string().contains(&siti.id.to_string()), names_the_account, "{message}");
    }
    assert_eq!(said[0]["session"], json!(session_id(&reused.access)));
    assert_eq!(said[5]["address"], "198.51.100.3");

    let log = app.stack.log("auth");
    for secret in [PASSWORD, NEW, "salah-sekali", "typed-by-mistake", &reused.cookie, &reused.access, "$argon2id$"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}
