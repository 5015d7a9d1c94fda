//! What may know what: a service never imports another one's crate, and never reads another one's schema.

use grafikarsa_devstack::testing::Stack;
use serde_json::Value;
use sqlx::AssertSqlSafe;

const SERVICES: [&str; 3] = ["auth", "portfolio", "media"];

/// The packages of this workspace, as cargo describes them.
fn packages() -> Vec<Value> {
    let output = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

#[test]
fn no_crate_depends_on_a_service() {
    let packages = packages();
    for service in SERVICES {
        assert!(packages.iter().any(|package| package["name"] == service), "{service} is no package");
    }
    for package in &packages {
        for dependency in package["dependencies"].as_array().unwrap() {
            let name = dependency["name"].as_str().unwrap();
            assert!(!SERVICES.contains(&name), "{} depends on the service {name}", package["name"]);
        }
    }
}

#[test]
fn the_test_servers_are_never_linked_into_a_service() {
    for package in packages().iter().filter(|package| SERVICES.iter().any(|service| package["name"] == *service)) {
        for dependency in package["dependencies"].as_array().unwrap() {
            let name = dependency["name"].as_str().unwrap();
            let only_in_tests = dependency["kind"] == "dev";
            let test_server = name.starts_with("s3s") || name == "grafikarsa-devstack";
            assert!(!test_server || only_in_tests, "{} is built with {name}", package["name"]);
        }
    }
}

#[tokio::test]
async fn no_role_reads_the_schema_of_another_service() {
    let stack = Stack::new().await;
    for reader in SERVICES {
        let pool = stack.pool(reader).await;
        for owner in SERVICES {
            let outbox = AssertSqlSafe(format!("select count(*) from {owner}.outbox"));
            let read = sqlx::query_scalar::<_, i64>(outbox).fetch_one(&pool).await;
            if reader == owner {
                assert!(read.is_ok(), "{reader} cannot read its own schema: {read:?}");
            } else {
                let refused = read.expect_err("it was refused");
                let code = refused.as_database_error().and_then(|error| error.code().map(String::from));
                // insufficient_privilege
                assert_eq!(code.as_deref(), Some("42501"), "{reader} reading {owner}: {refused}");
            }
        }
        let superuser: bool = sqlx::query_scalar("select rolsuper from pg_roles where rolname = current_user")
            .fetch_one(&pool)
            .await
            .unwrap();
        assert!(!superuser, "{reader} connects as superuser");
    }
}
