//! Templates in the back office, and their export.

use serde_json::{Value, json};

use crate::support::TestApp;

const SERIES: &str = "/api/v1/admin/series";

fn new(nama: &str) -> Value {
    json!({ "nama": nama, "blocks": [
        { "block_type": "text", "instruksi": "Judul" }, { "block_type": "image", "instruksi": "Hasil akhir" },
    ] })
}

#[tokio::test]
async fn a_template_is_written_as_a_whole() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    for (body, fields) in [
        (json!({}), vec!["nama", "blocks"]),
        (json!({ "nama": "x", "blocks": [] }), vec!["blocks"]),
        (
            json!({ "nama": "x", "deskripsi": "x".repeat(2001), "blocks": [{ "block_type": "pdf", "instruksi": "" }] }),
            vec!["deskripsi", "blocks[0].block_type", "blocks[0].instruksi"],
        ),
    ] {
        assert_eq!(admin.post(SERIES, &body).await.broken(), fields, "{body}");
    }
    let many: Vec<Value> = (0..51).map(|_| json!({ "block_type": "text", "instruksi": "x" })).collect();
    assert_eq!(admin.post(SERIES, &json!({ "nama": "x", "blocks": many })).await.broken(), ["blocks"]);
    let made = admin.post(SERIES, &new("PJBL")).await.data(201);
    assert_eq!((&made["block_count"], &made["is_active"], &made["deskripsi"]), (&json!(2), &json!(true), &Value::Null));
    assert_eq!(
        (&made["blocks"][1]["block_order"], &made["blocks"][1]["instruksi"]),
        (&json!(1), &json!("Hasil akhir"))
    );
    admin.post(SERIES, &new("pjbl")).await.fails(409, "DUPLICATE_ERROR");
    let path = format!("{SERIES}/{}", made["id"].as_str().unwrap());
    assert_eq!(admin.patch(&path, &json!({ "nama": "Baru", "blocks": [] })).await.broken(), ["blocks"]);
    assert_eq!(admin.get(&path).await.data(200)["nama"], "PJBL", "nothing was written");
    let changed =
        json!({ "deskripsi": " ", "is_active": false, "blocks": [{ "block_type": "embed", "instruksi": "Video" }] });
    let changed = admin.patch(&path, &changed).await.data(200);
    assert_eq!((&changed["is_active"], &changed["blocks"][0]["block_type"]), (&json!(false), &json!("embed")));
    assert_ne!(changed["blocks"][0]["id"], made["blocks"][0]["id"]);
    let list = admin.get(&format!("{SERIES}?search=jb")).await;
    assert_eq!(list.data(200)[0]["block_count"], 1);
    assert_eq!(list.body["meta"]["per_page"], 1000);
}

#[tokio::test]
async fn a_deleted_template_leaves_its_portfolios() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let siti = app.student("siti").await;
    let made = admin.post(SERIES, &new("PJBL")).await.data(201);
    let draft = siti.draft("Karya").await;
    siti.patch(&draft.path(""), &json!({ "series_id": made["id"] })).await.data(200);
    let path = format!("{SERIES}/{}", made["id"].as_str().unwrap());
    assert_eq!(admin.get(&path).await.data(200)["portfolio_count"], 1);
    admin.delete(&path).await.data(200);
    admin.delete(&path).await.fails(404, "SERIES_NOT_FOUND");
    assert_eq!(siti.get(&draft.by_id()).await.data(200)["series"], Value::Null);
    admin.post(SERIES, &new("PJBL")).await.data(201);
}

#[tokio::test]
async fn an_export_has_all_that_a_page_shows_of_what_is_published() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let (kelas, jurusan) = app.kelas().await;
    let made = admin.post(SERIES, &new("PJBL")).await.data(201);
    let path = format!("{SERIES}/{}/export", made["id"].as_str().unwrap());
    let empty = admin.get(&path).await.data(200);
    assert_eq!((&empty["portfolios"], &empty["meta"]["total_count"]), (&json!([]), &json!(0)));
    let siti = app.user(json!({ "username": "siti", "nama": "Siti", "kelas_id": kelas, "nis": "123" })).await;
    let budi = app.user(json!({ "username": "budi", "nama": "Budi" })).await;
    for (who, judul) in [(&siti, "Satu"), (&siti, "Dua"), (&budi, "Tiga")] {
        let work = who.written(judul).await;
        who.patch(&work.path(""), &json!({ "series_id": made["id"] })).await.data(200);
        who.act(&work.path("/submit")).await.data(200);
        admin.act(&work.admin_path("/approve")).await.data(200);
    }
    let draft = siti.draft("Belum").await;
    siti.patch(&draft.path(""), &json!({ "series_id": made["id"] })).await.data(200);
    let preview = admin.get(&format!("{path}/preview")).await.data(200);
    assert_eq!(preview, json!({ "portfolio_count": 3, "user_count": 2, "estimated_pages": 6 }));
    let export = admin.get(&path).await.data(200);
    let titles: Vec<&str> =
        export["portfolios"].as_array().unwrap().iter().map(|p| p["judul"].as_str().unwrap()).collect();
    assert_eq!(titles, ["Tiga", "Dua", "Satu"]);
    let page = &export["portfolios"][1];
    assert_eq!((&page["user"]["nis"], &page["user"]["kelas_nama"]), (&json!("123"), &json!("XII-RPL-A")));
    assert!(page["content_blocks"][0]["payload"]["content"].is_string());
    assert_eq!(export["series"]["nama"], "PJBL");
    for (filter, count) in [
        (format!("jurusan_id={jurusan}"), 2),
        (format!("kelas_id={kelas}&jurusan_id={jurusan}"), 2),
        (format!("kelas_id={}", uuid::Uuid::nil()), 0),
    ] {
        assert_eq!(
            admin.get(&format!("{path}/preview?{filter}")).await.data(200)["portfolio_count"],
            count,
            "{filter}"
        );
        assert_eq!(admin.get(&format!("{path}?{filter}")).await.data(200)["meta"]["total_count"], count);
    }
    admin.get(&format!("{path}?kelas_id=x")).await.fails(400, "VALIDATION_ERROR");
    app.delete_account(&budi).await;
    assert_eq!(admin.get(&format!("{path}/preview")).await.data(200)["user_count"], 1);
}

#[tokio::test]
async fn an_export_of_more_than_a_thousand_is_refused() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let siti = app.student("siti").await;
    let made = admin.post(SERIES, &new("PJBL")).await.data(201);
    sqlx::query(
        "insert into portfolios (id, user_id, judul, slug, status, series_id, published_at)
         select gen_random_uuid(), $1, 'Karya', 'karya-' || n, 'published', $2::uuid, now() from generate_series(1, 1001) n",
    )
    .bind(siti.id)
    .bind(made["id"].as_str())
    .execute(&app.pool)
    .await
    .unwrap();
    let path = format!("{SERIES}/{}/export", made["id"].as_str().unwrap());
    admin.get(&path).await.fails(422, "EXPORT_TOO_LARGE");
    assert_eq!(admin.get(&format!("{path}/preview")).await.data(200)["portfolio_count"], 1001);
}
