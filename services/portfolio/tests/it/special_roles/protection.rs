//! Who may: nobody makes, gives or takes what he does not hold himself, nor touches himself or an admin.

use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use super::{PENDING, ROLES, assign, holders, inactive_role, role, role_path, set, set_path, user_path, users_path};
use crate::support::{Answer, TestApp};

#[tokio::test]
async fn the_user_form_reads_active_roles_and_nothing_else_of_them() {
    let app = TestApp::spawn().await;
    let tata = app.holder("tata", &["users"]).await;
    tata.get(&format!("{ROLES}/active")).await.data(200);
    tata.get(ROLES).await.fails(403, "FORBIDDEN");
    tata.get(&format!("{ROLES}/capabilities")).await.fails(403, "FORBIDDEN");
    let tono = app.holder("tono", &["special_roles"]).await;
    for path in [ROLES, &format!("{ROLES}/active"), &format!("{ROLES}/capabilities"), &set_path(&tata)] {
        tono.get(path).await.data(200);
    }
    tono.put(&set_path(&tata), &set(&[])).await.fails(403, "FORBIDDEN");
}

#[tokio::test]
async fn every_route_asks_for_its_capability() {
    let app = TestApp::spawn().await;
    let id = role(&app, "Guru", &["tags"]).await;
    let siti = app.student("siti").await;
    let other = app.holder("tata", &["moderation", "portfolios", "tags", "majors", "changelog"]).await;
    let (role, users, user, own) = (role_path(&id), users_path(&id), user_path(&id, &siti), set_path(&siti));
    let routes = [
        (Method::GET, ROLES.to_owned()),
        (Method::GET, format!("{ROLES}/active")),
        (Method::GET, format!("{ROLES}/capabilities")),
        (Method::POST, ROLES.to_owned()),
        (Method::GET, role.clone()),
        (Method::PATCH, role.clone()),
        (Method::DELETE, role),
        (Method::POST, users),
        (Method::DELETE, user),
        (Method::GET, own.clone()),
        (Method::PUT, own),
    ];
    for (method, path) in routes {
        app.guest(method.clone(), &path, &[]).await.fails(401, "UNAUTHORIZED");
        for caller in [&siti, &other] {
            caller.raw(method.clone(), &path, "application/json", "{").await.fails(403, "FORBIDDEN");
        }
    }
    assert_eq!(app.count("select count(*) from special_roles where deleted_at is null").await, 2);
}

#[tokio::test]
async fn nobody_makes_or_changes_a_role_that_holds_more_than_he_does() {
    let app = TestApp::spawn().await;
    let tata = app.holder("tata", &["special_roles", "tags"]).await;
    let siti = app.student("siti").await;
    let escalates = |answer: Answer| answer.fails(403, "CAPABILITY_ESCALATION");
    // After the body's own rules, before the name's.
    let body = json!({ "nama": "Besar", "capabilities": ["tags", "users"] });
    escalates(tata.post(ROLES, &body).await);
    assert_eq!(tata.post(ROLES, &json!({ "nama": "", "capabilities": ["users"] })).await.broken(), ["nama"]);
    let small = tata.post(ROLES, &json!({ "nama": "Kecil", "capabilities": ["tags"] })).await.data(201);
    let small = small["id"].as_str().unwrap();
    // Afterwards.
    escalates(tata.patch(&role_path(small), &json!({ "capabilities": ["tags", "majors"] })).await);
    tata.patch(&role_path(small), &json!({ "capabilities": ["special_roles"], "nama": "Peran" })).await.data(200);
    // Before: not even to make it smaller, whatever the body says.
    let big = role(&app, "Besar", &["tags", "users"]).await;
    escalates(tata.patch(&role_path(&big), &json!({ "capabilities": ["tags"] })).await);
    escalates(tata.patch(&role_path(&big), &json!({ "is_active": false })).await);
    escalates(tata.raw(Method::PATCH, &role_path(&big), "application/json", "{").await);
    escalates(tata.delete(&role_path(&big)).await);
    assign(&app, &big, &[&siti]).await;
    escalates(tata.post(&users_path(&big), &json!({ "user_ids": [siti.id] })).await);
    escalates(tata.delete(&user_path(&big, &siti)).await);
    assert_eq!(holders(&app, &big).await, ["siti"]);
    // An inactive role gives nothing now and may be activated again.
    let asleep = inactive_role(&app, "Tidur", &["users"]).await;
    escalates(tata.post(&users_path(&asleep), &json!({ "user_ids": [siti.id] })).await);
    escalates(tata.patch(&role_path(&asleep), &json!({ "is_active": true })).await);
    // What is within is his to give, to take and to delete.
    tata.post(&users_path(small), &json!({ "user_ids": [siti.id] })).await.data(200);
    tata.delete(&user_path(small, &siti)).await.data(200);
    tata.delete(&role_path(small)).await.data(200);
    // He still reads everything.
    tata.get(&role_path(&big)).await.data(200);
}

#[tokio::test]
async fn an_inactive_role_of_the_caller_lends_him_nothing_to_give() {
    let app = TestApp::spawn().await;
    let tata = app.holder("tata", &["special_roles"]).await;
    let asleep = inactive_role(&app, "Tidur", &["tags"]).await;
    assign(&app, &asleep, &[&tata]).await;
    let body = json!({ "nama": "Baru", "capabilities": ["tags"] });
    tata.post(ROLES, &body).await.fails(403, "CAPABILITY_ESCALATION");
    app.admin().patch(&role_path(&asleep), &json!({ "is_active": true })).await.data(200);
    tata.post(ROLES, &body).await.data(201);
}

#[tokio::test]
async fn nobody_but_an_admin_gives_himself_a_role_or_takes_one_from_himself() {
    let app = TestApp::spawn().await;
    let tata = app.holder("tata", &["special_roles", "users", "tags"]).await;
    let siti = app.student("siti").await;
    let (new, held) = (role(&app, "Baru", &["tags"]).await, role(&app, "Punya", &["tags"]).await);
    assign(&app, &held, &[&tata]).await;
    let both = json!({ "user_ids": [siti.id, tata.id] });
    tata.post(&users_path(&new), &both).await.fails(403, "CANNOT_MODIFY_SELF");
    assert_eq!(holders(&app, &new).await.len(), 0, "nobody got it");
    tata.delete(&user_path(&held, &tata)).await.fails(403, "CANNOT_MODIFY_SELF");
    assert_eq!(holders(&app, &held).await, ["tata"]);
    // What changes nothing about himself is allowed.
    tata.post(&users_path(&held), &both).await.data(200);
    tata.delete(&user_path(&new, &tata)).await.data(200);
    let mine = app.admin().get(&set_path(&tata)).await.column("id");
    let mine: Vec<&str> = mine.iter().map(String::as_str).collect();
    tata.put(&set_path(&tata), &set(&mine)).await.data(200);
    tata.put(&set_path(&tata), &set(&mine[1..])).await.fails(403, "CANNOT_MODIFY_SELF");
    tata.put(&set_path(&tata), &set(&[])).await.fails(403, "CANNOT_MODIFY_SELF");
    let more: Vec<&str> = mine.iter().copied().chain([new.as_str()]).collect();
    tata.put(&set_path(&tata), &set(&more)).await.fails(403, "CANNOT_MODIFY_SELF");
    // An admin may.
    let admin = app.admin();
    assign(&app, &new, &[admin]).await;
    admin.put(&set_path(admin), &set(&[&held])).await.data(200);
    admin.delete(&user_path(&held, admin)).await.data(200);
}

#[tokio::test]
async fn only_admins_change_the_roles_of_an_admin() {
    let app = TestApp::spawn().await;
    let tata = app.holder("tata", &["special_roles", "users", "tags"]).await;
    let boss = app.user(json!({ "username": "bos", "role": "admin" })).await;
    let siti = app.student("siti").await;
    let id = role(&app, "Guru", &["tags"]).await;
    let both = json!({ "user_ids": [siti.id, boss.id] });
    tata.post(&users_path(&id), &both).await.fails(403, "FORBIDDEN");
    assert_eq!(holders(&app, &id).await.len(), 0, "nobody got it");
    app.admin().post(&users_path(&id), &both).await.data(200);
    tata.delete(&user_path(&id, &boss)).await.fails(403, "FORBIDDEN");
    // Not even the same set, and before anybody looks at the body.
    tata.put(&set_path(&boss), &set(&[&id])).await.fails(403, "FORBIDDEN");
    tata.raw(Method::PUT, &set_path(&boss), "application/json", "{").await.fails(403, "FORBIDDEN");
    assert_eq!(holders(&app, &id).await.len(), 2);
    // What is stored has no effect on what he may.
    app.admin().put(&set_path(&boss), &set(&[])).await.data(200);
    boss.get(PENDING).await.data(200);
}

#[tokio::test]
async fn an_unchanged_set_is_fine_for_any_holder_of_users_and_a_change_must_be_within_his_own() {
    let app = TestApp::spawn().await;
    let tata = app.holder("tata", &["users", "tags"]).await;
    let siti = app.student("siti").await;
    let (big, small) = (role(&app, "Besar", &["users", "majors"]).await, role(&app, "Kecil", &["tags"]).await);
    let same = role(&app, "Sama", &["users"]).await;
    app.admin().put(&set_path(&siti), &set(&[&big])).await.data(200);
    let path = set_path(&siti);
    tata.put(&path, &set(&[&big])).await.data(200);
    tata.put(&path, &set(&[&big, &small])).await.data(200);
    tata.put(&path, &set(&[&small])).await.fails(403, "CAPABILITY_ESCALATION");
    // No hidden super role: what he holds himself he gives, `users` too.
    tata.put(&path, &set(&[&big, &same])).await.data(200);
    let (budi, own) = (app.student("budi").await, role(&app, "Pengatur", &["special_roles"]).await);
    tata.put(&set_path(&budi), &set(&[&own])).await.fails(403, "CAPABILITY_ESCALATION");
    tata.put(&set_path(&budi), &set(&[&big])).await.fails(403, "CAPABILITY_ESCALATION");
    // Broken values come first.
    let unknown = json!({ "special_role_ids": [big, Uuid::now_v7()] });
    assert_eq!(tata.put(&set_path(&budi), &unknown).await.broken(), ["special_role_ids"]);
    assert_eq!(app.admin().get(&path).await.column("nama"), ["Besar", "Sama"]);
    assert_eq!(app.admin().get(&set_path(&budi)).await.data(200), json!([]));
}

#[tokio::test]
async fn a_refused_write_changes_and_records_nothing() {
    let app = TestApp::spawn().await;
    let tata = app.holder("tata", &["special_roles", "users", "tags"]).await;
    let big = role(&app, "Besar", &["majors"]).await;
    let before = app.count("select count(*) from audit_log").await;
    tata.patch(&role_path(&big), &json!({ "nama": "x" })).await.fails(403, "CAPABILITY_ESCALATION");
    tata.delete(&role_path(&big)).await.fails(403, "CAPABILITY_ESCALATION");
    tata.put(&set_path(&tata), &set(&[])).await.fails(403, "CANNOT_MODIFY_SELF");
    let small = role(&app, "Kecil", &["tags"]).await;
    tata.post(&users_path(&small), &json!({ "user_ids": [tata.id] })).await.fails(403, "CANNOT_MODIFY_SELF");
    assert_eq!(app.count("select count(*) from audit_log").await, before + 1, "only the new role");
}
