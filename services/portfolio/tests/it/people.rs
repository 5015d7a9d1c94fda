use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Answer, TestApp};

const USERS: &str = "/api/v1/users";

/// No public answer has any of these.
#[track_caller]
fn is_public(answer: &Answer) {
    let text = answer.body.to_string();
    for private in ["email", "nisn", "\"nis\"", "last_login_at", "updated_at", "capabilities", "password", "@sekolah"] {
        assert!(!text.contains(private), "{private} in {text}");
    }
}

#[tokio::test]
async fn people_are_listed_by_name_with_exact_totals() {
    let app = TestApp::spawn().await;
    let (kelas, jurusan) = app.kelas().await;
    app.user(json!({ "username": "c_budi", "nama": "budi", "kelas_id": kelas, "tahun_masuk": 2023 })).await;
    app.user(json!({ "username": "a_citra", "nama": "Citra" })).await;
    app.user(json!({ "username": "b_adi", "nama": "Adi", "role": "alumni" })).await;
    app.user(json!({ "username": "guru", "nama": "Aaa", "role": "admin" })).await;
    let answer = app.get(USERS).await;
    assert_eq!(answer.column("nama"), ["Adi", "budi", "Citra"]);
    let meta = json!({ "current_page": 1, "per_page": 20, "total_pages": 1, "total_count": 3 });
    assert_eq!(answer.body["meta"], meta);
    let budi = &answer.data(200)[1];
    assert_eq!(
        budi,
        &json!({
            "id": budi["id"], "username": "c_budi", "nama": "budi", "avatar_url": null, "banner_url": null,
            "role": "student", "tahun_masuk": 2023, "tahun_lulus": 2026,
            "kelas": { "id": kelas, "nama": "XII-RPL-A" },
            "jurusan": { "id": jurusan, "nama": "Rekayasa Perangkat Lunak", "kode": "rpl" },
        })
    );
    is_public(&answer);
    is_public(&app.admin().get(USERS).await);
    let page = app.get(&format!("{USERS}?page=2&limit=2")).await;
    assert_eq!((page.column("nama"), &page.body["meta"]["total_pages"]), (vec!["Citra".to_owned()], &json!(2)));
    let odd = app.get(&format!("{USERS}?page=NaN&limit=1000")).await;
    assert_eq!((&odd.body["meta"]["per_page"], odd.column("nama").len()), (&json!(50), 3));
    let beyond = app.get(&format!("{USERS}?page=7")).await;
    assert_eq!((beyond.data(200), &beyond.body["meta"]["total_count"]), (json!([]), &json!(3)));
}

#[tokio::test]
async fn a_search_looks_at_name_user_name_bio_class_and_major() {
    let app = TestApp::spawn().await;
    let (kelas, jurusan) = app.kelas().await;
    let budi = app.user(json!({ "username": "budi_s", "nama": "Budi 100%", "kelas_id": kelas })).await;
    budi.patch("/api/v1/me", &json!({ "bio": "Suka FOTOGRAFI" })).await.data(200);
    app.user(json!({ "username": "siti", "nama": "Siti Aminah", "role": "alumni" })).await;
    let found = async |query: &str| app.get(&format!("{USERS}?{query}")).await.column("username");
    for (query, expected) in [
        ("search=BUDI", vec!["budi_s"]),
        ("search=minA", vec!["siti"]),
        ("search=fotograf", vec!["budi_s"]),
        ("search=xii-rpl", vec!["budi_s"]),
        ("search=perangkat", vec!["budi_s"]),
        ("search=RPL", vec!["budi_s"]),
        ("search=%25", vec!["budi_s"]),
        ("search=_", vec!["budi_s"]),
        ("search=%5C", vec![]),
        ("search=sekolah", vec![]),
        ("search=%20%20", vec!["budi_s", "siti"]),
        ("role=alumni", vec!["siti"]),
        ("role=student&search=s", vec!["budi_s"]),
        ("role=&jurusan_id=&kelas_id=", vec!["budi_s", "siti"]),
    ] {
        assert_eq!(found(query).await, expected, "{query}");
    }
    assert_eq!(found(&format!("jurusan_id={jurusan}")).await, ["budi_s"]);
    assert_eq!(found(&format!("kelas_id={kelas}&jurusan_id={jurusan}")).await, ["budi_s"]);
    assert_eq!(found(&format!("kelas_id={kelas}&jurusan_id={}", Uuid::nil())).await.len(), 0);
    assert_eq!(found(&format!("kelas_id={}", Uuid::now_v7())).await.len(), 0);
    let filtered = app.get(&format!("{USERS}?search=budi")).await;
    assert_eq!(filtered.body["meta"]["total_count"], 1);
    // A class that is deleted is nobody's class.
    app.sql("update kelas set deleted_at = now()").await;
    assert_eq!(found("search=xii").await.len(), 0);
    assert_eq!(found(&format!("kelas_id={kelas}")).await.len(), 0);
}

#[tokio::test]
async fn bad_filters_are_400_and_bad_tokens_401() {
    let app = TestApp::spawn().await;
    for (query, field) in
        [("role=admin", "role"), ("role=guru", "role"), ("kelas_id=x", "kelas_id"), ("jurusan_id=1", "jurusan_id")]
    {
        let answer = app.get(&format!("{USERS}?{query}")).await;
        answer.fails(400, "VALIDATION_ERROR");
        assert_eq!(answer.details(), [field]);
    }
    app.get(&format!("{USERS}?search={}", "x".repeat(101))).await.fails(400, "VALIDATION_ERROR");
    for path in ["", "/admin", "/admin/followers", "/admin/following"] {
        app.get_with_token(&format!("{USERS}{path}"), "Bearer x").await.fails(401, "INVALID_TOKEN");
    }
}

#[tokio::test]
async fn a_profile_shows_what_is_public() {
    let app = TestApp::spawn().await;
    let (kelas, jurusan) = app.kelas().await;
    let budi = app.user(json!({ "username": "budi_s", "kelas_id": kelas, "nis": "1", "nisn": "2" })).await;
    let siti = app.student("siti").await;
    app.give(&budi, &["moderation"]).await;
    app.give(&budi, &["tags"]).await;
    app.sql("update special_roles set is_active = false where 'tags' = any(capabilities)").await;
    app.sql("update special_roles set nama = 'Moderator Konten', color = '#f97316' where is_active").await;
    budi.published("Karya", app.admin()).await;
    budi.written("Draf").await;
    siti.act("/api/v1/users/budi_s/follow").await.data(200);
    let answer = siti.get(&format!("{USERS}/BUDI_S")).await;
    let data = answer.data(200);
    assert_eq!(
        data,
        json!({
            "id": budi.id, "username": "budi_s", "nama": "Nama budi_s", "bio": null, "avatar_url": null,
            "banner_url": null, "role": "student", "is_active": true, "tahun_masuk": null, "tahun_lulus": null,
            "kelas": { "id": kelas, "nama": "XII-RPL-A" },
            "jurusan": { "id": jurusan, "nama": "Rekayasa Perangkat Lunak", "kode": "rpl" },
            "class_history": [{ "kelas_nama": "XII-RPL-A", "tahun_ajaran": 2026 }], "social_links": [],
            "special_roles": [
                { "id": data["special_roles"][0]["id"], "nama": "Moderator Konten", "color": "#f97316" },
            ],
            "follower_count": 1, "following_count": 0, "portfolio_count": 1, "is_following": true,
            "created_at": data["created_at"],
        })
    );
    is_public(&answer);
    is_public(&budi.get(&format!("{USERS}/budi_s")).await);
    is_public(&app.admin().get(&format!("{USERS}/budi_s")).await);
    assert_eq!(app.get(&format!("{USERS}/budi_s")).await.data(200)["is_following"], false);
    assert_eq!(budi.get(&format!("{USERS}/budi_s")).await.data(200)["is_following"], false);
    assert_eq!(app.get(&format!("{USERS}/admin")).await.data(200)["role"], "admin");
}

#[tokio::test]
async fn names_that_nobody_has_or_can_have_are_404() {
    let app = TestApp::spawn().await;
    for name in ["nobody", "a-b", "%00", "%FF", "a%2Fb", "%25", &"x".repeat(300)] {
        app.get(&format!("{USERS}/{name}")).await.fails(404, "USER_NOT_FOUND");
        app.get(&format!("{USERS}/{name}/followers")).await.fails(404, "USER_NOT_FOUND");
    }
}

#[tokio::test]
async fn a_deactivated_account_is_seen_by_staff_alone_and_a_deleted_one_by_nobody() {
    let app = TestApp::spawn().await;
    let (budi, siti) = (app.student("budi").await, app.student("siti").await);
    let keeper = app.holder("penjaga", &["users"]).await;
    let moderator = app.holder("moderator", &["moderation"]).await;
    siti.act("/api/v1/users/budi/follow").await.data(200);
    let listed = async || app.get(USERS).await.column("username");
    app.deactivate(&budi).await;
    assert_eq!(listed().await, ["moderator", "penjaga", "siti"]);
    assert_eq!(app.get(USERS).await.body["meta"]["total_count"], 3);
    for path in ["", "/followers", "/following"] {
        let path = format!("{USERS}/budi{path}");
        app.get(&path).await.fails(404, "USER_NOT_FOUND");
        siti.get(&path).await.fails(404, "USER_NOT_FOUND");
        moderator.get(&path).await.fails(404, "USER_NOT_FOUND");
        app.admin().get(&path).await.data(200);
        keeper.get(&path).await.data(200);
    }
    assert_eq!(keeper.get(&format!("{USERS}/budi")).await.data(200)["is_active"], false);
    app.reactivate(&budi).await;
    app.get(&format!("{USERS}/budi")).await.data(200);
    assert_eq!(app.get(USERS).await.body["meta"]["total_count"], 4);
    app.delete_account(&budi).await;
    for path in ["", "/followers", "/following"] {
        app.admin().get(&format!("{USERS}/budi{path}")).await.fails(404, "USER_NOT_FOUND");
    }
    assert_eq!(listed().await, ["moderator", "penjaga", "siti"]);
    assert_eq!(app.get(USERS).await.body["meta"]["total_count"], 3);
}

#[tokio::test]
async fn the_kept_total_equals_a_count_after_people_come_change_and_go() {
    let app = TestApp::spawn().await;
    let mut people = Vec::new();
    for number in 0..6 {
        people.push(app.student(&format!("siswa_{number}")).await);
    }
    futures_util::future::join_all([app.deactivate(&people[0]), app.deactivate(&people[1])]).await;
    app.delete_account(&people[2]).await;
    app.reactivate(&people[0]).await;
    app.change(&people[3], json!({ "role": "admin" })).await;
    app.change(&people[4], json!({ "role": "alumni" })).await;
    crate::support::eventually("the roles arrive", async || {
        app.count("select count(*) from users where role = 'admin' or role = 'alumni'").await == 3
    })
    .await;
    let kept = app.get(USERS).await.body["meta"]["total_count"].as_i64().unwrap();
    let counted = app
        .count("select count(*) from users where is_active and deleted_at is null and role in ('student', 'alumni')")
        .await;
    assert_eq!((kept, kept), (counted, 3));
}

#[tokio::test]
async fn a_history_keeps_the_names_of_deleted_classes_in_the_order_of_the_years() {
    let app = TestApp::spawn().await;
    let (kelas, jurusan) = app.kelas().await;
    let budi = app.user(json!({ "username": "budi", "kelas_id": kelas })).await;
    let (year, old) = (Uuid::now_v7(), Uuid::now_v7());
    sqlx::query("insert into tahun_ajaran (id, tahun_mulai) values ($1, 2025)")
        .bind(year)
        .execute(&app.pool)
        .await
        .unwrap();
    sqlx::query(
        "insert into kelas (id, tahun_ajaran_id, jurusan_id, tingkat, rombel, nama, deleted_at)
         values ($1, $2, $3, 11, 'A', 'XI-RPL-A', now())",
    )
    .bind(old)
    .bind(year)
    .bind(jurusan)
    .execute(&app.pool)
    .await
    .unwrap();
    sqlx::query(
        "insert into riwayat_kelas (id, user_id, kelas_id, tahun_ajaran_id, is_current) values ($1, $2, $3, $4, false)",
    )
    .bind(Uuid::now_v7())
    .bind(budi.id)
    .bind(old)
    .bind(year)
    .execute(&app.pool)
    .await
    .unwrap();
    let history: Value = app.get(&format!("{USERS}/budi")).await.data(200)["class_history"].clone();
    assert_eq!(
        history,
        json!([
            { "kelas_nama": "XI-RPL-A", "tahun_ajaran": 2025 },
            { "kelas_nama": "XII-RPL-A", "tahun_ajaran": 2026 },
        ])
    );
}
