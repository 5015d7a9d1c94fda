//! Giving and taking roles, one at a time and as the set of a user.

use serde_json::json;
use uuid::Uuid;

use super::{PENDING, ROLES, assign, audited, holders, role, role_path, set, set_path, user_path, users_path};
use crate::support::TestApp;

#[tokio::test]
async fn a_role_shows_who_holds_it_the_latest_first() {
    let app = TestApp::spawn().await;
    let (kelas, _) = app.kelas().await;
    let siti = app.student("siti").await;
    let budi = app.user(json!({ "username": "budi", "kelas_id": kelas })).await;
    let (gone, idle) = (app.student("hilang").await, app.student("libur").await);
    let id = role(&app, "Guru", &["tags"]).await;
    for user in [&siti, &gone, &idle, &budi] {
        assign(&app, &id, &[user]).await;
    }
    app.delete_account(&gone).await;
    app.deactivate(&idle).await;
    let data = app.admin().get(&role_path(&id)).await.data(200);
    assert_eq!((&data["user_count"], &data["nama"]), (&json!(3), &json!("Guru")));
    let names: Vec<_> = data["users"].as_array().unwrap().iter().map(|user| &user["username"]).collect();
    assert_eq!(names, ["budi", "libur", "siti"]);
    let first = &data["users"][0];
    let expected = json!({
        "id": budi.id,
        "username": "budi",
        "nama": "Nama budi",
        "avatar_url": null,
        "kelas_nama": "XII-RPL-A",
        "assigned_at": first["assigned_at"],
        "assigned_by": app.admin().id,
    });
    assert_eq!(first, &expected);
    assert_eq!(app.admin().get(ROLES).await.data(200)[0]["user_count"], 3);
    let empty = role(&app, "Kosong", &["tags"]).await;
    assert_eq!(app.admin().get(&role_path(&empty)).await.data(200)["users"], json!([]));
}

#[tokio::test]
async fn whoever_has_a_role_already_keeps_it_as_it_was_given() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    let id = role(&app, "Guru", &["moderation"]).await;
    siti.get(PENDING).await.fails(403, "FORBIDDEN");
    assign(&app, &id, &[&siti]).await;
    siti.get(PENDING).await.data(200);
    let before = app.admin().get(&role_path(&id)).await.data(200)["users"][0].clone();
    let boss = app.user(json!({ "username": "bos", "role": "admin" })).await;
    let body = json!({ "user_ids": [budi.id, siti.id, budi.id] });
    let answer = boss.post(&users_path(&id), &body).await;
    assert_eq!(answer.data(200), json!(null));
    let users = app.admin().get(&role_path(&id)).await.data(200)["users"].clone();
    assert_eq!(users[0]["assigned_by"], json!(boss.id));
    assert_eq!(users[1], before);
}

#[tokio::test]
async fn one_unknown_user_and_nobody_gets_the_role() {
    let app = TestApp::spawn().await;
    let (siti, gone) = (app.student("siti").await, app.student("hilang").await);
    app.delete_account(&gone).await;
    let id = role(&app, "Guru", &["tags"]).await;
    let many: Vec<Uuid> = (0..101).map(|_| Uuid::now_v7()).collect();
    for ids in [json!([siti.id, Uuid::now_v7()]), json!([siti.id, gone.id]), json!([]), json!(null), json!(many)] {
        let answer = app.admin().post(&users_path(&id), &json!({ "user_ids": ids })).await;
        assert_eq!(answer.broken(), ["user_ids"]);
    }
    assert_eq!(app.admin().post(&users_path(&id), &json!({})).await.broken(), ["user_ids"]);
    assert_eq!(holders(&app, &id).await.len(), 0);
    // Counted without duplicates.
    let same = vec![siti.id; 150];
    app.admin().post(&users_path(&id), &json!({ "user_ids": same })).await.data(200);
    assert_eq!(holders(&app, &id).await, ["siti"]);
}

#[tokio::test]
async fn equal_assignments_at_the_same_time_are_one() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    let (first, second) = (role(&app, "Satu", &["tags"]).await, role(&app, "Dua", &["tags"]).await);
    let (path, admin) = (users_path(&first), app.admin());
    let (there, back) = (json!({ "user_ids": [siti.id, budi.id] }), json!({ "user_ids": [budi.id, siti.id] }));
    let (sets, other) = ((set_path(&siti), set_path(&budi)), users_path(&second));
    let both = set(&[&first, &second]);
    let answers = tokio::join!(
        admin.post(&path, &there),
        admin.post(&path, &back),
        admin.put(&sets.0, &both),
        admin.put(&sets.1, &both),
        admin.post(&other, &there),
        admin.post(&other, &back),
    );
    for answer in [answers.0, answers.1, answers.2, answers.3, answers.4, answers.5] {
        answer.data(200);
    }
    assert_eq!(app.count("select count(*) from user_special_roles").await, 4);
    let given = app.count("select count(*) from audit_log where action = 'user.special_roles'").await;
    assert!((2..=4).contains(&given), "what was given once is recorded once");
}

#[tokio::test]
async fn a_role_deleted_while_it_is_given_is_given_to_nobody() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    let id = role(&app, "Guru", &["tags"]).await;
    // The deletion has the row when the others ask for it.
    let mut tx = app.pool.begin().await.unwrap();
    let role: Uuid = id.parse().unwrap();
    let statement = "update special_roles set deleted_at = now() where id = $1";
    sqlx::query(statement).bind(role).execute(&mut *tx).await.unwrap();
    let (path, put) = (users_path(&id), set_path(&budi));
    let (ids, wanted) = (json!({ "user_ids": [siti.id] }), set(&[&id]));
    let commit = async {
        app.somebody_waits_for_a_lock().await;
        tx.commit().await.unwrap();
    };
    let admin = app.admin();
    let (given, chosen, ()) = tokio::join!(admin.post(&path, &ids), admin.put(&put, &wanted), commit);
    given.fails(404, "NOT_FOUND");
    assert_eq!(chosen.broken(), ["special_role_ids"]);
    assert_eq!(app.count("select count(*) from user_special_roles").await, 0);
}

#[tokio::test]
async fn a_deletion_waits_for_whoever_is_giving_the_role_and_takes_it_away_again() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let id = role(&app, "Guru", &["tags"]).await;
    let role: Uuid = id.parse().unwrap();
    // Somebody is about to give it.
    let mut tx = app.pool.begin().await.unwrap();
    sqlx::query("select 1 from special_roles where id = $1 for share").bind(role).execute(&mut *tx).await.unwrap();
    sqlx::query("insert into user_special_roles (user_id, special_role_id) values ($1, $2)")
        .bind(siti.id)
        .bind(role)
        .execute(&mut *tx)
        .await
        .unwrap();
    let commit = async {
        app.somebody_waits_for_a_lock().await;
        tx.commit().await.unwrap();
    };
    let path = role_path(&id);
    let (deleted, ()) = tokio::join!(app.admin().delete(&path), commit);
    deleted.data(200);
    assert_eq!(app.count("select count(*) from user_special_roles").await, 0);
}

#[tokio::test]
async fn a_user_deleted_while_he_is_given_a_role_gets_none() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let id = role(&app, "Guru", &["tags"]).await;
    let mut tx = app.pool.begin().await.unwrap();
    let statement = "update users set deleted_at = now() where id = $1";
    sqlx::query(statement).bind(siti.id).execute(&mut *tx).await.unwrap();
    let commit = async {
        app.somebody_waits_for_a_lock().await;
        tx.commit().await.unwrap();
    };
    let (path, put, ids, wanted) = (users_path(&id), set_path(&siti), json!({ "user_ids": [siti.id] }), set(&[&id]));
    let (given, chosen, ()) = tokio::join!(app.admin().post(&path, &ids), app.admin().put(&put, &wanted), commit);
    assert_eq!(given.broken(), ["user_ids"]);
    chosen.fails(404, "USER_NOT_FOUND");
    assert_eq!(app.count("select count(*) from user_special_roles").await, 0);
}

#[tokio::test]
async fn a_role_is_taken_away_at_once_and_taking_it_again_is_no_error() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    let id = role(&app, "Moderator", &["moderation"]).await;
    assign(&app, &id, &[&siti, &budi]).await;
    siti.get(PENDING).await.data(200);
    for _ in 0..2 {
        assert_eq!(app.admin().delete(&user_path(&id, &siti)).await.data(200), json!(null));
        siti.get(PENDING).await.fails(403, "FORBIDDEN");
    }
    app.admin().delete(&format!("{ROLES}/{id}/users/{}", Uuid::now_v7())).await.data(200);
    assert_eq!(holders(&app, &id).await, ["budi"]);
    assert_eq!(audited(&app, "special_role.unassign").await.len(), 1);
}

#[tokio::test]
async fn the_roles_of_a_user_are_an_array_by_name_with_inactive_ones() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    assert_eq!(app.admin().get(&set_path(&siti)).await.data(200), json!([]));
    let (guru, gone) = (role(&app, "Guru", &["tags"]).await, role(&app, "Dihapus", &["tags"]).await);
    let alumni = role(&app, "Alumni", &["tags"]).await;
    role(&app, "Lain", &["tags"]).await;
    app.admin().put(&set_path(&siti), &set(&[&guru, &gone, &alumni])).await.data(200);
    app.admin().delete(&role_path(&gone)).await.data(200);
    app.admin().patch(&role_path(&alumni), &json!({ "is_active": false })).await.data(200);
    let answer = app.admin().get(&set_path(&siti)).await;
    assert_eq!(answer.column("nama"), ["Alumni", "Guru"]);
    assert_eq!(
        (&answer.body["data"][0]["is_active"], &answer.body["data"][0]["user_count"]),
        (&json!(false), &json!(1))
    );
    let gone = app.student("hilang").await;
    app.delete_account(&gone).await;
    app.admin().get(&set_path(&gone)).await.fails(404, "USER_NOT_FOUND");
    app.admin().put(&set_path(&gone), &set(&[])).await.fails(404, "USER_NOT_FOUND");
    // A deactivated user is still a user here.
    app.deactivate(&siti).await;
    assert_eq!(app.admin().get(&set_path(&siti)).await.column("nama").len(), 2);
}

#[tokio::test]
async fn a_new_set_of_roles_changes_only_what_differs() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let (stays, leaves) = (role(&app, "Tetap", &["tags"]).await, role(&app, "Pergi", &["moderation"]).await);
    let comes = role(&app, "Datang", &["majors"]).await;
    app.admin().put(&set_path(&siti), &set(&[&stays, &leaves])).await.data(200);
    siti.get(PENDING).await.data(200);
    let of = async |id: &str| app.admin().get(&role_path(id)).await.data(200)["users"][0].clone();
    let before = of(&stays).await;
    let boss = app.user(json!({ "username": "bos", "role": "admin" })).await;
    let answer = boss.put(&set_path(&siti), &set(&[&comes, &stays, &comes])).await;
    assert_eq!(answer.data(200), json!(null));
    siti.get(PENDING).await.fails(403, "FORBIDDEN");
    assert_eq!(of(&stays).await, before);
    assert_eq!(of(&comes).await["assigned_by"], json!(boss.id));
    assert_eq!(holders(&app, &leaves).await.len(), 0);
    boss.put(&set_path(&siti), &set(&[])).await.data(200);
    assert_eq!(app.count("select count(*) from user_special_roles").await, 0);
}

#[tokio::test]
async fn an_inactive_role_stays_and_is_given_to_nobody_anew() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    let id = role(&app, "Guru", &["tags"]).await;
    app.admin().put(&set_path(&siti), &set(&[&id])).await.data(200);
    app.admin().patch(&role_path(&id), &json!({ "is_active": false })).await.data(200);
    app.admin().put(&set_path(&siti), &set(&[&id])).await.data(200);
    assert_eq!(app.admin().put(&set_path(&budi), &set(&[&id])).await.broken(), ["special_role_ids"]);
    assert_eq!(holders(&app, &id).await, ["siti"]);
}

#[tokio::test]
async fn a_set_of_roles_holds_known_ones_and_fifty_at_the_most() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let id = role(&app, "Guru", &["tags"]).await;
    let (unknown, many) = (json!([id, Uuid::now_v7()]), json!((0..51).map(|_| Uuid::now_v7()).collect::<Vec<_>>()));
    for ids in [unknown, many, json!(null)] {
        let answer = app.admin().put(&set_path(&siti), &json!({ "special_role_ids": ids })).await;
        assert_eq!(answer.broken(), ["special_role_ids"]);
    }
    assert_eq!(app.admin().put(&set_path(&siti), &json!({})).await.broken(), ["special_role_ids"]);
    assert_eq!(holders(&app, &id).await.len(), 0, "all or nothing");
    // Counted without duplicates.
    app.admin().put(&set_path(&siti), &json!({ "special_role_ids": vec![id; 60] })).await.data(200);
}
