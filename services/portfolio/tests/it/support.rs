//! `TestApp`, people and what they do.

use std::time::Duration;

use grafikarsa_devstack::testing::{ADMIN, Running, Stack, http_client};
use grafikarsa_events::{Bus, EventsSettings, Relay, outbox};
use reqwest::{Method, Url, header};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Far more than anything here takes.
pub const PATIENCE: Duration = Duration::from_secs(20);
pub const PASSWORD: &str = "rahasia-sekali";

/// auth and portfolio of one test.
pub struct TestApp {
    pub auth: Running,
    pub portfolio: Running,
    /// The database as portfolio sees it.
    pub pool: PgPool,
    pub internal_token: String,
    pub storage: String,
    http: reqwest::Client,
    admin: Option<User>,
    pub stack: Stack,
}

/// Somebody signed in.
#[derive(Clone)]
pub struct User {
    pub id: Uuid,
    pub username: String,
    pub token: String,
    base: Url,
    http: reqwest::Client,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: header::HeaderMap,
    pub body: Value,
}

impl TestApp {
    pub async fn spawn() -> Self {
        Self::with(&[]).await
    }

    /// With some settings of portfolio changed.
    pub async fn with(changes: &[(&str, &str)]) -> Self {
        Self::on(Stack::new().await, changes).await
    }

    pub async fn on(stack: Stack, changes: &[(&str, &str)]) -> Self {
        let (auth, portfolio) = tokio::join!(stack.spawn("auth"), stack.spawn_with("portfolio", changes));
        let env = stack.env_of("portfolio");
        let mut app = Self {
            auth,
            portfolio,
            pool: stack.pool("portfolio").await,
            internal_token: env["INTERNAL_API_TOKEN"].clone(),
            storage: env["STORAGE_PUBLIC_URL"].clone(),
            http: http_client(),
            admin: None,
            stack,
        };
        let admin = app.login(ADMIN.0, ADMIN.1).await;
        // The first admin's account arrives by an event.
        eventually("the admin is known", async || admin.get("/api/v1/me").await.status == 200).await;
        app.admin = Some(admin);
        app
    }

    pub fn admin(&self) -> &User {
        self.admin.as_ref().unwrap()
    }

    /// A new student, signed in.
    pub async fn student(&self, username: &str) -> User {
        self.user(json!({ "username": username })).await
    }

    /// A new user with some fields, signed in.
    pub async fn user(&self, fields: Value) -> User {
        let body = new_user(fields);
        self.admin().post("/api/v1/admin/users", &body).await.data(201);
        self.login(body["username"].as_str().unwrap(), PASSWORD).await
    }

    /// A student with a special role of these capabilities.
    pub async fn holder(&self, username: &str, capabilities: &[&str]) -> User {
        let user = self.student(username).await;
        self.give(&user, capabilities).await;
        user
    }

    pub async fn give(&self, user: &User, capabilities: &[&str]) {
        let role = Uuid::now_v7();
        let keys: Vec<String> = capabilities.iter().map(|&key| key.to_owned()).collect();
        sqlx::query("insert into special_roles (id, nama, capabilities) values ($1, $2, $3)")
            .bind(role)
            .bind(format!("Peran {role}"))
            .bind(keys)
            .execute(&self.pool)
            .await
            .unwrap();
        sqlx::query("insert into user_special_roles (user_id, special_role_id) values ($1, $2)")
            .bind(user.id)
            .bind(role)
            .execute(&self.pool)
            .await
            .unwrap();
    }

    pub async fn login(&self, username: &str, password: &str) -> User {
        let url = self.auth.public_url().join("/api/v1/auth/login").unwrap();
        let body = json!({ "username": username, "password": password });
        let answer = Answer::of(self.http.post(url).json(&body)).await;
        let data = answer.data(200);
        User {
            id: data["user"]["id"].as_str().unwrap().parse().unwrap(),
            username: username.to_owned(),
            token: data["access_token"].as_str().unwrap().to_owned(),
            base: self.portfolio.public_url(),
            http: self.http.clone(),
        }
    }

    /// Signed in a second time.
    pub async fn again(&self, user: &User) -> User {
        self.login(&user.username, PASSWORD).await
    }

    /// As a guest.
    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.http.get(self.portfolio.public_url().join(path).unwrap())).await
    }

    pub async fn get_with_token(&self, path: &str, token: &str) -> Answer {
        let url = self.portfolio.public_url().join(path).unwrap();
        Answer::of(self.http.get(url).header("Authorization", token)).await
    }

    /// As a guest with some headers, and with another method than GET.
    pub async fn guest(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.http.request(method, self.portfolio.public_url().join(path).unwrap());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::of(request).await
    }

    /// As another service.
    pub async fn internal(&self, path: &str) -> Answer {
        let url = self.portfolio.internal_url().join(path).unwrap();
        Answer::of(self.http.get(url).bearer_auth(&self.internal_token)).await
    }

    /// A change of an account as the back office has auth make it.
    pub async fn change(&self, user: &User, change: Value) {
        let url = self.auth.internal_url().join(&format!("/internal/accounts/{}/change", user.id)).unwrap();
        let mut body = change;
        body["command_id"] = json!(Uuid::now_v7());
        let answer = Answer::of(self.http.post(url).bearer_auth(&self.internal_token).json(&body)).await;
        answer.data(200);
    }

    /// Deactivates an account, and waits until portfolio knows.
    pub async fn deactivate(&self, user: &User) {
        self.change(user, json!({ "is_active": false })).await;
        self.knows(user, "not is_active").await;
    }

    pub async fn reactivate(&self, user: &User) {
        self.change(user, json!({ "is_active": true })).await;
        self.knows(user, "is_active").await;
    }

    pub async fn delete_account(&self, user: &User) {
        self.change(user, json!({ "delete": true })).await;
        self.knows_of_the_end_of(user).await;
    }

    pub async fn knows_of_the_end_of(&self, user: &User) {
        self.knows(user, "deleted_at is not null").await;
    }

    async fn knows(&self, user: &User, condition: &str) {
        let query = format!("select exists (select from users where id = $1 and {condition})");
        eventually("portfolio hears of the account", async || {
            let query = sqlx::query_scalar(sqlx::AssertSqlSafe(query.clone())).bind(user.id);
            query.fetch_one(&self.pool).await.unwrap()
        })
        .await;
    }

    pub async fn sql(&self, statement: &'static str) {
        sqlx::raw_sql(statement).execute(&self.pool).await.expect(statement);
    }

    pub async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&self.pool).await.expect(query)
    }

    /// Publishes an event as media does, and waits until portfolio has applied it.
    pub async fn media_says<E: proto_events::Event>(&self, event: &E) {
        self.media_said(event, 0).await;
    }

    /// The same of something that happened some seconds ago.
    pub async fn media_said<E: proto_events::Event>(&self, event: &E, seconds_ago: i32) {
        let settings = self.events("media");
        let bus = Bus::connect(&settings, "media-test").await.unwrap();
        let pool = self.stack.pool("media").await;
        let mut tx = pool.begin().await.unwrap();
        let id = outbox::append(&mut tx, event, Uuid::now_v7(), 1).await.unwrap();
        sqlx::query("update outbox set created_at = now() - make_interval(secs => $2) where id = $1")
            .bind(id)
            .bind(seconds_ago)
            .execute(&mut *tx)
            .await
            .unwrap();
        let wait = bus.await_applied(id).await.unwrap();
        tx.commit().await.unwrap();
        let stop = CancellationToken::new();
        let relay = Relay::new(bus, (*pool.connect_options()).clone(), "media").run(stop.clone());
        let running = tokio::spawn(relay);
        assert!(wait.wait(PATIENCE).await, "portfolio has applied the event");
        stop.cancel();
        running.await.unwrap();
    }

    /// Waits until the index has served somebody.
    pub async fn has_used(&self, index: &'static str) {
        let scans = "select coalesce(sum(idx_scan), 0)::bigint from pg_stat_user_indexes where indexrelname = $1";
        eventually(index, async || {
            sqlx::query_scalar::<_, i64>(scans).bind(index).fetch_one(&self.pool).await.unwrap() > 0
        })
        .await;
    }

    /// Waits until somebody else waits for a lock in the database.
    pub async fn somebody_waits_for_a_lock(&self) {
        let waiting = "select count(*) from pg_stat_activity
                       where datname = current_database() and wait_event_type = 'Lock'";
        eventually("somebody waits for a lock", async || self.count(waiting).await > 0).await;
    }

    fn events(&self, service: &str) -> EventsSettings {
        let mut env = grafikarsa_config::Reader::from_map(self.stack.env_of(service));
        let settings = EventsSettings::read(&mut env);
        env.finish(settings).unwrap()
    }

    /// A class in the active year and its major.
    pub async fn kelas(&self) -> (Uuid, Uuid) {
        let (jurusan, year, kelas) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
        sqlx::query("insert into jurusan (id, nama, kode) values ($1, 'Rekayasa Perangkat Lunak', 'rpl')")
            .bind(jurusan)
            .execute(&self.pool)
            .await
            .unwrap();
        sqlx::query("insert into tahun_ajaran (id, tahun_mulai, is_active) values ($1, 2026, true)")
            .bind(year)
            .execute(&self.pool)
            .await
            .unwrap();
        sqlx::query(
            "insert into kelas (id, tahun_ajaran_id, jurusan_id, tingkat, rombel, nama)
             values ($1, $2, $3, 12, 'A', 'XII-RPL-A')",
        )
        .bind(kelas)
        .bind(year)
        .bind(jurusan)
        .execute(&self.pool)
        .await
        .unwrap();
        (kelas, jurusan)
    }

    pub async fn tag(&self, nama: &str) -> Uuid {
        let id = Uuid::now_v7();
        sqlx::query("insert into tags (id, nama) values ($1, $2)")
            .bind(id)
            .bind(nama)
            .execute(&self.pool)
            .await
            .unwrap();
        id
    }

    pub async fn series(&self, nama: &str, is_active: bool) -> Uuid {
        let id = Uuid::now_v7();
        sqlx::query("insert into series (id, nama, is_active) values ($1, $2, $3)")
            .bind(id)
            .bind(nama)
            .bind(is_active)
            .execute(&self.pool)
            .await
            .unwrap();
        id
    }
}

impl User {
    /// The same person as a client of another replica.
    pub fn at(&self, replica: &Running) -> Self {
        Self { base: replica.public_url(), ..self.clone() }
    }

    /// The same person with another access token.
    pub fn with_token(&self, token: String) -> Self {
        Self { token, ..self.clone() }
    }

    /// The same person as a client of nginx.
    pub async fn through_nginx(&self, app: &TestApp) -> Self {
        Self { base: app.stack.nginx().await, ..self.clone() }
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let mut request = self.http.request(method, self.base.join(path).unwrap()).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        Answer::of(request).await
    }

    /// With any method.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        self.call(method, path, body).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }

    /// Without a body and a content type.
    pub async fn act(&self, path: &str) -> Answer {
        self.call(Method::POST, path, None).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::PATCH, path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::PUT, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None).await
    }

    pub async fn raw(&self, method: Method, path: &str, kind: &str, body: &'static str) -> Answer {
        let request = self.http.request(method, self.base.join(path).unwrap()).bearer_auth(&self.token);
        Answer::of(request.header(header::CONTENT_TYPE, kind).body(body)).await
    }

    /// A form with some fields, and with a file called `file`. Waits for as long as an import may take.
    pub async fn upload(&self, path: &str, fields: &[(&str, &str)], file: Option<(&str, &[u8])>) -> Answer {
        const BOUNDARY: &str = "batas-formulir";
        let mut form = Vec::new();
        for (name, value) in fields {
            let part = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
            form.extend_from_slice(part.as_bytes());
        }
        if let Some((name, content)) = file {
            let head = format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
                 Content-Type: application/octet-stream\r\n\r\n"
            );
            form.extend_from_slice(head.as_bytes());
            form.extend_from_slice(content);
            form.extend_from_slice(b"\r\n");
        }
        form.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
        let request = self.http.post(self.base.join(path).unwrap()).bearer_auth(&self.token);
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        Answer::of(request.timeout(Duration::from_secs(150)).header(header::CONTENT_TYPE, kind).body(form)).await
    }

    /// A new draft; its path.
    pub async fn draft(&self, judul: &str) -> Portfolio {
        let data = self.post("/api/v1/portfolios", &json!({ "judul": judul })).await.data(201);
        Portfolio { id: data["id"].as_str().unwrap().parse().unwrap(), slug: data["slug"].as_str().unwrap().to_owned() }
    }

    /// A draft with a text block.
    pub async fn written(&self, judul: &str) -> Portfolio {
        let portfolio = self.draft(judul).await;
        let body = json!({ "block_type": "text", "payload": { "content": format!("Isi dari {judul}") } });
        self.post(&portfolio.path("/blocks"), &body).await.data(201);
        portfolio
    }

    /// A portfolio that waits for a review.
    pub async fn submitted(&self, judul: &str) -> Portfolio {
        let portfolio = self.written(judul).await;
        self.act(&portfolio.path("/submit")).await.data(200);
        portfolio
    }

    /// A published portfolio, approved by `moderator`.
    pub async fn published(&self, judul: &str, moderator: &User) -> Portfolio {
        let portfolio = self.submitted(judul).await;
        moderator.act(&portfolio.admin_path("/approve")).await.data(200);
        portfolio
    }

    pub async fn status_of(&self, portfolio: &Portfolio) -> String {
        let data = self.get(&portfolio.by_id()).await.data(200);
        data["status"].as_str().unwrap().to_owned()
    }
}

/// A portfolio and its addresses.
#[derive(Clone, Debug)]
pub struct Portfolio {
    pub id: Uuid,
    pub slug: String,
}

impl Portfolio {
    pub fn path(&self, rest: &str) -> String {
        format!("/api/v1/portfolios/{}{rest}", self.id)
    }

    pub fn by_id(&self) -> String {
        format!("/api/v1/portfolios/id/{}", self.id)
    }

    pub fn admin_path(&self, rest: &str) -> String {
        format!("/api/v1/admin/portfolios/{}{rest}", self.id)
    }

    pub fn page(&self, owner: &User) -> String {
        format!("/api/v1/portfolios/{}?username={}", self.slug, owner.username)
    }
}

impl Answer {
    pub async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.bytes().await.unwrap();
        Self { status, headers, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) }
    }

    /// `data`, after checking the status.
    #[track_caller]
    pub fn data(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{:#}", self.body);
        assert_eq!(self.body["success"], true);
        self.body["data"].clone()
    }

    /// Checks status and code of an error.
    #[track_caller]
    pub fn fails(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.body["error"]["code"].as_str()), (status, Some(code)), "{:#}", self.body);
        assert_eq!(self.body["message"], self.body["error"]["message"]);
    }

    /// Names of the broken fields of a 422.
    #[track_caller]
    pub fn broken(&self) -> Vec<String> {
        self.fails(422, "VALIDATION_ERROR");
        self.details()
    }

    pub fn details(&self) -> Vec<String> {
        let details = self.body["error"]["details"].as_array().cloned().unwrap_or_default();
        details.iter().map(|detail| detail["field"].as_str().unwrap().to_owned()).collect()
    }

    /// The values of `key` in a list.
    #[track_caller]
    pub fn column(&self, key: &str) -> Vec<String> {
        let data = self.data(200);
        data.as_array().unwrap().iter().map(|item| item[key].as_str().unwrap_or("null").to_owned()).collect()
    }
}

/// The body that creates a student, with some fields changed.
pub fn new_user(fields: Value) -> Value {
    let username = fields["username"].as_str().unwrap_or("siti");
    let mut body = json!({
        "username": username,
        "email": format!("{username}@sekolah.sch.id"),
        "password": PASSWORD,
        "nama": format!("Nama {username}"),
        "role": "student",
    });
    for (key, value) in fields.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

/// Asks until it is true.
pub async fn eventually(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !check().await {
        assert!(Instant::now() < deadline, "never: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}
