//! What ends what: which access tokens all three services refuse after each event, and which they go on accepting.

use std::time::Duration;

use reqwest::{Method, header};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    house::House,
    person::{Answer, Person, within},
};

const PASSWORD: &str = "rahasia-sekali";
const NEW_PASSWORD: &str = "rahasia-yang-baru";
/// The contract's promise.
const PROMISE: Duration = Duration::from_secs(5);

/// One session of a browser.
struct Session {
    id: String,
    cookie: String,
    person: Person,
}

/// Somebody with three sessions; in the first of them he acts.
struct Owner {
    id: Uuid,
    username: String,
    sessions: Vec<Session>,
}

/// One request to each service that asks for a token and changes nothing.
fn probes() -> [(&'static str, Method, &'static str, Value); 3] {
    let nothing = json!({ "upload_id": Uuid::nil(), "object_key": "avatars/none" });
    [
        ("auth", Method::GET, "/api/v1/auth/sessions", Value::Null),
        ("portfolio", Method::GET, "/api/v1/me", Value::Null),
        ("media", Method::POST, "/api/v1/uploads/confirm", nothing),
    ]
}

async fn log_in(house: &House, username: &str, password: &str, old_cookie: Option<&str>) -> Session {
    let guest = house.guest();
    let body = json!({ "username": username, "password": password });
    let answer = match old_cookie {
        None => guest.post("/api/v1/auth/login", body).await,
        Some(cookie) => guest.with_cookie(cookie).post("/api/v1/auth/login", body).await,
    };
    let cookie = cookie(&answer);
    let data = answer.expect(200);
    let person = guest.with_token(&data["access_token"]);
    let sessions = person.get("/api/v1/auth/sessions").await.expect(200);
    let current = sessions.as_array().unwrap().iter().find(|session| session["is_current"] == true).unwrap();
    Session { id: current["id"].as_str().unwrap().to_owned(), cookie, person }
}

fn cookie(answer: &Answer) -> String {
    let set = answer.headers[header::SET_COOKIE].to_str().unwrap();
    set.strip_prefix("refresh_token=").unwrap().split(';').next().unwrap().to_owned()
}

impl Owner {
    async fn new(house: &House, admin: &Person, username: &str) -> Self {
        let body = json!({
            "username": username, "email": format!("{username}@sekolah.sch.id"), "password": PASSWORD,
            "nama": username, "role": "student",
        });
        let data = admin.post("/api/v1/admin/users", body).await.expect(201);
        let mut sessions = Vec::new();
        for _ in 0..3 {
            sessions.push(log_in(house, username, PASSWORD, None).await);
        }
        let id = data["id"].as_str().unwrap().parse().unwrap();
        Self { id, username: username.to_owned(), sessions }
    }
}

async fn refresh(house: &House, cookie: &str) -> Answer {
    house.guest().with_cookie(cookie).send(Method::POST, "/api/v1/auth/refresh", None).await
}

/// All three services accept, or refuse, the access token.
async fn check(event: &str, which: &str, person: &Person, refused: bool) {
    for (service, method, path, body) in probes() {
        within(PROMISE, "as the table says", async || {
            let answer = person.send(method.clone(), path, Some(body.clone())).await;
            let found = answer.code();
            let fits = if refused { found == "TOKEN_REVOKED" } else { matches!(answer.status.as_u16(), 200 | 404) };
            if fits { Ok(()) } else { Err(format!("{event}: {which} at {service}: {} {found}", answer.status)) }
        })
        .await;
    }
}

#[tokio::test]
async fn every_service_refuses_what_an_event_ends_and_nothing_else() {
    let house = House::build_with(&[("REFRESH_REUSE_GRACE_SECONDS", "0")]).await;
    let admin = house.admin().await;
    let bystander = Owner::new(&house, &admin, "orang_lain").await;
    // Which of the three access tokens are refused afterwards, and with which password one logs in then.
    let table = [
        ("logout", [true, false, false], Some(PASSWORD)),
        ("logout_all", [true, true, true], Some(PASSWORD)),
        ("delete_session", [false, true, false], Some(PASSWORD)),
        ("token_reuse", [false, true, false], Some(PASSWORD)),
        ("password_change", [false, true, true], Some(NEW_PASSWORD)),
        ("password_reset", [true, true, true], Some(NEW_PASSWORD)),
        ("own_reset", [false, true, true], Some(NEW_PASSWORD)),
        ("deactivation", [true, true, true], None),
        ("deletion", [true, true, true], None),
        ("role_change", [true, true, true], Some(PASSWORD)),
        ("login_with_old_cookie", [false, false, false], Some(PASSWORD)),
    ];
    for (event, refused, password) in table {
        let owner = Owner::new(&house, &admin, &format!("u_{event}")).await;
        let [calling, second, _] = &owner.sessions[..] else { panic!("three sessions") };
        for session in &owner.sessions {
            check(event, "a session before", &session.person, false).await;
        }
        match event {
            "logout" => drop(calling.person.send(Method::POST, "/api/v1/auth/logout", None).await.expect(200)),
            "logout_all" => {
                let data = calling.person.send(Method::POST, "/api/v1/auth/logout-all", None).await.expect(200);
                assert_eq!(data["sessions_terminated"], 3);
            }
            "delete_session" => {
                let path = format!("/api/v1/auth/sessions/{}", second.id);
                calling.person.send(Method::DELETE, &path, None).await.expect(200);
            }
            "token_reuse" => {
                let next = cookie(&refresh(&house, &second.cookie).await);
                assert_eq!(refresh(&house, &second.cookie).await.code(), "TOKEN_REUSE_DETECTED");
                assert_eq!(refresh(&house, &next).await.code(), "TOKEN_REUSE_DETECTED");
            }
            "password_change" => {
                let body = json!({
                    "current_password": PASSWORD, "new_password": NEW_PASSWORD,
                    "new_password_confirmation": NEW_PASSWORD,
                });
                calling.person.send(Method::PATCH, "/api/v1/me/password", Some(body)).await.expect(200);
            }
            "password_reset" => house.change(owner.id, json!({ "password": NEW_PASSWORD })).await,
            "own_reset" => {
                house.change(owner.id, json!({ "password": NEW_PASSWORD, "spared_session": calling.id })).await;
            }
            "deactivation" => house.change(owner.id, json!({ "is_active": false })).await,
            "deletion" => house.change(owner.id, json!({ "delete": true })).await,
            "role_change" => house.change(owner.id, json!({ "role": "alumni" })).await,
            _ => drop(log_in(&house, &owner.username, PASSWORD, Some(&second.cookie)).await),
        }
        for (session, refused) in owner.sessions.iter().zip(refused) {
            check(event, if refused { "an ended session" } else { "a session that lives" }, &session.person, refused)
                .await;
        }
        // What is issued after the event is good, also within the same second.
        if let Some(password) = password {
            let after = log_in(&house, &owner.username, password, None).await;
            check(event, "a later login", &after.person, false).await;
        }
        if event == "role_change" {
            let grant = refresh(&house, &calling.cookie).await.expect(200);
            let renewed = house.guest().with_token(&grant["access_token"]);
            check(event, "a refreshed session", &renewed, false).await;
            assert_eq!(renewed.get("/api/v1/me").await.expect(200)["role"], "alumni");
        }
    }
    for session in &bystander.sessions {
        check("all of them", "somebody else", &session.person, false).await;
    }
}
