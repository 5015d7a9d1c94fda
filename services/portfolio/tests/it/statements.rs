//! Lists cost the same number of statements whatever they hold: the services' own log of statements tells.

use serde_json::json;

use crate::support::{TestApp, User, eventually};

/// Statements of the latest request of `route`, without the one about the caller: what that answers is remembered for some
/// seconds, so it is there or not.
pub async fn statements(app: &TestApp, viewer: &User, route: &str, path: &str) -> usize {
    let about_the_caller = "select role, is_active and";
    log_of(app, viewer, route, path).await.iter().filter(|line| !line.contains(about_the_caller)).count()
}

/// All of them.
pub async fn every_statement(app: &TestApp, viewer: &User, route: &str, path: &str) -> usize {
    log_of(app, viewer, route, path).await.len()
}

async fn log_of(app: &TestApp, viewer: &User, route: &str, path: &str) -> Vec<String> {
    let before = app.stack.log("portfolio").len();
    viewer.get(path).await.data(200);
    let of_request = || {
        let log = app.stack.log("portfolio");
        let route = format!("\"route\":\"{route}\"");
        log[before..].lines().filter(|line| line.contains(&route)).map(str::to_owned).collect::<Vec<_>>()
    };
    eventually("the request is in the log", async || of_request().iter().any(|line| line.contains("answered"))).await;
    of_request().into_iter().filter(|line| line.contains("\"summary\"")).collect()
}

#[tokio::test]
async fn no_list_asks_the_database_once_per_row() {
    let app = TestApp::with(&[("LOG_LEVEL", "info,sqlx=debug"), ("LOG_FORMAT", "json")]).await;
    let budi = app.student("budi").await;
    let work = budi.published("Karya", app.admin()).await;
    let comments = work.path("/comments");
    let lists = [
        ("/api/v1/users", "/api/v1/users?search=a"),
        ("/api/v1/users/{username}", "/api/v1/users/budi"),
        ("/api/v1/users/{username}/followers", "/api/v1/users/budi/followers"),
        ("/api/v1/users/{username}/following", "/api/v1/users/budi/following?search=a"),
        ("/api/v1/portfolios", "/api/v1/portfolios?search=a"),
        ("/api/v1/feed", "/api/v1/feed?algorithm=recent"),
        ("/api/v1/feed", "/api/v1/feed?algorithm=following"),
        ("/api/v1/feed", "/api/v1/feed?algorithm=smart"),
        ("/api/v1/search/users", "/api/v1/search/users?q=a"),
        ("/api/v1/search/portfolios", "/api/v1/search/portfolios?q=a"),
        ("/api/v1/portfolios/{id}/comments", &comments),
        ("/api/v1/series", "/api/v1/series"),
        ("/api/v1/tags", "/api/v1/tags"),
        ("/api/v1/me/portfolios", "/api/v1/me/portfolios"),
    ];
    let mut few = Vec::new();
    let mut many = Vec::new();
    let mut people = Vec::new();
    for (counts, more) in [(&mut few, 1), (&mut many, 5)] {
        for _ in 0..more {
            let user = app.student(&format!("siswa_{}", people.len())).await;
            user.act("/api/v1/users/budi/follow").await.data(200);
            budi.act(&format!("/api/v1/users/{}/follow", user.username)).await.data(200);
            user.published("Karya", app.admin()).await;
            budi.published("Karya", app.admin()).await;
            let comment = user.post(&comments, &json!({ "content": "Keren" })).await.data(201);
            user.post(&comments, &json!({ "content": "Lagi", "parent_id": comment["id"] })).await.data(201);
            user.act(&work.path("/like")).await.data(200);
            app.series(&format!("Seri {}", people.len()), true).await;
            app.tag(&format!("Tag {}", people.len())).await;
            people.push(user);
        }
        for (route, path) in lists {
            counts.push((route, statements(&app, &budi, route, path).await));
        }
    }
    assert!(few.iter().all(|(_, count)| (1..=4).contains(count)), "{few:?}");
    assert_eq!(few, many);
}
