//! POST /admin/users, with either side killed in the middle: a whole user or none, and the same call then succeeds.

use serde_json::json;
use uuid::Uuid;

use crate::support::{PASSWORD, TestApp, eventually, new_user};

const USERS: &str = "/api/v1/admin/users";

/// What a request leaves that died after `INSERT` of the intent and, perhaps, after some calls of auth.
async fn dead_request(app: &TestApp, username: &str, calls: &[&str]) -> (Uuid, Uuid) {
    let (command, account) = (Uuid::now_v7(), Uuid::now_v7());
    let profile = json!({
        "nama": "Nama budi", "nisn": null, "nis": "77", "kelas_id": null, "tahun_masuk": 2023, "tahun_lulus": null,
        "avatar": null, "banner": null,
    });
    sqlx::query(
        "insert into account_intents (command_id, account_id, actor_id, username, email, role, profile)
         values ($1, $2, $3, $4, $5, 'student', $6)",
    )
    .bind(command)
    .bind(account)
    .bind(app.admin().id)
    .bind(username)
    .bind(format!("{username}@sekolah.sch.id"))
    .bind(profile)
    .execute(&app.pool)
    .await
    .unwrap();
    let create = json!({
        "command_id": command, "account_id": account, "username": username, "role": "student",
        "email": format!("{username}@sekolah.sch.id"), "password": PASSWORD, "must_change_password": true,
    });
    for call in calls {
        let path = if *call == "create" {
            "/internal/accounts".to_owned()
        } else {
            format!("/internal/commands/{command}/confirm")
        };
        let url = app.auth.internal_url().join(&path).unwrap();
        let client = grafikarsa_devstack::testing::http_client();
        let request = client.post(url).bearer_auth(&app.internal_token).json(&create);
        assert_eq!(request.send().await.unwrap().status(), 200);
    }
    (command, account)
}

#[tokio::test]
async fn a_request_that_died_before_or_after_the_pending_account_leaves_nothing_and_can_be_repeated_at_once() {
    let app = TestApp::spawn().await;
    for (username, calls) in [("budi", &[][..]), ("siti", &["create"][..])] {
        dead_request(&app, username, calls).await;
        app.admin().post(USERS, &new_user(json!({ "username": username }))).await.data(201);
        app.login(username, PASSWORD).await;
    }
    assert_eq!(app.count("select count(*) from account_intents where state = 'cancelled'").await, 2);
}

#[tokio::test]
async fn a_request_that_died_after_the_confirmation_is_completed() {
    let app = TestApp::spawn().await;
    let (_, account) = dead_request(&app, "budi", &["create", "confirm"]).await;
    app.admin().post(USERS, &new_user(json!({ "username": "budi" }))).await.fails(409, "DUPLICATE_USERNAME");
    let budi = app.login("budi", PASSWORD).await;
    let me = budi.get("/api/v1/me").await.data(200);
    assert_eq!((&me["id"], &me["nis"], &me["nama"]), (&json!(account), &json!("77"), &json!("Nama budi")));
    assert_eq!(app.count("select count(*) from users where username = 'budi'").await, 1);
}

#[tokio::test]
async fn open_intents_are_ended_without_anybody_asking() {
    let mut app = TestApp::spawn().await;
    app.portfolio.kill().await;
    dead_request(&app, "budi", &["create"]).await;
    dead_request(&app, "siti", &["create", "confirm"]).await;
    app.portfolio.restart().await;
    eventually("no intent is open", async || {
        app.count("select count(*) from account_intents where state = 'open'").await == 0
    })
    .await;
    assert_eq!(app.count("select count(*) from users where username = 'budi'").await, 0);
    assert_eq!(app.count("select count(*) from users where username = 'siti' and nis = '77'").await, 1);
}

#[tokio::test]
async fn without_auth_nothing_is_consumed_and_the_same_call_succeeds_later() {
    let mut app = TestApp::spawn().await;
    app.auth.kill().await;
    let body = new_user(json!({ "username": "budi", "nis": "1" }));
    app.admin().post(USERS, &body).await.fails(503, "SERVICE_UNAVAILABLE");
    assert_eq!(app.count("select count(*) from users where username = 'budi'").await, 0);
    app.admin().post(USERS, &body).await.fails(503, "SERVICE_UNAVAILABLE");
    app.auth.restart().await;
    app.admin().post(USERS, &body).await.data(201);
    app.login("budi", PASSWORD).await;
}

#[tokio::test]
async fn portfolio_killed_while_many_users_are_created_leaves_each_whole_or_absent() {
    let mut app = TestApp::spawn().await;
    let requests: Vec<_> = (0..6)
        .map(|number| {
            let admin = app.admin().clone();
            tokio::spawn(async move {
                // The connection dies with the service.
                let body = new_user(json!({ "username": format!("siswa_{number}") }));
                drop(tokio::spawn(async move { admin.post(USERS, &body).await.status }).await);
            })
        })
        .collect();
    eventually("the first intent is there", async || app.count("select count(*) from account_intents").await > 0).await;
    app.portfolio.kill().await;
    for request in requests {
        request.await.unwrap();
    }
    app.portfolio.restart().await;
    for number in 0..6 {
        let username = format!("siswa_{number}");
        let answer = app.admin().post(USERS, &new_user(json!({ "username": username }))).await;
        assert!(answer.status == 201 || answer.status == 409, "{answer:?}");
        let user = app.login(&username, PASSWORD).await;
        assert_eq!(user.get("/api/v1/me").await.data(200)["nama"], json!(format!("Nama {username}")));
    }
    assert_eq!(app.count("select count(*) from users where role = 'student'").await, 6);
}
