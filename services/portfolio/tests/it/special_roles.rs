//! Special roles: what they are, and what happens when they change.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    statements::statements,
    support::{TestApp, User},
};

mod holders;
mod protection;

const ROLES: &str = "/api/v1/admin/special-roles";
const PENDING: &str = "/api/v1/admin/portfolios/pending";

fn role_path(id: &str) -> String {
    format!("{ROLES}/{id}")
}

fn users_path(id: &str) -> String {
    format!("{ROLES}/{id}/users")
}

fn user_path(id: &str, user: &User) -> String {
    format!("{ROLES}/{id}/users/{}", user.id)
}

fn set_path(user: &User) -> String {
    format!("/api/v1/admin/users/{}/special-roles", user.id)
}

fn set(ids: &[&str]) -> Value {
    json!({ "special_role_ids": ids })
}

/// A new role, made by the admin; its id.
async fn role(app: &TestApp, nama: &str, capabilities: &[&str]) -> String {
    let body = json!({ "nama": nama, "capabilities": capabilities });
    app.admin().post(ROLES, &body).await.data(201)["id"].as_str().unwrap().to_owned()
}

async fn inactive_role(app: &TestApp, nama: &str, capabilities: &[&str]) -> String {
    let id = role(app, nama, capabilities).await;
    app.admin().patch(&role_path(&id), &json!({ "is_active": false })).await.data(200);
    id
}

async fn assign(app: &TestApp, id: &str, users: &[&User]) {
    let ids: Vec<Uuid> = users.iter().map(|user| user.id).collect();
    app.admin().post(&users_path(id), &json!({ "user_ids": ids })).await.data(200);
}

/// Who holds a role, the latest first.
async fn holders(app: &TestApp, id: &str) -> Vec<String> {
    let data = app.admin().get(&role_path(id)).await.data(200);
    let users = data["users"].as_array().unwrap();
    assert_eq!(data["user_count"], users.len());
    users.iter().map(|user| user["username"].as_str().unwrap().to_owned()).collect()
}

async fn audited(app: &TestApp, action: &str) -> Vec<(Uuid, Option<Uuid>, Vec<String>)> {
    sqlx::query_as("select actor_id, target, fields from audit_log where action = $1 order by id")
        .bind(action)
        .fetch_all(&app.pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn an_admin_creates_a_role_with_the_defaults_of_the_form() {
    let app = TestApp::spawn().await;
    let body = json!({ "nama": "  Moderator Konten ", "capabilities": ["tags", "moderation", "tags"], "x": 1 });
    let data = app.admin().post(ROLES, &body).await.data(201);
    let expected = json!({
        "id": data["id"],
        "nama": "Moderator Konten",
        "description": null,
        "color": "#6366f1",
        "capabilities": ["moderation", "tags"],
        "is_active": true,
        "user_count": 0,
        "created_at": data["created_at"],
        "updated_at": data["created_at"],
    });
    assert_eq!(data, expected);
    let body = json!({
        "nama": "Lain", "description": " ", "color": "#F97316", "capabilities": ["users"], "is_active": false,
    });
    let data = app.admin().post(ROLES, &body).await.data(201);
    let sent = (&data["description"], &data["color"], &data["is_active"]);
    assert_eq!(sent, (&json!(null), &json!("#F97316"), &json!(false)));
}

#[tokio::test]
async fn only_the_broken_fields_of_a_role_are_named_and_all_of_them() {
    let app = TestApp::spawn().await;
    let body = json!({
        "nama": " ", "description": "x".repeat(501), "color": "red", "capabilities": ["tags", "root"],
    });
    assert_eq!(app.admin().post(ROLES, &body).await.broken(), ["nama", "description", "color", "capabilities"]);
    assert_eq!(app.admin().post(ROLES, &json!({})).await.broken(), ["nama", "capabilities"]);
    for capabilities in [json!([]), json!(null), json!([""]), json!(["Tags"])] {
        let body = json!({ "nama": "Peran", "capabilities": capabilities });
        assert_eq!(app.admin().post(ROLES, &body).await.broken(), ["capabilities"]);
    }
    let long = json!({ "nama": "x".repeat(101), "capabilities": ["tags"] });
    assert_eq!(app.admin().post(ROLES, &long).await.broken(), ["nama"]);
    for body in [json!({ "nama": 1 }), json!({ "capabilities": "tags" }), json!({ "capabilities": [1] }), json!([])] {
        app.admin().post(ROLES, &body).await.fails(400, "VALIDATION_ERROR");
    }
    app.admin().raw(Method::POST, ROLES, "application/json", "{").await.fails(400, "VALIDATION_ERROR");
    assert_eq!(app.count("select count(*) from special_roles").await, 0);
}

#[tokio::test]
async fn names_are_unique_whatever_their_case_until_the_role_is_deleted() {
    let app = TestApp::spawn().await;
    let first = role(&app, "Guru", &["tags"]).await;
    let second = role(&app, "Piket", &["tags"]).await;
    let body = json!({ "nama": "GURU", "capabilities": ["tags"] });
    app.admin().post(ROLES, &body).await.fails(409, "DUPLICATE_ERROR");
    app.admin().patch(&role_path(&second), &json!({ "nama": "guru" })).await.fails(409, "DUPLICATE_ERROR");
    // His own name in other letters is no duplicate.
    app.admin().patch(&role_path(&first), &json!({ "nama": "guru" })).await.data(200);
    app.admin().delete(&role_path(&first)).await.data(200);
    app.admin().post(ROLES, &body).await.data(201);
}

#[tokio::test]
async fn of_equal_names_at_the_same_time_one_wins() {
    let app = TestApp::spawn().await;
    let body = json!({ "nama": "Guru", "capabilities": ["tags"] });
    let admin = app.admin();
    let answers = tokio::join!(
        admin.post(ROLES, &body),
        admin.post(ROLES, &body),
        admin.post(ROLES, &body),
        admin.post(ROLES, &body),
    );
    let mut statuses = [answers.0.status, answers.1.status, answers.2.status, answers.3.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409]);
}

#[tokio::test]
async fn the_catalogue_has_fourteen_rows_in_its_order() {
    let app = TestApp::spawn().await;
    let answer = app.admin().get(&format!("{ROLES}/capabilities")).await;
    let expected = [
        ("dashboard", "Dashboard", "Overview"),
        ("portfolios", "Kelola Portfolios", "Konten"),
        ("moderation", "Moderasi", "Konten"),
        ("assessments", "Penilaian", "Konten"),
        ("assessment_metrics", "Metrik Penilaian", "Konten"),
        ("tags", "Kelola Tags", "Konten"),
        ("series", "Kelola Series", "Konten"),
        ("users", "Kelola Users", "Pengguna"),
        ("special_roles", "Kelola Special Roles", "Pengguna"),
        ("majors", "Kelola Jurusan", "Akademik"),
        ("classes", "Kelola Kelas", "Akademik"),
        ("academic_years", "Tahun Ajaran", "Akademik"),
        ("feedback", "Kelola Feedback", "Lainnya"),
        ("changelog", "Kelola Changelog", "Lainnya"),
    ];
    let expected = expected.map(|(key, label, group)| json!({ "key": key, "label": label, "group": group }));
    assert_eq!(answer.data(200), json!(expected));
    // All of them can be given, changelog too.
    role(&app, "Semua", &answer.column("key").iter().map(String::as_str).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn changelog_is_a_capability_like_the_others_and_survives_edits() {
    let app = TestApp::spawn().await;
    let id = role(&app, "Penulis", &["changelog"]).await;
    let siti = app.student("siti").await;
    assign(&app, &id, &[&siti]).await;
    assert_eq!(siti.get("/api/v1/me").await.data(200)["capabilities"], json!(["changelog"]));
    let data = app.admin().patch(&role_path(&id), &json!({ "nama": "Pengarang" })).await.data(200);
    assert_eq!(data["capabilities"], json!(["changelog"]));
}

#[tokio::test]
async fn roles_are_listed_by_name_and_inactive_ones_on_demand() {
    let app = TestApp::spawn().await;
    assert_eq!(app.admin().get(ROLES).await.data(200), json!([]));
    role(&app, "Guru 100%", &["tags"]).await;
    role(&app, "Bendahara", &["tags"]).await;
    inactive_role(&app, "Alumni", &["tags"]).await;
    let gone = role(&app, "Dihapus", &["tags"]).await;
    app.admin().delete(&role_path(&gone)).await.data(200);
    let listed = async |query: &str| app.admin().get(&format!("{ROLES}{query}")).await.column("nama");
    assert_eq!(listed("").await, ["Bendahara", "Guru 100%"]);
    assert_eq!(listed("?include_inactive=false&search=").await, ["Bendahara", "Guru 100%"]);
    assert_eq!(listed("?include_inactive=true").await, ["Alumni", "Bendahara", "Guru 100%"]);
    assert_eq!(listed("?include_inactive=1&search=AL").await, ["Alumni"]);
    assert_eq!(listed("?search=%25").await, ["Guru 100%"]);
    assert_eq!(listed("?search=_").await.len(), 0);
    assert_eq!(listed("/active").await, ["Bendahara", "Guru 100%"]);
    assert!(app.admin().get(ROLES).await.body.get("meta").is_none());
    for query in ["include_inactive=yes".to_owned(), format!("search={}", "x".repeat(101))] {
        app.admin().get(&format!("{ROLES}?{query}")).await.fails(400, "VALIDATION_ERROR");
    }
}

#[tokio::test]
async fn requests_are_checked_in_the_contracts_order() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let nowhere = Uuid::nil().to_string();
    let admin = app.admin();
    // A malformed path comes before the capability.
    siti.get(&role_path("x")).await.fails(400, "VALIDATION_ERROR");
    siti.get(&format!("{ROLES}?include_inactive=x")).await.fails(400, "VALIDATION_ERROR");
    admin.delete(&format!("{ROLES}/{nowhere}/users/x")).await.fails(400, "VALIDATION_ERROR");
    admin.get(&role_path(&nowhere)).await.fails(404, "NOT_FOUND");
    admin.delete(&role_path(&nowhere)).await.fails(404, "NOT_FOUND");
    admin.delete(&user_path(&nowhere, &siti)).await.fails(404, "NOT_FOUND");
    let ghost = format!("/api/v1/admin/users/{nowhere}/special-roles");
    admin.get(&ghost).await.fails(404, "USER_NOT_FOUND");
    // What does not exist comes before the body.
    for (method, path, code) in [
        (Method::PATCH, role_path(&nowhere), "NOT_FOUND"),
        (Method::POST, users_path(&nowhere), "NOT_FOUND"),
        (Method::PUT, ghost, "USER_NOT_FOUND"),
    ] {
        admin.raw(method, &path, "application/json", "{").await.fails(404, code);
    }
    let id = role(&app, "Guru", &["tags"]).await;
    for body in [json!({ "user_ids": ["x"] }), json!({ "user_ids": "x" }), json!([])] {
        admin.post(&users_path(&id), &body).await.fails(400, "VALIDATION_ERROR");
    }
    for body in [json!({ "special_role_ids": ["x"] }), json!({ "special_role_ids": {} })] {
        admin.put(&set_path(&siti), &body).await.fails(400, "VALIDATION_ERROR");
    }
}

#[tokio::test]
async fn a_patch_changes_what_it_names_and_null_clears_the_description_only() {
    let app = TestApp::spawn().await;
    let body = json!({ "nama": "Guru", "description": "Para guru", "color": "#000000", "capabilities": ["tags"] });
    let before = app.admin().post(ROLES, &body).await.data(201);
    let path = role_path(before["id"].as_str().unwrap());
    let same = json!({ "nama": null, "color": null, "capabilities": null, "is_active": null });
    for body in [json!({}), same, json!({ "nama": " Guru", "capabilities": ["tags", "tags"] })] {
        assert_eq!(app.admin().patch(&path, &body).await.data(200), before);
    }
    assert!(audited(&app, "special_role.update").await.is_empty(), "nothing was written");
    let body = json!({ "description": null, "capabilities": ["users", "dashboard"] });
    let after = app.admin().patch(&path, &body).await.data(200);
    assert_eq!(
        (&after["nama"], &after["color"], &after["is_active"]),
        (&json!("Guru"), &json!("#000000"), &json!(true))
    );
    assert_eq!((&after["description"], &after["capabilities"]), (&json!(null), &json!(["dashboard", "users"])));
    assert_ne!(after["updated_at"], before["updated_at"]);
    // Never a role without capabilities.
    for (body, field) in [
        (json!({ "capabilities": [] }), "capabilities"),
        (json!({ "capabilities": ["x"] }), "capabilities"),
        (json!({ "nama": "" }), "nama"),
        (json!({ "color": "" }), "color"),
        (json!({ "description": "x".repeat(501) }), "description"),
    ] {
        assert_eq!(app.admin().patch(&path, &body).await.broken(), [field]);
    }
    assert_eq!(app.admin().get(&path).await.data(200)["capabilities"], json!(["dashboard", "users"]));
}

#[tokio::test]
async fn a_changed_role_opens_and_shuts_the_back_office_at_once() {
    let app = TestApp::spawn().await;
    let id = role(&app, "Guru", &["tags"]).await;
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    assign(&app, &id, &[&siti, &budi]).await;
    let path = role_path(&id);
    for (change, status) in [
        (json!({ "capabilities": ["moderation"] }), 200),
        (json!({ "is_active": false }), 403),
        (json!({ "is_active": true }), 200),
        (json!({ "capabilities": ["tags"] }), 403),
    ] {
        app.admin().patch(&path, &change).await.data(200);
        assert_eq!(siti.get(PENDING).await.status, status, "{change}");
        assert_eq!(budi.get(PENDING).await.status, status, "{change}");
    }
}

#[tokio::test]
async fn a_deleted_role_is_gone_from_everybody_at_once() {
    let app = TestApp::spawn().await;
    let id = role(&app, "Moderator", &["moderation"]).await;
    let siti = app.student("siti").await;
    assign(&app, &id, &[&siti]).await;
    siti.get(PENDING).await.data(200);
    let answer = app.admin().delete(&role_path(&id)).await;
    assert_eq!(answer.data(200), json!(null));
    siti.get(PENDING).await.fails(403, "FORBIDDEN");
    assert_eq!(siti.get("/api/v1/me").await.data(200)["special_roles"], json!([]));
    assert_eq!(app.count("select count(*) from user_special_roles").await, 0);
    let admin = app.admin();
    admin.delete(&role_path(&id)).await.fails(404, "NOT_FOUND");
    admin.get(&role_path(&id)).await.fails(404, "NOT_FOUND");
    admin.patch(&role_path(&id), &json!({})).await.fails(404, "NOT_FOUND");
    admin.post(&users_path(&id), &json!({ "user_ids": [siti.id] })).await.fails(404, "NOT_FOUND");
    admin.delete(&user_path(&id, &siti)).await.fails(404, "NOT_FOUND");
    assert_eq!(admin.put(&set_path(&siti), &set(&[&id])).await.broken(), ["special_role_ids"]);
}

#[tokio::test]
async fn every_write_is_recorded_with_names_of_fields_only() {
    let app = TestApp::spawn().await;
    let (admin, siti) = (app.admin(), app.student("siti").await);
    let id = role(&app, "Guru", &["tags"]).await;
    let target: Uuid = id.parse().unwrap();
    admin.patch(&role_path(&id), &json!({ "nama": "Piket", "color": "#6366f1", "is_active": true })).await.data(200);
    assign(&app, &id, &[&siti]).await;
    assign(&app, &id, &[&siti]).await;
    admin.put(&set_path(&siti), &set(&[&id])).await.data(200);
    admin.put(&set_path(&siti), &set(&[])).await.data(200);
    admin.delete(&role_path(&id)).await.data(200);
    let rows = async |action: &str| audited(&app, action).await;
    let row = |target: Uuid, fields: &[&str]| {
        (admin.id, Some(target), fields.iter().map(|&field| field.to_owned()).collect::<Vec<_>>())
    };
    let all = ["nama", "description", "color", "capabilities", "is_active"];
    assert_eq!(rows("special_role.create").await, [row(target, &all)]);
    assert_eq!(rows("special_role.update").await, [row(target, &["nama"])]);
    assert_eq!(rows("special_role.assign").await, [row(target, &["users"])]);
    let changed = row(siti.id, &["special_roles"]);
    assert_eq!(rows("user.special_roles").await, [changed.clone(), changed]);
    assert_eq!(rows("special_role.delete").await.len(), 1);
}

#[tokio::test]
async fn counts_and_holders_cost_the_same_however_many_there_are() {
    let app = TestApp::with(&[("LOG_LEVEL", "info,sqlx=debug"), ("LOG_FORMAT", "json")]).await;
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    let id = role(&app, "Guru", &["tags"]).await;
    assign(&app, &id, &[&siti]).await;
    let (one, own) = (role_path(&id), set_path(&siti));
    let lists = [
        (ROLES, ROLES),
        ("/api/v1/admin/special-roles/active", "/api/v1/admin/special-roles/active"),
        ("/api/v1/admin/special-roles/{id}", one.as_str()),
        ("/api/v1/admin/users/{id}/special-roles", own.as_str()),
    ];
    let counted = async || {
        let mut counts = Vec::new();
        for (route, path) in lists {
            counts.push(statements(&app, app.admin(), route, path).await);
        }
        counts
    };
    let few = counted().await;
    assert!(few.iter().all(|count| (1..=2).contains(count)), "{few:?}");
    for name in ["Piket", "Wali", "Tamu"] {
        let id = role(&app, name, &["tags"]).await;
        assign(&app, &id, &[&siti, &budi]).await;
    }
    assign(&app, &id, &[&budi]).await;
    assert_eq!(counted().await, few);
}
