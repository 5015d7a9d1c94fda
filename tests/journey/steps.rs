//! The main job, a step at a time, so that a test can break something between any two of them.
//!
//! Every step may be repeated: it first looks whether an earlier try, whose answer was lost, has done it already. That
//! is what a person does after an error message.

use grafikarsa_devstack::testing::ADMIN;
use reqwest::Method;
use serde_json::{Value, json};

use crate::person::{Answer, PATIENCE, Person, eventually};

pub const STUDENT_PASSWORD: &str = "rahasia-siti-1";
pub const PHOTOGRAPH: &[u8] = include_bytes!("../../services/portfolio/src/seed/pictures/pegunungan.jpg");

/// What the main job is about.
pub struct Journey {
    pub guest: Person,
    pub admin: Option<Person>,
    pub student: Option<Person>,
    pub username: String,
    pub portfolio: String,
    pub picture: String,
}

/// The steps in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    AdminLogsIn,
    AdminCreatesStudent,
    StudentLogsIn,
    StudentStartsPortfolio,
    StudentWritesText,
    StudentUploadsPhotograph,
    StudentSubmits,
    AdminApproves,
    GuestFindsIt,
    GuestSeesPicture,
}

impl Step {
    pub const ALL: [Self; 10] = [
        Self::AdminLogsIn,
        Self::AdminCreatesStudent,
        Self::StudentLogsIn,
        Self::StudentStartsPortfolio,
        Self::StudentWritesText,
        Self::StudentUploadsPhotograph,
        Self::StudentSubmits,
        Self::AdminApproves,
        Self::GuestFindsIt,
        Self::GuestSeesPicture,
    ];
}

impl Journey {
    pub fn new(guest: Person, username: &str) -> Self {
        Self {
            guest,
            admin: None,
            student: None,
            username: username.to_owned(),
            portfolio: String::new(),
            picture: String::new(),
        }
    }

    /// The whole main job.
    pub async fn walk(&mut self) {
        for step in Step::ALL {
            self.take(step).await;
        }
    }

    /// Takes one step, again and again while something is down.
    pub async fn take(&mut self, step: Step) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            match self.attempt(step).await {
                Ok(()) => return,
                Err(answer) if answer.is_outage() => {
                    assert!(tokio::time::Instant::now() < deadline, "{step:?} stays impossible: {answer:?}");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
                Err(answer) => {
                    panic!("{step:?}: {} {}: {}", answer.request, answer.status, String::from_utf8_lossy(&answer.bytes))
                }
            }
        }
    }

    fn admin(&self) -> Person {
        self.admin.clone().expect("the admin has logged in")
    }

    fn student(&self) -> Person {
        self.student.clone().expect("the student has logged in")
    }

    async fn attempt(&mut self, step: Step) -> Result<(), Box<Answer>> {
        match step {
            Step::AdminLogsIn => {
                let admin = self.guest.login(ADMIN.0, ADMIN.1).await;
                // The admin's account reaches portfolio by an event.
                eventually("known to portfolio", async || admin_is_known(&admin).await).await;
                self.admin = Some(admin);
                Ok(())
            }
            Step::AdminCreatesStudent => self.create_student().await,
            Step::StudentLogsIn => {
                self.student = Some(self.guest.login(&self.username, STUDENT_PASSWORD).await);
                Ok(())
            }
            Step::StudentStartsPortfolio => self.start_portfolio().await,
            Step::StudentWritesText => {
                self.add_block("text", json!({ "content": "<p>Foto pertama saya dari puncak.</p>" })).await
            }
            Step::StudentUploadsPhotograph => self.upload().await,
            Step::StudentSubmits => {
                self.advance(self.student(), &format!("/api/v1/portfolios/{}/submit", self.portfolio), "pending_review")
                    .await
            }
            Step::AdminApproves => {
                let path = format!("/api/v1/admin/portfolios/{}/approve", self.portfolio);
                self.advance(self.admin(), &path, "published").await
            }
            Step::GuestFindsIt => self.find().await,
            Step::GuestSeesPicture => self.look().await,
        }
    }

    async fn create_student(&self) -> Result<(), Box<Answer>> {
        let wish = json!({
            "username": self.username,
            "email": format!("{}@siswa.example", self.username),
            "password": STUDENT_PASSWORD,
            "nama": "Siti Aminah",
            "role": "student",
        });
        let answer = self.admin().post("/api/v1/admin/users", wish).await;
        // The first try went through, only its answer was lost.
        if answer.status == 409 && answer.code() == "DUPLICATE_USERNAME" {
            return Ok(());
        }
        success(answer).map(drop)
    }

    async fn start_portfolio(&mut self) -> Result<(), Box<Answer>> {
        let mine = success(self.student().get("/api/v1/me/portfolios").await)?;
        let portfolio = match mine.as_array().unwrap().first() {
            Some(portfolio) => portfolio.clone(),
            None => success(self.student().post("/api/v1/portfolios", json!({ "judul": "Puncak Gunung" })).await)?,
        };
        portfolio["id"].as_str().unwrap().clone_into(&mut self.portfolio);
        Ok(())
    }

    async fn detail(&self) -> Result<Value, Box<Answer>> {
        success(self.student().get(&format!("/api/v1/portfolios/id/{}", self.portfolio)).await)
    }

    async fn add_block(&self, block_type: &str, payload: Value) -> Result<(), Box<Answer>> {
        let detail = self.detail().await?;
        if detail["content_blocks"].as_array().unwrap().iter().any(|block| block["block_type"] == block_type) {
            return Ok(());
        }
        let path = format!("/api/v1/portfolios/{}/blocks", self.portfolio);
        let block = json!({ "block_type": block_type, "payload": payload });
        success(self.student().post(&path, block).await).map(drop)
    }

    async fn upload(&mut self) -> Result<(), Box<Answer>> {
        if self.picture.is_empty() {
            let wish = json!({
                "upload_type": "portfolio_image",
                "portfolio_id": self.portfolio,
                "filename": "puncak.jpg",
                "content_type": "image/jpeg",
                "file_size": PHOTOGRAPH.len(),
            });
            let upload = success(self.student().post("/api/v1/uploads/presign", wish).await)?;
            let put = self.guest.put(upload["presigned_url"].as_str().unwrap(), "image/jpeg", PHOTOGRAPH).await;
            if !put.status.is_success() {
                return Err(Box::new(put));
            }
            let receipt = json!({ "upload_id": upload["upload_id"], "object_key": upload["object_key"] });
            let confirmed = success(self.student().post("/api/v1/uploads/confirm", receipt).await)?;
            confirmed["url"].as_str().unwrap().clone_into(&mut self.picture);
        }
        self.add_block("image", json!({ "url": self.picture, "caption": "Dari puncak" })).await
    }

    async fn advance(&self, who: Person, path: &str, status: &str) -> Result<(), Box<Answer>> {
        if self.detail().await?["status"] == status {
            return Ok(());
        }
        success(who.send(Method::POST, path, Some(json!({}))).await).map(drop)
    }

    /// The portfolio's card in the feed, as a guest sees it.
    async fn find(&self) -> Result<(), Box<Answer>> {
        let feed = success(self.guest.get("/api/v1/feed?algorithm=recent").await)?;
        let cards = feed.as_array().unwrap().iter().filter(|card| card["id"] == self.portfolio.as_str());
        assert_eq!(cards.count(), 1, "not once in the feed: {feed}");
        Ok(())
    }

    async fn look(&self) -> Result<(), Box<Answer>> {
        let path = format!("/api/v1/portfolios/puncak-gunung?username={}", self.username);
        let detail = success(self.guest.get(&path).await)?;
        assert_eq!(detail["status"], "published");
        let blocks = detail["content_blocks"].as_array().unwrap();
        let types: Vec<&str> = blocks.iter().map(|block| block["block_type"].as_str().unwrap()).collect();
        assert_eq!(types, ["text", "image"]);
        assert_eq!(blocks[1]["payload"]["url"], self.picture.as_str());
        let picture = self.guest.fetch(&self.picture).await;
        if !picture.status.is_success() {
            return Err(Box::new(picture));
        }
        assert_eq!(picture.headers["content-type"], "image/jpeg");
        assert!(picture.bytes.starts_with(&[0xff, 0xd8]), "no JPEG");
        Ok(())
    }
}

async fn admin_is_known(admin: &Person) -> Result<(), String> {
    let answer = admin.get("/api/v1/me").await;
    if answer.status == 200 { Ok(()) } else { Err(format!("{answer:?}")) }
}

fn success(answer: Answer) -> Result<Value, Box<Answer>> {
    if answer.status.is_success() { Ok(answer.json()["data"].take()) } else { Err(Box::new(answer)) }
}
