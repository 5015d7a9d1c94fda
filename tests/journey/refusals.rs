//! A service that cannot do its work says why, in one line, and ends.

use std::{process::Stdio, time::Duration};

use grafikarsa_devstack::{services::programs, testing::Stack};
use sqlx::AssertSqlSafe;
use tokio::process::Command;

/// Every secret is long and random: only what a test changes is wrong.
const SETTINGS: [(&str, &str); 14] = [
    ("APP_ENV", "production"),
    ("APP_HOST", "127.0.0.1"),
    ("APP_PORT", "0"),
    ("INTERNAL_PORT", "0"),
    ("CORS_ORIGINS", "https://grafikarsa.example"),
    ("NATS_URL", "nats://grafikarsa:Kd5n8Wq3Xs7b@127.0.0.1:9"),
    ("JWT_ACCESS_SECRET", "b7c1f0c6a1de4c0b9e7a52d4f7a8c3912f64e0d1a3c55b78"),
    ("JWT_REFRESH_SECRET", "0d9a4f5be8d24b6c8a1173e6f2c9b5a47e31d8f6c4a90b2e"),
    ("INTERNAL_API_TOKEN", "4c2e9d71b6f84a05a3f7c8e1d29b6054f1e7a3c8d5b20964"),
    ("S3_ENDPOINT", "http://127.0.0.1:9"),
    ("S3_PUBLIC_ENDPOINT", "https://storage.grafikarsa.example"),
    ("S3_ACCESS_KEY_ID", "f3b1c9a7d5e20846"),
    ("S3_SECRET_ACCESS_KEY", "9e7d3b5f1a2c4e6880bd9f7c5a3e1d2b4c6f8a0e"),
    ("STORAGE_PUBLIC_URL", "https://storage.grafikarsa.example"),
];
const SERVICES: [(&str, &str); 3] =
    [("auth", "AUTH_DATABASE_URL"), ("portfolio", "PORTFOLIO_DATABASE_URL"), ("media", "MEDIA_DATABASE_URL")];
/// Nothing listens there.
const NOWHERE: &str = "postgres://grafikarsa:Zr8w2Lq6Vt0x@127.0.0.1:9/grafikarsa";
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts a service with the settings above, changed by `changes`, and gives what it said when it refused.
async fn refusal(service: &str, changes: &[(&str, &str)]) -> String {
    let mut command = Command::new(programs().unwrap().join(service));
    command.arg("serve").env_clear().envs(SETTINGS).envs(changes.iter().copied());
    // A folder without `.env` in it or above it.
    command.current_dir("/").stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output())
        .await
        .unwrap_or_else(|_| panic!("{service} runs on with {changes:?}"))
        .unwrap_or_else(|error| panic!("{service} was not built: {error}"));
    assert!(!output.status.success(), "{service} is content with {changes:?}");
    assert!(output.status.code().is_some(), "{service} crashed: {output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.trim_end().lines().count(), 1, "not one line: {said}");
    said
}

#[tokio::test]
async fn production_refuses_a_missing_secret_by_name() {
    for (service, database) in SERVICES {
        for secret in ["JWT_ACCESS_SECRET", "INTERNAL_API_TOKEN"] {
            let said = refusal(service, &[(database, NOWHERE), (secret, "")]).await;
            assert!(said.contains(&format!("{secret} is missing")), "{service}: {said}");
        }
    }
}

#[tokio::test]
async fn production_refuses_short_and_well_known_secrets_by_name() {
    for (service, database) in SERVICES {
        for weak in ["too-short", "change-me-change-me-change-me-change-me-change-me"] {
            let said = refusal(service, &[(database, NOWHERE), ("JWT_ACCESS_SECRET", weak)]).await;
            assert!(said.contains("JWT_ACCESS_SECRET"), "{service}: {said}");
            assert!(!said.contains(weak), "{service} prints the secret: {said}");
        }
    }
}

#[tokio::test]
async fn every_wrong_setting_is_named_at_once() {
    for (service, database) in SERVICES {
        let changes =
            [(database, NOWHERE), ("JWT_ACCESS_SECRET", ""), ("INTERNAL_API_TOKEN", "x"), ("APP_PORT", "many")];
        let said = refusal(service, &changes).await;
        for name in ["JWT_ACCESS_SECRET", "INTERNAL_API_TOKEN", "APP_PORT"] {
            assert!(said.contains(name), "{service} does not name {name}: {said}");
        }
    }
}

#[tokio::test]
async fn an_absent_environment_is_production() {
    for (service, database) in SERVICES {
        let said = refusal(service, &[("APP_ENV", ""), (database, NOWHERE), ("JWT_ACCESS_SECRET", "")]).await;
        assert!(said.contains("JWT_ACCESS_SECRET"), "{service}: {said}");
    }
}

#[tokio::test]
async fn an_unreachable_database_ends_the_start() {
    for (service, database) in SERVICES {
        let said = refusal(service, &[(database, NOWHERE)]).await;
        assert!(said.contains("the database cannot be reached"), "{service}: {said}");
        assert!(!said.contains("Zr8w2Lq6Vt0x"), "{service} prints the password: {said}");
    }
}

#[tokio::test]
async fn pending_migrations_end_the_start() {
    let stack = Stack::new().await;
    let mut server = stack.superuser().await;
    for (service, _) in SERVICES {
        // As a release that brings a migration finds it: the newest one is not there yet.
        let forget = format!(
            "delete from {service}._sqlx_migrations
             where version = (select max(version) from {service}._sqlx_migrations)"
        );
        sqlx::query(AssertSqlSafe(forget)).execute(&mut server).await.unwrap();
        let settings = stack.env_of(service);
        let changes: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let said = refusal(service, &changes).await;
        assert!(said.contains("1 migrations are pending"), "{service}: {said}");
    }
}
