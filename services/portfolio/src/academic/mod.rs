//! The school's structure: majors, classes, and who was in which class.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::AppState;

pub mod history;
mod jurusan;
mod kelas;

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(jurusan::list)).routes(routes!(kelas::list))
}

/// A major.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct JurusanRef {
    pub id: Uuid,
    pub nama: String,
    pub kode: String,
}

/// A class.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct KelasRef {
    pub id: Uuid,
    pub nama: String,
}
