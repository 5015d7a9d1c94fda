use futures_util::future::join_all;
use serde_json::json;

use crate::support::{PASSWORD, TestApp};

const WRONG: &str = "salah-sekali";

#[tokio::test]
async fn the_6th_attempt_in_a_minute_is_refused_right_or_wrong() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    for _ in 0..5 {
        assert_eq!(siti.login_with(WRONG).await.error(), (400, "INVALID_CREDENTIALS"));
    }
    let refused = siti.login_with(PASSWORD).await;
    assert_eq!(refused.error(), (429, "TOO_MANY_REQUESTS"));
    let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    // From elsewhere, and after the window.
    assert_eq!(app.login("siti", PASSWORD, "203.0.113.1").await.status, 200);
    app.sql("update rate_limits set window_ends_at = now()").await;
    assert_eq!(siti.login_with(PASSWORD).await.status, 200);
}

#[tokio::test]
async fn a_success_clears_the_count_of_identifier_and_address() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    for _ in 0..3 {
        for _ in 0..4 {
            siti.login_with(WRONG).await;
        }
        siti.login().await;
    }
}

#[tokio::test]
async fn upper_case_is_no_way_around_the_limit() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    for identifier in ["siti", "Siti", "SITI", " siti", "sITI"] {
        assert_eq!(app.login(identifier, WRONG, &siti.address).await.status, 400);
    }
    assert_eq!(siti.login_with(WRONG).await.status, 429);
}

#[tokio::test]
async fn of_many_attempts_at_once_five_are_looked_at() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    let answers = join_all((0..20).map(|_| siti.login_with(WRONG))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 400).count(), 5);
    assert_eq!(answers.iter().filter(|answer| answer.status == 429).count(), 15);
}

#[tokio::test]
async fn an_attempt_refused_for_its_identifier_counts_in_no_other_bucket() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    for _ in 0..9 {
        siti.login_with(WRONG).await;
    }
    for bucket in ["login_requests", "failed_account", "failed_address"] {
        let hits: i32 = sqlx::query_scalar("select hits from rate_limits where bucket = $1")
            .bind(bucket)
            .fetch_one(&app.pool)
            .await
            .unwrap();
        assert_eq!(hits, 5, "{bucket}");
    }
}

#[tokio::test]
async fn twenty_failures_from_strange_addresses_lock_out_strangers_but_not_the_owner() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    siti.login().await;
    for stranger in 1..=20 {
        let answer = app.login("siti", WRONG, &format!("198.51.100.{stranger}")).await;
        assert_eq!(answer.error(), (400, "INVALID_CREDENTIALS"));
    }
    let refused = app.login("siti@sekolah.sch.id", PASSWORD, "198.51.100.99").await;
    assert_eq!(refused.error(), (429, "TOO_MANY_REQUESTS"));
    let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((60..=900).contains(&wait), "{wait}");
    siti.login().await;
    // An address that was used more than 30 days ago is a strange one.
    app.sql("update login_addresses set logged_in_at = now() - interval '31 days'").await;
    assert_eq!(siti.login_with(PASSWORD).await.status, 429);
}

#[tokio::test]
async fn strangers_cannot_tell_by_the_limit_who_exists() {
    let app = TestApp::spawn().await;
    for stranger in 1..=20 {
        assert_eq!(app.login("nobody", WRONG, &format!("198.51.100.{stranger}")).await.status, 400);
    }
    assert_eq!(app.login("nobody", WRONG, "198.51.100.99").await.status, 429);
}

#[tokio::test]
async fn failures_and_requests_of_one_address_have_wide_limits() {
    let app = TestApp::with(&[("LIMIT_FAILED_LOGINS_ADDRESS", "2/900"), ("LIMIT_LOGINS_ADDRESS", "4/60")]).await;
    let siti = app.account("siti").await;
    // Successes do not count as failures.
    siti.login().await;
    assert_eq!(app.login("a_person", WRONG, &siti.address).await.status, 400);
    assert_eq!(app.login("b_person", WRONG, &siti.address).await.status, 400);
    let refused = siti.login_with(PASSWORD).await;
    assert_eq!(refused.error(), (429, "TOO_MANY_REQUESTS"));
    assert!(refused.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() > 60);
    let refused = siti.login_with(PASSWORD).await;
    assert!(refused.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() <= 60);
}

#[tokio::test]
async fn a_class_of_40_behind_one_address_logs_in_while_somebody_guesses() {
    const SCHOOL: &str = "203.0.113.40";
    let app = TestApp::spawn().await;
    let names: Vec<String> = (0..40).map(|n| format!("murid_{n}")).collect();
    join_all(names.iter().map(|name| app.account(name))).await;
    app.account("siti").await;
    let class = join_all(names.iter().map(|name| app.login(name, PASSWORD, SCHOOL)));
    let guesses = join_all((0..100).map(|_| app.login("siti", WRONG, SCHOOL)));
    let (class, guesses) = tokio::join!(class, guesses);
    assert!(class.iter().all(|login| login.status == 200), "{class:?}");
    let looked_at = guesses.iter().filter(|guess| guess.error() == (400, "INVALID_CREDENTIALS")).count();
    let refused = guesses.iter().filter(|guess| guess.error() == (429, "TOO_MANY_REQUESTS")).count();
    assert!(looked_at <= 5 && looked_at + refused == 100, "{looked_at} were looked at, {refused} refused: {guesses:?}");
}

#[tokio::test]
async fn the_client_cannot_choose_its_address() {
    let app = TestApp::spawn().await;
    app.account("siti").await;
    let attempt = |n: u32| {
        app.post("/api/v1/auth/login")
            .address("203.0.113.5")
            .header("x-forwarded-for", &format!("198.51.100.{n}"))
            .header("forwarded", &format!("for=198.51.100.{n}"))
            .json(&json!({ "username": "siti", "password": WRONG }))
            .send()
    };
    for n in 0..5 {
        assert_eq!(attempt(n).await.status, 400);
    }
    assert_eq!(attempt(5).await.status, 429);
}

#[tokio::test]
async fn counters_are_shared_by_replicas() {
    let mut app = TestApp::spawn().await;
    app.account("siti").await;
    let address = "203.0.113.6";
    for _ in 0..5 {
        app.login("siti", WRONG, address).await;
    }
    // What outlives the process is not in its memory.
    app.auth.kill().await;
    app.auth.restart().await;
    assert_eq!(app.login("siti", PASSWORD, address).await.status, 429);
}

#[tokio::test]
async fn a_session_may_refresh_20_times_a_minute_and_a_login_does_not_mind() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    let mut cookie = siti.login().await.cookie;
    for _ in 0..20 {
        cookie = app.refresh(&cookie).await.session().cookie;
    }
    let refused = app.refresh(&cookie).await;
    assert_eq!(refused.error(), (429, "TOO_MANY_REQUESTS"));
    assert!(refused.headers.contains_key("retry-after"));
    siti.login().await;
    // Nothing was consumed.
    app.sql("update rate_limits set window_ends_at = now()").await;
    assert_eq!(app.refresh(&cookie).await.status, 200);
}

#[tokio::test]
async fn refreshing_without_a_known_token_is_limited_by_address() {
    let app = TestApp::with(&[("LIMIT_REFRESHES_ADDRESS", "3/60")]).await;
    let refresh = || app.post("/api/v1/auth/refresh").address("203.0.113.8");
    assert_eq!(refresh().send().await.status, 401);
    assert_eq!(refresh().cookie("unknown").send().await.status, 401);
    assert_eq!(refresh().cookie("").send().await.status, 401);
    assert_eq!(refresh().send().await.error(), (429, "TOO_MANY_REQUESTS"));
    assert_eq!(refresh().cookie("unknown").send().await.error(), (429, "TOO_MANY_REQUESTS"));
}
