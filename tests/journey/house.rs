//! The whole house for one test: nginx, the three services, and the servers behind them.

use std::time::Duration;

use grafikarsa_devstack::{
    process::Server,
    services::programs,
    testing::{ADMIN, Running, Stack, http_client},
};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgConnection;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    books::Books,
    person::{PATIENCE, Person, eventually},
};

/// What a test may kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Postgres,
    Nats,
    Store,
    Auth,
    Portfolio,
    Media,
}

pub struct House {
    auth: Running,
    portfolio: Running,
    media: Running,
    guest: Person,
    stack: Stack,
}

impl House {
    /// A house on servers shared with other tests: only its services may be killed.
    pub async fn build() -> Self {
        Self::furnish(Stack::new().await).await
    }

    /// A house whose services have some settings changed.
    pub async fn build_with(changes: &[(&str, &str)]) -> Self {
        let mut stack = Stack::new().await;
        for (name, value) in changes {
            stack.set(name, value);
        }
        Self::furnish(stack).await
    }

    /// A house with servers of its own.
    pub async fn build_apart() -> Self {
        Self::furnish(Stack::with_own_servers().await).await
    }

    async fn furnish(stack: Stack) -> Self {
        let (auth, portfolio, media) =
            tokio::join!(stack.spawn("auth"), stack.spawn("portfolio"), stack.spawn("media"));
        let guest = Person::guest(stack.nginx().await);
        Self { auth, portfolio, media, guest, stack }
    }

    /// Somebody who is not signed in.
    pub fn guest(&self) -> Person {
        self.guest.clone()
    }

    /// The first admin, known to portfolio.
    pub async fn admin(&self) -> Person {
        let admin = self.guest.login(ADMIN.0, ADMIN.1).await;
        admin.insist(Method::GET, "/api/v1/me", None).await.expect(200);
        admin
    }

    /// A change of an account as the back office has auth make it.
    pub async fn change(&self, account: Uuid, change: Value) {
        let url = self.auth.internal_url().join(&format!("/internal/accounts/{account}/change")).unwrap();
        let mut body = change;
        body["command_id"] = json!(Uuid::now_v7());
        let token = self.stack.env_of("auth")["INTERNAL_API_TOKEN"].clone();
        let answer = http_client().post(url).bearer_auth(token).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap_or_default());
    }

    /// Runs a command of `service` to its end.
    pub async fn run(&self, service: &str, arguments: &[&str]) {
        let program = programs().unwrap().join(service);
        let command = tokio::process::Command::new(program).args(arguments).envs(self.stack.env_of(service)).output();
        let output = command.await.unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// SIGKILL.
    pub async fn kill(&mut self, part: Part) {
        match self.part(part) {
            Ok(service) => service.kill().await,
            Err(server) => server.kill().await.unwrap(),
        }
    }

    /// Starts it again with what it had stored.
    pub async fn restart(&mut self, part: Part) {
        let server = match self.part(part) {
            Ok(service) => return service.restart().await,
            Err(server) => server,
        };
        // PostgreSQL refuses as long as a process of the killed server is still ending.
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = server.restart().await {
            assert!(Instant::now() < deadline, "{part:?} does not start again: {error:#}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn part(&mut self, part: Part) -> Result<&mut Running, &mut Server> {
        let own = &mut self.stack.own;
        let server = match part {
            Part::Auth => return Ok(&mut self.auth),
            Part::Portfolio => return Ok(&mut self.portfolio),
            Part::Media => return Ok(&mut self.media),
            Part::Postgres => &mut own.postgres,
            Part::Nats => &mut own.nats,
            Part::Store => &mut own.s3,
        };
        Err(server.as_mut().expect("a house built apart"))
    }

    /// Forgets all streams and buckets; only while NATS is killed.
    pub fn lose_what_nats_stored(&self) {
        self.stack.lose_nats_storage();
    }

    /// Waits until every service says that it is ready.
    pub async fn is_ready(&self) {
        let http = http_client();
        for service in [&self.auth, &self.portfolio, &self.media] {
            let probe = service.internal_url().join("/readyz").unwrap();
            eventually("ready", async || match http.get(probe.clone()).send().await {
                Ok(answer) if answer.status().is_success() => Ok(()),
                Ok(answer) => Err(answer.text().await.unwrap_or_default()),
                Err(error) => Err(error.to_string()),
            })
            .await;
        }
    }

    /// The three schemas, each with its own role.
    pub async fn books(&self) -> Books {
        let (auth, portfolio, media) =
            tokio::join!(self.stack.pool("auth"), self.stack.pool("portfolio"), self.stack.pool("media"));
        Books { auth, portfolio, media }
    }

    /// Where nginx would find an object of the store.
    pub fn object_address(&self, key: &str) -> String {
        let installation = &self.stack.installation;
        format!("{}/{}/{key}", installation.public, installation.bucket)
    }

    /// A connection that may lock tables.
    pub async fn superuser(&self) -> PgConnection {
        self.stack.superuser().await
    }
}
