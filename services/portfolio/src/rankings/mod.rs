//! The best students and the best projects, for the start page: computed at most once a minute on each replica.

use std::{sync::Arc, time::Duration};

use grafikarsa_http::{ApiError, ApiResult};
use moka::future::Cache;
use sqlx::PgPool;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::AppState;

mod projects;
mod students;

pub use projects::TopProject;
pub use students::TopStudent;

/// Places of each ranking.
const PLACES: i64 = 3;

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(students::top)).routes(routes!(projects::top))
}

/// The rankings of the last minute. Cheap to clone.
#[derive(Clone)]
pub struct Rankings {
    students: Cache<(), Arc<[TopStudent]>>,
    projects: Cache<(), Arc<[TopProject]>>,
}

impl Rankings {
    /// Rankings that are computed anew when they are older than `age`.
    pub fn new(age: Duration) -> Self {
        Self {
            students: Cache::builder().max_capacity(1).time_to_live(age).build(),
            projects: Cache::builder().max_capacity(1).time_to_live(age).build(),
        }
    }

    // Of many who ask at once one computes, the others wait for it.
    async fn students(&self, db: &PgPool) -> ApiResult<Arc<[TopStudent]>> {
        self.students.try_get_with((), students::rank(db)).await.map_err(failed)
    }

    async fn projects(&self, db: &PgPool) -> ApiResult<Arc<[TopProject]>> {
        self.projects.try_get_with((), projects::rank(db)).await.map_err(failed)
    }
}

/// An error that several share: a later request may fare better.
fn failed(error: Arc<sqlx::Error>) -> ApiError {
    ApiError::unavailable().because(anyhow::anyhow!("a ranking cannot be computed: {error}"))
}
