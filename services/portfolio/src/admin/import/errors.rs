use serde::Serialize;
use utoipa::ToSchema;

use super::table::Row;

/// Why a row makes no student, in the order in which the rules are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    IncompleteColumns,
    InvalidTingkat,
    InvalidJurusan,
    JurusanNotFound,
    InvalidRombel,
    InvalidNama,
    InvalidNis,
    DuplicateInFile,
    NisExists,
    UsernameExists,
    EmailExists,
    CreateFailed,
}

impl Code {
    fn as_str(self) -> &'static str {
        self.worded().0
    }

    fn message(self) -> &'static str {
        self.worded().1
    }

    fn worded(self) -> (&'static str, &'static str) {
        match self {
            Self::IncompleteColumns => ("INCOMPLETE_COLUMNS", "Kolom tidak lengkap, harus ada 5 kolom"),
            Self::InvalidTingkat => ("INVALID_TINGKAT", "Tingkat harus 10, 11, atau 12"),
            Self::InvalidJurusan => ("INVALID_JURUSAN", "Kode jurusan wajib diisi"),
            Self::JurusanNotFound => ("JURUSAN_NOT_FOUND", "Jurusan dengan kode ini tidak ditemukan"),
            Self::InvalidRombel => ("INVALID_ROMBEL", "Rombel harus satu huruf A–Z"),
            Self::InvalidNama => ("INVALID_NAMA", "Nama harus 2 sampai 100 karakter tanpa karakter khusus"),
            Self::InvalidNis => ("INVALID_NIS", "NIS harus 3 sampai 30 digit angka; di Excel gunakan format teks"),
            Self::DuplicateInFile => ("DUPLICATE_IN_FILE", "NIS ini sudah ada di baris sebelumnya"),
            Self::NisExists => ("NIS_EXISTS", "NIS sudah digunakan"),
            Self::UsernameExists => ("USERNAME_EXISTS", "Username sudah digunakan"),
            Self::EmailExists => ("EMAIL_EXISTS", "Email sudah digunakan"),
            Self::CreateFailed => ("CREATE_FAILED", "Siswa gagal dibuat karena NIS baru saja digunakan"),
        }
    }
}

/// A row that makes no student.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImportError {
    pub row: usize,
    /// As in the file.
    nis: String,
    /// As in the file.
    nama: String,
    error: &'static str,
    /// `INCOMPLETE_COLUMNS`, `INVALID_…`, `JURUSAN_NOT_FOUND`, `DUPLICATE_IN_FILE`, `…_EXISTS` or `CREATE_FAILED`.
    pub code: &'static str,
}

impl ImportError {
    pub fn new(row: usize, nama: &str, nis: &str, code: Code) -> Self {
        Self { row, nis: nis.to_owned(), nama: nama.to_owned(), error: code.message(), code: code.as_str() }
    }

    pub fn of(row: &Row, code: Code) -> Self {
        let cell = |column: usize| row.cells.get(column).map_or("", String::as_str);
        Self::new(row.number, cell(3), cell(4), code)
    }
}
