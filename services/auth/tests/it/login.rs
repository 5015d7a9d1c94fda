use serde_json::json;

use crate::support::{PASSWORD, TestApp, claims};

const PATH: &str = "/api/v1/auth/login";

#[tokio::test]
async fn a_login_answers_with_an_access_token_the_user_and_the_cookie() {
    let app = TestApp::with(&[("COOKIE_SECURE", "true")]).await;
    let siti = app.account("siti").await;
    let answer = siti.login_with(PASSWORD).await;
    assert_eq!(answer.status, 200);
    let data = &answer.body["data"];
    assert_eq!(data["token_type"], "Bearer");
    assert_eq!(data["expires_in"], 900);
    assert_eq!(
        data["user"],
        json!({ "id": siti.id, "username": "siti", "nama": "siti", "role": "student", "avatar_url": null })
    );
    assert!(!data.to_string().contains(answer.cookie().unwrap()), "the refresh token is in the body");
    let mut attributes: Vec<_> = answer.set_cookie().unwrap().split("; ").skip(1).collect();
    attributes.sort_unstable();
    assert_eq!(attributes, ["HttpOnly", "Max-Age=604800", "Path=/api/v1/auth", "SameSite=Strict", "Secure"]);
    assert_eq!(answer.headers["cache-control"], "no-store");
}

#[tokio::test]
async fn whether_the_cookie_is_secure_is_a_setting_whatever_the_proxy_says() {
    for (setting, secure) in [("true", true), ("false", false)] {
        let app = TestApp::with(&[("COOKIE_SECURE", setting)]).await;
        app.account("siti").await;
        let body = json!({ "username": "siti", "password": PASSWORD });
        for scheme in ["http", "https"] {
            let answer = app.post(PATH).header("x-forwarded-proto", scheme).json(&body).send().await;
            assert_eq!(answer.set_cookie().unwrap().contains("; Secure"), secure, "{setting} over {scheme}");
        }
    }
}

#[tokio::test]
async fn the_identifier_is_a_user_name_or_an_address_in_any_case_with_spaces_around_it() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    for identifier in ["siti", "  SITI ", "siti@sekolah.sch.id", " Siti@Sekolah.SCH.id\n"] {
        assert_eq!(app.login(identifier, PASSWORD, &siti.address).await.status, 200, "{identifier}");
    }
}

#[tokio::test]
async fn the_password_is_not_trimmed() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    let answer = siti.login_with(&format!(" {PASSWORD} ")).await;
    assert_eq!(answer.error(), (400, "INVALID_CREDENTIALS"));
}

#[tokio::test]
async fn unknown_deleted_and_wrong_get_the_same_answer_and_lose_the_cookie() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.account("siti").await, app.account("budi").await);
    app.sql("update accounts set deleted_at = now() where username = 'budi'").await;
    let wrong = siti.login_with("salah-sekali").await;
    let deleted = budi.login_with(PASSWORD).await;
    let unknown = app.login("nobody", PASSWORD, "203.0.113.9").await;
    for answer in [&wrong, &deleted, &unknown] {
        assert_eq!(answer.error(), (400, "INVALID_CREDENTIALS"));
        assert_eq!(answer.body, wrong.body);
        assert!(answer.clears_the_cookie());
    }
}

#[tokio::test]
async fn a_failed_login_does_not_end_the_session_of_the_cookie() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    let session = siti.login().await;
    let body = json!({ "username": "siti", "password": "salah-sekali" });
    let failed = app.post(PATH).cookie(&session.cookie).json(&body).send().await;
    assert!(failed.clears_the_cookie());
    assert_eq!(app.refresh(&session.cookie).await.status, 200);
}

#[tokio::test]
async fn a_deactivated_account_is_told_so_only_after_the_right_password() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    app.sql("update accounts set is_active = false").await;
    assert_eq!(siti.login_with("salah-sekali").await.error(), (400, "INVALID_CREDENTIALS"));
    let answer = siti.login_with(PASSWORD).await;
    assert_eq!(answer.error(), (403, "ACCOUNT_DISABLED"));
    assert_eq!(answer.cookie(), None);
    assert_eq!(app.count("select count(*) from sessions").await, 0);
}

#[tokio::test]
async fn only_json_is_read() {
    let app = TestApp::spawn().await;
    app.account("siti").await;
    let form = app.post(PATH).body("application/x-www-form-urlencoded", format!("username=siti&password={PASSWORD}"));
    assert_eq!(form.send().await.error(), (400, "VALIDATION_ERROR"));
    for (kind, body) in
        [("application/json", "{"), ("application/json", r#"{"username":1,"password":"x"}"#), ("text/plain", "{}")]
    {
        assert_eq!(app.post(PATH).body(kind, body).send().await.error(), (400, "VALIDATION_ERROR"), "{body}");
    }
}

#[tokio::test]
async fn missing_and_long_fields_are_named_all_at_once() {
    let app = TestApp::spawn().await;
    let long = json!({ "username": "x".repeat(256), "password": "x".repeat(1025) });
    for body in [json!({}), json!({ "username": " ", "password": "" }), long] {
        let answer = app.post(PATH).json(&body).send().await;
        assert_eq!(answer.error(), (422, "VALIDATION_ERROR"));
        assert_eq!(answer.fields(), ["username", "password"]);
        assert_eq!(answer.body["message"], answer.body["error"]["details"][0]["message"]);
    }
}

#[tokio::test]
async fn a_body_above_16_kib_is_413() {
    let app = TestApp::spawn().await;
    let body = json!({ "username": "x", "password": "x".repeat(17 * 1024) });
    assert_eq!(app.post(PATH).json(&body).send().await.error(), (413, "PAYLOAD_TOO_LARGE"));
}

#[tokio::test]
async fn a_stale_access_token_does_not_disturb_a_login_or_a_refresh() {
    let app = TestApp::spawn().await;
    app.account("siti").await;
    let body = json!({ "username": "siti", "password": PASSWORD });
    let answer = app.post(PATH).header("authorization", "Bearer nonsense").json(&body).send().await;
    assert_eq!(answer.status, 200);
    let cookie = answer.session().cookie;
    let refreshed = app.post("/api/v1/auth/refresh").header("authorization", "garbage").cookie(&cookie).send().await;
    assert_eq!(refreshed.status, 200);
}

#[tokio::test]
async fn a_login_ends_the_session_of_the_old_cookie_whoever_owns_it_and_spares_its_access_tokens() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.account("siti").await, app.account("budi").await);
    let old = budi.login().await;
    let body = json!({ "username": "siti", "password": PASSWORD });
    let new = app.post(PATH).address(&siti.address).cookie(&old.cookie).json(&body).send().await;
    assert_eq!(new.status, 200);
    assert_eq!(app.sessions(&old.access).await.status, 200);
    let refused = app.refresh(&old.cookie).await;
    assert_eq!(refused.error(), (401, "TOKEN_REVOKED"));
    assert!(refused.clears_the_cookie());
}

#[tokio::test]
async fn the_21st_session_ends_the_least_recently_used_one() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    let mut sessions = Vec::new();
    for _ in 0..20 {
        sessions.push(siti.login().await);
    }
    // The first one was used since, so the second is the one to go.
    let first = app.refresh(&sessions[0].cookie).await.session();
    siti.login().await;
    assert_eq!(app.refresh(&sessions[1].cookie).await.error(), (401, "TOKEN_REVOKED"));
    assert_eq!(app.sessions(&sessions[1].access).await.error(), (401, "TOKEN_REVOKED"));
    let listed = app.sessions(&first.access).await;
    assert_eq!(listed.body["data"].as_array().unwrap().len(), 20);
}

#[tokio::test]
async fn a_bcrypt_hash_of_the_old_system_is_accepted_and_becomes_argon2id() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    let old = bcrypt::hash_with_salt(PASSWORD, 4, [7; 16]).unwrap().format_for_version(bcrypt::Version::TwoA);
    assert!(old.starts_with("$2a$"));
    sqlx::query("update accounts set password_hash = $1 where id = $2")
        .bind(old)
        .bind(siti.id)
        .execute(&app.pool)
        .await
        .unwrap();
    assert_eq!(siti.login_with("salah-sekali").await.error(), (400, "INVALID_CREDENTIALS"));
    siti.login().await;
    let hash: String = sqlx::query_scalar("select password_hash from accounts where id = $1")
        .bind(siti.id)
        .fetch_one(&app.pool)
        .await
        .unwrap();
    assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    siti.login().await;
}

#[tokio::test]
async fn an_access_token_names_account_role_session_and_epoch() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    let claims = claims(&siti.login().await.access);
    assert_eq!(claims["iss"], "grafikarsa");
    assert_eq!(claims["aud"], "grafikarsa-api");
    assert_eq!(claims["sub"], json!(siti.id));
    assert_eq!(claims["role"], "student");
    assert_eq!(claims["epoch"], 0);
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 900);
    assert!(!claims["jti"].as_str().unwrap().is_empty());
    assert!(claims["sid"].is_string());
}

#[tokio::test]
async fn a_login_stores_its_time_and_a_failed_one_changes_only_counters() {
    let app = TestApp::spawn().await;
    let siti = app.account("siti").await;
    siti.login_with("salah-sekali").await;
    assert_eq!(app.count("select count(*) from accounts where last_login_at is not null").await, 0);
    assert_eq!(app.count("select count(*) from sessions").await, 0);
    siti.login().await;
    let recent = "select count(*) from accounts where last_login_at > now() - interval '1 minute'";
    assert_eq!(app.count(recent).await, 1);
}

#[tokio::test]
async fn neither_tokens_nor_passwords_are_stored_in_the_clear() {
    let app = TestApp::spawn().await;
    let session = app.account("siti").await.login().await;
    let stored: Vec<u8> = sqlx::query_scalar("select hash from refresh_tokens").fetch_one(&app.pool).await.unwrap();
    assert_eq!(stored.len(), 32);
    assert_ne!(stored, data_encoding::BASE64URL_NOPAD.decode(session.cookie.as_bytes()).unwrap());
}
