use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Answer, PASSWORD, TestApp, User, eventually};

const ME: &str = "/api/v1/me";

async fn change(user: &User, body: Value) -> Answer {
    user.patch(ME, &body).await
}

#[tokio::test]
async fn all_four_fields_change_and_are_seen_at_once() {
    let app = TestApp::spawn().await;
    let budi = app.student("budi").await;
    let body =
        json!({ "nama": " Budi Santoso ", "username": " budi_s", "bio": "Halo\n", "email": "Baru@Sekolah.SCH.id" });
    let data = change(&budi, body).await.data(200);
    let expected = json!({
        "id": budi.id, "username": "budi_s", "email": "baru@sekolah.sch.id", "nama": "Budi Santoso", "bio": "Halo",
    });
    assert_eq!(data, expected);
    let me = budi.get(ME).await.data(200);
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&me[key], value, "{key}");
    }
    assert_eq!(app.get("/api/v1/users/budi_s").await.data(200)["nama"], "Budi Santoso");
    app.get("/api/v1/users/budi").await.fails(404, "USER_NOT_FOUND");
    // The old name is free, and the new one logs in.
    app.student("budi").await;
    app.login("budi_s", PASSWORD).await;
    app.login("baru@sekolah.sch.id", PASSWORD).await;
}

#[tokio::test]
async fn what_is_absent_stays_and_null_clears_the_bio_alone() {
    let app = TestApp::spawn().await;
    let budi = app.student("budi").await;
    let all = ["id", "username", "email", "nama", "bio"];
    let data = change(&budi, json!({})).await.data(200);
    assert_eq!(data.as_object().unwrap().len(), all.len());
    assert!(all.iter().all(|key| data.get(key).is_some()));
    assert_eq!(change(&budi, json!({ "bio": "Halo" })).await.data(200)["bio"], "Halo");
    let data = change(&budi, json!({ "nama": null, "username": null, "email": null })).await.data(200);
    assert_eq!((&data["nama"], &data["bio"]), (&json!("Nama budi"), &json!("Halo")));
    assert_eq!(change(&budi, json!({ "bio": null })).await.data(200)["bio"], json!(null));
    change(&budi, json!({ "bio": "Halo" })).await.data(200);
    assert_eq!(change(&budi, json!({ "bio": "  " })).await.data(200)["bio"], json!(null));
}

#[tokio::test]
async fn fields_that_are_not_the_callers_to_change_are_ignored() {
    let app = TestApp::spawn().await;
    let (kelas, _) = app.kelas().await;
    let budi = app.student("budi").await;
    let before = budi.get(ME).await.data(200);
    let body = json!({
        "role": "admin", "is_active": false, "nisn": "1", "nis": "2", "kelas_id": kelas, "avatar_url": "https://a.test/x",
        "password": "rahasia-baru", "must_change_password": false, "apa": 1,
    });
    change(&budi, body).await.data(200);
    assert_eq!(budi.get(ME).await.data(200), before);
    app.login("budi", PASSWORD).await;
}

#[tokio::test]
async fn every_broken_field_is_named() {
    let app = TestApp::spawn().await;
    let budi = app.student("budi").await;
    let body = json!({ "nama": "B", "username": "Budi", "bio": "x".repeat(501), "email": "budi@" });
    assert_eq!(change(&budi, body).await.broken(), ["nama", "username", "bio", "email"]);
    for username in ["ab", "a-b-c", "feed", "admin", &"x".repeat(31)] {
        assert_eq!(change(&budi, json!({ "username": username })).await.broken(), ["username"], "{username}");
    }
    assert_eq!(change(&budi, json!({ "nama": "Budi\u{7}Santoso" })).await.broken(), ["nama"]);
    change(&budi, json!({ "nama": "日本", "bio": "é".repeat(500) })).await.data(200);
    let raw = async |kind, body| budi.raw(Method::PATCH, ME, kind, body).await;
    raw("application/json", "{").await.fails(400, "VALIDATION_ERROR");
    raw("application/x-www-form-urlencoded", "nama=Budi").await.fails(400, "VALIDATION_ERROR");
    assert_eq!(change(&budi, json!({ "nama": 1 })).await.details(), ["nama"]);
    change(&budi, json!({ "nama": "x".repeat(17_000) })).await.fails(413, "PAYLOAD_TOO_LARGE");
}

#[tokio::test]
async fn a_taken_name_is_409_and_nothing_has_changed() {
    let app = TestApp::spawn().await;
    let (budi, siti) = (app.student("budi").await, app.student("siti").await);
    let before = siti.get(ME).await.data(200);
    let both = json!({ "username": "budi", "email": "BUDI@sekolah.sch.id", "nama": "Lain", "bio": "Lain" });
    change(&siti, both).await.fails(409, "USERNAME_TAKEN");
    change(&siti, json!({ "email": "budi@sekolah.sch.id", "nama": "Lain" })).await.fails(409, "DUPLICATE_EMAIL");
    let free_name = json!({ "username": "siti_a", "email": "budi@sekolah.sch.id", "bio": "Lain" });
    change(&siti, free_name).await.fails(409, "DUPLICATE_EMAIL");
    assert_eq!(siti.get(ME).await.data(200), before);
    assert_eq!(app.count("select count(*) from account_intents where state = 'open'").await, 0);
    // Names of the deleted are free, those of the deactivated are not.
    app.deactivate(&budi).await;
    change(&siti, json!({ "username": "budi" })).await.fails(409, "USERNAME_TAKEN");
    app.delete_account(&budi).await;
    change(&siti, json!({ "username": "budi" })).await.data(200);
}

#[tokio::test]
async fn of_two_changes_to_one_name_one_wins() {
    let app = TestApp::spawn().await;
    let people = [app.student("budi").await, app.student("siti").await, app.student("adi").await];
    for round in 0..5 {
        let name = format!("rebutan_{round}");
        let answers = join_all(people.iter().map(|user| change(user, json!({ "username": name })))).await;
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        assert_eq!(statuses.iter().filter(|&&status| status == 200).count(), 1, "{statuses:?}");
        for answer in answers.iter().filter(|answer| answer.status != 200) {
            answer.fails(409, "USERNAME_TAKEN");
        }
        assert_eq!(app.count("select count(distinct lower(username)) from users").await, 4);
    }
}

#[tokio::test]
async fn a_deactivation_at_the_same_time_is_not_undone() {
    let app = TestApp::spawn().await;
    let budi = app.student("budi").await;
    let (changes, ()) = tokio::join!(
        join_all((0..4).map(|number| change(&budi, json!({ "username": format!("budi_{number}"), "bio": "x" })))),
        app.change(&budi, json!({ "is_active": false })),
    );
    assert!(changes.iter().all(|answer| [200, 401, 503].contains(&answer.status)), "{changes:?}");
    eventually("portfolio knows", async || app.count("select count(*) from users where not is_active").await == 1)
        .await;
    let auth = app.stack.pool("auth").await;
    let active: bool = sqlx::query_scalar("select is_active from accounts where id = $1")
        .bind(budi.id)
        .fetch_one(&auth)
        .await
        .unwrap();
    assert!(!active);
}

#[tokio::test]
async fn the_answer_to_the_next_login_has_the_new_name() {
    let app = TestApp::spawn().await;
    let budi = app.student("budi").await;
    change(&budi, json!({ "nama": "Budi Baru" })).await.data(200);
    let auth = app.stack.pool("auth").await;
    eventually("auth knows the name", async || {
        let nama: Option<String> =
            sqlx::query_scalar("select nama from accounts where id = $1").bind(budi.id).fetch_one(&auth).await.unwrap();
        nama.as_deref() == Some("Budi Baru")
    })
    .await;
}

#[tokio::test]
async fn without_auth_names_stay_and_the_rest_can_be_changed() {
    let mut app = TestApp::spawn().await;
    let budi = app.student("budi").await;
    let before = budi.get(ME).await.data(200);
    app.auth.kill().await;
    change(&budi, json!({ "username": "budi_s", "nama": "Lain" })).await.fails(503, "SERVICE_UNAVAILABLE");
    assert_eq!(budi.get(ME).await.data(200), before);
    // What the web client sends with unchanged names.
    let same = json!({ "username": "budi", "email": "budi@sekolah.sch.id", "nama": "Nama budi", "bio": "Halo" });
    // The dead command is in the way until auth can say what became of it.
    change(&budi, same.clone()).await.fails(503, "SERVICE_UNAVAILABLE");
    app.auth.restart().await;
    change(&budi, same).await.data(200);
    change(&budi, json!({ "username": "budi_s", "nama": "Lain" })).await.data(200);
}

/// What a request leaves that died after the intent, or after auth's change.
async fn dead_request(app: &TestApp, user: &User, username: &str, applied: bool) {
    let command = Uuid::now_v7();
    sqlx::query(
        "insert into account_intents (command_id, account_id, actor_id, kind, profile)
         values ($1, $2, $2, 'change', $3)",
    )
    .bind(command)
    .bind(user.id)
    .bind(json!({ "nama": format!("Nama {username}"), "bio": null }))
    .execute(&app.pool)
    .await
    .unwrap();
    if applied {
        let url = app.auth.internal_url().join(&format!("/internal/accounts/{}/change", user.id)).unwrap();
        let request = grafikarsa_devstack::testing::http_client().post(url).bearer_auth(&app.internal_token);
        let answer = request.json(&json!({ "command_id": command, "username": username })).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }
}

#[tokio::test]
async fn a_request_that_died_is_done_whole_or_not_at_all() {
    let app = TestApp::spawn().await;
    let budi = app.student("budi").await;
    for (name, applied) in [("budi_a", false), ("budi_b", true)] {
        dead_request(&app, &budi, name, applied).await;
        eventually("no intent is open", async || {
            app.count("select count(*) from account_intents where state = 'open'").await == 0
        })
        .await;
        let me = budi.get(ME).await.data(200);
        let expected = if applied { ("budi_b", "Nama budi_b") } else { ("budi", "Nama budi") };
        assert_eq!((me["username"].as_str().unwrap(), me["nama"].as_str().unwrap()), expected);
    }
}

#[tokio::test]
async fn a_request_that_died_cannot_undo_a_later_one() {
    let app = TestApp::spawn().await;
    let budi = app.student("budi").await;
    dead_request(&app, &budi, "budi_lama", true).await;
    // At once, before any recovery.
    let data = change(&budi, json!({ "username": "budi_baru", "nama": "Nama baru" })).await.data(200);
    assert_eq!((&data["username"], &data["nama"]), (&json!("budi_baru"), &json!("Nama baru")));
    dead_request(&app, &budi, "budi_lama", false).await;
    change(&budi, json!({ "bio": "Halo" })).await.data(200);
    assert_eq!(app.count("select count(*) from account_intents where state = 'open'").await, 0);
    let me = budi.get(ME).await.data(200);
    assert_eq!((&me["username"], &me["nama"], &me["bio"]), (&json!("budi_baru"), &json!("Nama baru"), &json!("Halo")));
}

#[tokio::test]
async fn either_side_killed_in_the_middle_of_many_changes_leaves_whole_users() {
    let mut app = TestApp::spawn().await;
    let mut people = Vec::new();
    for number in 0..6 {
        people.push(app.student(&format!("siswa_{number}")).await);
    }
    for side in ["auth", "portfolio"] {
        let requests: Vec<_> = people
            .iter()
            .map(|user| {
                let (user, name) = (user.clone(), format!("{}_{side}", user.username));
                // The connection may die with the service.
                tokio::spawn(async move { change(&user, json!({ "username": name, "nama": name })).await.status })
            })
            .collect();
        let seen = app.count("select count(*) from account_intents where kind = 'change'").await;
        eventually("the first intent is there", async || {
            app.count("select count(*) from account_intents where kind = 'change'").await > seen
        })
        .await;
        let killed = if side == "auth" { &mut app.auth } else { &mut app.portfolio };
        killed.kill().await;
        killed.restart().await;
        let mut statuses = Vec::new();
        for request in requests {
            statuses.push(request.await.ok());
        }
        eventually("no intent is open", async || {
            app.count("select count(*) from account_intents where state = 'open'").await == 0
        })
        .await;
        for (user, status) in people.iter().zip(statuses) {
            let me = user.get(ME).await.data(200);
            let changed = me["username"] == json!(format!("{}_{side}", user.username));
            assert_eq!(changed, me["nama"] == json!(format!("{}_{side}", user.username)), "half a change: {me}");
            assert!(status != Some(200) || changed, "a change was lost: {me}");
            app.login(me["username"].as_str().unwrap(), PASSWORD).await;
            change(user, json!({ "username": user.username, "nama": "Nama semula" })).await.data(200);
        }
    }
}

#[tokio::test]
async fn a_deactivated_caller_is_refused_by_token() {
    let app = TestApp::spawn().await;
    let budi = app.student("budi").await;
    app.deactivate(&budi).await;
    eventually("the token is refused", async || change(&budi, json!({ "bio": "x" })).await.status == 401).await;
    change(&budi, json!({ "bio": "x" })).await.fails(401, "TOKEN_REVOKED");
    budi.get(ME).await.fails(401, "TOKEN_REVOKED");
}
