use std::time::Duration;

use reqwest::Method;

use crate::support::{TestApp, User, eventually};

const VIEWS: &str = "select coalesce(sum(view_count), 0)::bigint from portfolios";
/// Counters that differ from a recount.
const WRONG: &str = "
    select count(*)
    from portfolios p
    where view_count <> (select count(*) from portfolio_views v where v.portfolio_id = p.id)";

async fn counts(app: &TestApp, expected: i64) {
    eventually("the views are counted", async || app.count(VIEWS).await >= expected).await;
    assert_eq!(app.count(VIEWS).await, expected);
    assert_eq!(app.count(WRONG).await, 0);
}

#[tokio::test]
async fn every_viewer_counts_once_and_the_owner_never() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    let tata = app.holder("tata", &["portfolios"]).await;
    let work = siti.published("Karya", app.admin()).await;
    let draft = siti.written("Draf").await;
    let page = work.page(&siti);
    let guest = async |headers: &[(&str, &str)]| app.guest(Method::GET, &page, headers).await.data(200);
    // None of these counts.
    siti.get(&page).await.data(200);
    tata.get(&draft.page(&siti)).await.data(200);
    tata.get(&work.by_id()).await.data(200);
    app.guest(Method::HEAD, &page, &[("x-session-id", "only-the-head")]).await;
    app.get("/api/v1/portfolios/karya?username=budi").await.fails(404, "PORTFOLIO_NOT_FOUND");
    // Each of these counts once.
    for _ in 0..2 {
        budi.get(&page).await.data(200);
        tata.get(&page).await.data(200);
        guest(&[("x-session-id", "sesi-tamu-1")]).await;
        guest(&[("x-session-id", "sesi-tamu-2"), ("user-agent", "A")]).await;
        guest(&[("user-agent", "A"), ("x-real-ip", "192.0.2.7")]).await;
        guest(&[("user-agent", "B"), ("x-real-ip", "192.0.2.7")]).await;
        // Not as a session is written, so the address decides.
        guest(&[("user-agent", "A"), ("x-real-ip", "192.0.2.8"), ("x-session-id", "a b")]).await;
    }
    counts(&app, 7).await;
    let with_both = "select count(*) from portfolio_views where (user_id is null) = (session_id is null)";
    assert_eq!(app.count(with_both).await, 0);
    let hashed = "select count(*) from portfolio_views where session_id ~ '^[0-9a-f]{64}$'";
    assert_eq!(app.count(hashed).await, 3, "no address is stored");
    assert_eq!(app.get("/api/v1/feed").await.data(200)[0]["view_count"], 7);
}

#[tokio::test]
async fn a_second_look_refreshes_the_time_and_not_the_portfolio() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    let work = siti.published("Karya", app.admin()).await;
    let before = siti.get(&work.by_id()).await.data(200)["updated_at"].clone();
    budi.get(&work.page(&siti)).await.data(200);
    counts(&app, 1).await;
    app.sql("update portfolio_views set viewed_at = now() - interval '1 day'").await;
    budi.get(&work.page(&siti)).await.data(200);
    let fresh = "select count(*) from portfolio_views where viewed_at > now() - interval '1 minute'";
    eventually("the time is refreshed", async || app.count(fresh).await == 1).await;
    counts(&app, 1).await;
    assert_eq!(siti.get(&work.by_id()).await.data(200)["updated_at"], before);
}

#[tokio::test]
async fn views_that_wait_are_written_before_the_service_ends() {
    let mut app = TestApp::spawn().await;
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    let work = siti.published("Karya", app.admin()).await;
    // Between two rounds of the recorder.
    tokio::time::sleep(Duration::from_millis(1)).await;
    for number in 0..50 {
        let session = format!("sesi-tamu-{number}");
        app.guest(Method::GET, &work.page(&siti), &[("x-session-id", &session)]).await.data(200);
    }
    budi.get(&work.page(&siti)).await.data(200);
    app.portfolio.terminate().await;
    assert_eq!(app.count(VIEWS).await, 51);
    assert_eq!(app.count(WRONG).await, 0);
}

#[tokio::test]
async fn a_database_that_is_busy_delays_no_answer_and_loses_no_view() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let work = siti.published("Karya", app.admin()).await;
    let mut tx = app.pool.begin().await.unwrap();
    sqlx::query("lock table portfolio_views in access exclusive mode").execute(&mut *tx).await.unwrap();
    app.guest(Method::GET, &work.page(&siti), &[("x-session-id", "sesi-tamu-1")]).await.data(200);
    app.somebody_waits_for_a_lock().await;
    app.guest(Method::GET, &work.page(&siti), &[("x-session-id", "sesi-tamu-2")]).await.data(200);
    // Longer than the recorder waits for a lock.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(app.count(VIEWS).await, 0);
    tx.rollback().await.unwrap();
    counts(&app, 2).await;
}

#[tokio::test]
async fn two_replicas_and_deleted_accounts_leave_the_counters_equal_to_a_recount() {
    let app = TestApp::spawn().await;
    let second = app.stack.spawn_replica("portfolio", &[]).await;
    let siti = app.student("siti").await;
    let mut works = Vec::new();
    for judul in ["Satu", "Dua", "Tiga", "Empat"] {
        works.push(siti.published(judul, app.admin()).await);
    }
    let mut people: Vec<User> = Vec::new();
    for number in 0..6 {
        people.push(app.student(&format!("siswa_{number}")).await);
    }
    for round in 0..3 {
        let mut requests = Vec::new();
        for user in &people {
            for work in &works {
                for user in [user.clone(), user.at(&second)] {
                    let page = work.page(&siti);
                    requests.push(tokio::spawn(async move {
                        let status = user.get(&page).await.status;
                        // The accounts of some have ended.
                        assert!(status == 200 || status == 401, "{status}");
                    }));
                }
            }
        }
        if round == 1 {
            for user in &people[..2] {
                app.change(user, serde_json::json!({ "delete": true })).await;
            }
        }
        for request in requests {
            request.await.unwrap();
        }
    }
    for user in &people[..2] {
        app.knows_of_the_end_of(user).await;
    }
    counts(&app, 16).await;
    let of_deleted =
        "select count(*) from portfolio_views v join users u on u.id = v.user_id and deleted_at is not null";
    assert_eq!(app.count(of_deleted).await, 0);
}
