use std::collections::HashMap;

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    check::Student,
    errors::{Code, ImportError},
    write::Kelas,
};
use crate::settings::InitialPassword;

/// What an import has done.
#[derive(Debug, Serialize, ToSchema)]
pub struct Imported {
    total_rows: usize,
    created_classes: usize,
    created_students: usize,
    skipped: usize,
    errors: Vec<ImportError>,
    /// Only where first passwords are random; shown here and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    credentials: Option<Vec<Credentials>>,
}

impl Imported {
    pub fn message(&self) -> String {
        format!("{} siswa berhasil diimpor, {} baris dilewati", self.created_students, self.skipped)
    }
}

/// What a student logs in with for the first time.
#[derive(Debug, Serialize, ToSchema)]
struct Credentials {
    row: usize,
    nama: String,
    kelas: String,
    username: String,
    password: String,
}

/// What has become of a file.
pub struct Outcome {
    pub total_rows: usize,
    /// Of the rows that made no student from the beginning.
    pub errors: Vec<ImportError>,
    pub created_classes: usize,
    /// The class of each student who was created.
    pub kelas: HashMap<Uuid, Kelas>,
    /// auth's code for each account that it has refused.
    pub refused: HashMap<Uuid, String>,
}

impl Outcome {
    /// The students are all that were to be created, with their first passwords.
    pub fn report(self, first: InitialPassword, students: &[(Uuid, Student)], passwords: Vec<String>) -> Imported {
        let mut errors = self.errors;
        let mut credentials = Vec::new();
        for ((id, student), password) in students.iter().zip(passwords) {
            if let Some(kelas) = self.kelas.get(id) {
                credentials.push(Credentials {
                    row: student.row,
                    nama: student.nama.clone(),
                    kelas: kelas.nama.clone(),
                    username: student.nis.clone(),
                    password,
                });
                continue;
            }
            let code = match self.refused.get(id).map(String::as_str) {
                Some("USERNAME_TAKEN") => Code::UsernameExists,
                Some("DUPLICATE_EMAIL") => Code::EmailExists,
                _ => Code::CreateFailed,
            };
            errors.push(ImportError::new(student.row, &student.nama, &student.nis, code));
        }
        errors.sort_by_key(|error| error.row);
        Imported {
            total_rows: self.total_rows,
            created_classes: self.created_classes,
            created_students: credentials.len(),
            skipped: self.total_rows - credentials.len(),
            errors,
            credentials: (first == InitialPassword::Random).then_some(credentials),
        }
    }
}
