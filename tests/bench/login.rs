//! How fast people log in, compared with the raw speed of argon2id on this machine in the same run; how other requests
//! fare meanwhile; and whether the time of a refusal tells who exists. Release builds behind nginx, durable PostgreSQL.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark may panic")]
#![expect(clippy::cast_precision_loss, reason = "counts are small")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use argon2::{Algorithm, Argon2, Params, Version};
use grafikarsa_devstack::testing::{ADMIN, Running, Stack, http_client};
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

const PEOPLE: usize = 64;
/// As many as a class that logs in at once.
const CLIENTS: usize = 40;
const SPAN: Duration = Duration::from_secs(15);
const SAMPLES: usize = 150;
const PASSWORD: &str = "rahasia-sekali";

#[tokio::main]
async fn main() {
    let mut stack = Stack::with_own_servers().await;
    // The limits would end the measurement: lifted, and said so.
    for limit in [
        "LIMIT_FAILED_LOGINS_IDENTIFIER",
        "LIMIT_FAILED_LOGINS_ACCOUNT",
        "LIMIT_FAILED_LOGINS_ADDRESS",
        "LIMIT_LOGINS_ADDRESS",
    ] {
        stack.set(limit, "1000000/60");
    }
    stack.set("RATE_LIMIT_REQUESTS", "1000000").set("LOG_LEVEL", "warn");
    let (auth, portfolio) = tokio::join!(stack.spawn("auth"), stack.spawn("portfolio"));
    let nginx = stack.nginx().await;
    let house = House { auth, nginx, token: stack.env_of("auth")["INTERNAL_API_TOKEN"].clone() };
    println!("Rate limits are lifted for this run; everything else is as delivered. {} cores.", cores());

    for person in 0..PEOPLE {
        house.create(&format!("siswa_{person}")).await;
    }
    let gone = house.create("nonaktif").await;
    house.change(gone, json!({ "is_active": false })).await;
    let me = house.sign_in(ADMIN.0, ADMIN.1).await;

    let quiet = Arc::new(AtomicBool::new(false));
    let watching = tokio::spawn(watch(house.nginx.clone(), me.clone(), quiet.clone()));
    tokio::time::sleep(Duration::from_secs(5)).await;
    quiet.store(true, Ordering::Relaxed);
    let idle = watching.await.unwrap();

    let raw = raw_rate();
    let done = Arc::new(AtomicBool::new(false));
    let watching = tokio::spawn(watch(house.nginx.clone(), me, done.clone()));
    let (logins, latencies) = house.storm().await;
    done.store(true, Ordering::Relaxed);
    let busy = watching.await.unwrap();

    println!("\n{:<44}{:>12}", "argon2id, all cores", format!("{raw:.1}/s"));
    println!("{:<44}{:>12}", format!("logins, {CLIENTS} clients"), format!("{logins:.1}/s"));
    println!("{:<44}{:>12}", "ratio (target 0.85)", format!("{:.2}", logins / raw));
    line("a login under this load", &latencies);
    line("GET /me, idle", &idle);
    line("GET /me, under this load", &busy);

    println!("\nTime of a refusal, one at a time, {SAMPLES} of each:");
    let kinds = [
        ("unknown user", "tidak_ada", "salah-sekali"),
        ("wrong password", "siswa_0", "salah-sekali"),
        ("deactivated, wrong password", "nonaktif", "salah-sekali"),
        ("deactivated, right password", "nonaktif", PASSWORD),
    ];
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); kinds.len()];
    for _ in 0..SAMPLES {
        // In turn, so that whatever else the machine does falls on all of them.
        for (place, (_, username, password)) in kinds.iter().enumerate() {
            let started = Instant::now();
            house.login(username, password).await;
            times[place].push(started.elapsed().as_secs_f64() * 1000.0);
        }
    }
    for ((kind, ..), times) in kinds.iter().zip(&times) {
        line(kind, times);
    }
    for place in 1..kinds.len() {
        let share = overlap(&times[0], &times[place]);
        println!("{:<44}{share:>12.2}", format!("P(unknown slower than {})", kinds[place].0));
    }
    println!("(0.50: one tells nothing about the other.)");
    drop(portfolio);
}

struct House {
    auth: Running,
    nginx: Url,
    token: String,
}

impl House {
    async fn command(&self, path: &str, body: &Value) {
        let url = self.auth.internal_url().join(path).unwrap();
        let answer = http_client().post(url).bearer_auth(&self.token).json(body).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
    }

    async fn create(&self, username: &str) -> Uuid {
        let (command, account) = (Uuid::now_v7(), Uuid::now_v7());
        let body = json!({
            "command_id": command, "account_id": account, "username": username,
            "email": format!("{username}@sekolah.sch.id"), "password": PASSWORD, "role": "student",
            "must_change_password": false,
        });
        self.command("/internal/accounts", &body).await;
        self.command(&format!("/internal/commands/{command}/confirm"), &json!({})).await;
        account
    }

    async fn change(&self, account: Uuid, mut body: Value) {
        body["command_id"] = json!(Uuid::now_v7());
        self.command(&format!("/internal/accounts/{account}/change"), &body).await;
    }

    async fn login(&self, username: &str, password: &str) -> reqwest::Response {
        login(&http_client(), &self.nginx, username, password).await
    }

    async fn sign_in(&self, username: &str, password: &str) -> String {
        let answer: Value = self.login(username, password).await.json().await.unwrap();
        answer["data"]["access_token"].as_str().expect("a token").to_owned()
    }

    /// Logins as fast as they are answered; their rate and their times in milliseconds.
    async fn storm(&self) -> (f64, Vec<f64>) {
        let started = Instant::now();
        let clients = (0..CLIENTS).map(|client| {
            let nginx = self.nginx.clone();
            tokio::spawn(async move {
                let http = http_client();
                let (mut times, mut person) = (Vec::new(), client);
                while started.elapsed() < SPAN {
                    let begun = Instant::now();
                    let answer = login(&http, &nginx, &format!("siswa_{}", person % PEOPLE), PASSWORD).await;
                    assert_eq!(answer.status(), 200);
                    times.push(begun.elapsed().as_secs_f64() * 1000.0);
                    person += CLIENTS;
                }
                times
            })
        });
        let mut times = Vec::new();
        for client in clients.collect::<Vec<_>>() {
            times.extend(client.await.unwrap());
        }
        (times.len() as f64 / started.elapsed().as_secs_f64(), times)
    }
}

async fn login(http: &reqwest::Client, nginx: &Url, username: &str, password: &str) -> reqwest::Response {
    let url = nginx.join("/api/v1/auth/login").unwrap();
    http.post(url).json(&json!({ "username": username, "password": password })).send().await.unwrap()
}

/// Times of GET /me in milliseconds, twenty a second, until `done`.
async fn watch(nginx: Url, token: String, done: Arc<AtomicBool>) -> Vec<f64> {
    let (http, url, mut times) = (http_client(), nginx.join("/api/v1/me").unwrap(), Vec::new());
    while !done.load(Ordering::Relaxed) {
        let started = Instant::now();
        let answer = http.get(url.clone()).bearer_auth(&token).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        times.push(started.elapsed().as_secs_f64() * 1000.0);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    times
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Hashes per second with the parameters of the service, on all cores.
fn raw_rate() -> f64 {
    let (count, started) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let threads: Vec<_> = (0..cores())
        .map(|_| {
            let count = count.clone();
            thread::spawn(move || {
                let params = Params::new(19 * 1024, 2, 1, None).unwrap();
                let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
                let mut hash = [0; 32];
                while started.elapsed() < SPAN / 2 {
                    argon2.hash_password_into(PASSWORD.as_bytes(), b"sixteen bytes ok", &mut hash).unwrap();
                    count.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    count.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64()
}

fn line(what: &str, times: &[f64]) {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    let quantile = |percent: usize| sorted[(sorted.len() - 1) * percent / 100];
    println!(
        "{what:<44}{:>12}",
        format!(
            "p5 {:.1}  p50 {:.1}  p95 {:.1}  p99 {:.1} ms (n={})",
            quantile(5),
            quantile(50),
            quantile(95),
            quantile(99),
            sorted.len()
        )
    );
}

/// The probability that a time of `a` is longer than one of `b`.
fn overlap(a: &[f64], b: &[f64]) -> f64 {
    let longer: usize = a.iter().map(|x| b.iter().filter(|y| x > y).count()).sum();
    longer as f64 / (a.len() * b.len()) as f64
}
