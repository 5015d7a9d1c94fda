//! The start page of the back office.

use serde_json::json;

use crate::support::TestApp;

const STATS: &str = "/api/v1/admin/dashboard/stats";

#[tokio::test]
async fn the_numbers_are_those_of_the_rows_that_are_not_deleted() {
    let app = TestApp::spawn().await;
    let (kelas, _) = app.kelas().await;
    let siti = app.user(json!({ "username": "siti", "kelas_id": kelas })).await;
    let budi = app.user(json!({ "username": "budi", "role": "alumni" })).await;
    siti.draft("Rancangan").await;
    siti.submitted("Menunggu").await;
    siti.published("Terbit", app.admin()).await;
    let gone = siti.draft("Hilang").await;
    siti.delete(&gone.path("")).await.data(200);
    budi.submitted("Ikut hilang").await;
    app.sql("update users set created_at = created_at - interval '40 days' where username = 'siti'").await;
    let stats = app.admin().get(STATS).await.data(200);
    assert_eq!(stats["users"], json!({ "total": 3, "students": 1, "alumni": 1, "admins": 1, "new_this_month": 2 }));
    let expected = json!({
        "total": 4, "published": 1, "pending_review": 2, "draft": 1, "rejected": 0, "archived": 0, "new_this_month": 4,
    });
    assert_eq!(stats["portfolios"], expected);
    assert_eq!(
        (&stats["jurusan"]["total"], &stats["kelas"]),
        (&json!(1), &json!({ "total": 1, "active_tahun_ajaran": 1 }))
    );
    assert_eq!(stats["recent_users"][0]["username"], "budi");
    assert_eq!(stats["recent_users"][2]["kelas_nama"], "XII-RPL-A");
    assert_eq!(stats["recent_pending_portfolios"][0]["user_username"], "budi");
    app.delete_account(&budi).await;
    let stats = app.admin().get(STATS).await.data(200);
    assert_eq!((&stats["portfolios"]["total"], &stats["users"]["alumni"]), (&json!(3), &json!(0)));
}

#[tokio::test]
async fn a_moderator_gets_the_number_that_waits_and_nothing_else() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    siti.submitted("Menunggu").await;
    let moderator = app.holder("tata", &["moderation"]).await;
    let stats = moderator.get(STATS).await.data(200);
    assert_eq!((&stats["portfolios"]["pending_review"], &stats["portfolios"]["total"]), (&json!(1), &json!(0)));
    assert_eq!((&stats["users"]["total"], &stats["recent_users"]), (&json!(0), &json!([])));
    assert_eq!(stats["recent_pending_portfolios"], json!([]));
}
