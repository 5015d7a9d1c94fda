//! Who may do what: every route on a portfolio, for every status and every kind of caller.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Answer, Portfolio, TestApp, User};

const STATUSES: [&str; 5] = ["draft", "pending_review", "rejected", "published", "archived"];
/// In this order the tables below have their columns.
const CALLERS: [&str; 7] = ["guest", "stranger", "owner", "moderator", "manager", "other holder", "admin"];

struct School {
    app: TestApp,
    owner: User,
    callers: Vec<Option<User>>,
}

/// A portfolio with a block, in any status.
struct Work {
    portfolio: Portfolio,
    block: Uuid,
}

impl School {
    async fn new() -> Self {
        let app = TestApp::with(&[("LIMIT_COMMENTS", "1000/60")]).await;
        let owner = app.student("siti").await;
        let callers = vec![
            None,
            Some(app.student("budi").await),
            Some(owner.clone()),
            Some(app.holder("tata", &["moderation"]).await),
            Some(app.holder("tono", &["portfolios"]).await),
            Some(app.holder("tuti", &["users", "tags", "series", "changelog", "feedback"]).await),
            Some(app.admin().clone()),
        ];
        Self { app, owner, callers }
    }

    async fn work(&self, status: &str) -> Work {
        let (id, block) = (Uuid::now_v7(), Uuid::now_v7());
        let slug = format!("karya-{id}");
        sqlx::query(
            "insert into portfolios (id, user_id, judul, slug, status, published_at)
             values ($1, $2, 'Karya', $3, $4, case when $4 = 'published' then now() end)",
        )
        .bind(id)
        .bind(self.owner.id)
        .bind(&slug)
        .bind(status)
        .execute(&self.app.pool)
        .await
        .unwrap();
        sqlx::query(
            "insert into content_blocks (id, portfolio_id, block_type, block_order, payload, is_empty)
             values ($1, $2, 'text', 0, '{\"content\": \"Isi\"}', false)",
        )
        .bind(block)
        .bind(id)
        .execute(&self.app.pool)
        .await
        .unwrap();
        Work { portfolio: Portfolio { id, slug }, block }
    }

    async fn call(&self, caller: Option<&User>, method: Method, path: &str, body: Option<Value>) -> Answer {
        match (caller, body) {
            (None, _) => self.app.guest(method, path, &[]).await,
            (Some(user), Some(body)) if method == Method::POST => user.post(path, &body).await,
            (Some(user), Some(body)) if method == Method::PATCH => user.patch(path, &body).await,
            (Some(user), Some(body)) => user.put(path, &body).await,
            (Some(user), None) if method == Method::GET => user.get(path).await,
            (Some(user), None) if method == Method::DELETE => user.delete(path).await,
            (Some(user), None) => user.act(path).await,
        }
    }

    /// Asks as everybody, each on a new portfolio of each status, and compares statuses with the table.
    async fn check(
        &self,
        name: &str,
        request: impl Fn(&Work) -> (Method, String, Option<Value>),
        expected: [[u16; 7]; 5],
    ) {
        for (status, row) in STATUSES.iter().zip(expected) {
            let mut found = [0; 7];
            for (caller, code) in self.callers.iter().zip(&mut found) {
                let work = self.work(status).await;
                let (method, path, body) = request(&work);
                *code = self.call(caller.as_ref(), method, &path, body).await.status;
            }
            assert_eq!(found, row, "{name} of {status} as {CALLERS:?}");
        }
    }
}

/// Routes of owner and managers.
const EDITORS: [[u16; 7]; 5] = [[401, 403, 200, 403, 200, 403, 200]; 5];

/// The same with another status of success.
fn created(table: [[u16; 7]; 5]) -> [[u16; 7]; 5] {
    table.map(|row| row.map(|status| if status == 200 { 201 } else { status }))
}

#[tokio::test]
async fn reading() {
    let school = School::new().await;
    let visible = [
        [404, 404, 200, 404, 200, 404, 200],
        [404, 404, 200, 200, 200, 404, 200],
        [404, 404, 200, 404, 200, 404, 200],
        [200, 200, 200, 200, 200, 200, 200],
        [404, 404, 200, 404, 200, 404, 200],
    ];
    let page = |work: &Work| (Method::GET, work.portfolio.page(&school.owner), None);
    school.check("the page", page, visible).await;
    let comments = |work: &Work| (Method::GET, work.portfolio.path("/comments"), None);
    school.check("comments", comments, visible).await;
    let mut by_id = EDITORS;
    by_id[1][3] = 200;
    school.check("by id", |work| (Method::GET, work.portfolio.by_id(), None), by_id).await;
}

#[tokio::test]
async fn the_portfolio_itself() {
    let school = School::new().await;
    let patch = |work: &Work| (Method::PATCH, work.portfolio.path(""), Some(json!({})));
    school.check("no change", patch, EDITORS).await;
    let patch = |work: &Work| (Method::PATCH, work.portfolio.path(""), Some(json!({ "judul": "Baru" })));
    school.check("a change", patch, EDITORS).await;
    school.check("deletion", |work| (Method::DELETE, work.portfolio.path(""), None), EDITORS).await;
}

#[tokio::test]
async fn status_changes() {
    let school = School::new().await;
    let owner_only = |status| [401, 403, status, 403, 403, 403, 403];
    let submit = [200, 400, 200, 200, 400].map(owner_only);
    school.check("submit", |work| (Method::POST, work.portfolio.path("/submit"), None), submit).await;
    let editors = |status| [401, 403, status, 403, status, 403, status];
    let archive = [400, 400, 400, 200, 400].map(editors);
    school.check("archive", |work| (Method::POST, work.portfolio.path("/archive"), None), archive).await;
    let unarchive = [400, 400, 400, 400, 200].map(editors);
    school.check("unarchive", |work| (Method::POST, work.portfolio.path("/unarchive"), None), unarchive).await;
    let reviewers = |status| [401, 403, 403, status, 403, 403, status];
    let review = [400, 200, 400, 400, 400].map(reviewers);
    let approve = |work: &Work| (Method::POST, work.portfolio.admin_path("/approve"), None);
    school.check("approve", approve, review).await;
    let reject =
        |work: &Work| (Method::POST, work.portfolio.admin_path("/reject"), Some(json!({ "note": "Lengkapi isinya" })));
    school.check("reject", reject, review).await;
}

#[tokio::test]
async fn blocks() {
    let school = School::new().await;
    let new = json!({ "block_type": "text", "payload": { "content": "Baru" } });
    let create = |work: &Work| (Method::POST, work.portfolio.path("/blocks"), Some(new.clone()));
    school.check("a new block", create, created(EDITORS)).await;
    let change = json!({ "payload": { "content": "Diubah" } });
    let block = |work: &Work| work.portfolio.path(&format!("/blocks/{}", work.block));
    school.check("a block's change", |work| (Method::PATCH, block(work), Some(change.clone())), EDITORS).await;
    school.check("a block's deletion", |work| (Method::DELETE, block(work), None), EDITORS).await;
    let reorder = |work: &Work| {
        let body = json!({ "block_orders": [{ "id": work.block, "order": 0 }] });
        (Method::PUT, work.portfolio.path("/blocks/reorder"), Some(body))
    };
    school.check("the order", reorder, EDITORS).await;
}

#[tokio::test]
async fn likes_and_comments() {
    let school = School::new().await;
    let nobody = [401, 404, 404, 404, 404, 404, 403];
    let everybody = [401, 200, 200, 200, 200, 200, 403];
    let like = |work: &Work| (Method::POST, work.portfolio.path("/like"), None);
    school.check("a like", like, [nobody, nobody, nobody, everybody, nobody]).await;
    let seers = [401, 404, 200, 404, 200, 404, 403];
    let waiting = [401, 404, 200, 200, 200, 404, 403];
    let unlike = |work: &Work| (Method::DELETE, work.portfolio.path("/like"), None);
    school.check("the end of a like", unlike, [seers, waiting, seers, everybody, seers]).await;
    let seers = [401, 404, 400, 404, 400, 404, 400];
    let waiting = [401, 404, 400, 400, 400, 404, 400];
    let published = [401, 201, 201, 201, 201, 201, 201];
    let comment = |work: &Work| (Method::POST, work.portfolio.path("/comments"), Some(json!({ "content": "Keren" })));
    school.check("a comment", comment, [seers, waiting, seers, published, seers]).await;
}

#[tokio::test]
async fn lists_show_published_work_to_everybody_and_nothing_else() {
    let school = School::new().await;
    let mut published = Vec::new();
    for status in STATUSES {
        let work = school.work(status).await;
        if status == "published" {
            published.push(work.portfolio.id.to_string());
        }
    }
    for path in [
        "/api/v1/portfolios?status=draft".to_owned(),
        format!("/api/v1/portfolios?user_id={}", school.owner.id),
        "/api/v1/feed?algorithm=recent".to_owned(),
        "/api/v1/search/portfolios?q=karya".to_owned(),
    ] {
        for (caller, name) in school.callers.iter().zip(CALLERS) {
            let answer = school.call(caller.as_ref(), Method::GET, &path, None).await;
            assert_eq!(answer.column("id"), published, "{path} as {name}");
            assert_eq!(answer.body["meta"]["total_count"], 1);
        }
    }
    for (caller, name) in school.callers.iter().zip(CALLERS) {
        let path = format!("/api/v1/users/{}", school.owner.username);
        let profile = school.call(caller.as_ref(), Method::GET, &path, None).await.data(200);
        assert!(profile["id"] == json!(school.owner.id), "{name}");
    }
}

#[tokio::test]
async fn the_work_of_a_deactivated_owner_is_there_for_reviewers_only() {
    let school = School::new().await;
    let published = school.work("published").await;
    let waiting = school.work("pending_review").await;
    school.app.deactivate(&school.owner).await;
    let codes = async |path: String| {
        let mut codes = Vec::new();
        for caller in &school.callers {
            codes.push(school.call(caller.as_ref(), Method::GET, &path, None).await.status);
        }
        codes
    };
    let hidden = [404, 404, 401, 404, 200, 404, 200];
    assert_eq!(codes(published.portfolio.page(&school.owner)).await, hidden);
    assert_eq!(codes(published.portfolio.path("/comments")).await, hidden);
    let to_moderators = [404, 404, 401, 200, 200, 404, 200];
    assert_eq!(codes(waiting.portfolio.page(&school.owner)).await, to_moderators);
    assert_eq!(codes(waiting.portfolio.by_id()).await, [401, 403, 401, 200, 200, 403, 200]);
    assert_eq!(school.app.get("/api/v1/portfolios").await.data(200), json!([]));
    school.app.reactivate(&school.owner).await;
    assert_eq!(school.app.get(&published.portfolio.page(&school.owner)).await.status, 200);
    school.app.delete_account(&school.owner).await;
    for caller in &school.callers {
        let answer = school.call(caller.as_ref(), Method::GET, &published.portfolio.by_id(), None).await;
        assert!([401, 404].contains(&answer.status), "{answer:?}");
    }
}
