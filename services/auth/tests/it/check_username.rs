use serde_json::json;

use crate::support::{Answer, TestApp, new_account};

const PATH: &str = "/api/v1/me/check-username";

async fn check(app: &TestApp, access: &str, query: &str) -> Answer {
    app.get(&format!("{PATH}{query}")).bearer(access).send().await
}

#[tokio::test]
async fn a_free_name_is_available_and_echoed_as_sent() {
    let app = TestApp::spawn().await;
    let access = app.account("siti").await.login().await.access;
    let answer = check(&app, &access, "?username=budi_s").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body["data"], json!({ "username": "budi_s", "available": true }));
    // White space around it would be taken away when it is saved.
    let answer = check(&app, &access, "?username=%20budi_s%20").await;
    assert_eq!(answer.body["data"], json!({ "username": " budi_s ", "available": true }));
}

#[tokio::test]
async fn taken_reserved_and_malformed_names_are_not_available() {
    let app = TestApp::spawn().await;
    let access = app.account("siti").await.login().await.access;
    app.account("budi").await;
    app.account("rina").await;
    app.sql("update accounts set username = 'RINA' where username = 'rina'").await;
    app.internal("/internal/accounts", &new_account("pending")).await;
    let deactivated = app.account("joko").await;
    app.change(deactivated.id, json!({ "is_active": false })).await;
    for name in [
        "budi",
        "rina",
        "pending",
        "joko",
        "admin",
        "_next",
        "Budi_S",
        "ab",
        "bu.di",
        "bu%20di",
        "b%C3%BCdi",
        "budi%00",
        "%27",
        &"a".repeat(31),
        &"a".repeat(100),
    ] {
        let answer = check(&app, &access, &format!("?username={name}")).await;
        assert_eq!((answer.status, &answer.body["data"]["available"]), (200, &json!(false)), "{name}");
    }
}

#[tokio::test]
async fn a_name_is_available_again_after_a_deletion_and_after_a_change() {
    let app = TestApp::spawn().await;
    let access = app.account("siti").await.login().await.access;
    let (budi, rina) = (app.account("budi").await, app.account("rina").await);
    app.change(budi.id, json!({ "delete": true })).await;
    app.change(rina.id, json!({ "username": "rina_b" })).await;
    for name in ["budi", "rina"] {
        assert_eq!(check(&app, &access, &format!("?username={name}")).await.body["data"]["available"], true, "{name}");
    }
}

#[tokio::test]
async fn ones_own_current_name_is_available_even_if_it_breaks_newer_rules() {
    let app = TestApp::spawn().await;
    let access = app.account("siti").await.login().await.access;
    assert_eq!(check(&app, &access, "?username=siti").await.body["data"]["available"], true);
    app.sql("update accounts set username = 'Bu Siti' where username = 'siti'").await;
    assert_eq!(check(&app, &access, "?username=Bu%20Siti").await.body["data"]["available"], true);
    assert_eq!(check(&app, &access, "?username=BU%20SITI").await.body["data"]["available"], false);
}

#[tokio::test]
async fn a_missing_empty_or_long_name_is_400() {
    let app = TestApp::spawn().await;
    let access = app.account("siti").await.login().await.access;
    let long = format!("?username={}", "a".repeat(101));
    for query in ["", "?", "?name=budi", "?username=", "?username=%20", "?username=a&username=b", &long] {
        assert_eq!(check(&app, &access, query).await.error(), (400, "VALIDATION_ERROR"), "{query}");
    }
}

#[tokio::test]
async fn only_the_signed_in_may_ask() {
    let app = TestApp::spawn().await;
    let session = app.account("siti").await.login().await;
    assert_eq!(app.get(&format!("{PATH}?username=budi")).send().await.error(), (401, "UNAUTHORIZED"));
    assert_eq!(check(&app, "nonsense", "?username=budi").await.error(), (401, "INVALID_TOKEN"));
    app.logout(&session.access).await;
    assert_eq!(check(&app, &session.access, "?username=budi").await.error(), (401, "TOKEN_REVOKED"));
}

#[tokio::test]
async fn an_account_may_ask_60_times_a_minute_in_all_its_sessions() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    let (one, two) = (siti.login().await, siti.login().await);
    for n in 0..60 {
        let access = if n % 2 == 0 { &one.access } else { &two.access };
        assert_eq!(check(&app, access, "?username=budi").await.status, 200, "{n}");
    }
    // Asked before the query is looked at.
    for query in ["?username=budi", ""] {
        let refused = check(&app, &one.access, query).await;
        assert_eq!(refused.error(), (429, "TOO_MANY_REQUESTS"));
        assert!((1..=60).contains(&refused.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap()));
    }
    let other = app.account("rina").await.login().await;
    assert_eq!(check(&app, &other.access, "?username=budi").await.status, 200);
}
