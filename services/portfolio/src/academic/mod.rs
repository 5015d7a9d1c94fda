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

impl JurusanRef {
    /// From the columns of an outer join.
    pub fn of(id: Option<Uuid>, nama: Option<String>, kode: Option<String>) -> Option<Self> {
        Some(Self { id: id?, nama: nama?, kode: kode? })
    }
}

/// A class.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct KelasRef {
    pub id: Uuid,
    pub nama: String,
}

impl KelasRef {
    /// From the columns of an outer join.
    pub fn of(id: Option<Uuid>, nama: Option<String>) -> Option<Self> {
        Some(Self { id: id?, nama: nama? })
    }
}

/// A class somebody was in.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ClassHistoryItem {
    kelas_nama: String,
    /// First year of the academic year.
    tahun_ajaran: i32,
}
