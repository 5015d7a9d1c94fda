use serde_json::json;
use uuid::Uuid;

use crate::support::TestApp;

const USERS: &str = "/api/v1/search/users";
const PORTFOLIOS: &str = "/api/v1/search/portfolios";

#[tokio::test]
async fn people_are_found_by_parts_of_what_is_known_of_them() {
    let app = TestApp::spawn().await;
    let (kelas, jurusan) = app.kelas().await;
    let rizky = json!({ "username": "rizky_p", "nama": "Muhammad Rizky Pratama", "kelas_id": kelas });
    let rizky = app.user(rizky).await;
    rizky.patch("/api/v1/me", &json!({ "bio": "Suka menggambar" })).await.data(200);
    app.user(json!({ "username": "nurul", "nama": "Nurul 'Aini Azzahra", "role": "alumni" })).await;
    app.user(json!({ "username": "wahyu", "nama": "I Wayan Wahyu 100%_" })).await;
    let found = async |query: &str| app.get(&format!("{USERS}?{query}")).await.column("username");
    for (query, expected) in [
        ("q=izk", vec!["rizky_p"]),
        ("q=RIZKY+PRA", vec!["rizky_p"]),
        ("q='aini", vec!["nurul"]),
        ("q=zz", vec!["nurul"]),
        ("q=nggambar", vec!["rizky_p"]),
        ("q=XII-RPL", vec!["rizky_p"]),
        ("q=rekayasa", vec!["rizky_p"]),
        ("q=%25_", vec!["wahyu"]),
        ("q=%5C", vec![]),
        ("q=sekolah.sch.id", vec![]),
        ("q=", vec!["wahyu", "rizky_p", "nurul"]),
        ("role=alumni", vec!["nurul"]),
        ("role=student", vec!["wahyu", "rizky_p"]),
        ("role=admin", vec![]),
        (&format!("kelas_id={kelas}"), vec!["rizky_p"]),
        (&format!("jurusan_id={jurusan}&q=rizky"), vec!["rizky_p"]),
        (&format!("jurusan_id={jurusan}&q=wahyu"), vec![]),
        (&format!("kelas_id={}", Uuid::nil()), vec![]),
    ] {
        assert_eq!(found(query).await, expected, "{query}");
    }
    let answer = app.get(&format!("{USERS}?q=izk")).await;
    let expected = json!([{
        "id": rizky.id, "username": "rizky_p", "nama": "Muhammad Rizky Pratama", "avatar_url": null,
        "bio": "Suka menggambar", "role": "student", "kelas_nama": "XII-RPL-A",
        "jurusan_nama": "Rekayasa Perangkat Lunak",
    }]);
    assert_eq!(answer.data(200), expected);
    let page = app.get(&format!("{USERS}?limit=1&page=2")).await;
    assert_eq!((page.column("username"), &page.body["meta"]["total_count"]), (vec!["rizky_p".to_owned()], &json!(3)));
    for bad in ["jurusan_id=x", "kelas_id=x", "role=guru", &format!("q={}", "x".repeat(101))] {
        app.get(&format!("{USERS}?{bad}")).await.fails(400, "VALIDATION_ERROR");
    }
    app.get_with_token(USERS, "Bearer x").await.fails(401, "INVALID_TOKEN");
}

#[tokio::test]
async fn admins_are_found_by_those_who_pick_contributors_only() {
    let app = TestApp::spawn().await;
    let (siti, tata) = (app.student("siti").await, app.holder("tata", &["changelog"]).await);
    let other = app.holder("tono", &["users", "portfolios", "moderation"]).await;
    let found = async |user: &crate::support::User, query: &str| {
        let answer = user.get(&format!("{USERS}?{query}")).await;
        let names = answer.column("username");
        assert_eq!(answer.body["meta"]["total_count"], names.len(), "{query}");
        names
    };
    for user in [&tata, app.admin()] {
        assert!(found(user, "").await.contains(&"admin".to_owned()));
        assert_eq!(found(user, "q=admin").await, ["admin"]);
    }
    for user in [&siti, &other] {
        assert_eq!(found(user, "").await, ["siti", "tata", "tono"]);
        assert_eq!(found(user, "q=admin").await.len(), 0);
    }
    assert_eq!(app.get(USERS).await.column("username").len(), 3);
    app.deactivate(&siti).await;
    app.delete_account(&other).await;
    assert_eq!(found(app.admin(), "q=s").await.len(), 0, "nor any who is deactivated or deleted");
    assert_eq!(app.get(USERS).await.column("username"), ["tata"]);
}

#[tokio::test]
async fn published_work_is_found_by_title_and_owner() {
    let app = TestApp::spawn().await;
    let (kelas, jurusan) = app.kelas().await;
    let budi = app.user(json!({ "username": "budi", "nama": "Budi Santoso", "kelas_id": kelas })).await;
    let siti = app.student("siti").await;
    let tag = app.tag("Web").await;
    let first = budi.published("Website Perpustakaan", app.admin()).await;
    siti.published("Poster Budaya", app.admin()).await;
    siti.written("Website rahasia").await;
    app.admin().patch(&first.path(""), &json!({ "tag_ids": [tag] })).await.data(200);
    let found = async |query: &str| {
        let answer = siti.get(&format!("{PORTFOLIOS}?{query}")).await;
        let found = answer.column("judul");
        assert_eq!(answer.body["meta"]["total_count"], found.len(), "{query}");
        found
    };
    for (query, expected) in [
        ("q=website", vec!["Website Perpustakaan"]),
        ("q=taka", vec!["Website Perpustakaan"]),
        ("q=BUD", vec!["Poster Budaya", "Website Perpustakaan"]),
        ("q=santoso", vec!["Website Perpustakaan"]),
        ("q=%25", vec![]),
        ("q=", vec!["Poster Budaya", "Website Perpustakaan"]),
        (&format!("tag_ids={tag}"), vec!["Website Perpustakaan"]),
        (&format!("jurusan_id={jurusan}&kelas_id={kelas}&q=perpus"), vec!["Website Perpustakaan"]),
        (&format!("tag_ids={}", Uuid::nil()), vec![]),
    ] {
        assert_eq!(found(query).await, expected, "{query}");
    }
    let card = app.get(&format!("{PORTFOLIOS}?q=taka")).await.data(200)[0].clone();
    assert_eq!(card, app.get("/api/v1/portfolios?search=taka").await.data(200)[0]);
    for bad in ["tag_ids=x", "jurusan_id=x", "kelas_id=x", &format!("q={}", "x".repeat(101))] {
        app.get(&format!("{PORTFOLIOS}?{bad}")).await.fails(400, "VALIDATION_ERROR");
    }
    app.get_with_token(PORTFOLIOS, "Bearer x").await.fails(401, "INVALID_TOKEN");
}
