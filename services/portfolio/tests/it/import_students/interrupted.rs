//! Imports in which something dies or takes long: nobody is created by half.

use std::time::Duration;

use grafikarsa_devstack::testing::http_client;
use serde_json::json;
use tokio::time::Instant;
use uuid::Uuid;

use super::{OPEN, begin_import, codes, import, nobody_is_half_created, school, students};
use crate::support::{PASSWORD, TestApp, eventually, new_user};

#[tokio::test]
async fn auth_killed_in_the_middle_leaves_nobody_and_the_same_file_then_succeeds() {
    let mut app = school().await;
    let text = students(1, 200);
    let importing = begin_import(&app, &text);
    eventually("auth is at work", async || app.count(OPEN).await == 1).await;
    app.auth.kill().await;
    importing.await.unwrap().unwrap().fails(503, "SERVICE_UNAVAILABLE");
    import(app.admin(), &text).await.fails(503, "SERVICE_UNAVAILABLE");
    app.auth.restart().await;
    nobody_is_half_created(&app).await;
    assert_eq!(import(app.admin(), &text).await.data(200)["created_students"], 200);
    nobody_is_half_created(&app).await;
}

#[tokio::test]
async fn portfolio_killed_in_the_middle_leaves_nobody_and_the_same_file_then_succeeds() {
    let mut app = school().await;
    let text = students(1, 200);
    let importing = begin_import(&app, &text);
    eventually("auth is at work", async || app.count(OPEN).await == 1).await;
    app.portfolio.kill().await;
    drop(importing.await);
    app.portfolio.restart().await;
    assert_eq!(import(app.admin(), &text).await.data(200)["created_students"], 200);
    nobody_is_half_created(&app).await;
    assert_eq!(app.count(OPEN).await, 0);
}

#[tokio::test]
async fn an_admin_who_does_not_wait_for_the_answer_leaves_nobody_by_half() {
    let app = school().await;
    let text = students(1, 200);
    let (admin, sent) = (app.admin().clone(), text.clone());
    let importing = tokio::spawn(async move { import(&admin, &sent).await });
    eventually("auth is at work", async || app.count(OPEN).await == 1).await;
    importing.abort();
    eventually("the intent is ended", async || app.count(OPEN).await == 0).await;
    nobody_is_half_created(&app).await;
    assert_eq!(import(app.admin(), &text).await.data(200)["created_students"], 200);
}

#[tokio::test]
async fn portfolio_killed_at_any_moment_leaves_each_student_whole_or_absent() {
    let mut app = school().await;
    for round in 0..4_u32 {
        let text = students(round as usize * 100, 20);
        let importing = begin_import(&app, &text);
        // At another step each time: while the accounts are hashed, pending, confirmed, or while all is done.
        tokio::time::sleep(Duration::from_millis(50) + round * Duration::from_millis(250)).await;
        app.portfolio.kill().await;
        drop(importing.await);
        app.portfolio.restart().await;
        let data = import(app.admin(), &text).await.data(200);
        let created = data["created_students"].as_u64().unwrap();
        assert!(created == 20 || created == 0, "{data}");
        // Events and the recovery may still be completing what had been confirmed.
        eventually("the dead import is ended", async || app.count(OPEN).await == 0).await;
        assert_eq!(app.count("select count(*) from users where role = 'student'").await, 20 * i64::from(round + 1));
        nobody_is_half_created(&app).await;
    }
}

/// What an import of two students leaves that died after `calls` of auth.
async fn dead_import(app: &TestApp, calls: &[&str]) -> [Uuid; 2] {
    let (command, accounts) = (Uuid::now_v7(), [Uuid::now_v7(), Uuid::now_v7()]);
    let (jurusan, year): (Uuid, Uuid) =
        sqlx::query_as("select j.id, t.id from jurusan j, tahun_ajaran t where j.kode = 'rpl' and t.is_active")
            .fetch_one(&app.pool)
            .await
            .unwrap();
    let planned = |place: usize| {
        json!({
            "account_id": accounts[place], "nama": format!("Siswa {place}"), "nis": format!("10{place}"),
            "place": { "jurusan_id": jurusan, "tingkat": 10, "rombel": "A" }, "tahun_masuk": 2026,
        })
    };
    sqlx::query(
        "insert into account_intents (command_id, account_ids, actor_id, kind, profile) values ($1, $2, $3, 'import', $4)",
    )
    .bind(command)
    .bind(accounts)
    .bind(app.admin().id)
    .bind(json!({ "tahun_ajaran_id": year, "students": [planned(0), planned(1)] }))
    .execute(&app.pool)
    .await
    .unwrap();
    let account = |place: usize| {
        let nis = format!("10{place}");
        json!({ "account_id": accounts[place], "username": nis, "email": format!("{nis}@grafikarsa.com"), "password": nis })
    };
    let create = json!({
        "command_id": command, "role": "student", "must_change_password": true, "accounts": [account(0), account(1)],
    });
    for call in calls {
        let path = if *call == "create" {
            "/internal/accounts/batch".to_owned()
        } else {
            format!("/internal/commands/{command}/confirm")
        };
        let url = app.auth.internal_url().join(&path).unwrap();
        let request = http_client().post(url).bearer_auth(&app.internal_token).json(&create);
        assert_eq!(request.send().await.unwrap().status(), 200);
    }
    accounts
}

#[tokio::test]
async fn an_import_that_died_before_the_confirmation_leaves_nothing_and_can_be_repeated_at_once() {
    let app = school().await;
    for (calls, nis) in [(&[][..], "100"), (&["create"][..], "101")] {
        dead_import(&app, calls).await;
        assert_eq!(
            import(app.admin(), &format!("10,rpl,A,Siswa {nis},{nis}\n")).await.data(200)["created_students"],
            1
        );
        assert_eq!(app.count(OPEN).await, 0);
    }
    nobody_is_half_created(&app).await;
}

#[tokio::test]
async fn an_import_that_died_does_not_keep_its_names_from_a_single_user() {
    let app = school().await;
    dead_import(&app, &["create"]).await;
    app.admin().post("/api/v1/admin/users", &new_user(json!({ "username": "100" }))).await.data(201);
    app.login("100", PASSWORD).await;
}

#[tokio::test]
async fn what_an_event_has_completed_the_recovery_does_not_touch_again() {
    let app = school().await;
    dead_import(&app, &["create", "confirm"]).await;
    eventually("the event has come", async || {
        app.count("select count(*) from users where nama = 'Siswa 0' and kelas_id is not null").await == 1
    })
    .await;
    app.sql("update users set nama = 'Nama Baru' where nis = '100'").await;
    eventually("the intent is ended", async || app.count(OPEN).await == 0).await;
    assert_eq!(app.count("select count(*) from users where nama in ('Nama Baru', 'Siswa 1')").await, 2);
    assert_eq!(app.count("select count(*) from riwayat_kelas where is_current").await, 2);
}

#[tokio::test]
async fn an_import_that_died_after_the_confirmation_is_completed() {
    let mut app = school().await;
    app.portfolio.kill().await;
    let accounts = dead_import(&app, &["create", "confirm"]).await;
    // Whoever has taken a number meanwhile keeps it.
    sqlx::query(
        "insert into users (id, account_version, username, email, role, is_active, must_change_password, created_at, nama, nis)
         values (gen_random_uuid(), 1, 'lain', 'lain@sekolah.sch.id', 'alumni', true, false, now(), 'Lain', '101')",
    )
    .execute(&app.pool)
    .await
    .unwrap();
    app.portfolio.restart().await;
    eventually("no intent is open", async || app.count(OPEN).await == 0).await;
    let me = app.login("100", "100").await.get("/api/v1/me").await.data(200);
    assert_eq!(
        (&me["id"], &me["nama"], &me["kelas"]["nama"]),
        (&json!(accounts[0]), &json!("Siswa 0"), &json!("X-RPL-A"))
    );
    let me = app.login("101", "101").await.get("/api/v1/me").await.data(200);
    assert_eq!((&me["nama"], &me["nis"]), (&json!("Siswa 1"), &json!(null)));
    assert_eq!(app.count("select count(*) from kelas").await, 1);
    assert_eq!(app.count("select count(*) from riwayat_kelas where is_current").await, 2);
    assert_eq!(app.count("select count(*) from audit_log where action = 'user.create'").await, 2);
    let data = import(app.admin(), "10,rpl,A,Siswa 0,100\n").await.data(200);
    assert_eq!(codes(&data["errors"]), [(1, "NIS_EXISTS".to_owned())]);
}

#[tokio::test]
async fn two_thousand_students_are_imported_in_time_and_others_are_answered_meanwhile() {
    let app = school().await;
    app.student("siti").await;
    let started = Instant::now();
    let importing = begin_import(&app, &students(1, 2000));
    eventually("auth is at work", async || app.count(OPEN).await == 1).await;
    let mut slowest = Duration::ZERO;
    let mut answered = 0;
    while !importing.is_finished() {
        let asked = Instant::now();
        app.login("siti", PASSWORD).await.get("/api/v1/me").await.data(200);
        slowest = slowest.max(asked.elapsed());
        answered += 1;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let data = importing.await.unwrap().unwrap().data(200);
    let took = started.elapsed();
    println!("2,000 students in {took:?}; {answered} logins and requests meanwhile, the slowest in {slowest:?}");
    assert_eq!((&data["created_students"], &data["created_classes"]), (&json!(2000), &json!(26)));
    assert!(took < Duration::from_secs(120), "{took:?}");
    assert!(slowest < Duration::from_secs(10), "{slowest:?}");
    app.login("24327002000", "24327002000").await;
}
