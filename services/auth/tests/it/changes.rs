use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Answer, PASSWORD, TestApp, claims, eventually, new_account, session_id, typed_claims};

const NEW: &str = "kata-sandi-baru";

fn path(account: Uuid) -> String {
    format!("/internal/accounts/{account}/change")
}

fn command(what: Value) -> Value {
    let mut command = what;
    command["command_id"] = json!(Uuid::now_v7());
    command
}

async fn cancel(app: &TestApp, command: &Value) -> Answer {
    let path = format!("/internal/commands/{}/cancel", command["command_id"].as_str().unwrap());
    app.internal(&path, &json!({})).await
}

/// Version, epoch, and how many events told of the account.
async fn state(app: &TestApp, account: Uuid) -> (i64, i64, i64) {
    sqlx::query_as(
        "select version, token_epoch, (select count(*) from outbox where aggregate_id = $1 and event_type like 'account.%')
         from accounts where id = $1",
    )
    .bind(account)
    .fetch_one(&app.pool)
    .await
    .unwrap()
}

/// How often each answer came.
fn tally(answers: &[Answer]) -> BTreeMap<String, usize> {
    let mut tally = BTreeMap::new();
    for answer in answers {
        let (status, code) = answer.error();
        *tally.entry(format!("{status} {code}")).or_default() += 1;
    }
    tally
}

fn times<const N: usize>(expected: [(&str, usize); N]) -> BTreeMap<String, usize> {
    expected.into_iter().map(|(answer, times)| (answer.to_owned(), times)).collect()
}

async fn admin(app: &TestApp) -> Uuid {
    sqlx::query_scalar("select id from accounts where username = 'admin'").fetch_one(&app.pool).await.unwrap()
}

#[tokio::test]
async fn names_change_at_once_the_old_ones_are_free_and_sessions_stay() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    let session = siti.login().await;
    let names = json!({ "username": " siti_a ", "email": " Siti.A@Sekolah.sch.id " });
    let answer = app.change(siti.id, names).await;
    assert_eq!(answer.status, 200);
    let account = &answer.body["data"];
    assert_eq!((&account["username"], &account["email"]), (&json!("siti_a"), &json!("siti.a@sekolah.sch.id")));
    assert_eq!(
        (&account["version"], &account["deleted"], &account["deleted_at"]),
        (&json!(2), &json!(false), &Value::Null)
    );
    assert_eq!(state(&app, siti.id).await, (2, 0, 2));
    assert_eq!(app.login("siti", PASSWORD, &siti.address).await.status, 400);
    assert_eq!(app.login("siti.a@sekolah.sch.id", PASSWORD, &siti.address).await.status, 200);
    app.account("siti").await;
    assert_eq!(app.sessions(&session.access).await.status, 200);
    assert_eq!(app.refresh(&session.cookie).await.status, 200);
}

#[tokio::test]
async fn ones_own_names_always_pass_even_if_they_break_newer_rules() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    app.sql("update accounts set username = 'Bu Siti', email = 'siti@@sekolah' where username = 'siti'").await;
    let same = app.change(siti.id, json!({ "username": "Bu Siti", "email": "SITI@@sekolah", "role": "alumni" })).await;
    assert_eq!(same.status, 200, "{same:?}");
    assert_eq!((&same.body["data"]["username"], &same.body["data"]["role"]), (&json!("Bu Siti"), &json!("alumni")));
    // The first admin's name is a reserved one.
    let admin = admin(&app).await;
    assert_eq!(app.change(admin, json!({ "username": "admin" })).await.status, 200);
    assert_eq!(app.change(siti.id, json!({ "username": "admin" })).await.error(), (422, "VALIDATION_ERROR"));
}

#[tokio::test]
async fn every_broken_field_is_named_and_nothing_changes() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    let broken = json!({ "username": "Siti", "email": "nobody", "password": "x".repeat(73), "role": "alumni" });
    let answer = app.change(siti.id, broken).await;
    assert_eq!(answer.error(), (422, "VALIDATION_ERROR"));
    assert_eq!(answer.fields(), ["username", "email", "password"]);
    for reserved in ["me", "_next", "undefined"] {
        assert_eq!(app.change(siti.id, json!({ "username": reserved })).await.fields(), ["username"]);
    }
    assert_eq!(app.change(siti.id, json!({ "role": "teacher" })).await.error(), (400, "VALIDATION_ERROR"));
    assert_eq!(state(&app, siti.id).await, (1, 0, 1));
}

#[tokio::test]
async fn a_taken_name_is_refused_in_any_case_and_the_user_name_speaks_first() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.account("siti").await, app.account("budi").await);
    app.sql("update accounts set username = 'Budi', email = 'Budi@sekolah.sch.id' where username = 'budi'").await;
    // PostgreSQL checks the older index first: now that is the address's.
    app.sql(
        "drop index accounts_username_key;
         create unique index accounts_username_key on accounts (lower(username)) where deleted_at is null",
    )
    .await;
    let both = json!({ "username": "budi", "email": "budi@sekolah.sch.id" });
    assert_eq!(app.change(siti.id, both).await.error(), (409, "USERNAME_TAKEN"));
    assert_eq!(app.internal("/internal/accounts", &new_account("budi")).await.error(), (409, "USERNAME_TAKEN"));
    let email = json!({ "username": "siti_a", "email": "budi@sekolah.sch.id" });
    assert_eq!(app.change(siti.id, email).await.error(), (409, "DUPLICATE_EMAIL"));
    assert_eq!(state(&app, siti.id).await, (1, 0, 1));
    // What a deleted account was called is free, what a pending one is called is not.
    app.change(budi.id, json!({ "delete": true })).await;
    app.internal("/internal/accounts", &new_account("rina")).await;
    assert_eq!(app.change(siti.id, json!({ "username": "rina" })).await.error(), (409, "USERNAME_TAKEN"));
    assert_eq!(app.change(siti.id, json!({ "email": "rina@sekolah.sch.id" })).await.error(), (409, "DUPLICATE_EMAIL"));
    assert_eq!(app.change(siti.id, json!({ "username": "budi", "email": "budi@sekolah.sch.id" })).await.status, 200);
}

#[tokio::test]
async fn of_many_changes_to_one_name_at_once_exactly_one_wins() {
    let app = TestApp::spawn().await;
    let names: Vec<String> = (0..8).map(|n| format!("murid_{n}")).collect();
    let people = join_all(names.iter().map(|name| app.account(name))).await;
    for (what, code) in [
        (json!({ "username": "rina" }), "409 USERNAME_TAKEN"),
        (json!({ "email": "rina@sekolah.sch.id" }), "409 DUPLICATE_EMAIL"),
    ] {
        let answers = join_all(people.iter().map(|person| app.change(person.id, what.clone()))).await;
        assert_eq!(tally(&answers), times([("200 none", 1), (code, 7)]));
    }
}

#[tokio::test]
async fn changes_to_one_account_at_once_are_all_kept() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    let changes = [
        json!({ "username": "siti_a" }),
        json!({ "email": "siti_a@sekolah.sch.id" }),
        json!({ "role": "alumni" }),
        json!({ "is_active": false }),
    ];
    let answers = join_all(changes.into_iter().map(|what| app.change(siti.id, what))).await;
    assert_eq!(tally(&answers), times([("200 none", 4)]));
    let account = app.change(siti.id, json!({})).await.body["data"].clone();
    assert_eq!((&account["username"], &account["email"]), (&json!("siti_a"), &json!("siti_a@sekolah.sch.id")));
    assert_eq!((&account["role"], &account["is_active"]), (&json!("alumni"), &json!(false)));
    assert_eq!(state(&app, siti.id).await, (5, 2, 5));
}

#[tokio::test]
async fn what_changes_nothing_raises_no_version_and_tells_nobody() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    let session = siti.login().await;
    let same = json!({ "username": "siti", "email": "siti@sekolah.sch.id", "role": "student", "is_active": true });
    for what in [json!({}), same, json!({ "username": null, "role": null, "delete": false })] {
        let answer = app.change(siti.id, what).await;
        assert_eq!((answer.status, &answer.body["data"]["version"]), (200, &json!(1)));
    }
    assert_eq!(state(&app, siti.id).await, (1, 0, 1));
    assert_eq!(app.sessions(&session.access).await.status, 200);
}

#[tokio::test]
async fn a_repeated_id_gets_the_first_answer_and_changes_nothing_more() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    let rename = command(json!({ "username": "siti_a" }));
    let first = app.internal(&path(siti.id), &rename).await;
    app.change(siti.id, json!({ "username": "siti_b" })).await;
    assert_eq!(app.internal(&path(siti.id), &rename).await.body, first.body);
    assert_eq!(state(&app, siti.id).await, (3, 0, 3));
    let known = app.command(&rename["command_id"]).await;
    assert_eq!((&known["state"], &known["account"]), (&json!("applied"), &first.body["data"]));
    // A deletion too, although the account is gone.
    let delete = command(json!({ "delete": true }));
    let first = app.internal(&path(siti.id), &delete).await;
    assert_eq!(first.body["data"]["deleted"], true);
    assert_eq!(app.internal(&path(siti.id), &delete).await.body, first.body);
}

#[tokio::test]
async fn of_many_calls_at_once_with_one_id_all_get_the_one_answer() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    let reset = command(json!({ "password": NEW, "role": "alumni" }));
    let path = path(siti.id);
    let answers = join_all((0..8).map(|_| app.internal(&path, &reset))).await;
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.body == answers[0].body), "{answers:?}");
    assert_eq!(state(&app, siti.id).await, (2, 1, 2));
}

#[tokio::test]
async fn a_cancelled_id_is_refused_and_an_applied_one_says_what_it_did() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    let late = command(json!({ "username": "siti_a" }));
    assert_eq!(cancel(&app, &late).await.body["data"]["state"], "cancelled");
    assert_eq!(app.internal(&path(siti.id), &late).await.error(), (409, "COMMAND_CANCELLED"));
    assert_eq!(state(&app, siti.id).await, (1, 0, 1));

    let applied = command(json!({ "username": "siti_b" }));
    let changed = app.internal(&path(siti.id), &applied).await;
    let cancelled = cancel(&app, &applied).await;
    assert_eq!(cancelled.body["data"]["state"], "applied");
    assert_eq!(cancelled.body["data"]["account"], changed.body["data"]);
    assert_eq!(app.internal(&path(siti.id), &applied).await.body, changed.body);
}

#[tokio::test]
async fn of_a_change_and_its_cancellation_at_once_one_decides() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    let (mut applied, mut version) = (0, 1);
    for round in 0..10 {
        let rename = command(json!({ "username": format!("siti_{round}") }));
        let path = path(siti.id);
        let (changed, cancelled) = tokio::join!(app.internal(&path, &rename), cancel(&app, &rename));
        if changed.status == 200 {
            assert_eq!(cancelled.body["data"]["state"], "applied");
            assert_eq!(cancelled.body["data"]["account"], changed.body["data"]);
            applied += 1;
            version += 1;
        } else {
            assert_eq!(changed.error(), (409, "COMMAND_CANCELLED"));
            assert_eq!(cancelled.body["data"]["state"], "cancelled");
        }
        assert_eq!(state(&app, siti.id).await.0, version, "{applied} of {} were applied", round + 1);
    }
}

#[tokio::test]
async fn a_refused_command_is_not_applied_and_may_come_again() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.account("siti").await, app.account("budi").await);
    let mut rename = command(json!({ "username": "budi", "role": "alumni", "is_active": false }));
    let session = siti.login().await;
    assert_eq!(app.internal(&path(siti.id), &rename).await.error(), (409, "USERNAME_TAKEN"));
    assert_eq!(app.command(&rename["command_id"]).await["state"], "unknown");
    // All or nothing.
    assert_eq!(state(&app, siti.id).await, (1, 0, 1));
    assert_eq!(app.sessions(&session.access).await.status, 200);
    app.change(budi.id, json!({ "username": "budi_s" })).await;
    rename["is_active"] = true.into();
    assert_eq!(app.internal(&path(siti.id), &rename).await.body["data"]["username"], "budi");
}

#[tokio::test]
async fn unknown_deleted_and_pending_accounts_are_not_found() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    app.change(siti.id, json!({ "delete": true })).await;
    let pending = new_account("budi");
    app.internal("/internal/accounts", &pending).await;
    let pending = pending["account_id"].as_str().unwrap().parse().unwrap();
    for account in [Uuid::now_v7(), siti.id, pending] {
        for what in [json!({}), json!({ "delete": true }), json!({ "is_active": true, "password": NEW })] {
            assert_eq!(app.change(account, what).await.error(), (404, "ACCOUNT_NOT_FOUND"));
        }
    }
}

#[tokio::test]
async fn the_last_active_admin_stays() {
    let app = TestApp::spawn().await;
    let admin = admin(&app).await;
    // Neither an inactive admin nor a pending one counts.
    let other = app.account_with("bu_kepala", "admin").await;
    app.change(other.id, json!({ "is_active": false })).await;
    let mut pending = new_account("pak_guru");
    pending["role"] = "admin".into();
    app.internal("/internal/accounts", &pending).await;
    let before = state(&app, admin).await;
    for what in [json!({ "role": "student" }), json!({ "is_active": false }), json!({ "delete": true })] {
        assert_eq!(app.change(admin, what).await.error(), (409, "LAST_ADMIN"));
    }
    assert_eq!(state(&app, admin).await, before);
    // What takes no active admin away is allowed.
    assert_eq!(app.change(other.id, json!({ "role": "student" })).await.status, 200);
    assert_eq!(app.change(other.id, json!({ "role": "admin", "is_active": true })).await.status, 200);
    assert_eq!(app.change(admin, json!({ "role": "alumni" })).await.status, 200);
    assert_eq!(app.change(other.id, json!({ "delete": true })).await.error(), (409, "LAST_ADMIN"));
}

#[tokio::test]
async fn of_admins_who_are_all_taken_away_at_once_one_stays() {
    let app = TestApp::spawn().await;
    let names: Vec<String> = (0..5).map(|n| format!("admin_{n}")).collect();
    let mut admins = vec![admin(&app).await];
    admins.extend(
        join_all(names.iter().map(|name| app.account_with(name, "admin"))).await.iter().map(|person| person.id),
    );
    let ways = [json!({ "delete": true }), json!({ "is_active": false }), json!({ "role": "alumni" })];
    let answers = join_all(admins.iter().zip(ways.iter().cycle()).map(|(&id, way)| app.change(id, way.clone()))).await;
    assert_eq!(tally(&answers), times([("200 none", 5), ("409 LAST_ADMIN", 1)]));
    let left = "select count(*) from accounts where role = 'admin' and is_active and deleted_at is null";
    assert_eq!(app.count(left).await, 1);
}

#[tokio::test]
async fn a_deactivated_account_is_told_so_at_login_and_its_sessions_stay_ended_after_the_reactivation() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    let old = siti.login().await;
    let answer = app.change(siti.id, json!({ "is_active": false })).await;
    assert_eq!(answer.body["data"]["is_active"], false);
    assert_eq!(siti.login_with(PASSWORD).await.error(), (403, "ACCOUNT_DISABLED"));
    // Its names stay taken.
    assert_eq!(app.internal("/internal/accounts", &new_account("siti")).await.error(), (409, "USERNAME_TAKEN"));
    assert_eq!(app.change(siti.id, json!({ "is_active": true })).await.body["data"]["is_active"], true);
    assert_eq!(app.sessions(&old.access).await.error(), (401, "TOKEN_REVOKED"));
    assert_eq!(app.refresh(&old.cookie).await.error(), (401, "TOKEN_REVOKED"));
    assert_eq!(app.sessions(&siti.login().await.access).await.status, 200);
    assert_eq!(state(&app, siti.id).await, (3, 1, 3));
}

#[tokio::test]
async fn a_deleted_account_keeps_its_rows_and_frees_its_names_at_once() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    siti.login().await;
    let answer = app.change(siti.id, json!({ "delete": true })).await;
    let account = &answer.body["data"];
    assert_eq!((&account["deleted"], &account["username"]), (&json!(true), &json!("siti")));
    assert!(account["deleted_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(siti.login_with(PASSWORD).await.error(), (400, "INVALID_CREDENTIALS"));
    assert_eq!(app.count("select count(*) from accounts where username = 'siti'").await, 1);
    assert_eq!(app.count("select count(*) from sessions where ended_reason = 'deleted'").await, 1);
    let next = app.account("siti").await;
    assert_ne!(next.id, siti.id);
    next.login().await;
}

#[tokio::test]
async fn a_reset_password_is_good_at_once_and_has_to_be_changed() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    let answer = app.change(siti.id, json!({ "password": NEW })).await;
    assert_eq!(answer.body["data"]["must_change_password"], true);
    assert!(answer.body["data"].get("password_hash").is_none());
    assert_eq!(siti.login_with(PASSWORD).await.error(), (400, "INVALID_CREDENTIALS"));
    assert_eq!(siti.login_with(NEW).await.status, 200);
    let stored: String = sqlx::query_scalar("select password_hash from accounts where id = $1")
        .bind(siti.id)
        .fetch_one(&app.pool)
        .await
        .unwrap();
    assert!(stored.starts_with("$argon2id$"), "{stored}");
    // Another reset is another change.
    assert_eq!(app.change(siti.id, json!({ "password": PASSWORD })).await.body["data"]["version"], 3);
}

#[tokio::test]
async fn a_reset_of_ones_own_password_spares_the_calling_session_and_asks_for_no_other_change() {
    let app = TestApp::spawn().await;
    let guru = app.account_with("bu_guru", "admin").await;
    let (here, there) = (guru.login().await, guru.login().await);
    let answer = app.change(guru.id, json!({ "password": NEW, "spared_session": session_id(&here.access) })).await;
    assert_eq!(answer.body["data"]["must_change_password"], false);
    assert_eq!(app.sessions(&here.access).await.status, 200);
    assert_eq!(app.sessions(&there.access).await.error(), (401, "TOKEN_REVOKED"));
    // A new role spares no token; the session lives on and gets a new one.
    let both = json!({ "password": PASSWORD, "role": "alumni", "spared_session": session_id(&here.access) });
    app.change(guru.id, both).await;
    assert_eq!(app.sessions(&here.access).await.error(), (401, "TOKEN_REVOKED"));
    let refreshed = app.refresh(&here.cookie).await;
    assert_eq!(claims(&refreshed.access())["role"], "alumni");
    assert_eq!(app.sessions(&refreshed.access()).await.status, 200);
}

#[tokio::test]
async fn a_login_at_the_moment_of_a_deactivation_leaves_no_good_token() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    for _ in 0..5 {
        let (login, change) =
            tokio::join!(siti.login_with(PASSWORD), app.change(siti.id, json!({ "is_active": false })));
        assert_eq!(change.status, 200);
        if login.status == 200 {
            assert_eq!(app.sessions(&login.access()).await.error(), (401, "TOKEN_REVOKED"));
            assert_eq!(app.refresh(&login.session().cookie).await.error(), (401, "UNAUTHORIZED"));
        } else {
            assert_eq!(login.error(), (403, "ACCOUNT_DISABLED"));
        }
        app.change(siti.id, json!({ "is_active": true })).await;
    }
}

#[tokio::test]
async fn a_change_never_expires_and_takes_no_account_with_it() {
    let mut app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    let rename = command(json!({ "username": "siti_a" }));
    app.internal(&path(siti.id), &rename).await;
    let pending = new_account("budi");
    app.internal("/internal/accounts", &pending).await;
    app.sql("update commands set created_at = now() - interval '11 minutes'").await;
    app.auth.kill().await;
    app.auth.restart().await;
    eventually("the other one expires", async || app.command(&pending["command_id"]).await["state"] == "cancelled")
        .await;
    assert_eq!(app.command(&rename["command_id"]).await["state"], "applied");
    assert_eq!(app.login("siti_a", PASSWORD, "10.0.0.1").await.status, 200);
}

#[tokio::test]
async fn a_revocation_whose_request_died_after_the_commit_is_announced_by_the_background_work() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    let session = siti.login().await;
    let (list, claims) = (app.follow_revocations().await, typed_claims(&session.access));
    assert!(!list.refuses(&claims));
    sqlx::query(
        "insert into revocations (id, account_id, epoch, expires_at) values ($1, $2, 1, now() + interval '1 hour')",
    )
    .bind(Uuid::now_v7())
    .bind(siti.id)
    .execute(&app.pool)
    .await
    .unwrap();
    eventually("it arrives elsewhere", async || list.refuses(&claims)).await;
    eventually("and here", async || app.sessions(&session.access).await.error() == (401, "TOKEN_REVOKED")).await;
}

#[tokio::test]
async fn only_who_shows_the_internal_token_may_change_accounts() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    let url = app.auth.internal_url().join(&path(siti.id)).unwrap();
    let delete = command(json!({ "delete": true }));
    let answer = grafikarsa_devstack::testing::http_client().post(url).json(&delete).send().await.unwrap();
    assert_eq!(answer.status(), 401);
    assert_eq!(app.post(&path(siti.id)).json(&delete).send().await.error(), (404, "NOT_FOUND"));
    siti.login().await;
}
