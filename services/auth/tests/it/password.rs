use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, PASSWORD, TestApp, eventually, typed_claims};

const PATH: &str = "/api/v1/me/password";
const NEW: &str = "kata-sandi-baru";
const WRONG: &str = "salah-sekali";

async fn send(app: &TestApp, access: &str, body: &Value) -> Answer {
    app.request(Method::PATCH, PATH).bearer(access).json(body).send().await
}

/// Wrong current passwords that are counted.
async fn hits(app: &TestApp) -> i64 {
    app.count("select coalesce(sum(hits), 0) from rate_limits where bucket = 'wrong_passwords'").await
}

#[tokio::test]
async fn the_new_password_is_good_and_the_old_one_no_longer() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    let session = siti.login().await;
    let answer = app.change_password(&session.access, PASSWORD, NEW).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body["data"].is_null());
    assert!(answer.body["message"].is_string());
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(siti.login_with(PASSWORD).await.error(), (400, "INVALID_CREDENTIALS"));
    assert_eq!(siti.login_with(NEW).await.status, 200);
    // The calling session goes on, by token and by cookie.
    assert_eq!(app.sessions(&session.access).await.status, 200);
    assert_eq!(app.refresh(&session.cookie).await.status, 200);
}

#[tokio::test]
async fn the_duty_to_change_it_is_done_and_told_once() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    let told = "select count(*) from outbox where event_type = 'account.changed'";
    let access = siti.login().await.access;
    assert_eq!(app.change_password(&access, PASSWORD, NEW).await.status, 200);
    assert_eq!(app.count(told).await, 0, "nothing that others know has changed");
    app.sql("update accounts set must_change_password = true where username = 'siti'").await;
    assert_eq!(app.change_password(&access, NEW, PASSWORD).await.status, 200);
    assert_eq!(app.count(told).await, 1);
    let account = app.change(siti.id, json!({})).await.body["data"].clone();
    assert_eq!((&account["must_change_password"], &account["version"]), (&json!(false), &json!(2)));
}

#[tokio::test]
async fn access_tokens_of_sessions_that_were_replaced_before_end_too() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    let replaced = siti.login().await;
    let body = json!({ "username": "siti", "password": PASSWORD });
    let calling = app.post("/api/v1/auth/login").cookie(&replaced.cookie).json(&body).send().await.session();
    let (elsewhere, claims) = (app.follow_revocations().await, typed_claims(&replaced.access));
    assert_eq!(app.sessions(&replaced.access).await.status, 200);
    app.change_password(&calling.access, PASSWORD, NEW).await;
    assert_eq!(app.sessions(&replaced.access).await.error(), (401, "TOKEN_REVOKED"));
    eventually("other services refuse it too", async || elsewhere.refuses(&claims)).await;
    assert_eq!(app.sessions(&calling.access).await.status, 200);
}

#[tokio::test]
async fn a_token_whose_own_session_was_replaced_stays_good_after_it_changed_the_password() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.account("siti").await, app.account("budi").await);
    let calling = siti.login().await;
    let body = json!({ "username": "budi", "password": PASSWORD });
    app.post("/api/v1/auth/login").address(&budi.address).cookie(&calling.cookie).json(&body).send().await;
    assert_eq!(app.change_password(&calling.access, PASSWORD, NEW).await.status, 200);
    assert_eq!(app.sessions(&calling.access).await.status, 200);
    assert_eq!(app.refresh(&calling.cookie).await.error(), (401, "TOKEN_REVOKED"));
}

#[tokio::test]
async fn a_wrong_current_password_is_400_and_changes_nothing() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    let (here, there) = (siti.login().await, siti.login().await);
    assert_eq!(app.change_password(&here.access, WRONG, NEW).await.error(), (400, "INVALID_PASSWORD"));
    assert_eq!(app.sessions(&there.access).await.status, 200);
    siti.login().await;
}

#[tokio::test]
async fn the_errors_come_in_the_contracts_order() {
    let app = TestApp::spawn().await;
    let access = app.account("siti").await.login().await.access;
    for _ in 0..5 {
        assert_eq!(app.change_password(&access, WRONG, NEW).await.error(), (400, "INVALID_PASSWORD"));
    }
    let broken = json!({ "current_password": WRONG, "new_password": "short", "new_password_confirmation": "short" });
    let no_token = app.request(Method::PATCH, PATH).body("text/plain", "{").send().await;
    assert_eq!(no_token.error(), (401, "UNAUTHORIZED"));
    for (kind, body) in [("application/json", "{"), ("text/plain", "{}"), ("application/json", r#"{"new_password":1}"#)]
    {
        let answer = app.request(Method::PATCH, PATH).bearer(&access).body(kind, body).send().await;
        assert_eq!(answer.error(), (400, "VALIDATION_ERROR"), "{body}");
    }
    assert_eq!(send(&app, &access, &broken).await.error(), (422, "VALIDATION_ERROR"));
    assert_eq!(app.change_password(&access, WRONG, NEW).await.error(), (429, "TOO_MANY_REQUESTS"));
}

#[tokio::test]
async fn every_broken_field_is_named() {
    let app = TestApp::spawn().await;
    let access = app.account("siti").await.login().await.access;
    let all = ["current_password", "new_password", "new_password_confirmation"];
    let long = json!({ "current_password": "x".repeat(1025), "new_password": "x".repeat(73), "new_password_confirmation": "x" });
    for body in [
        json!({}),
        json!({ "current_password": null, "new_password": "1234567", "new_password_confirmation": "12345678" }),
        long,
    ] {
        let answer = send(&app, &access, &body).await;
        assert_eq!(answer.error(), (422, "VALIDATION_ERROR"));
        assert_eq!(answer.fields(), all, "{body}");
        assert_eq!(answer.body["message"], answer.body["error"]["details"][0]["message"]);
    }
    let differs =
        json!({ "current_password": PASSWORD, "new_password": NEW, "new_password_confirmation": "Kata-sandi-baru" });
    assert_eq!(send(&app, &access, &differs).await.fields(), ["new_password_confirmation"]);
    // A rule that is broken is no wrong password.
    assert_eq!(hits(&app).await, 0);
}

#[tokio::test]
async fn the_new_password_is_neither_a_name_nor_the_current_one_and_has_72_bytes_at_most() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti_aminah").await;
    app.change(siti.id, json!({ "email": "siti.aminah@sekolah.sch.id" })).await;
    let access = siti.login().await.access;
    let long = "é".repeat(37);
    for new in [
        "siti_aminah",
        "SITI_AMINAH",
        "siti.aminah@sekolah.sch.id",
        "Siti.Aminah@Sekolah.sch.id",
        "siti.aminah",
        "SITI.aminah",
        PASSWORD,
        "1234567",
        &long,
    ] {
        let answer = app.change_password(&access, PASSWORD, new).await;
        assert_eq!(answer.error(), (422, "VALIDATION_ERROR"), "{new}");
        assert_eq!(answer.fields(), ["new_password"], "{new}");
    }
    let longest = "é".repeat(36);
    assert_eq!(app.change_password(&access, PASSWORD, &longest).await.status, 200);
    assert_eq!(siti.login_with(&longest).await.status, 200);
}

#[tokio::test]
async fn fields_of_the_account_are_ignored() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    let access = siti.login().await.access;
    let body = json!({
        "current_password": PASSWORD, "new_password": NEW, "new_password_confirmation": NEW, "role": "admin",
        "is_active": false, "password": "another-one", "must_change_password": true,
    });
    assert_eq!(send(&app, &access, &body).await.status, 200);
    let account = app.change(siti.id, json!({})).await.body["data"].clone();
    assert_eq!((&account["role"], &account["is_active"]), (&json!("student"), &json!(true)));
    assert_eq!((&account["must_change_password"], &account["version"]), (&json!(false), &json!(1)));
}

#[tokio::test]
async fn a_body_above_16_kib_is_413() {
    let app = TestApp::spawn().await;
    let access = app.account("siti").await.login().await.access;
    let body = json!({ "current_password": "x".repeat(17 * 1024) });
    assert_eq!(send(&app, &access, &body).await.error(), (413, "PAYLOAD_TOO_LARGE"));
}

#[tokio::test]
async fn the_6th_wrong_password_in_15_minutes_is_refused_and_so_is_the_right_one() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    let (here, there) = (siti.login().await, siti.login().await);
    for _ in 0..5 {
        app.change_password(&here.access, WRONG, NEW).await;
    }
    let refused = app.change_password(&there.access, PASSWORD, NEW).await;
    assert_eq!(refused.error(), (429, "TOO_MANY_REQUESTS"));
    let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((60..=900).contains(&wait), "{wait}");
    // Logins are counted elsewhere.
    siti.login().await;
    app.sql("update rate_limits set window_ends_at = now()").await;
    assert_eq!(app.change_password(&there.access, PASSWORD, NEW).await.status, 200);
}

#[tokio::test]
async fn a_success_clears_the_count() {
    let app = TestApp::spawn().await;
    let access = app.account("siti").await.login().await.access;
    let (mut current, mut next) = (PASSWORD, NEW);
    for _ in 0..3 {
        for _ in 0..4 {
            assert_eq!(app.change_password(&access, WRONG, next).await.error(), (400, "INVALID_PASSWORD"));
        }
        assert_eq!(app.change_password(&access, current, next).await.status, 200);
        std::mem::swap(&mut current, &mut next);
    }
    assert_eq!(hits(&app).await, 0);
}

#[tokio::test]
async fn of_20_wrong_passwords_at_once_exactly_5_are_looked_at() {
    let app = TestApp::spawn().await;
    let access = app.account("siti").await.login().await.access;
    let answers = join_all((0..20).map(|_| app.change_password(&access, WRONG, NEW))).await;
    assert_eq!(answers.iter().filter(|answer| answer.error() == (400, "INVALID_PASSWORD")).count(), 5, "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| answer.error() == (429, "TOO_MANY_REQUESTS")).count(), 15);
}

#[tokio::test]
async fn of_many_changes_at_once_exactly_one_is_made() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    let sessions = [siti.login().await, siti.login().await, siti.login().await, siti.login().await];
    let new: Vec<String> = (0..sessions.len()).map(|n| format!("{NEW}-{n}")).collect();
    let changes = sessions.iter().zip(&new).map(|(session, new)| app.change_password(&session.access, PASSWORD, new));
    let answers = join_all(changes).await;
    let made: Vec<usize> = (0..sessions.len()).filter(|&n| answers[n].status == 200).collect();
    let [winner] = made[..] else { panic!("{answers:?}") };
    for (n, new) in new.iter().enumerate() {
        assert_eq!(app.login("siti", new, &format!("203.0.113.{n}")).await.status == 200, n == winner);
        assert_eq!(app.sessions(&sessions[n].access).await.status == 200, n == winner);
    }
}

#[tokio::test]
async fn what_fails_for_our_own_reasons_is_503_and_not_counted() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    let access = siti.login().await.access;
    // Somebody holds the account's row for longer than a request waits.
    let mut holder = app.pool.begin().await.unwrap();
    sqlx::query("select 1 from accounts where id = $1 for update").bind(siti.id).execute(&mut *holder).await.unwrap();
    let answer = app.change_password(&access, PASSWORD, NEW).await;
    assert_eq!(answer.error(), (503, "SERVICE_UNAVAILABLE"));
    holder.rollback().await.unwrap();
    assert_eq!(hits(&app).await, 0);
    siti.login().await;
    assert_eq!(app.change_password(&access, PASSWORD, NEW).await.status, 200);
}

/// A change of the password that finds the account's row held by somebody who does something else in the meantime.
async fn change_while(app: &TestApp, access: &str, something: &'static str) -> Answer {
    let mut holder = app.pool.begin().await.unwrap();
    sqlx::query("select 1 from accounts where username = 'siti' for update").execute(&mut *holder).await.unwrap();
    let something_else = async {
        let waiting = "select count(*) from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock'";
        eventually("the change waits for the row", async || app.count(waiting).await == 1).await;
        sqlx::query(something).execute(&mut *holder).await.unwrap();
        holder.commit().await.unwrap();
    };
    tokio::join!(app.change_password(access, PASSWORD, NEW), something_else).0
}

#[tokio::test]
async fn a_session_that_ends_while_the_password_is_hashed_changes_nothing() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    let access = siti.login().await.access;
    let answer = change_while(&app, &access, "update sessions set ended_at = now(), ended_reason = 'removed'").await;
    assert_eq!(answer.error(), (401, "TOKEN_REVOKED"));
    assert_eq!(hits(&app).await, 0);
    siti.login().await;
}

#[tokio::test]
async fn a_password_that_was_replaced_meanwhile_is_not_overwritten() {
    let app = TestApp::spawn().await;
    let access = app.account("siti").await.login().await.access;
    let reset = "update accounts set password_hash = 'the hash of a reset' where username = 'siti'";
    assert_eq!(change_while(&app, &access, reset).await.error(), (503, "SERVICE_UNAVAILABLE"));
    assert_eq!(app.count("select count(*) from accounts where password_hash = 'the hash of a reset'").await, 1);
    assert_eq!(hits(&app).await, 0);
}

#[tokio::test]
async fn the_current_password_may_still_be_a_hash_of_the_old_system() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    let access = siti.login().await.access;
    let old = bcrypt::hash_with_salt(PASSWORD, 4, [7; 16]).unwrap().format_for_version(bcrypt::Version::TwoA);
    sqlx::query("update accounts set password_hash = $1 where id = $2")
        .bind(old)
        .bind(siti.id)
        .execute(&app.pool)
        .await
        .unwrap();
    assert_eq!(app.change_password(&access, WRONG, NEW).await.error(), (400, "INVALID_PASSWORD"));
    assert_eq!(app.change_password(&access, PASSWORD, NEW).await.status, 200);
    assert_eq!(app.count("select count(*) from accounts where password_hash like '$2%'").await, 0);
    assert_eq!(siti.login_with(NEW).await.status, 200);
}
