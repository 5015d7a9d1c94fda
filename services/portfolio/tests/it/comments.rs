use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Portfolio, TestApp, User};

fn path(portfolio: &Portfolio) -> String {
    portfolio.path("/comments")
}

async fn say(user: &User, portfolio: &Portfolio, content: &str, parent: Option<&str>) -> String {
    let body = json!({ "content": content, "parent_id": parent });
    user.post(&path(portfolio), &body).await.data(201)["id"].as_str().unwrap().to_owned()
}

async fn told(app: &TestApp) -> Vec<(String, String)> {
    sqlx::query_as(
        "select u.username, n.kind
         from notifications n join users u on u.id = n.user_id
         where n.kind in ('new_comment', 'reply_comment')
         order by 1, 2",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap()
}

/// Contents with those of the replies in parentheses.
fn shape(comments: &Value) -> String {
    let list = comments.as_array().unwrap();
    list.iter()
        .map(|comment| format!("{}({})", comment["content"].as_str().unwrap(), shape(&comment["children"])))
        .collect::<Vec<_>>()
        .concat()
}

async fn school(changes: &[(&str, &str)]) -> (TestApp, User, User, User) {
    let app = TestApp::with(changes).await;
    let (siti, budi, wati) = (app.student("siti").await, app.student("budi").await, app.student("wati").await);
    (app, siti, budi, wati)
}

#[tokio::test]
async fn a_comment_is_answered_as_it_will_be_listed() {
    let (app, siti, budi, _) = school(&[]).await;
    let work = siti.published("Karya", app.admin()).await;
    let body = json!({ "content": "  Keren!\n<b>Sekali</b> ", "portfolio_id": Uuid::nil() });
    let comment = budi.post(&path(&work), &body).await.data(201);
    let expected = json!({
        "id": comment["id"], "portfolio_id": work.id, "parent_id": null, "content": "Keren!\n<b>Sekali</b>",
        "created_at": comment["created_at"], "updated_at": comment["created_at"],
        "user": {
            "id": budi.id, "username": "budi", "nama": "Nama budi", "avatar_url": null, "role": "student",
        },
        "children": [],
    });
    assert_eq!(comment, expected);
    let list = app.get(&path(&work)).await;
    assert_eq!(list.data(200), json!([expected]));
    let meta = json!({ "current_page": 1, "per_page": 50, "total_pages": 1, "total_count": 1 });
    assert_eq!(list.body["meta"], meta);
}

#[tokio::test]
async fn threads_are_five_levels_deep_and_pages_count_their_beginnings() {
    let (app, siti, budi, wati) = school(&[]).await;
    let work = siti.published("Karya", app.admin()).await;
    let mut parent = say(&budi, &work, "1", None).await;
    let second = say(&wati, &work, "a", None).await;
    for level in ["2", "3", "4", "5"] {
        parent = say(&siti, &work, level, Some(&parent)).await;
    }
    let too_deep = json!({ "content": "6", "parent_id": parent });
    assert_eq!(budi.post(&path(&work), &too_deep).await.broken(), ["parent_id"]);
    say(&budi, &work, "b", Some(&second)).await;
    say(&siti, &work, "c", Some(&second)).await;
    let all = app.get(&path(&work)).await;
    assert_eq!(shape(&all.data(200)), "1(2(3(4(5()))))a(b()c())");
    assert_eq!(all.body["meta"]["total_count"], 2);
    let page = app.get(&format!("{}?limit=1&page=2", path(&work))).await;
    assert_eq!(shape(&page.data(200)), "a(b()c())");
    assert_eq!((&page.body["meta"]["total_count"], &page.body["meta"]["total_pages"]), (&json!(2), &json!(2)));
    let odd = app.get(&format!("{}?limit=5000&page=0", path(&work))).await;
    assert_eq!((&odd.body["meta"]["per_page"], &odd.body["meta"]["current_page"]), (&json!(100), &json!(1)));
}

#[tokio::test]
async fn bad_comments_are_refused_and_do_not_count_as_written() {
    let (app, siti, budi, _) = school(&[("LIMIT_COMMENTS", "2/60")]).await;
    let work = siti.published("Karya", app.admin()).await;
    let other = siti.published("Lain", app.admin()).await;
    let draft = siti.written("Draf").await;
    let foreign = say(&siti, &other, "x", None).await;
    let comments = path(&work);
    for content in [json!(null), json!(" "), json!("x".repeat(2001)), json!("a\u{0}b")] {
        assert_eq!(budi.post(&comments, &json!({ "content": content })).await.broken(), ["content"]);
    }
    for body in [json!({ "content": 1 }), json!({ "content": "x", "parent_id": "x" }), json!([])] {
        budi.post(&comments, &body).await.fails(400, "VALIDATION_ERROR");
    }
    for parent in [json!(Uuid::nil()), json!(foreign)] {
        let body = json!({ "content": "x", "parent_id": parent });
        budi.post(&comments, &body).await.fails(404, "COMMENT_NOT_FOUND");
    }
    let body = json!({ "content": "x" });
    budi.post(&path(&draft), &body).await.fails(404, "PORTFOLIO_NOT_FOUND");
    app.get(&path(&draft)).await.fails(404, "PORTFOLIO_NOT_FOUND");
    budi.get("/api/v1/portfolios/x/comments").await.fails(400, "VALIDATION_ERROR");
    siti.post(&path(&draft), &body).await.fails(400, "INVALID_STATUS");
    assert_eq!(siti.get(&path(&draft)).await.data(200), json!([]));
    app.guest(reqwest::Method::POST, &comments, &[]).await.fails(401, "UNAUTHORIZED");

    budi.post(&comments, &json!({ "content": "x".repeat(2000) })).await.data(201);
    budi.post(&comments, &body).await.data(201);
    let late = budi.post(&comments, &body).await;
    late.fails(429, "TOO_MANY_REQUESTS");
    assert!(late.headers.contains_key("retry-after"));
    siti.post(&comments, &body).await.data(201);
}

#[tokio::test]
async fn by_default_ten_comments_a_minute_are_written_also_at_once() {
    let (app, siti, budi, _) = school(&[]).await;
    let work = siti.published("Karya", app.admin()).await;
    let requests: Vec<_> = (0..14)
        .map(|_| {
            let (budi, path) = (budi.clone(), path(&work));
            tokio::spawn(async move { budi.post(&path, &json!({ "content": "x" })).await.status })
        })
        .collect();
    let mut written = 0;
    for request in requests {
        match request.await.unwrap() {
            201 => written += 1,
            status => assert_eq!(status, 429),
        }
    }
    assert_eq!(written, 10);
    assert_eq!(app.count("select count(*) from comments").await, 10);
}

#[tokio::test]
async fn owner_and_author_of_the_parent_are_told_once_and_nobody_of_himself() {
    let (app, siti, budi, wati) = school(&[]).await;
    let work = siti.published("Karya", app.admin()).await;
    let news = |list: &[(&str, &str)]| -> Vec<(String, String)> {
        list.iter().map(|(user, kind)| ((*user).to_owned(), (*kind).to_owned())).collect()
    };
    let forget = "delete from notifications";
    app.sql(forget).await;

    let of_budi = say(&budi, &work, "Keren", None).await;
    assert_eq!(told(&app).await, news(&[("siti", "new_comment")]));
    app.sql(forget).await;
    let of_siti = say(&siti, &work, "Terima kasih", Some(&of_budi)).await;
    assert_eq!(told(&app).await, news(&[("budi", "reply_comment")]), "the owner knows what he writes");
    app.sql(forget).await;
    say(&wati, &work, "Setuju", Some(&of_budi)).await;
    assert_eq!(told(&app).await, news(&[("budi", "reply_comment"), ("siti", "new_comment")]));
    app.sql(forget).await;
    let to_owner = say(&budi, &work, "Sama-sama", Some(&of_siti)).await;
    assert_eq!(told(&app).await, news(&[("siti", "reply_comment")]), "once, though it is his work as well");
    let data: Value = sqlx::query_scalar("select data from notifications").fetch_one(&app.pool).await.unwrap();
    let expected = json!({
        "actor_id": budi.id, "portfolio_id": work.id, "portfolio_slug": "karya", "portfolio_judul": "Karya",
        "portfolio_owner_username": "siti", "comment_id": to_owner, "parent_comment_id": of_siti,
    });
    assert_eq!(data, expected);
    app.sql(forget).await;
    say(&siti, &work, "Catatan", None).await;
    say(&siti, &work, "Lagi", Some(&of_siti)).await;
    assert_eq!(told(&app).await, news(&[]));
    app.deactivate(&budi).await;
    say(&wati, &work, "Halo?", Some(&of_budi)).await;
    assert_eq!(told(&app).await, news(&[("siti", "new_comment")]), "a deactivated account is told nothing");
}

#[tokio::test]
async fn a_comment_goes_with_its_replies_and_what_was_told_of_them() {
    let (app, siti, budi, wati) = school(&[]).await;
    let work = siti.published("Karya", app.admin()).await;
    let root = say(&budi, &work, "1", None).await;
    let reply = say(&wati, &work, "2", Some(&root)).await;
    say(&siti, &work, "3", Some(&reply)).await;
    let other = say(&wati, &work, "a", None).await;
    let at = |id: &str| format!("/api/v1/comments/{id}");
    budi.delete(&at(&reply)).await.fails(403, "FORBIDDEN");
    app.guest(reqwest::Method::DELETE, &at(&root), &[]).await.fails(401, "UNAUTHORIZED");
    assert_eq!(budi.delete(&at(&root)).await.data(200), json!(null));
    assert_eq!(shape(&app.get(&path(&work)).await.data(200)), "a()");
    let left: Vec<Value> = sqlx::query_scalar("select data from notifications where data ? 'comment_id'")
        .fetch_all(&app.pool)
        .await
        .unwrap();
    assert!(left.len() == 1 && left[0]["comment_id"] == json!(other), "{left:?}");
    for gone in [&root, &reply] {
        budi.delete(&at(gone)).await.fails(404, "COMMENT_NOT_FOUND");
        let body = json!({ "content": "x", "parent_id": gone });
        budi.post(&path(&work), &body).await.fails(404, "COMMENT_NOT_FOUND");
    }
    budi.delete(&at(&Uuid::nil().to_string())).await.fails(404, "COMMENT_NOT_FOUND");
    budi.delete(&at("x")).await.fails(400, "VALIDATION_ERROR");
}

#[tokio::test]
async fn owner_admin_and_moderators_delete_comments_of_others() {
    let (app, siti, budi, wati) = school(&[]).await;
    let work = siti.published("Karya", app.admin()).await;
    let moderator = app.holder("tata", &["moderation"]).await;
    let manager = app.holder("tono", &["portfolios", "users"]).await;
    for user in [&siti, &moderator, app.admin()] {
        let comment = format!("/api/v1/comments/{}", say(&budi, &work, "x", None).await);
        for other in [&wati, &manager] {
            other.delete(&comment).await.fails(403, "FORBIDDEN");
        }
        user.delete(&comment).await.data(200);
    }
    let comment = format!("/api/v1/comments/{}", say(&budi, &work, "x", None).await);
    siti.delete(&work.path("")).await.data(200);
    budi.delete(&comment).await.fails(404, "COMMENT_NOT_FOUND");
}

#[tokio::test]
async fn what_a_deleted_or_deactivated_account_wrote_stays_without_its_name() {
    let (app, siti, budi, wati) = school(&[]).await;
    let work = siti.published("Karya", app.admin()).await;
    let root = say(&budi, &work, "1", None).await;
    say(&wati, &work, "2", Some(&root)).await;
    app.deactivate(&wati).await;
    app.delete_account(&budi).await;
    let list = app.get(&path(&work)).await.data(200);
    assert_eq!(shape(&list), "1(2())");
    assert_eq!((&list[0]["user"], &list[0]["children"][0]["user"]), (&json!(null), &json!(null)));
    app.reactivate(&wati).await;
    assert_eq!(app.get(&path(&work)).await.data(200)[0]["children"][0]["user"]["username"], "wati");
}

#[tokio::test]
async fn a_reply_and_the_deletion_of_its_thread_at_once_leave_no_orphan() {
    let (app, siti, budi, wati) = school(&[("LIMIT_COMMENTS", "1000/60")]).await;
    let work = siti.published("Karya", app.admin()).await;
    for _ in 0..8 {
        let root = say(&budi, &work, "1", None).await;
        let child = say(&wati, &work, "2", Some(&root)).await;
        let replies: Vec<_> = [(&siti, &root), (&wati, &root), (&siti, &child), (&wati, &child)]
            .into_iter()
            .map(|(user, parent)| {
                let (user, path) = (user.clone(), path(&work));
                let body = json!({ "content": "x", "parent_id": parent });
                tokio::spawn(async move {
                    let answer = user.post(&path, &body).await;
                    if answer.status == 404 { answer.fails(404, "COMMENT_NOT_FOUND") } else { drop(answer.data(201)) }
                })
            })
            .collect();
        budi.delete(&format!("/api/v1/comments/{root}")).await.data(200);
        for reply in replies {
            reply.await.unwrap();
        }
    }
    assert_eq!(app.count("select count(*) from comments where deleted_at is null").await, 0);
    assert_eq!(app.count("select count(*) from notifications where data ? 'comment_id'").await, 0);
    assert_eq!(app.get(&path(&work)).await.data(200), json!([]));
}
