//! Pictures that an admin uploads in the user form: they become the target's, and the admin's own come back.

use grafikarsa_devstack::testing::Stack;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    files,
    support::{Answer, Person, Promise, TestApp, eventually},
};

const USERS: &str = "/api/v1/admin/users";

fn url_of(app: &TestApp, promise: &Promise) -> String {
    format!("{}/{}", app.stack.env_of("media")["STORAGE_PUBLIC_URL"], promise.key)
}

async fn create(app: &TestApp, username: &str, pictures: &Value) -> Answer {
    let mut body = json!({
        "username": username, "email": format!("{username}@sekolah.sch.id"), "password": "rahasia-sekali",
        "nama": format!("Siswa {username}"),
    });
    body.as_object_mut().unwrap().extend(pictures.as_object().unwrap().clone());
    app.door(Method::POST, USERS, Some(&app.admin)).json(&body).send().await
}

async fn own(app: &TestApp, who: &Person) -> Value {
    app.door(Method::GET, "/api/v1/me", Some(who)).send().await.body["data"].clone()
}

/// The key at the end of an address.
fn key(url: &Value) -> String {
    url.as_str().unwrap().rsplitn(4, '/').take(3).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn the_new_user_gets_a_copy_and_the_admins_own_pictures_return() {
    let app = TestApp::spawn().await;
    let before = app.upload(&app.admin, "avatar", "image/png", &files::png(60, 60), None).await;
    // Two in a row: the admin's own is the one before both.
    for (username, side) in [("budi", 300), ("siti", 400)] {
        let avatar = app.upload(&app.admin, "avatar", "image/jpeg", &files::png(side, side), None).await;
        let banner = app.upload(&app.admin, "banner", "image/png", &files::png(side, 50), None).await;
        let pictures = json!({ "avatar_url": url_of(&app, &avatar), "banner_url": url_of(&app, &banner) });
        let created = create(&app, username, &pictures).await;
        assert_eq!(created.status, 201, "{created:?}");
        let user = &created.body["data"];
        let copy = key(&user["avatar_url"]);
        assert!(copy.starts_with(&format!("avatars/{}/", user["id"].as_str().unwrap())));
        assert_eq!(copy.rsplit('.').next(), Some("jpg"));
        assert_eq!(app.storage(&copy).await.bytes, app.storage(&avatar.key).await.bytes);
        assert_eq!(app.storage(&copy).await.header("content-type"), "image/png");
        for form in ["*/*", "image/webp"] {
            let small = app.storage_with(Method::GET, &format!("{copy}?w=128"), &[("accept", form)]).await;
            assert_eq!(image::load_from_memory(&small.bytes).unwrap().width(), 128);
        }
        assert_eq!(app.storage(&key(&user["banner_url"])).await.status, 200);
        let me = own(&app, &app.admin).await;
        assert_eq!((&me["avatar_url"], &me["banner_url"]), (&json!(url_of(&app, &before)), &Value::Null));
    }
    let made = "select count(*) from variants v join objects o using (object_key) where o.kind = 'avatar'";
    assert_eq!(app.count(made).await, 12, "copies bring their renderings along");

    // What was given away goes, and what was got stays.
    let released = "select count(*) from objects where released_at is not null";
    eventually("what was given is released", async || app.count(released).await >= 4).await;
    app.sql("update objects set look_again_at = now() - interval '1 minute'").await;
    app.sweep("unreferenced").await;
    assert_eq!(app.count("select count(*) from objects where deleted_at is null").await, 5);
    assert_eq!(app.storage(&before.key).await.status, 200);
}

#[tokio::test]
async fn a_picture_is_given_once_and_by_its_owner_alone() {
    let app = TestApp::spawn().await;
    let avatar = app.upload(&app.admin, "avatar", "image/png", &files::png(60, 60), None).await;
    let pictures = json!({ "avatar_url": url_of(&app, &avatar) });
    assert_eq!(create(&app, "budi", &pictures).await.status, 201);
    assert_eq!(create(&app, "siti", &pictures).await.error(), (422, "VALIDATION_ERROR"));
    let rara = app.student("rara").await;
    let theirs = app.upload(&rara, "avatar", "image/png", &files::png(60, 60), None).await;
    let pictures = json!({ "avatar_url": url_of(&app, &theirs) });
    assert_eq!(create(&app, "siti", &pictures).await.error(), (422, "VALIDATION_ERROR"));
}

#[tokio::test]
async fn a_picture_can_be_given_before_portfolio_has_heard_of_it() {
    let mut app = TestApp::on(Stack::with_own_servers().await).await;
    let before = app.upload(&app.admin, "avatar", "image/png", &files::png(60, 60), None).await;
    app.stack.own.nats.as_mut().unwrap().kill().await.unwrap();
    let avatar = app.upload(&app.admin, "avatar", "image/png", &files::png(70, 70), None).await;
    let created = create(&app, "budi", &json!({ "avatar_url": url_of(&app, &avatar) })).await;
    assert_eq!(created.status, 201, "{created:?}");
    app.stack.own.nats.as_mut().unwrap().restart().await.unwrap();
    let portfolio = app.stack.pool("portfolio").await;
    eventually("the event has filled in the rest", async || {
        let known = "select count(*) from media_objects where object_key = $1 and width = 70";
        sqlx::query_scalar::<_, i64>(known).bind(&avatar.key).fetch_one(&portfolio).await.unwrap() == 1
    })
    .await;
    assert_eq!(own(&app, &app.admin).await["avatar_url"], json!(url_of(&app, &before)));
}

#[tokio::test]
async fn without_media_nobody_is_created() {
    let mut app = TestApp::spawn().await;
    let avatar = app.upload(&app.admin, "avatar", "image/png", &files::png(60, 60), None).await;
    let pictures = json!({ "avatar_url": url_of(&app, &avatar) });
    app.media.kill().await;
    assert_eq!(create(&app, "budi", &pictures).await.error(), (503, "SERVICE_UNAVAILABLE"));
    assert_eq!(own(&app, &app.admin).await["avatar_url"], pictures["avatar_url"]);
    app.media.restart().await;
    assert_eq!(create(&app, "budi", &pictures).await.status, 201);
}

#[tokio::test]
async fn a_copy_for_somebody_who_was_not_created_goes_after_a_day() {
    let app = TestApp::spawn().await;
    app.student("budi").await;
    let avatar = app.upload(&app.admin, "avatar", "image/png", &files::png(60, 60), None).await;
    let pictures = json!({ "avatar_url": url_of(&app, &avatar) });
    assert_eq!(create(&app, "budi", &pictures).await.error(), (409, "DUPLICATE_USERNAME"));
    assert_eq!(app.count("select count(*) from objects").await, 2);
    app.sql("update objects set look_again_at = now() - interval '1 minute'").await;
    app.sweep("unreferenced").await;
    assert_eq!(app.count("select count(*) from objects where deleted_at is null").await, 1);
    assert_eq!(app.storage(&avatar.key).await.status, 200);
}

#[tokio::test]
async fn a_copy_that_breaks_off_leaves_nothing() {
    let app = TestApp::spawn().await;
    let avatar = app.upload(&app.admin, "avatar", "image/png", &files::png(300, 300), None).await;
    app.sql(
        "create function refuse() returns trigger language plpgsql as $$ begin raise exception 'not now'; end $$;
         create trigger refuse before insert on objects for each row execute function refuse()",
    )
    .await;
    assert_eq!(create(&app, "budi", &json!({ "avatar_url": url_of(&app, &avatar) })).await.status, 503);
    let copy: String =
        sqlx::query_scalar("select object_key from uploads where state = 'issued'").fetch_one(&app.pool).await.unwrap();
    let written = [copy.clone(), format!("variants/64/{copy}"), format!("variants/64/{copy}.webp")];
    for key in &written {
        assert!(app.is_in_store(key).await, "{key}");
    }
    app.sql("update uploads set created_at = now() - interval '2 hours' where state = 'issued'").await;
    app.sweep("expire").await;
    app.sql("update uploads set settled_at = now() - interval '2 hours' where state = 'expired'").await;
    app.sweep("staging").await;
    for key in &written {
        assert!(!app.is_in_store(key).await, "{key}");
    }
}

#[tokio::test]
async fn a_given_picture_is_its_new_owners_to_delete() {
    let app = TestApp::spawn().await;
    let avatar = app.upload(&app.admin, "avatar", "image/png", &files::png(60, 60), None).await;
    let created = create(&app, "budi", &json!({ "avatar_url": url_of(&app, &avatar) })).await;
    let copy = key(&created.body["data"]["avatar_url"]);
    let siti = app.student("siti").await;
    let delete = async |who: &Person| {
        app.media(Method::DELETE, &format!("/api/v1/uploads/{copy}"), Some(who)).send().await.status
    };
    assert_eq!(delete(&siti).await, 403);
    let budi = app.login("budi", "rahasia-sekali").await;
    assert_eq!(delete(&budi).await, 200);
    assert_eq!(own(&app, &budi).await["avatar_url"], Value::Null);
    assert_eq!(app.storage(&copy).await.status, 404);
}

#[tokio::test]
async fn a_picture_saved_on_another_user_becomes_his_and_repeating_that_changes_nothing() {
    let app = TestApp::spawn().await;
    let budi = app.student("budi").await;
    let first = app.upload(&budi, "avatar", "image/png", &files::png(50, 50), None).await;
    let before = app.upload(&app.admin, "avatar", "image/png", &files::png(60, 60), None).await;
    let given = app.upload(&app.admin, "avatar", "image/png", &files::png(70, 70), None).await;
    let save = async |url: &Value| {
        let path = format!("{USERS}/{}", budi.id);
        app.door(Method::PATCH, &path, Some(&app.admin)).json(&json!({ "avatar_url": url })).send().await
    };
    let saved = save(&json!(url_of(&app, &given))).await;
    assert_eq!(saved.status, 200, "{saved:?}");
    let shown = saved.body["data"]["avatar_url"].clone();
    assert!(key(&shown).starts_with(&format!("avatars/{}/", budi.id)), "{shown}");
    assert_eq!(own(&app, &app.admin).await["avatar_url"], json!(url_of(&app, &before)));
    assert_eq!(own(&app, &budi).await["avatar_url"], shown);
    // The form repeats itself when a later call of its save has failed.
    for url in [json!(url_of(&app, &given)), shown.clone()] {
        let again = save(&url).await;
        assert_eq!((again.status, &again.body["data"]["avatar_url"]), (200, &shown));
    }
    let copies = "select count(*) from objects where kind = 'avatar' and deleted_at is null";
    assert_eq!(app.count(copies).await, 4);
    // One of his own, and none.
    assert_eq!(save(&json!(url_of(&app, &first))).await.body["data"]["avatar_url"], json!(url_of(&app, &first)));
    assert_eq!(save(&Value::Null).await.body["data"]["avatar_url"], Value::Null);
    // Somebody else's is nobody's to give.
    let rara = app.student("rara").await;
    let theirs = app.upload(&rara, "avatar", "image/png", &files::png(40, 40), None).await;
    assert_eq!(save(&json!(url_of(&app, &theirs))).await.error(), (422, "VALIDATION_ERROR"));
    // All but Rara's were replaced at some time; the admin's own is shown again, and stays when a sweep asks.
    let released = "select count(*) from objects where released_at is not null";
    eventually("what was replaced is released", async || app.count(released).await == 4).await;
    app.sql("update objects set look_again_at = now() - interval '1 minute'").await;
    app.sweep("unreferenced").await;
    assert_eq!(app.count(copies).await, 2);
    assert_eq!(app.storage(&before.key).await.status, 200);
}
