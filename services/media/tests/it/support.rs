//! `TestApp`, people and what they do.

use std::time::Duration;

use aws_sdk_s3::{
    config::{BehaviorVersion, Credentials, Region},
    presigning::PresigningConfig,
};
use bytes::Bytes;
use grafikarsa_devstack::testing::{ADMIN, Running, Stack, http_client};
use reqwest::{Method, RequestBuilder, StatusCode, header};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, sleep},
};
use url::Url;
use uuid::Uuid;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);
const PASSWORD: &str = "rahasia-sekali";

/// The three services with a database, a bucket and a door of their own.
pub struct TestApp {
    pub stack: Stack,
    #[expect(dead_code, reason = "it runs for as long as this is held")]
    auth: Running,
    pub portfolio: Running,
    pub media: Running,
    pub pool: PgPool,
    pub http: reqwest::Client,
    door: Url,
    pub admin: Person,
}

impl TestApp {
    pub async fn spawn() -> Self {
        Self::on(Stack::new().await).await
    }

    pub async fn on(stack: Stack) -> Self {
        let (auth, portfolio, media, door) =
            tokio::join!(stack.spawn("auth"), stack.spawn("portfolio"), stack.spawn("media"), stack.nginx());
        let pool = stack.pool("media").await;
        let http = http_client();
        let admin = Person { id: Uuid::nil(), token: String::new() };
        let mut app = Self { stack, auth, portfolio, media, pool, http, door, admin };
        app.admin = app.login(ADMIN.0, ADMIN.1).await;
        app
    }

    /// A student whom the admin has created and who has logged in.
    pub async fn student(&self, name: &str) -> Person {
        let body = json!({
            "username": name, "email": format!("{name}@sekolah.sch.id"), "password": PASSWORD, "nama": format!("Siswa {name}"),
        });
        // The admin's own copy may still be on its way to portfolio.
        let deadline = Instant::now() + PATIENCE;
        loop {
            let created = self.door(Method::POST, "/api/v1/admin/users", Some(&self.admin)).json(&body).send().await;
            if created.status == 201 {
                break;
            }
            assert!(Instant::now() < deadline, "{created:?}");
            sleep(Duration::from_millis(50)).await;
        }
        self.login(name, PASSWORD).await
    }

    /// A student with a special role of this capability.
    pub async fn holder(&self, name: &str, capability: &str) -> Person {
        let person = self.student(name).await;
        let role = Uuid::now_v7();
        let pool = self.stack.pool("portfolio").await;
        let mut tx = pool.begin().await.unwrap();
        sqlx::query("insert into special_roles (id, nama, capabilities) values ($1, $2, array[$3])")
            .bind(role)
            .bind(format!("Peran {name}"))
            .bind(capability)
            .execute(&mut *tx)
            .await
            .unwrap();
        sqlx::query("insert into user_special_roles (user_id, special_role_id) values ($1, $2)")
            .bind(person.id)
            .bind(role)
            .execute(&mut *tx)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        person
    }

    pub async fn login(&self, username: &str, password: &str) -> Person {
        let body = json!({ "username": username, "password": password });
        let answer = self.door(Method::POST, "/api/v1/auth/login", None).json(&body).send().await;
        assert_eq!(answer.status, 200, "{answer:?}");
        Person {
            id: answer.body["data"]["user"]["id"].as_str().unwrap().parse().unwrap(),
            token: answer.body["data"]["access_token"].as_str().unwrap().to_owned(),
        }
    }

    /// A draft with a text in it.
    pub async fn portfolio_of(&self, owner: &Person) -> Uuid {
        let body = json!({ "judul": "Poster acara sekolah" });
        let created = self.door(Method::POST, "/api/v1/portfolios", Some(owner)).json(&body).send().await;
        assert_eq!(created.status, 201, "{created:?}");
        let id: Uuid = created.body["data"]["id"].as_str().unwrap().parse().unwrap();
        let block = json!({ "block_type": "text", "payload": { "content": "Halo" } });
        let path = format!("/api/v1/portfolios/{id}/blocks");
        let created = self.door(Method::POST, &path, Some(owner)).json(&block).send().await;
        assert_eq!(created.status, 201, "{created:?}");
        id
    }

    /// Submitted by its owner and approved by the admin.
    pub async fn publish(&self, owner: &Person, portfolio: Uuid) {
        for (who, path) in [
            (owner, format!("/api/v1/portfolios/{portfolio}/submit")),
            (&self.admin, format!("/api/v1/admin/portfolios/{portfolio}/approve")),
        ] {
            let answer = self.door(Method::POST, &path, Some(who)).send().await;
            assert_eq!(answer.status, 200, "{path}: {answer:?}");
        }
    }

    /// A request through nginx.
    pub fn door(&self, method: Method, path: &str, who: Option<&Person>) -> Call {
        Call::of(self.http.request(method, self.door.join(path).unwrap()), who)
    }

    /// A request to the media service itself.
    pub fn media(&self, method: Method, path: &str, who: Option<&Person>) -> Call {
        Call::of(self.http.request(method, self.media.public_url().join(path).unwrap()), who)
    }

    /// A request as another service makes it.
    pub fn internal(&self, method: Method, path: &str) -> Call {
        let token = &self.stack.env_of("media")["INTERNAL_API_TOKEN"];
        Call(self.http.request(method, self.media.internal_url().join(path).unwrap()).bearer_auth(token))
    }

    pub async fn presign(&self, who: &Person, body: &Value) -> Answer {
        self.media(Method::POST, "/api/v1/uploads/presign", Some(who)).json(body).send().await
    }

    /// A promise for these bytes.
    pub async fn promise(&self, who: &Person, kind: &str, mime: &str, size: usize, portfolio: Option<Uuid>) -> Promise {
        let answer = self.presign(who, &wish(kind, mime, size, portfolio)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let data = &answer.body["data"];
        let text = |name: &str| data[name].as_str().unwrap().to_owned();
        Promise {
            id: text("upload_id").parse().unwrap(),
            key: text("object_key"),
            url: text("presigned_url"),
            mime: mime.to_owned(),
        }
    }

    /// As the browser does it: nothing but the content type, straight to the address it was given.
    pub async fn put(&self, promise: &Promise, bytes: &[u8]) -> u16 {
        let request = self.http.put(&promise.url).header(header::CONTENT_TYPE, &promise.mime).body(bytes.to_vec());
        request.send().await.expect("an answer").status().as_u16()
    }

    pub async fn confirm(&self, who: &Person, promise: &Promise) -> Answer {
        self.try_confirm(who, promise).await.expect("an answer")
    }

    /// `None` when nobody answers.
    pub async fn try_confirm(&self, who: &Person, promise: &Promise) -> Option<Answer> {
        let body = json!({ "upload_id": promise.id, "object_key": promise.key });
        self.media(Method::POST, "/api/v1/uploads/confirm", Some(who)).json(&body).try_send().await
    }

    /// Promise, PUT and confirmation of a good file.
    pub async fn upload(&self, who: &Person, kind: &str, mime: &str, bytes: &[u8], portfolio: Option<Uuid>) -> Promise {
        let promise = self.promise(who, kind, mime, bytes.len(), portfolio).await;
        assert_eq!(self.put(&promise, bytes).await, 200);
        let confirmed = self.confirm(who, &promise).await;
        assert_eq!(confirmed.status, 200, "{confirmed:?}");
        promise
    }

    /// Promise, PUT and the answer to the confirmation.
    pub async fn attempt(&self, who: &Person, kind: &str, mime: &str, bytes: &[u8]) -> (Promise, Answer) {
        let promise = self.promise(who, kind, mime, bytes.len(), None).await;
        assert_eq!(self.put(&promise, bytes).await, 200);
        let answer = self.confirm(who, &promise).await;
        (promise, answer)
    }

    pub async fn storage(&self, key: &str) -> Stored {
        self.storage_with(Method::GET, key, &[]).await
    }

    pub async fn storage_with(&self, method: Method, key: &str, headers: &[(&str, &str)]) -> Stored {
        let mut request = self.http.request(method, self.media.public_url().join(&format!("/storage/{key}")).unwrap());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Stored { status, headers, bytes: response.bytes().await.expect("a body") }
    }

    /// A path as it is, which an HTTP client would tidy up.
    pub async fn raw(&self, path: &str) -> String {
        let url = self.media.public_url();
        let mut stream = TcpStream::connect(("127.0.0.1", url.port().unwrap())).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// Whether the store holds bytes under this key, whatever the database says.
    pub async fn is_in_store(&self, key: &str) -> bool {
        let head = self.signer("S3_ENDPOINT").head_object().bucket(&self.stack.installation.bucket).key(key);
        let head = head.presigned(PresigningConfig::expires_in(PATIENCE).unwrap()).await.unwrap();
        let status = self.http.head(head.uri()).send().await.expect("an answer").status();
        assert!(status == StatusCode::OK || status == StatusCode::NOT_FOUND, "{key}: {status}");
        status == StatusCode::OK
    }

    /// Signs for the store under the address of this setting, with media's own credentials.
    pub fn signer(&self, endpoint: &str) -> aws_sdk_s3::Client {
        let env = self.stack.env_of("media");
        let credentials =
            Credentials::new(&env["S3_ACCESS_KEY_ID"], &env["S3_SECRET_ACCESS_KEY"], None, None, "settings");
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(&env[endpoint])
            .region(Region::new("us-east-1"))
            .credentials_provider(credentials)
            .force_path_style(true)
            .build();
        aws_sdk_s3::Client::from_conf(config)
    }

    /// Runs the service's program with these arguments; its outcome and what it says of errors.
    pub async fn run(&self, arguments: &[&str]) -> (bool, String) {
        let program = grafikarsa_devstack::services::programs().unwrap().join("media");
        let output = tokio::process::Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(self.stack.env_of("media"))
            .output()
            .await
            .unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    }

    /// Does a step of the background work; the service may be at it itself.
    pub async fn sweep(&self, step: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (done, said) = self.run(&["sweep", step]).await;
            if done {
                return;
            }
            assert!(said.contains("another sweep is at work") && Instant::now() < deadline, "{said}");
        }
    }

    /// Waits until somebody else waits for a lock in the database.
    pub async fn somebody_waits_for_a_lock(&self) {
        let waiting = "select count(*) from pg_stat_activity
                       where datname = current_database() and wait_event_type = 'Lock'";
        eventually("somebody waits for a lock", async || self.count(waiting).await > 0).await;
    }

    pub async fn sql(&self, statement: &'static str) {
        sqlx::raw_sql(statement).execute(&self.pool).await.expect(statement);
    }

    pub async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&self.pool).await.expect(query)
    }
}

/// Somebody who is logged in.
#[derive(Clone, Debug)]
pub struct Person {
    pub id: Uuid,
    pub token: String,
}

/// An upload that was promised.
#[derive(Clone, Debug)]
pub struct Promise {
    pub id: Uuid,
    pub key: String,
    pub url: String,
    pub mime: String,
}

/// The body of a presign request.
pub fn wish(kind: &str, mime: &str, size: usize, portfolio: Option<Uuid>) -> Value {
    json!({
        "upload_type": kind, "filename": "foto.jpg", "content_type": mime, "file_size": size, "portfolio_id": portfolio,
    })
}

pub struct Call(RequestBuilder);

impl Call {
    fn of(request: RequestBuilder, who: Option<&Person>) -> Self {
        Self(match who {
            Some(person) => request.bearer_auth(&person.token),
            None => request,
        })
    }

    pub fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value))
    }

    pub fn body(self, bytes: Vec<u8>) -> Self {
        Self(self.0.body(bytes))
    }

    pub fn json(self, body: &Value) -> Self {
        Self(self.0.json(body))
    }

    pub async fn send(self) -> Answer {
        self.try_send().await.expect("an answer")
    }

    /// `None` when nobody answers.
    pub async fn try_send(self) -> Option<Answer> {
        let response = self.0.send().await.ok()?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.ok()?;
        Some(Answer { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) })
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: header::HeaderMap,
    pub body: Value,
}

impl Answer {
    /// Status and error code.
    pub fn error(&self) -> (u16, &str) {
        (self.status, self.body["error"]["code"].as_str().unwrap_or("none"))
    }

    /// Names of the broken fields.
    pub fn fields(&self) -> Vec<&str> {
        self.body["error"]["details"].as_array().unwrap().iter().map(|d| d["field"].as_str().unwrap()).collect()
    }
}

/// An answer of `/storage`.
#[derive(Debug)]
pub struct Stored {
    pub status: u16,
    pub headers: header::HeaderMap,
    pub bytes: Bytes,
}

impl Stored {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// Waits for something that happens in the background.
pub async fn eventually(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !check().await {
        assert!(Instant::now() < deadline, "never happened: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}
