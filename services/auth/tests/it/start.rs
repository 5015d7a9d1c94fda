use std::process::Output;

use grafikarsa_devstack::testing::Stack;

use crate::support::{TestApp, auth};

/// It failed, and said why in one line.
fn one_line(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

#[tokio::test]
async fn production_refuses_missing_short_and_default_secrets_by_name() {
    let stack = Stack::new().await;
    let changes = [
        ("APP_ENV", "production"),
        ("JWT_ACCESS_SECRET", "short"),
        ("JWT_REFRESH_SECRET", "change-me-change-me-change-me-change-me"),
        ("INTERNAL_API_TOKEN", ""),
    ];
    let said = one_line(&auth(&stack, &["serve"], &changes).await);
    for name in ["JWT_ACCESS_SECRET", "JWT_REFRESH_SECRET", "INTERNAL_API_TOKEN"] {
        assert!(said.contains(name), "{said}");
    }
}

#[tokio::test]
async fn a_missing_or_short_signing_secret_is_refused_in_development_too() {
    let stack = Stack::new().await;
    for secret in ["", "short", &"x".repeat(31)] {
        let said = one_line(&auth(&stack, &["serve"], &[("JWT_ACCESS_SECRET", secret)]).await);
        assert!(said.contains("JWT_ACCESS_SECRET"), "{said}");
    }
}

#[tokio::test]
async fn an_unreachable_database_is_said_in_one_line() {
    let stack = Stack::new().await;
    let said =
        one_line(&auth(&stack, &["serve"], &[("AUTH_DATABASE_URL", "postgres://auth:auth@127.0.0.1:1/x")]).await);
    assert!(said.contains("database"), "{said}");
}

#[tokio::test]
async fn pending_migrations_are_refused_and_auto_migrate_applies_them() {
    let stack = Stack::new().await;
    let pool = stack.pool("auth").await;
    sqlx::raw_sql("drop owned by current_user").execute(&pool).await.unwrap();
    let mut superuser = stack.superuser().await;
    sqlx::raw_sql("create schema if not exists auth authorization auth").execute(&mut superuser).await.unwrap();
    let said = one_line(&auth(&stack, &["serve"], &[]).await);
    assert!(said.contains("migrat"), "{said}");
    let app = TestApp::on(stack, &[("AUTO_MIGRATE", "true")]).await;
    assert_eq!(app.count("select count(*) from accounts").await, 1);
}

#[tokio::test]
async fn the_openapi_document_has_the_routes_of_the_contract() {
    let stack = Stack::new().await;
    let output = auth(&stack, &["openapi"], &[]).await;
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    for (path, method) in [
        ("/api/v1/auth/login", "post"),
        ("/api/v1/auth/refresh", "post"),
        ("/api/v1/auth/logout", "post"),
        ("/api/v1/auth/logout-all", "post"),
        ("/api/v1/auth/sessions", "get"),
        ("/api/v1/auth/sessions/{session_id}", "delete"),
        ("/api/v1/me/password", "patch"),
        ("/api/v1/me/check-username", "get"),
    ] {
        assert!(document["paths"][path][method].is_object(), "{method} {path}");
    }
}

#[tokio::test]
async fn healthcheck_knows_whether_the_service_runs() {
    let mut app = TestApp::spawn().await;
    assert!(auth(&app.stack, &["healthcheck"], &[]).await.status.success());
    app.auth.terminate().await;
    one_line(&auth(&app.stack, &["healthcheck"], &[]).await);
}
