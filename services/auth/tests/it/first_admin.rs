use grafikarsa_devstack::{
    services,
    testing::{ADMIN, Stack},
};

use crate::support::{TestApp, auth};

const ADMINS: &str = "select count(*) from accounts where role = 'admin'";

#[tokio::test]
async fn the_first_admin_is_made_at_the_first_start_and_told() {
    let app = TestApp::spawn().await;
    assert_eq!(app.login(ADMIN.0, ADMIN.1, "10.0.0.1").await.body["data"]["user"]["role"], "admin");
    assert_eq!(app.count("select count(*) from outbox where event_type = 'account.created'").await, 1);
}

#[tokio::test]
async fn a_second_start_and_another_password_change_nothing() {
    let mut app = TestApp::spawn().await;
    app.auth.terminate().await;
    let again =
        TestApp::on(app.stack, &[("ADMIN_PASSWORD", "kata-sandi-yang-lain"), ("ADMIN_USERNAME", "another")]).await;
    assert_eq!(again.count(ADMINS).await, 1);
    assert_eq!(again.login(ADMIN.0, ADMIN.1, "10.0.0.1").await.status, 200);
}

#[tokio::test]
async fn two_replicas_that_start_at_once_make_one_admin() {
    let stack = Stack::new().await;
    let ports = services::Ports::free().unwrap();
    let (public, internal) = (ports.public.to_string(), ports.internal.to_string());
    let second = services::start(
        "auth",
        {
            let mut env = stack.env_of("auth");
            env.insert("APP_PORT".to_owned(), public);
            env.insert("INTERNAL_PORT".to_owned(), internal);
            env
        },
        ports,
        std::path::Path::new("/dev/null"),
    );
    let (first, second) = tokio::join!(stack.spawn("auth"), second);
    let (_first, _second) = (first, second.unwrap());
    let pool = stack.pool("auth").await;
    assert_eq!(sqlx::query_scalar::<_, i64>(ADMINS).fetch_one(&pool).await.unwrap(), 1);
}

#[tokio::test]
async fn without_a_password_in_the_settings_there_is_no_admin() {
    let app = TestApp::with(&[("ADMIN_PASSWORD", "")]).await;
    assert_eq!(app.count(ADMINS).await, 0);
    assert!(app.stack.log("auth").contains("there is no admin"));
}

#[tokio::test]
async fn create_admin_makes_another_one_and_refuses_a_taken_name_in_one_line() {
    let app = TestApp::spawn().await;
    let arguments = ["create-admin", "--username", "bu_kepala", "--email", "Kepala@sekolah.sch.id"];
    let made = auth(&app.stack, &arguments, &[("ADMIN_PASSWORD", "kata-sandi-kepala")]).await;
    assert!(made.status.success(), "{made:?}");
    let login = app.login("kepala@sekolah.sch.id", "kata-sandi-kepala", "10.0.0.1").await;
    assert_eq!(login.body["data"]["user"]["role"], "admin");
    let again = auth(&app.stack, &arguments, &[]).await;
    assert!(!again.status.success());
    let said = String::from_utf8(again.stderr).unwrap();
    assert!(said.contains("USERNAME_TAKEN") && said.lines().count() == 1, "{said}");
}
