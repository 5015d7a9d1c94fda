//! What staff thinks of published portfolios.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Portfolio, TestApp, User};

const LIST: &str = "/api/v1/admin/assessments";
const STATS: &str = "/api/v1/admin/assessments/stats";

fn at(portfolio: &Portfolio) -> String {
    format!("{LIST}/{}", portfolio.id)
}

/// New metrics, by their ids.
async fn metrics(app: &TestApp, names: &[&str]) -> Vec<Value> {
    let mut ids = Vec::new();
    for nama in names {
        let metric = app.admin().post("/api/v1/admin/assessment-metrics", &json!({ "nama": nama })).await.data(201);
        ids.push(metric["id"].clone());
    }
    ids
}

fn scores(metrics: &[Value], scores: &[i64]) -> Value {
    let list = metrics.iter().zip(scores).map(|(metric, score)| json!({ "metric_id": metric, "score": score }));
    json!({ "scores": list.collect::<Vec<_>>() })
}

async fn switch_off(app: &TestApp, metric: &Value) {
    let path = format!("/api/v1/admin/assessment-metrics/{}", metric.as_str().unwrap());
    app.admin().patch(&path, &json!({ "is_active": false })).await.data(200);
}

/// Stats of the three kinds, and the lengths of the three lists.
async fn numbers(assessor: &User) -> [i64; 3] {
    let stats = assessor.get(STATS).await.data(200);
    let found = ["total_published", "assessed", "pending"].map(|name| stats[name].as_i64().unwrap());
    // Pages of one row and pages beyond the end: their lengths are not those of what was fetched.
    for (place, filter) in ["all", "assessed", "pending"].into_iter().enumerate() {
        for page in ["", "&limit=1", "&limit=1&page=50"] {
            let answer = assessor.get(&format!("{LIST}?filter={filter}{page}")).await;
            answer.data(200);
            assert_eq!(answer.body["meta"]["total_count"], found[place], "{filter}{page}");
        }
    }
    found
}

#[tokio::test]
async fn a_first_save_creates_and_the_next_one_replaces_it_as_a_whole() {
    let app = TestApp::spawn().await;
    let (guru, wali) = (app.holder("guru", &["assessments"]).await, app.holder("wali", &["assessments"]).await);
    let work = app.student("siti").await.published("Karya", app.admin()).await;
    let ids = metrics(&app, &["Kreativitas", "Teknik"]).await;
    let portfolio = json!({ "id": work.id, "judul": "Karya", "slug": "karya", "thumbnail_url": null });
    let none = json!({ "portfolio": portfolio, "assessment": null });
    assert_eq!(guru.get(&at(&work)).await.data(200), none, "not assessed yet is no error");

    let body = json!({
        "scores": [
            { "metric_id": ids[1], "score": 8, "comment": "  Rapi " },
            { "metric_id": ids[0], "score": 9, "comment": " " },
        ],
        "final_comment": "  Bagus\nsekali ",
    });
    let first = guru.post(&at(&work), &body).await.data(201);
    let listed = app.admin().get("/api/v1/admin/assessment-metrics").await.data(200);
    let score = |place: usize, score: i64, comment: Value| {
        let found = &first["scores"][place];
        json!({
            "id": found["id"], "metric_id": ids[place], "metric": listed[place], "score": score, "comment": comment,
            "created_at": found["created_at"], "updated_at": found["created_at"],
        })
    };
    let brief = |user: &User| json!({ "id": user.id, "username": user.username, "nama": format!("Nama {}", user.username), "avatar_url": null });
    let expected = json!({
        "id": first["id"], "portfolio_id": work.id, "portfolio": portfolio, "assessed_by": guru.id,
        "assessor": brief(&guru), "scores": [score(0, 9, json!(null)), score(1, 8, json!("Rapi"))],
        "final_comment": "Bagus\nsekali", "total_score": 8.5, "created_at": first["created_at"],
        "updated_at": first["created_at"],
    });
    assert_eq!(first, expected, "scores stand in the order of their metrics");
    assert!(first["total_score"].is_f64(), "a number and no text");
    assert_eq!(guru.get(&at(&work)).await.data(200)["assessment"], first);

    let second = wali.post(&at(&work), &scores(&ids[1..], &[3])).await.data(200);
    assert_eq!((&second["id"], &second["created_at"]), (&first["id"], &first["created_at"]));
    assert_ne!(second["updated_at"], first["updated_at"]);
    assert_eq!((&second["assessed_by"], &second["assessor"]), (&json!(wali.id), &brief(&wali)));
    assert_eq!((&second["final_comment"], &second["total_score"]), (&json!(null), &json!(3.0)));
    let left = second["scores"].as_array().unwrap();
    assert!(left.len() == 1 && left[0]["metric_id"] == ids[1] && left[0]["score"] == 3, "{second}");
    assert_eq!(app.count("select count(*) from assessments").await, 1);
    assert_eq!(app.count("select count(*) from audit_log where action = 'assessment.save'").await, 2);
    assert_eq!(app.count("select count(*) from notifications where kind <> 'portfolio_approved'").await, 0);
}

#[tokio::test]
async fn the_total_is_the_mean_rounded_half_away_from_zero() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let work = app.student("siti").await.published("Karya", admin).await;
    let names: Vec<String> = (0..8).map(|n| format!("Metrik {n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let ids = metrics(&app, &names).await;
    for (given, total) in [
        (vec![1], 1.0),
        (vec![10, 10, 10], 10.0),
        (vec![1, 1, 2], 1.33),
        (vec![1, 2, 2], 1.67),
        (vec![1, 1, 1, 1, 1, 1, 1, 2], 1.13),
        (vec![1, 1, 1, 1, 1, 2, 2, 2], 1.38),
        (vec![10, 10, 10, 10, 10, 10, 10, 9], 9.88),
    ] {
        let saved = admin.post(&at(&work), &scores(&ids, &given)).await;
        assert!([200, 201].contains(&saved.status), "{}", saved.body);
        assert_eq!(saved.body["data"]["total_score"], json!(total), "{given:?}");
    }
}

#[tokio::test]
async fn every_broken_field_of_an_assessment_is_named() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let work = app.student("siti").await.published("Karya", admin).await;
    let ids = metrics(&app, &["Satu", "Dua", "Hilang", "Mati"]).await;
    let gone = format!("/api/v1/admin/assessment-metrics/{}", ids[2].as_str().unwrap());
    admin.delete(&gone).await.data(200);
    switch_off(&app, &ids[3]).await;
    let one = |score: Value| json!({ "scores": [{ "metric_id": ids[0], "score": score }] });
    let many: Vec<Value> = (0..101).map(|_| json!({ "metric_id": Uuid::now_v7(), "score": 5 })).collect();
    let twice = [json!({ "metric_id": ids[0], "score": 5 }), json!({ "metric_id": ids[0], "score": 6 })];
    for (body, fields) in [
        (json!({}), vec!["scores"]),
        (json!({ "scores": null }), vec!["scores"]),
        (json!({ "scores": [] }), vec!["scores"]),
        (json!({ "scores": many }), vec!["scores"]),
        (json!({ "scores": twice }), vec!["scores[1].metric_id"]),
        (one(json!(0)), vec!["scores[0].score"]),
        (one(json!(11)), vec!["scores[0].score"]),
        (one(json!(-3)), vec!["scores[0].score"]),
        (one(json!(5_000_000_000_i64)), vec!["scores[0].score"]),
        (one(json!(null)), vec!["scores[0].score"]),
        (json!({ "scores": [{}] }), vec!["scores[0].metric_id", "scores[0].score"]),
        (scores(&[ids[0].clone(), json!(Uuid::nil())], &[5, 5]), vec!["scores[1].metric_id"]),
        (scores(&ids[2..3], &[5]), vec!["scores[0].metric_id"]),
        (scores(&ids[3..4], &[5]), vec!["scores[0].metric_id"]),
        (
            json!({
                "scores": [
                    { "metric_id": ids[0], "score": 0, "comment": "x".repeat(501) },
                    { "metric_id": ids[3], "score": 5, "comment": "a\u{0}b" },
                ],
                "final_comment": "x".repeat(2001),
            }),
            vec!["scores[0].score", "scores[0].comment", "scores[1].comment", "final_comment", "scores[1].metric_id"],
        ),
    ] {
        assert_eq!(admin.post(&at(&work), &body).await.broken(), fields, "{body}");
    }
    let (bad_id, bad_comment) = (json!([{ "metric_id": "x", "score": 5 }]), json!([{ "comment": 1 }]));
    for body in [
        one(json!(7.5)),
        one(json!(7.0)),
        one(json!("7")),
        json!({ "scores": bad_id }),
        json!({ "scores": bad_comment }),
        json!({ "scores": {} }),
        json!([]),
    ] {
        admin.post(&at(&work), &body).await.fails(400, "VALIDATION_ERROR");
    }
    assert_eq!(app.count("select count(*) from assessments").await, 0);
    let longest = json!({
        "scores": [{ "metric_id": ids[0], "score": 10, "comment": "é".repeat(500) }], "final_comment": "é".repeat(2000),
    });
    admin.post(&at(&work), &longest).await.data(201);
}

#[tokio::test]
async fn a_hundred_scores_are_one_assessment() {
    let app = TestApp::spawn().await;
    let work = app.student("siti").await.published("Karya", app.admin()).await;
    app.sql(
        "insert into assessment_metrics (id, nama, urutan) select gen_random_uuid(), 'Metrik ' || n, n
         from generate_series(1, 100) n",
    )
    .await;
    let ids: Vec<Uuid> =
        sqlx::query_scalar("select id from assessment_metrics order by urutan").fetch_all(&app.pool).await.unwrap();
    let ids: Vec<Value> = ids.iter().map(|id| json!(id)).collect();
    let saved = app.admin().post(&at(&work), &scores(&ids, &[7; 100])).await.data(201);
    let order: Vec<Value> =
        saved["scores"].as_array().unwrap().iter().map(|score| score["metric_id"].clone()).collect();
    assert_eq!(order, ids);
}

#[tokio::test]
async fn a_metric_that_was_switched_off_counts_until_the_next_save_and_may_be_scored_again_there() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let siti = app.student("siti").await;
    let (work, other) = (siti.published("Karya", admin).await, siti.published("Lain", admin).await);
    let ids = metrics(&app, &["Satu", "Dua"]).await;
    admin.post(&at(&work), &scores(&ids, &[10, 5])).await.data(201);
    switch_off(&app, &ids[1]).await;
    let kept = admin.get(&at(&work)).await.data(200)["assessment"].clone();
    assert_eq!((&kept["total_score"], &kept["scores"][1]["metric"]["is_active"]), (&json!(7.5), &json!(false)));
    assert_eq!(admin.post(&at(&other), &scores(&ids, &[10, 5])).await.broken(), ["scores[1].metric_id"]);
    assert_eq!(admin.post(&at(&work), &scores(&ids, &[10, 6])).await.data(200)["total_score"], 8.0);
    assert_eq!(admin.post(&at(&work), &scores(&ids[..1], &[10])).await.data(200)["total_score"], 10.0);
    let late = admin.post(&at(&work), &scores(&ids, &[10, 5])).await;
    assert_eq!(late.broken(), ["scores[1].metric_id"], "it is scored there no more");
}

#[tokio::test]
async fn nobody_assesses_his_own_work_and_only_published_work_is_assessed() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let guru = app.holder("guru", &["assessments"]).await;
    let ids = metrics(&app, &["Satu"]).await;
    let body = scores(&ids, &[7]);
    for owner in [&guru, admin] {
        let own = owner.published("Milik", admin).await;
        owner.post(&at(&own), &body).await.fails(403, "FORBIDDEN");
        owner.post(&at(&own), &json!([])).await.fails(403, "FORBIDDEN");
        owner.delete(&at(&own)).await.fails(403, "FORBIDDEN");
    }
    let siti = app.student("siti").await;
    for work in [siti.draft("Draf").await, siti.submitted("Menunggu").await] {
        guru.get(&at(&work)).await.fails(400, "INVALID_STATUS");
        guru.post(&at(&work), &body).await.fails(400, "INVALID_STATUS");
        assert_eq!(guru.post(&at(&work), &json!({})).await.broken(), ["scores"], "the body comes before the state");
        guru.delete(&at(&work)).await.fails(404, "NOT_FOUND");
    }
    let (deleted, orphan) = (siti.published("Hilang", admin).await, app.student("budi").await);
    let work = orphan.published("Yatim", admin).await;
    siti.delete(&deleted.path("")).await.data(200);
    app.delete_account(&orphan).await;
    for path in [at(&deleted), at(&work), format!("{LIST}/{}", Uuid::nil())] {
        guru.get(&path).await.fails(404, "NOT_FOUND");
        guru.post(&path, &json!([])).await.fails(404, "NOT_FOUND");
        guru.delete(&path).await.fails(404, "NOT_FOUND");
    }
    for path in [format!("{LIST}/x"), format!("{LIST}/{}", Uuid::nil().simple())] {
        guru.get(&path).await.fails(400, "VALIDATION_ERROR");
        guru.post(&path, &body).await.fails(400, "VALIDATION_ERROR");
        guru.delete(&path).await.fails(400, "VALIDATION_ERROR");
    }
    assert_eq!(app.count("select count(*) from assessments").await, 0);
}

#[tokio::test]
async fn a_portfolio_that_goes_while_it_is_assessed_is_not_assessed() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let work = app.student("siti").await.published("Karya", admin).await;
    let ids = metrics(&app, &["Satu"]).await;
    let mut tx = app.pool.begin().await.unwrap();
    sqlx::query("update portfolios set status = 'archived' where id = $1")
        .bind(work.id)
        .execute(&mut *tx)
        .await
        .unwrap();
    let (admin, path) = (admin.clone(), at(&work));
    let save = tokio::spawn(async move { admin.post(&path, &scores(&ids, &[7])).await });
    // The pool of the tests has two connections, one of which is this transaction's.
    app.somebody_waits_for_a_lock().await;
    tx.commit().await.unwrap();
    save.await.unwrap().fails(400, "INVALID_STATUS");
}

#[tokio::test]
async fn of_two_first_saves_at_once_one_creates_and_one_replaces_and_scores_are_never_mixed() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let siti = app.student("siti").await;
    let ids = metrics(&app, &["Satu", "Dua", "Tiga"]).await;
    for round in 0..8 {
        let work = siti.published(&format!("Karya {round}"), admin).await;
        let (path, low, high) = (at(&work), scores(&ids, &[1, 1, 1]), scores(&ids[..2], &[9, 9]));
        let (first, second) = tokio::join!(admin.post(&path, &low), admin.post(&path, &high));
        let mut statuses = [first.status, second.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 201], "{} {}", first.body, second.body);
        let last = if first.status == 200 { &first } else { &second };
        let kept = admin.get(&path).await.data(200)["assessment"].clone();
        assert_eq!(kept, last.body["data"], "the last one wins");
        let given: Vec<i64> =
            kept["scores"].as_array().unwrap().iter().map(|score| score["score"].as_i64().unwrap()).collect();
        assert!(given == [1, 1, 1] || given == [9, 9], "{given:?}");
    }
}

#[tokio::test]
async fn the_list_shows_published_work_newest_first_with_its_assessment() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let guru = app.holder("guru", &["assessments"]).await;
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    let first = siti.published("Desain Logo", admin).await;
    let second = budi.published("Poster 50%", admin).await;
    siti.draft("Desain Draf").await;
    let ids = metrics(&app, &["Satu"]).await;
    let saved = guru.post(&at(&first), &scores(&ids, &[8])).await.data(201);
    guru.post(&at(&first), &scores(&ids, &[9])).await.data(200);

    let list = guru.get(LIST).await;
    let brief = |user: &User| json!({ "id": user.id, "username": user.username, "nama": format!("Nama {}", user.username), "avatar_url": null });
    let data = list.data(200);
    let of = |work: &Portfolio, judul: &str, owner: &User, published: &Value, assessment: Value| {
        json!({
            "id": work.id, "judul": judul, "slug": work.slug, "thumbnail_url": null, "published_at": published,
            "user": brief(owner), "assessment": assessment,
        })
    };
    let assessment = json!({
        "id": saved["id"], "total_score": 9.0, "assessor": brief(&guru), "assessed_at": saved["created_at"],
    });
    let expected = json!([
        of(&second, "Poster 50%", &budi, &data[0]["published_at"], json!(null)),
        of(&first, "Desain Logo", &siti, &data[1]["published_at"], assessment),
    ]);
    assert_eq!(data, expected);
    let meta = json!({ "current_page": 1, "per_page": 20, "total_pages": 1, "total_count": 2 });
    assert_eq!(list.body["meta"], meta);
    assert!(!list.body.to_string().contains('@'), "no e-mail address");

    let titles = async |query: &str| guru.get(&format!("{LIST}?{query}")).await.column("judul");
    let both = ["Poster 50%", "Desain Logo"];
    for (query, expected) in [
        ("filter=all", &both[..]),
        ("filter=", &both),
        ("filter=pending", &both[..1]),
        ("filter=assessed", &both[1..]),
        ("search=%20LOGO%20", &both[1..]),
        ("search=nama%20budi", &both[..1]),
        ("search=50%25", &both[..1]),
        ("search=%25", &both[..1]),
        ("search=_", &[]),
        ("search=", &both),
        ("search=sekolah.sch.id", &[]),
        ("search=o&filter=assessed", &both[1..]),
        ("limit=1&page=2", &both[1..]),
        ("limit=0&page=NaN", &both),
    ] {
        assert_eq!(titles(query).await, expected, "{query}");
    }
    let found = guru.get(&format!("{LIST}?search=o&limit=1")).await;
    assert_eq!(found.body["meta"]["total_count"], 2, "the length of a search is counted");
    assert_eq!(guru.get(&format!("{LIST}?limit=500")).await.body["meta"]["per_page"], 100);
    let long = format!("search={}", "x".repeat(101));
    for query in ["filter=done", "filter=Pending", &long] {
        guru.get(&format!("{LIST}?{query}")).await.fails(400, "VALIDATION_ERROR");
    }
    // Of the same moment the lower id comes first.
    app.sql("update portfolios set published_at = '2026-01-01' where published_at is not null").await;
    assert_eq!(titles("").await, ["Desain Logo", "Poster 50%"]);
}

#[tokio::test]
async fn an_assessor_who_is_gone_is_null_and_one_who_is_deactivated_is_shown() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let guru = app.holder("guru", &["assessments"]).await;
    let work = app.student("siti").await.published("Karya", admin).await;
    let ids = metrics(&app, &["Satu"]).await;
    guru.post(&at(&work), &scores(&ids, &[8])).await.data(201);
    let shown = async || {
        let detail = admin.get(&at(&work)).await.data(200)["assessment"].clone();
        let listed = admin.get(LIST).await.data(200)[0]["assessment"].clone();
        assert_eq!((&detail["assessor"], &detail["total_score"]), (&listed["assessor"], &listed["total_score"]));
        assert_eq!(detail["assessed_by"], json!(guru.id), "the row keeps the id");
        listed["assessor"]["username"].clone()
    };
    app.deactivate(&guru).await;
    assert_eq!(shown().await, "guru");
    app.delete_account(&guru).await;
    assert_eq!(shown().await, json!(null));
}

#[tokio::test]
async fn stats_and_lists_count_the_same_portfolios_whatever_happens_to_them() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let guru = app.holder("guru", &["assessments"]).await;
    assert_eq!(numbers(&guru).await, [0, 0, 0]);
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    let (a, b) = (siti.published("Satu", admin).await, siti.published("Dua", admin).await);
    let c = budi.published("Tiga", admin).await;
    siti.submitted("Menunggu").await;
    assert_eq!(numbers(&guru).await, [3, 0, 3]);
    let ids = metrics(&app, &["Satu"]).await;
    for work in [&a, &c] {
        guru.post(&at(work), &scores(&ids, &[8])).await.data(201);
        guru.post(&at(work), &scores(&ids, &[9])).await.data(200);
    }
    assert_eq!(numbers(&guru).await, [3, 2, 1]);

    // What leaves `published` keeps its assessment and hides it.
    siti.act(&a.path("/archive")).await.data(200);
    assert_eq!(numbers(&guru).await, [2, 1, 1]);
    guru.get(&at(&a)).await.fails(400, "INVALID_STATUS");
    admin.patch(&a.admin_path(""), &json!({ "status": "published" })).await.data(200);
    assert_eq!(numbers(&guru).await, [3, 2, 1]);
    assert_eq!(guru.get(&at(&a)).await.data(200)["assessment"]["total_score"], 9.0);

    app.deactivate(&budi).await;
    assert_eq!(numbers(&guru).await, [3, 2, 1], "a deactivated owner is shown to staff");
    app.delete_account(&budi).await;
    assert_eq!(numbers(&guru).await, [2, 1, 1], "deleted after he was deactivated");
    siti.delete(&b.path("")).await.data(200);
    assert_eq!(numbers(&guru).await, [1, 1, 0]);
    guru.delete(&at(&a)).await.data(200);
    assert_eq!(numbers(&guru).await, [1, 0, 1]);
    app.delete_account(&siti).await;
    assert_eq!(numbers(&guru).await, [0, 0, 0]);
}

#[tokio::test]
async fn an_assessment_is_deleted_with_its_scores_whatever_the_status_of_the_portfolio() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let siti = app.student("siti").await;
    let (work, gone) = (siti.published("Karya", admin).await, siti.published("Hilang", admin).await);
    let ids = metrics(&app, &["Satu", "Dua"]).await;
    for work in [&work, &gone] {
        admin.post(&at(work), &scores(&ids, &[8, 7])).await.data(201);
    }
    siti.act(&work.path("/archive")).await.data(200);
    assert_eq!(admin.delete(&at(&work)).await.data(200), json!(null));
    admin.delete(&at(&work)).await.fails(404, "NOT_FOUND");
    siti.delete(&gone.path("")).await.data(200);
    admin.delete(&at(&gone)).await.fails(404, "NOT_FOUND");
    assert_eq!(app.count("select count(*) from assessments").await, 1);
    assert_eq!(app.count("select count(*) from assessment_scores").await, 2);
    assert_eq!(app.count("select count(*) from audit_log where action = 'assessment.delete'").await, 1);
}

#[tokio::test]
async fn rankings_and_the_smart_feed_see_a_score_at_once() {
    let app = TestApp::with(&[("RANKINGS_MAX_AGE", "0s")]).await;
    let admin = app.admin();
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    let work = siti.published("Karya", admin).await;
    let ids = metrics(&app, &["Satu"]).await;
    let score = async || budi.get("/api/v1/feed?algorithm=smart").await.data(200)[0]["ranking_score"].as_f64().unwrap();
    let ranked = async || {
        let project = app.get("/api/v1/top-projects").await.data(200)[0]["assessment_score"].clone();
        let student = app.get("/api/v1/top-students").await.data(200)[0]["avg_assessment_score"].clone();
        (project.as_f64().unwrap(), student.as_f64().unwrap())
    };
    let without = score().await;
    assert_eq!(ranked().await, (0.0, 0.0));
    admin.post(&at(&work), &scores(&ids, &[9])).await.data(201);
    let with = score().await;
    assert!(with > without, "{with} {without}");
    assert_eq!(ranked().await, (9.0, 9.0));
    admin.post(&at(&work), &scores(&ids, &[2])).await.data(200);
    assert!(score().await < with);
    assert_eq!(ranked().await, (2.0, 2.0));
    admin.delete(&at(&work)).await.data(200);
    assert!((score().await - without).abs() < 1e-6);
    assert_eq!(ranked().await, (0.0, 0.0));
}

#[tokio::test]
async fn the_owner_sees_nothing_of_an_assessment() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let work = siti.published("Karya", app.admin()).await;
    let ids = metrics(&app, &["Satu"]).await;
    let body = json!({ "scores": [{ "metric_id": ids[0], "score": 3, "comment": "rahasia-1" }], "final_comment": "rahasia-2" });
    app.admin().post(&at(&work), &body).await.data(201);
    for path in [work.by_id(), work.page(&siti), "/api/v1/me/portfolios".to_owned(), "/api/v1/notifications".to_owned()]
    {
        let answer = siti.get(&path).await;
        answer.data(200);
        let text = answer.body.to_string();
        assert!(!text.contains("rahasia") && !text.contains("total_score") && !text.contains("is_assessed"), "{text}");
    }
}

#[tokio::test]
async fn the_numbers_are_read_without_looking_at_a_portfolio() {
    let app = TestApp::with(&[("LOG_LEVEL", "info,sqlx=debug"), ("LOG_FORMAT", "json")]).await;
    let guru = app.holder("guru", &["assessments"]).await;
    app.student("siti").await.published("Karya", app.admin()).await;
    assert_eq!(crate::statements::statements(&app, &guru, STATS, STATS).await, 1);
    let mut tx = app.pool.begin().await.unwrap();
    sqlx::query("lock table portfolios, assessments in access exclusive mode").execute(&mut *tx).await.unwrap();
    let stats = json!({ "total_published": 1, "assessed": 0, "pending": 1 });
    assert_eq!(guru.get(STATS).await.data(200), stats, "while nobody can read them");
    tx.rollback().await.unwrap();
}

#[tokio::test]
async fn the_list_costs_the_same_statements_however_long_it_is() {
    let app = TestApp::with(&[("LOG_LEVEL", "info,sqlx=debug"), ("LOG_FORMAT", "json")]).await;
    let guru = app.holder("guru", &["assessments"]).await;
    let siti = app.student("siti").await;
    let ids = metrics(&app, &["Satu"]).await;
    let mut counts = Vec::new();
    for round in 0..3 {
        for n in 0..=round {
            let work = siti.published(&format!("Karya {round} {n}"), app.admin()).await;
            app.admin().post(&at(&work), &scores(&ids, &[8])).await.data(201);
        }
        let list = format!("{LIST}?search=a&limit=1");
        counts.push((
            crate::statements::statements(&app, &guru, LIST, LIST).await,
            crate::statements::statements(&app, &guru, LIST, &list).await,
        ));
    }
    assert!(counts.iter().all(|count| *count == (1, 2)), "{counts:?}");
}

#[tokio::test]
async fn the_lists_walk_along_indexes_of_their_own() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    // Without the triggers, which count each row.
    let mut superuser = app.stack.superuser().await;
    sqlx::query("set session_replication_role = replica").execute(&mut superuser).await.unwrap();
    sqlx::query(
        "insert into portfolio.portfolios (id, user_id, judul, slug, status, published_at, is_assessed)
         select gen_random_uuid(), $1, 'Karya ' || n, n::text, 'published', now() - n * interval '1 minute', n > 10000
         from generate_series(1, 20000) n",
    )
    .bind(siti.id)
    .execute(&mut superuser)
    .await
    .unwrap();
    app.sql("analyze portfolios").await;
    for (filter, index) in [("all", "portfolios_assessable_idx"), ("assessed", "portfolios_assessed_idx")] {
        app.admin().get(&format!("{LIST}?filter={filter}")).await.data(200);
        app.has_used(index).await;
    }
}

#[tokio::test]
async fn whoever_may_assess_never_sees_what_others_think_of_his_own_work() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let (guru, wali) = (app.holder("guru", &["assessments"]).await, app.holder("wali", &["assessments"]).await);
    let ids = metrics(&app, &["Satu"]).await;
    for owner in [&guru, admin] {
        let own = owner.published("Milik", admin).await;
        let draft = owner.draft("Draf").await;
        wali.post(&at(&own), &scores(&ids, &[3])).await.data(201);
        owner.get(&at(&own)).await.fails(403, "FORBIDDEN");
        owner.get(&at(&draft)).await.fails(403, "FORBIDDEN");
        wali.get(&at(&draft)).await.fails(400, "INVALID_STATUS");
        assert_eq!(wali.get(&at(&own)).await.data(200)["assessment"]["total_score"], 3.0);
        for filter in ["all", "assessed"] {
            let of = async |reader: &User| {
                let list = reader.get(&format!("{LIST}?filter={filter}")).await.data(200);
                let list = list.as_array().unwrap().clone();
                list.into_iter().find(|one| one["id"] == json!(own.id)).unwrap()["assessment"].clone()
            };
            assert_eq!(of(owner).await, json!(null), "{filter}");
            assert_eq!(of(&wali).await["total_score"], 3.0, "{filter}");
        }
    }
}

#[tokio::test]
async fn header_and_scores_are_saved_together_or_not_at_all() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let work = app.student("siti").await.published("Karya", admin).await;
    let ids = metrics(&app, &["Satu", "Dua"]).await;
    app.sql("alter table assessment_scores add constraint refuse check (score <> 7)").await;
    let bad = json!({
        "scores": [{ "metric_id": ids[0], "score": 9 }, { "metric_id": ids[1], "score": 7 }], "final_comment": "Lain",
    });
    admin.post(&at(&work), &bad).await.fails(500, "INTERNAL_ERROR");
    assert_eq!(admin.get(&at(&work)).await.data(200)["assessment"], json!(null));
    assert_eq!(app.count("select count(*) from assessments").await, 0);
    assert_eq!(numbers(admin).await, [1, 0, 1]);
    let saved = admin.post(&at(&work), &scores(&ids, &[8, 6])).await.data(201);
    admin.post(&at(&work), &bad).await.fails(500, "INTERNAL_ERROR");
    assert_eq!(admin.get(&at(&work)).await.data(200)["assessment"], saved);
    assert_eq!(app.count("select count(*) from audit_log where action = 'assessment.save'").await, 1);
}

#[tokio::test]
async fn ids_of_metrics_have_one_spelling() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let work = app.student("siti").await.published("Karya", admin).await;
    let ids = metrics(&app, &["Satu"]).await;
    let id = ids[0].as_str().unwrap();
    for other in [format!("{{{id}}}"), format!("urn:uuid:{id}"), id.replace('-', "")] {
        let answer = admin.post(&at(&work), &scores(&[json!(other)], &[7])).await;
        answer.fails(400, "VALIDATION_ERROR");
        assert_eq!(answer.details(), ["scores[0].metric_id"]);
        let orders = json!({ "orders": [{ "id": other, "urutan": 1 }] });
        let answer = admin.put("/api/v1/admin/assessment-metrics/reorder", &orders).await;
        answer.fails(400, "VALIDATION_ERROR");
        assert_eq!(answer.details(), ["orders[0].id"]);
    }
}
