//! Majors, academic years, classes and tags.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{TestApp, User};

const JURUSAN: &str = "/api/v1/admin/jurusan";
const YEARS: &str = "/api/v1/admin/tahun-ajaran";
const KELAS: &str = "/api/v1/admin/kelas";
const TAGS: &str = "/api/v1/admin/tags";

fn id(value: &Value) -> Uuid {
    value["id"].as_str().unwrap().parse().unwrap()
}

async fn jurusan(admin: &User, kode: &str) -> Uuid {
    let body = json!({ "nama": format!("Jurusan {kode}"), "kode": kode });
    id(&admin.post(JURUSAN, &body).await.data(201))
}

async fn year(admin: &User, tahun: i32, is_active: bool) -> Uuid {
    id(&admin.post(YEARS, &json!({ "tahun_mulai": tahun, "is_active": is_active })).await.data(201))
}

#[tokio::test]
async fn a_major_is_created_renamed_and_deleted() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let made = admin.post(JURUSAN, &json!({ "nama": " Desain ", "kode": "DKV" })).await.data(201);
    assert_eq!((&made["nama"], &made["kode"]), (&json!("Desain"), &json!("dkv")));
    let path = format!("{JURUSAN}/{}", id(&made));
    for (body, fields) in [
        (json!({}), vec!["nama", "kode"]),
        (json!({ "nama": "x".repeat(101), "kode": "dk1" }), vec!["nama", "kode"]),
        (json!({ "nama": "Baik", "kode": "terlalupanjang" }), vec!["kode"]),
    ] {
        assert_eq!(admin.post(JURUSAN, &body).await.broken(), fields);
    }
    admin.post(JURUSAN, &json!({ "nama": "Lain", "kode": "dkv" })).await.fails(409, "DUPLICATE_KODE");
    // Its own code is no duplicate, and an empty change none.
    admin.patch(&path, &json!({ "kode": "dkv" })).await.data(200);
    admin.patch(&path, &json!({})).await.data(200);
    assert_eq!(app.count("select count(*) from audit_log where action = 'jurusan.update'").await, 0);
    admin.patch(&path, &json!({ "nama": "Desain Grafis" })).await.data(200);
    assert_eq!(admin.get(JURUSAN).await.data(200)[0]["nama"], "Desain Grafis");
    admin.delete(&path).await.data(200);
    admin.delete(&path).await.fails(404, "NOT_FOUND");
    admin.post(JURUSAN, &json!({ "nama": "Desain", "kode": "dkv" })).await.data(201);
    let acts = "select count(*) from audit_log where action like 'jurusan.%' and actor_id is not null";
    assert_eq!(app.count(acts).await, 4);
}

#[tokio::test]
async fn a_new_code_renames_the_classes_and_a_major_with_classes_stays() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let rpl = jurusan(admin, "rpl").await;
    year(admin, 2026, true).await;
    let kelas = admin.post(KELAS, &json!({ "tingkat": 12, "rombel": "a", "jurusan_id": rpl })).await.data(201);
    assert_eq!((&kelas["nama"], &kelas["rombel"]), (&json!("XII-RPL-A"), &json!("A")));
    admin.patch(&format!("{JURUSAN}/{rpl}"), &json!({ "kode": "pplg" })).await.data(200);
    assert_eq!(admin.get(KELAS).await.data(200)[0]["nama"], "XII-PPLG-A");
    admin.delete(&format!("{JURUSAN}/{rpl}")).await.fails(409, "JURUSAN_IN_USE");
    admin.delete(&format!("{KELAS}/{}", id(&kelas))).await.data(200);
    admin.delete(&format!("{JURUSAN}/{rpl}")).await.data(200);
    let body = json!({ "tingkat": 12, "rombel": "B", "jurusan_id": rpl });
    assert_eq!(admin.post(KELAS, &body).await.broken(), ["jurusan_id"], "it is gone");
}

#[tokio::test]
async fn one_year_is_active_at_most_also_when_two_are_chosen_at_once() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let (first, second) = (year(admin, 2025, true).await, year(admin, 2026, true).await);
    assert_eq!(app.count("select count(*) from tahun_ajaran where is_active").await, 1);
    let set = async |year: Uuid| admin.act(&format!("{YEARS}/{year}/set-active")).await.data(200);
    for _ in 0..5 {
        tokio::join!(set(first), set(second));
        assert_eq!(app.count("select count(*) from tahun_ajaran where is_active").await, 1);
    }
    let years = admin.get(YEARS).await.data(200);
    assert_eq!((&years[0]["tahun_mulai"], &years[1]["tahun_mulai"]), (&json!(2026), &json!(2025)));
    // Once more changes nothing, also when it was armed.
    set(first).await;
    let armed = "select extract(epoch from armed_at)::bigint from tahun_ajaran where is_active";
    let before = app.count(armed).await;
    assert_eq!(set(first).await["is_active"], true);
    assert_eq!(app.count(armed).await, before);
}

#[tokio::test]
async fn a_year_has_its_rules() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    for (body, fields) in [
        (json!({}), vec!["tahun_mulai"]),
        (json!({ "tahun_mulai": 1999 }), vec!["tahun_mulai"]),
        (json!({ "tahun_mulai": 2026, "promotion_month": 13 }), vec!["promotion_month"]),
        (json!({ "tahun_mulai": 2026, "promotion_month": 2, "promotion_day": 30 }), vec!["promotion_day"]),
        (json!({ "tahun_mulai": 2026, "promotion_month": 4, "promotion_day": 31 }), vec!["promotion_day"]),
    ] {
        assert_eq!(admin.post(YEARS, &body).await.broken(), fields, "{body}");
    }
    let body = json!({ "tahun_mulai": 2026, "promotion_month": 2, "promotion_day": 29 });
    let made = admin.post(YEARS, &body).await.data(201);
    assert_eq!(made["is_active"], false);
    admin.post(YEARS, &body).await.fails(409, "DUPLICATE_TAHUN");
    let path = format!("{YEARS}/{}", id(&made));
    assert_eq!(admin.patch(&path, &json!({ "promotion_day": 30 })).await.broken(), ["promotion_day"]);
    let defaults = admin.post(YEARS, &json!({ "tahun_mulai": 2027 })).await.data(201);
    assert_eq!((&defaults["promotion_month"], &defaults["promotion_day"]), (&json!(7), &json!(1)));
    // Active, it can neither be switched off nor deleted.
    admin.act(&format!("{path}/set-active")).await.data(200);
    admin.patch(&path, &json!({ "is_active": false })).await.fails(409, "TAHUN_AJARAN_ACTIVE");
    admin.delete(&path).await.fails(409, "TAHUN_AJARAN_ACTIVE");
    admin.delete(&format!("{YEARS}/{}", id(&defaults))).await.data(200);
    admin.delete(&format!("{YEARS}/{}", id(&defaults))).await.fails(404, "NOT_FOUND");
}

#[tokio::test]
async fn a_new_date_arms_a_year_again_and_equal_values_do_not() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let active = year(admin, 2026, true).await;
    app.sql("update tahun_ajaran set armed_at = '2020-01-01'").await;
    let path = format!("{YEARS}/{active}");
    let same = json!({ "tahun_mulai": 2026, "promotion_month": 7, "promotion_day": 1 });
    admin.patch(&path, &same).await.data(200);
    assert_eq!(app.count("select count(*) from tahun_ajaran where armed_at < '2021-01-01'").await, 1);
    admin.patch(&path, &json!({ "promotion_day": 2 })).await.data(200);
    assert_eq!(app.count("select count(*) from tahun_ajaran where armed_at < '2021-01-01'").await, 0);
    let other = year(admin, 2027, false).await;
    admin.patch(&format!("{YEARS}/{other}"), &json!({ "promotion_day": 2 })).await.data(200);
    assert_eq!(app.count("select count(*) from tahun_ajaran where armed_at is null").await, 1, "it never was");
}

#[tokio::test]
async fn a_year_in_use_stays() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let (kelas, _) = app.kelas().await;
    let old = year(admin, 2020, true).await;
    let used: Uuid = sqlx::query_scalar("select tahun_ajaran_id from kelas where id = $1")
        .bind(kelas)
        .fetch_one(&app.pool)
        .await
        .unwrap();
    admin.delete(&format!("{YEARS}/{used}")).await.fails(409, "TAHUN_AJARAN_IN_USE");
    sqlx::query("insert into promotion_runs (from_tahun_ajaran_id, to_tahun_ajaran_id, run_at, created_kelas, promoted, graduated, skipped)
                 values ($1, $2, now(), 0, 0, 0, 0)")
        .bind(used)
        .bind(old)
        .execute(&app.pool)
        .await
        .unwrap();
    admin.patch(&format!("{YEARS}/{used}"), &json!({ "tahun_mulai": 2030 })).await.fails(409, "TAHUN_AJARAN_IN_USE");
    admin.patch(&format!("{YEARS}/{used}"), &json!({ "tahun_mulai": 2026 })).await.data(200);
}

#[tokio::test]
async fn classes_have_generated_names_and_one_place() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let (rpl, dkv) = (jurusan(admin, "rpl").await, jurusan(admin, "dkv").await);
    let body = json!({ "tingkat": 10, "rombel": "A", "jurusan_id": rpl });
    assert_eq!(admin.post(KELAS, &body).await.broken(), ["tahun_ajaran_id"], "no year is active");
    let old = year(admin, 2024, false).await;
    year(admin, 2026, true).await;
    for (body, fields) in [
        (json!({}), vec!["tingkat", "rombel", "jurusan_id"]),
        (json!({ "tingkat": 9, "rombel": "AB", "jurusan_id": Uuid::nil() }), vec!["tingkat", "rombel", "jurusan_id"]),
        (
            json!({ "tingkat": 10, "rombel": "1", "jurusan_id": rpl, "tahun_ajaran_id": Uuid::nil() }),
            vec!["rombel", "tahun_ajaran_id"],
        ),
    ] {
        assert_eq!(admin.post(KELAS, &body).await.broken(), fields, "{body}");
    }
    let made = admin.post(KELAS, &body).await.data(201);
    assert_eq!(made["nama"], "X-RPL-A");
    assert_eq!(made["student_count"], 0);
    assert_eq!(made["jurusan"]["kode"], "rpl");
    assert_eq!(made["tahun_ajaran"]["is_active"], true);
    admin.post(KELAS, &body).await.fails(409, "DUPLICATE_KELAS");
    let of_old = json!({ "tingkat": 10, "rombel": "A", "jurusan_id": rpl, "tahun_ajaran_id": old });
    admin.post(KELAS, &of_old).await.data(201);
    let path = format!("{KELAS}/{}", id(&made));
    let changed = json!({ "tingkat": 11, "rombel": "b", "jurusan_id": dkv, "tahun_ajaran_id": old });
    let changed = admin.patch(&path, &changed).await.data(200);
    assert_eq!((&changed["nama"], &changed["tahun_ajaran"]["tahun_mulai"]), (&json!("XI-DKV-B"), &json!(2026)));
    admin.post(KELAS, &body).await.data(201);
    let back = json!({ "tingkat": 10, "rombel": "A", "jurusan_id": rpl });
    admin.patch(&path, &back).await.fails(409, "DUPLICATE_KELAS");

    let all = admin.get(KELAS).await;
    let data = all.data(200);
    let names: Vec<&str> = data.as_array().unwrap().iter().map(|kelas| kelas["nama"].as_str().unwrap()).collect();
    assert_eq!(names, ["X-RPL-A", "XI-DKV-B", "X-RPL-A"], "the active year first");
    assert_eq!((&all.body["meta"]["per_page"], &all.body["meta"]["total_count"]), (&json!(1000), &json!(3)));
    assert_eq!(admin.get(&format!("{KELAS}?tahun_ajaran_id={old}")).await.data(200).as_array().unwrap().len(), 1);
    assert_eq!(admin.get(&format!("{KELAS}?jurusan_id={dkv}&tingkat=11")).await.data(200).as_array().unwrap().len(), 1);
    for bad in ["tingkat=9", "jurusan_id=x", "tahun_ajaran_id=1"] {
        admin.get(&format!("{KELAS}?{bad}")).await.fails(400, "VALIDATION_ERROR");
    }
}

#[tokio::test]
async fn a_class_with_students_stays_and_lists_them() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let (kelas, _) = app.kelas().await;
    for name in ["siti", "budi", "tono"] {
        app.user(json!({ "username": name, "nama": format!("Siswa {name}"), "kelas_id": kelas })).await;
    }
    let path = format!("{KELAS}/{kelas}");
    let students = admin.get(&format!("{path}/students?limit=2")).await;
    let data = students.data(200);
    assert_eq!((&data[0]["nama"], &data[1]["nama"]), (&json!("Siswa budi"), &json!("Siswa siti")));
    assert_eq!(students.body["meta"]["total_count"], 3);
    assert_eq!(admin.get(KELAS).await.data(200)[0]["student_count"], 3);
    admin.delete(&path).await.fails(409, "KELAS_IN_USE");
    app.sql("update users set kelas_id = null").await;
    admin.delete(&path).await.data(200);
    admin.get(&format!("{path}/students")).await.fails(404, "NOT_FOUND");
}

#[tokio::test]
async fn tags_are_unique_by_name_and_leave_their_portfolios() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let siti = app.student("siti").await;
    let web = id(&admin.post(TAGS, &json!({ "nama": " Web " })).await.data(201));
    admin.post(TAGS, &json!({ "nama": "wEB" })).await.fails(409, "DUPLICATE_TAG");
    assert_eq!(admin.post(TAGS, &json!({ "nama": "x".repeat(51) })).await.broken(), ["nama"]);
    let draft = siti.draft("Karya").await;
    siti.patch(&draft.path(""), &json!({ "tag_ids": [web] })).await.data(200);
    admin.post(TAGS, &json!({ "nama": "Animasi" })).await.data(201);
    let tags = admin.get(TAGS).await.data(200);
    assert_eq!((&tags[0]["nama"], &tags[0]["portfolio_count"]), (&json!("Animasi"), &json!(0)));
    assert_eq!((&tags[1]["nama"], &tags[1]["portfolio_count"]), (&json!("Web"), &json!(1)));
    assert_eq!(admin.get(&format!("{TAGS}?search=EB")).await.data(200).as_array().unwrap().len(), 1);
    assert_eq!(admin.get(&format!("{TAGS}?search=%25")).await.data(200).as_array().unwrap().len(), 0);
    let path = format!("{TAGS}/{web}");
    admin.patch(&path, &json!({ "nama": "animasi" })).await.fails(409, "DUPLICATE_TAG");
    assert_eq!(admin.patch(&path, &json!({ "nama": "Situs" })).await.data(200)["portfolio_count"], 1);
    admin.delete(&path).await.data(200);
    admin.delete(&path).await.fails(404, "NOT_FOUND");
    assert_eq!(siti.get(&draft.by_id()).await.data(200)["tags"], json!([]));
}

#[tokio::test]
async fn whoever_chooses_what_is_being_deleted_is_waited_for() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let draft = siti.draft("Karya").await;
    let (tag, series) = (app.tag("Web").await, app.series("PJBL", true).await);
    for (table, choose, path) in [
        (
            "tags",
            "insert into portfolio_tags (portfolio_id, tag_id) select $2, id from tags where id = $1 for key share",
            format!("{TAGS}/{tag}"),
        ),
        (
            "series",
            "update portfolios set series_id = (select id from series where id = $1 for key share) where id = $2",
            format!("/api/v1/admin/series/{series}"),
        ),
    ] {
        let mut tx = app.pool.begin().await.unwrap();
        let chosen = if table == "tags" { tag } else { series };
        sqlx::query(choose).bind(chosen).bind(draft.id).execute(&mut *tx).await.unwrap();
        let (deleted, ()) = tokio::join!(app.admin().delete(&path), async {
            app.somebody_waits_for_a_lock().await;
            tx.commit().await.unwrap();
        });
        deleted.data(200);
    }
    let left =
        "select (select count(*) from portfolio_tags) + (select count(*) from portfolios where series_id is not null)";
    assert_eq!(app.count(left).await, 0);
    assert_eq!(app.count("select count(*) from portfolios where tag_ids <> '{}'").await, 0);
}
