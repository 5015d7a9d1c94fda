//! What stands in an uploaded file, before any rule: rows of up to five texts.

use grafikarsa_http::{ApiError, clean};

use super::MOST;

mod csv;
mod xlsx;

/// Columns that mean something; further ones are ignored.
pub const COLUMNS: usize = 5;
/// No rule lets a longer text pass, so that a row that breaks one is told in bounded words.
const LONGEST: usize = 200;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Csv,
    Xlsx,
}

impl Kind {
    /// By the ending of the file's name.
    pub fn of(name: &str) -> Option<Self> {
        let (_, ending) = name.rsplit_once('.')?;
        match ending.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Csv),
            "xlsx" => Some(Self::Xlsx),
            _ => None,
        }
    }
}

/// A row that is not blank.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// As a spreadsheet shows it: from 1, with the header and blank rows counted.
    pub number: usize,
    /// Trimmed, [`COLUMNS`] at the most.
    pub cells: Vec<String>,
}

/// Why a file is no table of students.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    WrongKind,
    Broken,
    TooLarge,
    Empty,
    TooManyRows,
}

impl From<Unreadable> for ApiError {
    fn from(why: Unreadable) -> Self {
        match why {
            Unreadable::WrongKind => {
                Self::bad_request("INVALID_FILE_TYPE", "File harus berupa CSV (.csv) atau Excel (.xlsx)")
            }
            Unreadable::Broken => Self::bad_request("INVALID_FILE", "File tidak ada atau tidak dapat dibaca"),
            Unreadable::TooLarge => Self::bad_request("FILE_TOO_LARGE", "Ukuran file maksimal 5 MB"),
            Unreadable::Empty => Self::bad_request("EMPTY_FILE", "File tidak berisi data siswa"),
            Unreadable::TooManyRows => {
                Self::bad_request("TOO_MANY_ROWS", format!("File berisi lebih dari {MOST} baris data"))
            }
        }
    }
}

/// The data rows of a file, at least one. Takes a while: not for the threads that answer requests.
pub fn read(kind: Kind, bytes: &[u8]) -> Result<Vec<Row>, Unreadable> {
    if bytes.is_empty() {
        return Err(Unreadable::Empty);
    }
    match kind {
        Kind::Csv => csv::read(bytes),
        Kind::Xlsx => xlsx::read(bytes),
    }
}

/// The rows as they come, in order.
#[derive(Default)]
struct Collected {
    rows: Vec<Row>,
    begun: bool,
}

impl Collected {
    fn push(&mut self, number: usize, cells: Vec<String>) -> Result<(), Unreadable> {
        if cells.iter().all(String::is_empty) {
            return Ok(());
        }
        if !self.begun {
            self.begun = true;
            if is_header(&cells) {
                return Ok(());
            }
        }
        if self.rows.len() == MOST {
            return Err(Unreadable::TooManyRows);
        }
        self.rows.push(Row { number, cells });
        Ok(())
    }

    fn finish(self) -> Result<Vec<Row>, Unreadable> {
        if self.rows.is_empty() { Err(Unreadable::Empty) } else { Ok(self.rows) }
    }
}

fn is_header(cells: &[String]) -> bool {
    let first = cells.first().map(|cell| cell.to_lowercase());
    matches!(first.as_deref(), Some("tingkat" | "kelas"))
}

fn cell(text: &str) -> String {
    clean(text).chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_says_the_kind() {
        for (name, kind) in [
            ("siswa.csv", Some(Kind::Csv)),
            ("Siswa Baru.XLSX", Some(Kind::Xlsx)),
            ("siswa.xls", None),
            ("csv", None),
            ("siswa.csv.exe", None),
        ] {
            assert_eq!(Kind::of(name), kind, "{name}");
        }
    }

    #[test]
    fn blank_rows_and_one_header_are_no_data_and_numbers_stay() {
        let mut collected = Collected::default();
        let row = |cells: &[&str]| cells.iter().map(|&cell| cell.to_owned()).collect();
        collected.push(1, row(&["", ""])).unwrap();
        collected.push(2, row(&["KELAS", "Jurusan"])).unwrap();
        collected.push(4, row(&["kelas"])).unwrap();
        let rows = collected.finish().unwrap();
        assert_eq!(rows, [Row { number: 4, cells: vec!["kelas".to_owned()] }]);
        assert_eq!(Collected::default().finish(), Err(Unreadable::Empty));
    }

    #[test]
    fn two_thousand_rows_are_taken_and_one_more_is_too_many() {
        let mut collected = Collected::default();
        for number in 1..=MOST {
            collected.push(number, vec!["10".to_owned()]).unwrap();
        }
        assert_eq!(collected.push(MOST + 1, vec!["10".to_owned()]), Err(Unreadable::TooManyRows));
    }
}
