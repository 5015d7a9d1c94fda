//! What portfolios are scored by.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{TestApp, User};

const METRICS: &str = "/api/v1/admin/assessment-metrics";
const REORDER: &str = "/api/v1/admin/assessment-metrics/reorder";

async fn metric(user: &User, nama: &str) -> Value {
    user.post(METRICS, &json!({ "nama": nama })).await.data(201)
}

fn at(metric: &Value) -> String {
    format!("{METRICS}/{}", metric["id"].as_str().unwrap())
}

/// Names with their places, as listed.
async fn listed(user: &User) -> Vec<(String, i64)> {
    let data = user.get(METRICS).await.data(200);
    let list = data.as_array().unwrap();
    list.iter().map(|one| (one["nama"].as_str().unwrap().to_owned(), one["urutan"].as_i64().unwrap())).collect()
}

fn places(list: &[(&str, i64)]) -> Vec<(String, i64)> {
    list.iter().map(|(nama, urutan)| ((*nama).to_owned(), *urutan)).collect()
}

#[tokio::test]
async fn a_new_metric_stands_behind_all_others() {
    let app = TestApp::spawn().await;
    let tata = app.holder("tata", &["assessment_metrics"]).await;
    let body = json!({ "nama": "  Kreativitas ", "deskripsi": "  Ide\nbaru ", "urutan": 9, "is_active": false });
    let first = tata.post(METRICS, &body).await.data(201);
    let expected = json!({
        "id": first["id"], "nama": "Kreativitas", "deskripsi": "Ide\nbaru", "urutan": 1, "is_active": true,
        "created_at": first["created_at"], "updated_at": first["created_at"],
    });
    assert_eq!(first, expected);
    let second = tata.post(METRICS, &json!({ "nama": "Teknik", "deskripsi": " " })).await.data(201);
    assert_eq!((&second["urutan"], &second["deskripsi"]), (&json!(2), &json!(null)));
    assert_eq!(tata.get(METRICS).await.data(200), json!([first, second]));
    tata.put(REORDER, &json!({ "orders": [{ "id": first["id"], "urutan": 40 }] })).await.data(200);
    assert_eq!(metric(&tata, "Penyajian").await["urutan"], 41);
    let audited = "select count(*) from audit_log where action = 'assessment_metric.create'";
    assert_eq!(app.count(audited).await, 3);
}

#[tokio::test]
async fn metrics_created_at_once_get_different_places() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let at_once: Vec<_> = (0..8)
        .map(|n| {
            let admin = admin.clone();
            tokio::spawn(async move { metric(&admin, &format!("Metrik {n}")).await["urutan"].as_i64().unwrap() })
        })
        .collect();
    let mut places = Vec::new();
    for one in at_once {
        places.push(one.await.unwrap());
    }
    places.sort_unstable();
    assert_eq!(places, [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[tokio::test]
async fn names_differ_by_more_than_case_among_metrics_that_are_not_deleted() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let first = metric(admin, "Kreativitas").await;
    let second = metric(admin, "Teknik").await;
    admin.post(METRICS, &json!({ "nama": "KREATIVITAS" })).await.fails(409, "DUPLICATE_METRIC");
    admin.patch(&at(&second), &json!({ "nama": "kreativitas" })).await.fails(409, "DUPLICATE_METRIC");
    admin.patch(&at(&first), &json!({ "nama": "kreativitas" })).await.data(200);
    admin.delete(&at(&first)).await.data(200);
    admin.patch(&at(&second), &json!({ "nama": "Kreativitas" })).await.data(200);

    let at_once = (0..6).map(|_| {
        let admin = admin.clone();
        tokio::spawn(async move { admin.post(METRICS, &json!({ "nama": "Sama" })).await })
    });
    let mut created = 0;
    for one in at_once.collect::<Vec<_>>() {
        let answer = one.await.unwrap();
        if answer.status == 201 { created += 1 } else { answer.fails(409, "DUPLICATE_METRIC") }
    }
    assert_eq!(created, 1);
}

#[tokio::test]
async fn bad_fields_are_refused_when_a_metric_is_created_and_when_it_is_changed() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let known = metric(admin, "Kreativitas").await;
    for nama in [json!(""), json!("x"), json!("x".repeat(101)), json!("a\u{0}b"), json!(" y ")] {
        let body = json!({ "nama": nama });
        assert_eq!(admin.post(METRICS, &body).await.broken(), ["nama"], "{nama}");
        assert_eq!(admin.patch(&at(&known), &body).await.broken(), ["nama"], "{nama}");
    }
    let both = json!({ "nama": "x", "deskripsi": "x".repeat(1001) });
    assert_eq!(admin.post(METRICS, &both).await.broken(), ["nama", "deskripsi"]);
    assert_eq!(admin.patch(&at(&known), &both).await.broken(), ["nama", "deskripsi"]);
    for nothing in [json!({}), json!({ "nama": null })] {
        assert_eq!(admin.post(METRICS, &nothing).await.broken(), ["nama"]);
    }
    for body in [json!({ "nama": 1 }), json!({ "nama": "Baik", "deskripsi": [] }), json!([])] {
        admin.post(METRICS, &body).await.fails(400, "VALIDATION_ERROR");
        admin.patch(&at(&known), &body).await.fails(400, "VALIDATION_ERROR");
    }
    for body in [json!({ "is_active": "true" }), json!({ "is_active": 1 })] {
        admin.patch(&at(&known), &body).await.fails(400, "VALIDATION_ERROR");
    }
    let longest = json!({ "nama": "é".repeat(100), "deskripsi": "é".repeat(1000) });
    admin.patch(&at(&known), &longest).await.data(200);
    admin.post(METRICS, &json!({ "nama": "ab" })).await.data(201);
}

#[tokio::test]
async fn a_change_touches_what_was_sent() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let body = json!({ "nama": "Kreativitas", "deskripsi": "Ide baru" });
    let metric = admin.post(METRICS, &body).await.data(201);
    for nothing in [json!({}), json!({ "nama": null, "is_active": null }), json!({ "lain": 1 }), body] {
        assert_eq!(admin.patch(&at(&metric), &nothing).await.data(200), metric, "{nothing}");
    }
    assert_eq!(app.count("select count(*) from audit_log where action = 'assessment_metric.update'").await, 0);
    let off = admin.patch(&at(&metric), &json!({ "is_active": false })).await.data(200);
    let mut expected = metric.clone();
    expected["is_active"] = json!(false);
    expected["updated_at"] = off["updated_at"].clone();
    assert_eq!(off, expected);
    assert_ne!(off["updated_at"], metric["updated_at"]);
    for clear in [json!(null), json!(" ")] {
        admin.patch(&at(&metric), &json!({ "deskripsi": "Ada" })).await.data(200);
        let cleared = admin.patch(&at(&metric), &json!({ "deskripsi": clear })).await.data(200);
        assert_eq!((&cleared["deskripsi"], &cleared["nama"]), (&json!(null), &json!("Kreativitas")));
    }
    admin.patch(&format!("{METRICS}/{}", Uuid::nil()), &json!({})).await.fails(404, "NOT_FOUND");
    admin.patch(&format!("{METRICS}/x"), &json!({})).await.fails(400, "VALIDATION_ERROR");
}

#[tokio::test]
async fn assessors_read_the_metrics_in_their_order_and_the_active_ones_on_request() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let assessor = app.holder("tata", &["assessments"]).await;
    assert_eq!(assessor.get(METRICS).await.data(200), json!([]));
    let (a, b, c) = (metric(admin, "Aa").await, metric(admin, "Bb").await, metric(admin, "Cc").await);
    let gone = metric(admin, "Dd").await;
    admin.delete(&at(&gone)).await.data(200);
    admin.patch(&at(&b), &json!({ "is_active": false })).await.data(200);
    // Of equal places the older one comes first.
    app.sql("update assessment_metrics set urutan = 5 where nama in ('Aa', 'Bb')").await;
    assert_eq!(listed(&assessor).await, places(&[("Cc", 3), ("Aa", 5), ("Bb", 5)]));
    let names = async |query: &str| assessor.get(&format!("{METRICS}{query}")).await.column("nama");
    for yes in ["?active_only=true", "?active_only=1"] {
        assert_eq!(names(yes).await, ["Cc", "Aa"]);
    }
    for no in ["?active_only=false", "?active_only=0", "?active_only=", ""] {
        assert_eq!(names(no).await, ["Cc", "Aa", "Bb"]);
    }
    assessor.get(&format!("{METRICS}?active_only=ya")).await.fails(400, "VALIDATION_ERROR");
    assessor.post(METRICS, &json!({ "nama": "Baru" })).await.fails(403, "FORBIDDEN");
    for path in [&at(&a), &at(&c)] {
        assessor.patch(path, &json!({})).await.fails(403, "FORBIDDEN");
    }
}

#[tokio::test]
async fn an_order_is_given_to_all_that_it_names_or_to_none() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let (a, b, c) = (metric(admin, "Aa").await, metric(admin, "Bb").await, metric(admin, "Cc").await);
    let orders = json!({ "orders": [{ "id": c["id"], "urutan": 0 }, { "id": a["id"], "urutan": 10000 }] });
    assert_eq!(admin.put(REORDER, &orders).await.data(200), json!(null));
    let ordered = places(&[("Cc", 0), ("Bb", 2), ("Aa", 10000)]);
    assert_eq!(listed(admin).await, ordered);
    let deleted = metric(admin, "Dd").await;
    admin.delete(&at(&deleted)).await.data(200);
    for unknown in [json!(Uuid::nil()), deleted["id"].clone()] {
        let orders = json!({ "orders": [{ "id": b["id"], "urutan": 7 }, { "id": unknown, "urutan": 8 }] });
        admin.put(REORDER, &orders).await.fails(404, "NOT_FOUND");
    }
    let (id, many) = (&b["id"], (0..201).map(|n| json!({ "id": Uuid::now_v7(), "urutan": n })).collect::<Vec<_>>());
    for (orders, fields) in [
        (json!([]), vec!["orders"]),
        (json!(null), vec!["orders"]),
        (json!(many), vec!["orders"]),
        (json!([{ "id": id, "urutan": 1 }, { "id": id, "urutan": 2 }]), vec!["orders[1].id"]),
        (json!([{ "id": id, "urutan": 1 }, { "id": c["id"], "urutan": 1 }]), vec!["orders[1].urutan"]),
        (
            json!([{ "id": id, "urutan": -1 }, { "id": c["id"], "urutan": 10001 }]),
            vec!["orders[0].urutan", "orders[1].urutan"],
        ),
        (json!([{}]), vec!["orders[0].id", "orders[0].urutan"]),
    ] {
        assert_eq!(admin.put(REORDER, &json!({ "orders": orders })).await.broken(), fields, "{orders}");
    }
    for orders in [json!([{ "id": "x", "urutan": 1 }]), json!([{ "id": id, "urutan": 1.5 }]), json!({}), json!([1])] {
        admin.put(REORDER, &json!({ "orders": orders })).await.fails(400, "VALIDATION_ERROR");
    }
    assert_eq!(listed(admin).await, ordered, "nothing of these was done");
    let all: Vec<Value> = many.iter().take(200).cloned().collect();
    admin.put(REORDER, &json!({ "orders": all })).await.fails(404, "NOT_FOUND");
}

#[tokio::test]
async fn only_a_metric_without_scores_is_deleted() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let siti = app.student("siti").await;
    let work = siti.published("Karya", admin).await;
    let (used, unused) = (metric(admin, "Dipakai").await, metric(admin, "Bebas").await);
    let assessment = format!("/api/v1/admin/assessments/{}", work.id);
    admin.post(&assessment, &json!({ "scores": [{ "metric_id": used["id"], "score": 8 }] })).await.data(201);
    assert_eq!(admin.delete(&at(&unused)).await.data(200), json!(null));
    for gone in [&at(&unused), &format!("{METRICS}/{}", Uuid::nil())] {
        admin.delete(gone).await.fails(404, "NOT_FOUND");
        admin.patch(gone, &json!({ "is_active": false })).await.fails(404, "NOT_FOUND");
    }
    admin.delete(&format!("{METRICS}/x")).await.fails(400, "VALIDATION_ERROR");
    siti.act(&work.path("/archive")).await.data(200);
    admin.delete(&at(&used)).await.fails(409, "METRIC_IN_USE");
    admin.delete(&assessment).await.data(200);
    admin.delete(&at(&used)).await.data(200);
    assert_eq!(app.count("select count(*) from assessment_metrics where deleted_at is not null").await, 2);
}

#[tokio::test]
async fn of_a_deletion_and_a_save_that_uses_the_metric_exactly_one_succeeds() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let work = app.student("siti").await.published("Karya", admin).await;
    let assessment = format!("/api/v1/admin/assessments/{}", work.id);
    for round in 0..12 {
        let metric = metric(admin, &format!("Metrik {round}")).await;
        let body = json!({ "scores": [{ "metric_id": metric["id"], "score": 8 }] });
        let path = at(&metric);
        let (deleted, saved) = tokio::join!(admin.delete(&path), admin.post(&assessment, &body));
        match (deleted.status, saved.status) {
            (200, 422) => assert_eq!(saved.broken(), ["scores[0].metric_id"]),
            (409, 200 | 201) => deleted.fails(409, "METRIC_IN_USE"),
            other => panic!("{other:?}"),
        }
    }
    let orphans = "select count(*)
                   from assessment_scores s join assessment_metrics m on m.id = s.metric_id
                   where m.deleted_at is not null";
    assert_eq!(app.count(orphans).await, 0);
}

#[tokio::test]
async fn every_error_of_the_three_writes_says_its_message_at_the_top_as_well() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let siti = app.student("siti").await;
    let known = metric(admin, "Kreativitas").await;
    let nobody = format!("{METRICS}/{}", Uuid::nil());
    let (body, bad) = (json!({ "nama": "kreativitas" }), json!({ "nama": 1 }));
    let answers = [
        admin.post(METRICS, &body).await,
        admin.post(METRICS, &json!({})).await,
        admin.post(METRICS, &bad).await,
        admin.raw(Method::POST, METRICS, "application/json", "{").await,
        siti.post(METRICS, &body).await,
        admin.patch(&nobody, &body).await,
        admin.patch(&at(&known), &bad).await,
        admin.patch(&at(&known), &json!({ "nama": "" })).await,
        siti.patch(&at(&known), &body).await,
        admin.delete(&nobody).await,
        siti.delete(&at(&known)).await,
        app.guest(Method::DELETE, &at(&known), &[]).await,
    ];
    for answer in answers {
        assert!(answer.status >= 400, "{}", answer.body);
        let message = answer.body["message"].as_str().unwrap();
        assert!(!message.is_empty() && answer.body["error"]["message"] == message, "{}", answer.body);
    }
}

#[tokio::test]
async fn the_place_of_a_deleted_last_metric_is_given_again() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    metric(admin, "Satu").await;
    let last = metric(admin, "Dua").await;
    admin.delete(&at(&last)).await.data(200);
    assert_eq!(metric(admin, "Tiga").await["urutan"], 2);
    assert_eq!(listed(admin).await, places(&[("Satu", 1), ("Tiga", 2)]));
}

#[tokio::test]
async fn a_metric_is_looked_for_before_the_body_is_read() {
    let app = TestApp::spawn().await;
    let nowhere = format!("{METRICS}/{}", Uuid::nil());
    app.admin().raw(Method::PATCH, &nowhere, "application/json", "{").await.fails(404, "NOT_FOUND");
    let there = at(&metric(app.admin(), "Satu").await);
    app.admin().raw(Method::PATCH, &there, "application/json", "{").await.fails(400, "VALIDATION_ERROR");
}

#[tokio::test]
async fn metrics_of_one_place_and_moment_stand_in_the_order_of_ids() {
    let app = TestApp::spawn().await;
    app.sql(
        "insert into assessment_metrics (id, nama, urutan, created_at)
         select gen_random_uuid(), 'Metrik ' || n, 1, '2026-01-01' from generate_series(1, 12) n",
    )
    .await;
    let ids = app.admin().get(METRICS).await.column("id");
    assert!(ids.len() == 12 && ids.is_sorted(), "{ids:?}");
}
