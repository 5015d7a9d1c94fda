//! An admin with a portfolio, who uploads.

use std::time::{Duration, Instant};

use bytes::Bytes;
use grafikarsa_devstack::testing::{ADMIN, Running, Stack, http_client};
use reqwest::Client;
use serde_json::{Value, json};
use url::Url;

use crate::processes::{Memory, cpu_of, forget_peak};

pub struct People {
    pub http: Client,
    pub door: Url,
    pub media: Running,
    #[expect(dead_code, reason = "they run for as long as this is held")]
    others: [Running; 2],
    token: String,
    portfolio: String,
}

pub struct Confirmation {
    /// Seconds.
    pub cpu: f64,
    pub milliseconds: f64,
}

struct Promise {
    id: String,
    key: String,
}

impl People {
    pub async fn new(stack: &Stack) -> Self {
        let (auth, portfolio, media, door) =
            tokio::join!(stack.spawn("auth"), stack.spawn("portfolio"), stack.spawn("media"), stack.nginx());
        let mut people = Self {
            http: http_client(),
            door,
            media,
            others: [auth, portfolio],
            token: String::new(),
            portfolio: String::new(),
        };
        let login = json!({ "username": ADMIN.0, "password": ADMIN.1 });
        people.token = text(&people.post("/api/v1/auth/login", &login).await, "/data/access_token");
        let judul = json!({ "judul": "Foto" });
        let deadline = Instant::now() + Duration::from_secs(10);
        // The account may still be on its way to portfolio.
        people.portfolio = loop {
            let created = people.post("/api/v1/portfolios", &judul).await;
            if created.pointer("/data/id").is_some() {
                break text(&created, "/data/id");
            }
            assert!(Instant::now() < deadline, "{created}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        people
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let mut request = self.http.post(self.door.join(path).unwrap()).json(body);
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        request.send().await.unwrap().json().await.unwrap()
    }

    /// Everything before the confirmation.
    async fn put(&self, kind: &str, photo: &Bytes) -> Promise {
        let wish = json!({
            "upload_type": kind, "filename": "foto.jpg", "content_type": "image/jpeg", "file_size": photo.len(),
            "portfolio_id": self.portfolio,
        });
        let promise = self.post("/api/v1/uploads/presign", &wish).await;
        let put = self.http.put(text(&promise, "/data/presigned_url")).header("content-type", "image/jpeg");
        assert!(put.body(photo.clone()).send().await.unwrap().status().is_success());
        Promise { id: text(&promise, "/data/upload_id"), key: text(&promise, "/data/object_key") }
    }

    async fn confirm(&self, promise: &Promise) {
        let body = json!({ "upload_id": promise.id, "object_key": promise.key });
        let answer = self.post("/api/v1/uploads/confirm", &body).await;
        assert_eq!(answer["success"], true, "{answer}");
    }

    /// The mean of several, one after the other.
    pub async fn confirm_one(&self, photo: &Bytes) -> Confirmation {
        const ROUNDS: u32 = 5;
        let (mut cpu, mut time) = (0.0, Duration::ZERO);
        for _ in 0..ROUNDS {
            let promise = self.put("thumbnail", photo).await;
            let (before, started) = (cpu_of(&self.media), Instant::now());
            self.confirm(&promise).await;
            time += started.elapsed();
            cpu += cpu_of(&self.media) - before;
        }
        Confirmation { cpu: cpu / f64::from(ROUNDS), milliseconds: (time / ROUNDS).as_secs_f64() * 1e3 }
    }

    /// Peak of memory in MiB while so many are confirmed at once.
    pub async fn confirm_together(&self, kind: &str, photo: &Bytes, count: usize) -> f64 {
        let mut promises = Vec::new();
        for _ in 0..count {
            promises.push(self.put(kind, photo).await);
        }
        forget_peak(&self.media);
        let confirming = promises.iter().map(|promise| self.confirm(promise));
        futures_util::future::join_all(confirming).await;
        Memory::of(&self.media).peak
    }

    /// Memory in MiB a while after the work.
    pub async fn settled(&self) -> f64 {
        tokio::time::sleep(Duration::from_secs(15)).await;
        Memory::of(&self.media).resident
    }

    /// A path of a picture of some 30 kB.
    pub async fn picture(&self) -> String {
        let photo = crate::photographs::photograph(4032, 3024);
        let promise = self.put("thumbnail", &photo).await;
        self.confirm(&promise).await;
        let mut best = (usize::MAX, String::new());
        for width in [320, 640, 960, 1280, 1920] {
            let path = format!("/storage/{}?w={width}", promise.key);
            let request = self.http.get(self.door.join(&path).unwrap()).header("accept", "image/webp");
            let size = request.send().await.unwrap().bytes().await.unwrap().len();
            best = best.min((size.abs_diff(30_000), path));
        }
        best.1
    }
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer}: {value}")).to_owned()
}
