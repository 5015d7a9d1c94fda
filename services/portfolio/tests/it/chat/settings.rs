use serde_json::json;

use super::{chat, open, school, set};
use crate::support::TestApp;

const PATH: &str = "/api/v1/dm/settings";

#[tokio::test]
async fn the_defaults_hold_until_something_is_changed_and_reading_writes_nothing() {
    let app = TestApp::spawn().await;
    let budi = app.student("budi").await;
    let defaults = json!({ "dm_privacy": "followers", "show_read_receipts": true, "show_typing_indicator": true });
    for _ in 0..2 {
        assert_eq!(budi.get(PATH).await.data(200), defaults);
    }
    assert_eq!(budi.patch(PATH, &json!({})).await.data(200), defaults);
    let nothing = json!({ "dm_privacy": null, "show_read_receipts": null, "show_typing_indicator": null, "lain": 1 });
    assert_eq!(budi.patch(PATH, &nothing).await.data(200), defaults);
    assert_eq!(app.count("select count(*) from dm_settings").await, 0);
    let changed = budi.patch(PATH, &json!({ "show_typing_indicator": false })).await.data(200);
    let expected = json!({ "dm_privacy": "followers", "show_read_receipts": true, "show_typing_indicator": false });
    assert_eq!(changed, expected);
    for privacy in ["open", "mutual", "closed", "followers"] {
        let changed = budi.patch(PATH, &json!({ "dm_privacy": privacy })).await.data(200);
        assert_eq!((&changed["dm_privacy"], &changed["show_typing_indicator"]), (&json!(privacy), &json!(false)));
    }
    assert_eq!(budi.get(PATH).await.data(200), expected);
}

#[tokio::test]
async fn bad_settings_are_refused() {
    let app = TestApp::spawn().await;
    let budi = app.student("budi").await;
    for privacy in ["", "Open", " open", "everyone"] {
        let body = json!({ "dm_privacy": privacy, "show_read_receipts": false });
        assert_eq!(budi.patch(PATH, &body).await.broken(), ["dm_privacy"]);
    }
    for body in [json!([]), json!({ "dm_privacy": 1 }), json!({ "show_read_receipts": "true" })] {
        budi.patch(PATH, &body).await.fails(400, "VALIDATION_ERROR");
    }
    assert_eq!(app.count("select count(*) from dm_settings").await, 0);
}

#[tokio::test]
async fn changes_of_different_settings_at_once_all_stay() {
    let app = TestApp::spawn().await;
    for number in 0..5 {
        let user = app.student(&format!("siswa_{number}")).await;
        let (one, two, three) = (
            json!({ "dm_privacy": "mutual" }),
            json!({ "show_read_receipts": false }),
            json!({ "show_typing_indicator": false }),
        );
        let (one, two, three) = tokio::join!(user.patch(PATH, &one), user.patch(PATH, &two), user.patch(PATH, &three));
        for answer in [one, two, three] {
            answer.data(200);
        }
        let expected = json!({ "dm_privacy": "mutual", "show_read_receipts": false, "show_typing_indicator": false });
        assert_eq!(user.get(PATH).await.data(200), expected);
    }
}

#[tokio::test]
async fn a_change_holds_on_every_replica_at_once() {
    let (app, budi, siti) = school(&[]).await;
    let (conversation, _) = chat(&budi, &siti, "Halo").await;
    let replica = app.stack.spawn_replica("portfolio", &[]).await;
    for _ in 0..3 {
        set(&siti, json!({ "dm_privacy": "closed" })).await;
        let there = budi.at(&replica).post(&conversation.messages(), &super::text("x")).await;
        there.fails(403, "PRIVACY_RESTRICTED");
        open(&siti).await;
        conversation.say(&budi.at(&replica), "x").await;
    }
}

#[tokio::test]
async fn settings_and_blocks_have_one_limit() {
    let app = TestApp::with(&[("LIMIT_DM_CHANGES", "3/60")]).await;
    let (budi, siti) = (app.student("budi").await, app.student("siti").await);
    budi.patch(PATH, &json!({})).await.data(200);
    super::block(&budi, &siti).await;
    super::unblock(&budi, &siti).await;
    let late = budi.patch(PATH, &json!([])).await;
    late.fails(429, "TOO_MANY_REQUESTS");
    assert!(late.headers.contains_key("retry-after"));
    budi.act("/api/v1/dm/block/x").await.fails(429, "TOO_MANY_REQUESTS");
    budi.delete("/api/v1/dm/block/x").await.fails(429, "TOO_MANY_REQUESTS");
    budi.get(PATH).await.data(200);
    siti.patch(PATH, &json!({})).await.data(200);
}
