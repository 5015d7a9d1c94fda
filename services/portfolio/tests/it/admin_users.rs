//! Users in the back office.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{PASSWORD, TestApp, User, eventually, new_user};

const USERS: &str = "/api/v1/admin/users";

fn path(user: &User, rest: &str) -> String {
    format!("{USERS}/{}{rest}", user.id)
}

#[tokio::test]
async fn the_list_is_filtered_and_reduced_for_those_who_only_pick() {
    let app = TestApp::spawn().await;
    let (kelas, jurusan) = app.kelas().await;
    let body =
        json!({ "username": "siti", "nama": "Siti Aminah", "kelas_id": kelas, "nis": "25491/02", "nisn": "0098" });
    let siti = app.user(body).await;
    app.user(json!({ "username": "budi", "role": "alumni", "tahun_masuk": 2020 })).await;
    let admin = app.admin();
    let all = admin.get(USERS).await;
    assert_eq!(all.body["meta"]["total_count"], 3);
    let newest = &all.data(200)[0];
    assert_eq!(
        (&newest["username"], &newest["tahun_lulus"], &newest["kelas"]),
        (&json!("budi"), &json!(2023), &Value::Null)
    );
    for (filter, count) in [
        ("search=aminah", 1),
        ("search=25491%2F", 1),
        ("search=siti%40sekolah", 1),
        ("search=0098", 1),
        ("search=%25", 0),
        ("role=alumni", 1),
        ("role=admin&is_active=true", 1),
        ("is_active=false", 0),
        (&format!("kelas_id={kelas}"), 1),
        (&format!("jurusan_id={jurusan}&search=siti"), 1),
        (&format!("jurusan_id={jurusan}&role=alumni"), 0),
    ] {
        assert_eq!(admin.get(&format!("{USERS}?{filter}")).await.body["meta"]["total_count"], count, "{filter}");
    }
    for bad in ["role=guru", "is_active=ya", "kelas_id=1", &format!("search={}", "x".repeat(101))] {
        admin.get(&format!("{USERS}?{bad}")).await.fails(400, "VALIDATION_ERROR");
    }
    app.deactivate(&siti).await;
    assert_eq!(admin.get(&format!("{USERS}?is_active=false")).await.data(200)[0]["username"], "siti");

    let picker = app.holder("tata", &["special_roles"]).await;
    let seen = picker.get(&format!("{USERS}?search=siti")).await.data(200);
    assert_eq!((&seen[0]["nama"], &seen[0]["kelas"]["nama"]), (&json!("Siti Aminah"), &json!("XII-RPL-A")));
    for hidden in ["email", "nisn", "nis", "banner_url", "tahun_masuk", "last_login_at", "must_change_password"] {
        assert_eq!(seen[0][hidden], Value::Null, "{hidden}");
    }
    for search in ["sekolah", "25491", "0098"] {
        assert_eq!(picker.get(&format!("{USERS}?search={search}")).await.body["meta"]["total_count"], 0, "{search}");
    }
}

#[tokio::test]
async fn a_name_can_be_asked_for() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let admin = app.admin();
    for (query, available) in [
        ("username=baru", true),
        ("username=SITI", false),
        ("username=admin", false),
        ("username=ab", false),
        (&format!("username=siti&exclude_id={}", siti.id), true),
    ] {
        assert_eq!(
            admin.get(&format!("{USERS}/check-username?{query}")).await.data(200)["available"],
            available,
            "{query}"
        );
    }
    for (query, available) in [
        ("email=baru%40sekolah.sch.id", true),
        ("email=Siti%40sekolah.sch.id", false),
        ("email=bukan-alamat", false),
        (&format!("email=siti%40sekolah.sch.id&exclude_id={}", siti.id), true),
    ] {
        assert_eq!(
            admin.get(&format!("{USERS}/check-email?{query}")).await.data(200)["available"],
            available,
            "{query}"
        );
    }
    for bad in ["check-username", "check-username?username=x&exclude_id=1", "check-email?email="] {
        admin.get(&format!("{USERS}/{bad}")).await.fails(400, "VALIDATION_ERROR");
    }
}

#[tokio::test]
async fn the_form_sends_the_whole_row_back_and_only_changes_count() {
    let app = TestApp::spawn().await;
    let (kelas, _) = app.kelas().await;
    let siti =
        app.user(json!({ "username": "siti", "kelas_id": kelas, "nis": "1", "nisn": "2", "tahun_masuk": 2024 })).await;
    let admin = app.admin();
    // Stored under other rules, and still no reason to refuse.
    app.sql("update users set nama = 'S', nis = 'a b', avatar_url = 'https://lama.test/x.png' where username = 'siti'")
        .await;
    let row = admin.get(&path(&siti, "")).await.data(200);
    let mut form = json!({});
    for field in
        ["nama", "role", "nisn", "nis", "tahun_masuk", "tahun_lulus", "avatar_url", "banner_url", "username", "email"]
    {
        form[field] = row[field].clone();
    }
    form["kelas_id"] = row["kelas"]["id"].clone();
    let same = admin.patch(&path(&siti, ""), &form).await.data(200);
    assert_eq!((&same["nama"], &same["nis"], &same["kelas"]), (&json!("S"), &json!("a b"), &row["kelas"]));
    assert_eq!(app.count("select count(*) from audit_log where action = 'user.update'").await, 0);
    form["nama"] = json!(" Siti Baru ");
    form["nisn"] = Value::Null;
    form["nis"] = json!("");
    form["kelas_id"] = Value::Null;
    let changed = admin.patch(&path(&siti, ""), &form).await.data(200);
    assert_eq!(
        (&changed["nama"], &changed["nisn"], &changed["nis"]),
        (&json!("Siti Baru"), &Value::Null, &Value::Null)
    );
    assert_eq!(changed["kelas"], Value::Null);
    assert_eq!(changed["class_history"][0]["kelas_nama"], "XII-RPL-A");
    assert_eq!(app.count("select count(*) from riwayat_kelas where is_current").await, 0);
    let fields: Vec<String> = sqlx::query_scalar("select fields from audit_log where action = 'user.update'")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    assert_eq!(fields, ["nama", "nisn", "nis", "kelas_id"]);
}

#[tokio::test]
async fn every_broken_field_is_named_and_nothing_changes() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let body = json!({
        "nama": "x", "username": "A-B", "email": "x", "role": "guru", "nisn": "12a", "nis": "a b", "kelas_id": Uuid::nil(),
        "tahun_masuk": 2026, "tahun_lulus": 2020, "avatar_url": "https://x.test/a.png", "banner_url": "x",
    });
    let broken = app.admin().patch(&path(&siti, ""), &body).await;
    let mut fields = broken.broken();
    fields.sort_unstable();
    let mut expected =
        vec!["nama", "username", "email", "role", "nisn", "nis", "kelas_id", "tahun_lulus", "avatar_url", "banner_url"];
    expected.sort_unstable();
    assert_eq!(fields, expected);
    app.admin().patch(&path(&siti, ""), &json!({ "tahun_masuk": "2026" })).await.fails(400, "VALIDATION_ERROR");
    app.admin().patch(&format!("{USERS}/{}", Uuid::nil()), &json!({})).await.fails(404, "USER_NOT_FOUND");
    app.admin().patch(&format!("{USERS}/x"), &json!({})).await.fails(400, "VALIDATION_ERROR");
}

#[tokio::test]
async fn a_role_brings_its_class_and_its_year_along() {
    let app = TestApp::spawn().await;
    let (kelas, _) = app.kelas().await;
    let siti = app.user(json!({ "username": "siti", "kelas_id": kelas, "tahun_masuk": 2023 })).await;
    let admin = app.admin();
    let body = json!({ "role": "alumni", "kelas_id": kelas });
    let alumna = admin.patch(&path(&siti, ""), &body).await.data(200);
    assert_eq!(
        (&alumna["role"], &alumna["kelas"], &alumna["tahun_lulus"]),
        (&json!("alumni"), &Value::Null, &json!(2026))
    );
    siti.get("/api/v1/me").await.fails(401, "TOKEN_REVOKED");
    let again = app.again(&siti).await;
    assert_eq!(again.get("/api/v1/me").await.data(200)["role"], "alumni");
    let body = json!({ "role": "student", "kelas_id": kelas, "tahun_lulus": null });
    let student = admin.patch(&path(&siti, ""), &body).await.data(200);
    assert_eq!((&student["kelas"]["nama"], &student["tahun_lulus"]), (&json!("XII-RPL-A"), &Value::Null));
    assert_eq!(app.count("select count(*) from riwayat_kelas where is_current").await, 1);
}

#[tokio::test]
async fn names_and_numbers_of_others_are_taken() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    app.user(json!({ "username": "budi", "nis": "77", "nisn": "88" })).await;
    let admin = app.admin();
    for (body, code) in [
        (json!({ "username": "budi" }), "USERNAME_TAKEN"),
        (json!({ "email": "budi@sekolah.sch.id" }), "DUPLICATE_EMAIL"),
        (json!({ "nis": "77" }), "DUPLICATE_NIS"),
        (json!({ "nisn": "88" }), "DUPLICATE_NISN"),
        (json!({ "nis": "77", "username": "baru", "nama": "Baru" }), "DUPLICATE_NIS"),
        (json!({ "nis": "99", "username": "budi" }), "USERNAME_TAKEN"),
    ] {
        admin.patch(&path(&siti, ""), &body).await.fails(409, code);
        let row = admin.get(&path(&siti, "")).await.data(200);
        assert_eq!(
            (&row["username"], &row["nis"], &row["nisn"]),
            (&json!("siti"), &Value::Null, &Value::Null),
            "{body}"
        );
    }
    let both = json!({ "username": "siti_baru", "email": "BARU@sekolah.sch.id", "nis": "99" });
    let row = admin.patch(&path(&siti, ""), &both).await.data(200);
    assert_eq!(
        (&row["username"], &row["email"], &row["nis"]),
        (&json!("siti_baru"), &json!("baru@sekolah.sch.id"), &json!("99"))
    );
    app.login("siti_baru", PASSWORD).await;
    assert_eq!(app.count("select count(*) from account_intents where state = 'open'").await, 0);
}

#[tokio::test]
async fn a_password_is_reset_and_its_sessions_end() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let admin = app.admin();
    let to = path(&siti, "/password");
    for bad in [json!({}), json!({ "new_password": "pendek" }), json!({ "new_password": "é".repeat(37) })] {
        assert_eq!(admin.patch(&to, &bad).await.broken(), ["new_password"]);
    }
    admin.patch(&to, &json!({ "new_password": "  rahasia baru" })).await.data(200);
    siti.get("/api/v1/me").await.fails(401, "TOKEN_REVOKED");
    let again = app.login("siti", "  rahasia baru").await;
    assert_eq!(again.get("/api/v1/me").await.data(200)["must_change_password"], true);
    // One's own: this session stays, and nothing has to be changed.
    let other = app.login(&admin.username, grafikarsa_devstack::testing::ADMIN.1).await;
    let own = format!("{USERS}/{}/password", admin.id);
    admin.patch(&own, &json!({ "new_password": "kata sandi baru" })).await.data(200);
    other.get("/api/v1/me").await.fails(401, "TOKEN_REVOKED");
    assert_eq!(admin.get("/api/v1/me").await.data(200)["must_change_password"], false);
    let said: Vec<String> =
        sqlx::query_scalar("select array_to_string(fields, ',') from audit_log where action = 'user.password'")
            .fetch_all(&app.pool)
            .await
            .unwrap();
    assert_eq!(said, ["password", "password"]);
}

#[tokio::test]
async fn deactivating_and_deleting_are_repeatable_and_final() {
    let app = TestApp::spawn().await;
    let siti = app.user(json!({ "username": "siti", "nis": "1" })).await;
    app.give(&siti, &["tags"]).await;
    let work = siti.published("Karya", app.admin()).await;
    let admin = app.admin();
    for _ in 0..2 {
        admin.act(&path(&siti, "/deactivate")).await.data(200);
    }
    siti.get("/api/v1/me").await.fails(401, "TOKEN_REVOKED");
    app.get(&work.page(&siti)).await.fails(404, "PORTFOLIO_NOT_FOUND");
    for _ in 0..2 {
        admin.act(&path(&siti, "/activate")).await.data(200);
    }
    app.get(&work.page(&siti)).await.data(200);
    app.again(&siti).await;
    admin.delete(&path(&siti, "")).await.data(200);
    admin.delete(&path(&siti, "")).await.fails(404, "USER_NOT_FOUND");
    app.get(&work.page(&siti)).await.fails(404, "PORTFOLIO_NOT_FOUND");
    assert_eq!(app.count("select count(*) from user_special_roles").await, 0);
    let actions = "select count(*) from audit_log where action in ('user.activate', 'user.deactivate', 'user.delete')";
    assert_eq!(app.count(actions).await, 3);
    // Names and numbers are free again.
    admin.post(USERS, &new_user(json!({ "username": "siti", "nis": "1" }))).await.data(201);
}

#[tokio::test]
async fn nobody_takes_himself_away() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let own = format!("{USERS}/{}", admin.id);
    app.user(json!({ "username": "bos", "role": "admin" })).await;
    admin.delete(&own).await.fails(403, "CANNOT_MODIFY_SELF");
    admin.act(&format!("{own}/deactivate")).await.fails(403, "CANNOT_MODIFY_SELF");
    admin.patch(&own, &json!({ "role": "student" })).await.fails(403, "CANNOT_MODIFY_SELF");
    admin.patch(&own, &json!({ "is_active": false })).await.fails(403, "CANNOT_MODIFY_SELF");
    // The form always sends the role.
    admin.patch(&own, &json!({ "role": "admin", "is_active": true, "nama": "Kepala Sekolah" })).await.data(200);
    admin.act(&format!("{own}/activate")).await.data(200);
}

#[tokio::test]
async fn two_admins_who_remove_each_other_at_once_leave_one() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    for round in 0..4 {
        let boss = app.user(json!({ "username": format!("bos_{round}"), "role": "admin" })).await;
        let (of_boss, of_admin) = (path(&boss, ""), path(admin, ""));
        let (way, demote) = (round % 2, json!({ "role": "student" }));
        let (first, second) = if way == 0 {
            tokio::join!(admin.patch(&of_boss, &demote), boss.patch(&of_admin, &demote))
        } else {
            tokio::join!(admin.delete(&of_boss), boss.delete(&of_admin))
        };
        let won = [first.status, second.status].iter().filter(|status| **status == 200).count();
        assert!(won <= 1, "{first:?} {second:?}");
        assert!(
            app.count("select count(*) from users where role = 'admin' and is_active and deleted_at is null").await
                >= 1
        );
        if first.status != 200 {
            // The admin of the tests is gone; so is the rest of this one.
            return;
        }
    }
}

#[tokio::test]
async fn the_last_admin_stays() {
    let app = TestApp::spawn().await;
    let boss = app.user(json!({ "username": "bos", "role": "admin" })).await;
    let admin = app.admin();
    admin.act(&path(&boss, "/deactivate")).await.data(200);
    // A holder cannot touch an admin, so only an admin could remove the last one: himself, which is refused before.
    let holder = app.holder("tata", &["users"]).await;
    let of_admin = path(admin, "");
    holder.delete(&of_admin).await.fails(403, "FORBIDDEN");
    holder.patch(&of_admin, &json!({ "nama": "Lain" })).await.fails(403, "FORBIDDEN");
    holder.patch(&path(admin, "/password"), &json!({ "new_password": "rahasia baru" })).await.fails(403, "FORBIDDEN");
    for act in ["/activate", "/deactivate"] {
        holder.act(&path(admin, act)).await.fails(403, "FORBIDDEN");
    }
}

#[tokio::test]
async fn a_holder_changes_nobody_with_more_capabilities_and_makes_no_admins() {
    let app = TestApp::spawn().await;
    let holder = app.holder("tata", &["users", "tags"]).await;
    let equal = app.holder("tono", &["tags"]).await;
    let more = app.holder("tuti", &["moderation"]).await;
    holder.patch(&path(&equal, ""), &json!({ "nama": "Nama Baru" })).await.data(200);
    // Inactive roles count: they may be activated again.
    app.sql("update special_roles set is_active = false where capabilities = array['moderation']").await;
    let code = "CAPABILITY_ESCALATION";
    holder.patch(&path(&more, ""), &json!({ "nama": "Nama Baru" })).await.fails(403, code);
    holder.patch(&path(&more, "/password"), &json!({ "new_password": "rahasia baru" })).await.fails(403, code);
    holder.act(&path(&more, "/deactivate")).await.fails(403, code);
    holder.act(&path(&more, "/activate")).await.fails(403, code);
    holder.delete(&path(&more, "")).await.fails(403, code);
    holder.patch(&path(&equal, ""), &json!({ "role": "admin" })).await.fails(403, "FORBIDDEN");
    let body = new_user(json!({ "username": "bos", "role": "admin" }));
    holder.post(USERS, &body).await.fails(403, "FORBIDDEN");
    // His own name he may change.
    holder.patch(&path(&holder, ""), &json!({ "nama": "Nama Sendiri" })).await.data(200);
}

#[tokio::test]
async fn without_auth_nothing_changes_and_the_same_request_succeeds_later() {
    let mut app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let admin = app.admin().clone();
    let body = json!({ "username": "siti_baru", "nama": "Siti Baru", "nis": "5" });
    app.auth.kill().await;
    admin.patch(&path(&siti, ""), &body).await.fails(503, "SERVICE_UNAVAILABLE");
    let row = admin.get(&path(&siti, "")).await.data(200);
    assert_eq!((&row["username"], &row["nis"]), (&json!("siti"), &Value::Null));
    app.auth.restart().await;
    eventually("it is changed", async || admin.patch(&path(&siti, ""), &body).await.status == 200).await;
    let row = admin.get(&path(&siti, "")).await.data(200);
    assert_eq!((&row["username"], &row["nama"], &row["nis"]), (&json!("siti_baru"), &json!("Siti Baru"), &json!("5")));
}
