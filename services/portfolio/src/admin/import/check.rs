//! From rows to students: the rules of the file, then what the school has and who is there already.

use std::collections::{HashMap, HashSet};

use grafikarsa_http::{ApiError, ApiResult, FieldErrors, required_line};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    errors::{Code, ImportError},
    table::{COLUMNS, Row},
};

/// A class of a year.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    pub jurusan_id: Uuid,
    pub tingkat: i32,
    pub rombel: String,
}

/// A row that makes a student.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Student {
    pub row: usize,
    pub nama: String,
    pub nis: String,
    pub place: Place,
}

impl Student {
    pub fn email(&self) -> String {
        format!("{}@grafikarsa.com", self.nis)
    }
}

/// The year that students are imported into.
#[derive(Clone, Copy, Debug)]
pub struct Year {
    pub id: Uuid,
    pub tahun_mulai: i32,
}

impl Year {
    /// When somebody came who is in this grade in this year.
    pub fn tahun_masuk(self, tingkat: i32) -> i32 {
        self.tahun_mulai - (tingkat - 10)
    }
}

/// What a file comes to.
pub struct Checked {
    pub year: Year,
    pub total_rows: usize,
    pub students: Vec<Student>,
    pub errors: Vec<ImportError>,
}

/// A class that an import makes.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClassToCreate {
    nama: String,
    tingkat: i32,
    /// Code of the major.
    jurusan: String,
    rombel: String,
}

pub async fn check(db: &PgPool, rows: Vec<Row>) -> ApiResult<Checked> {
    let mut connection = db.acquire().await?;
    let year = active_year(&mut connection).await?;
    let jurusan = find_jurusan(&mut connection, &rows).await?;
    let (students, mut errors) = sort_out(&rows, &jurusan);
    let taken = Taken::among(&mut connection, &students).await?;
    let mut free = Vec::with_capacity(students.len());
    for student in students {
        match taken.code(&student) {
            Some(code) => errors.push(ImportError::new(student.row, &student.nama, &student.nis, code)),
            None => free.push(student),
        }
    }
    errors.sort_by_key(|error| error.row);
    Ok(Checked { year, total_rows: rows.len(), students: free, errors })
}

/// The classes that these students need and the year does not have.
pub async fn missing_classes(db: &PgPool, year: Year, students: &[Student]) -> ApiResult<Vec<ClassToCreate>> {
    let (jurusan_ids, tingkat, rombel) = columns(students.iter().map(|student| &student.place));
    let classes = sqlx::query_as!(
        ClassToCreate,
        r#"
        select kelas_nama(place.tingkat, j.kode, place.rombel) as "nama!", place.tingkat as "tingkat!",
            j.kode as jurusan, place.rombel as "rombel!"
        from (
            select distinct jurusan_id, tingkat, rombel
            from unnest($2::uuid[], $3::integer[], $4::text[]) as wanted (jurusan_id, tingkat, rombel)
        ) as place
        join jurusan j on j.id = place.jurusan_id
        where not exists (
            select from kelas k
            where k.tahun_ajaran_id = $1
                and k.jurusan_id = place.jurusan_id
                and k.tingkat = place.tingkat
                and k.rombel = place.rombel
                and k.deleted_at is null
        )
        order by 2, 1
        "#,
        year.id,
        &jurusan_ids,
        &tingkat,
        &rombel,
    )
    .fetch_all(db)
    .await?;
    Ok(classes)
}

/// The columns of a list of classes.
pub fn columns<'a>(places: impl Iterator<Item = &'a Place>) -> (Vec<Uuid>, Vec<i32>, Vec<String>) {
    let (mut jurusan_ids, mut tingkat, mut rombel) = (Vec::new(), Vec::new(), Vec::new());
    for place in places {
        jurusan_ids.push(place.jurusan_id);
        tingkat.push(place.tingkat);
        rombel.push(place.rombel.clone());
    }
    (jurusan_ids, tingkat, rombel)
}

async fn active_year(connection: &mut PgConnection) -> ApiResult<Year> {
    let year =
        sqlx::query_as!(Year, "select id, tahun_mulai from tahun_ajaran where is_active and deleted_at is null",)
            .fetch_optional(connection)
            .await?;
    year.ok_or_else(|| ApiError::bad_request("NO_ACTIVE_TAHUN_AJARAN", "Belum ada tahun ajaran aktif"))
}

/// The majors of the file, by their codes.
async fn find_jurusan(connection: &mut PgConnection, rows: &[Row]) -> Result<HashMap<String, Uuid>, sqlx::Error> {
    let codes: HashSet<String> =
        rows.iter().filter_map(|row| row.cells.get(1)).map(|code| code.to_lowercase()).collect();
    let codes: Vec<String> = codes.into_iter().collect();
    let found = sqlx::query!("select id, kode from jurusan where kode = any($1) and deleted_at is null", &codes)
        .fetch_all(connection)
        .await?;
    Ok(found.into_iter().map(|row| (row.kode, row.id)).collect())
}

/// The rules that need nothing but the file and the majors. Of rows with one NIS the first that keeps them wins.
fn sort_out(rows: &[Row], jurusan: &HashMap<String, Uuid>) -> (Vec<Student>, Vec<ImportError>) {
    let (mut students, mut errors) = (Vec::with_capacity(rows.len()), Vec::new());
    let mut seen = HashSet::new();
    for row in rows {
        match student(row, jurusan) {
            Ok(student) if seen.insert(student.nis.clone()) => students.push(student),
            Ok(_) => errors.push(ImportError::of(row, Code::DuplicateInFile)),
            Err(code) => errors.push(ImportError::of(row, code)),
        }
    }
    (students, errors)
}

fn student(row: &Row, jurusan: &HashMap<String, Uuid>) -> Result<Student, Code> {
    let [tingkat, kode, rombel, nama, nis]: &[String; COLUMNS] =
        row.cells.as_slice().try_into().map_err(|_| Code::IncompleteColumns)?;
    let tingkat = match tingkat.as_str() {
        "10" => 10,
        "11" => 11,
        "12" => 12,
        _ => return Err(Code::InvalidTingkat),
    };
    if kode.is_empty() {
        return Err(Code::InvalidJurusan);
    }
    let jurusan_id = *jurusan.get(&kode.to_lowercase()).ok_or(Code::JurusanNotFound)?;
    if rombel.len() != 1 || !rombel.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Err(Code::InvalidRombel);
    }
    let mut broken = FieldErrors::new();
    let nama = required_line(&mut broken, "nama", "Nama", Some(nama), 2..=100);
    if !broken.is_empty() {
        return Err(Code::InvalidNama);
    }
    if !(3..=30).contains(&nis.len()) || !nis.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Code::InvalidNis);
    }
    let place = Place { jurusan_id, tingkat, rombel: rombel.to_ascii_uppercase() };
    Ok(Student { row: row.number, nama, nis: nis.clone(), place })
}

/// What users who are not deleted have already of the names and numbers of a file.
struct Taken {
    nis: HashSet<String>,
    usernames: HashSet<String>,
    emails: HashSet<String>,
}

impl Taken {
    async fn among(connection: &mut PgConnection, students: &[Student]) -> Result<Self, sqlx::Error> {
        let nis: Vec<String> = students.iter().map(|student| student.nis.clone()).collect();
        let emails: Vec<String> = students.iter().map(Student::email).collect();
        let row = sqlx::query!(
            r#"
            select
                array(select nis from users where deleted_at is null and nis = any($1)) as "nis!: Vec<String>",
                array(select lower(username) from users where deleted_at is null and lower(username) = any($1))
                    as "usernames!: Vec<String>",
                array(select lower(email) from users where deleted_at is null and lower(email) = any($2))
                    as "emails!: Vec<String>"
            "#,
            &nis,
            &emails,
        )
        .fetch_one(connection)
        .await?;
        let set = |names: Vec<String>| names.into_iter().collect();
        Ok(Self { nis: set(row.nis), usernames: set(row.usernames), emails: set(row.emails) })
    }

    fn code(&self, student: &Student) -> Option<Code> {
        if self.nis.contains(&student.nis) {
            Some(Code::NisExists)
        } else if self.usernames.contains(&student.nis) {
            Some(Code::UsernameExists)
        } else if self.emails.contains(&student.email()) {
            Some(Code::EmailExists)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(lines: &[&str]) -> Vec<Row> {
        let cells = |line: &&str| line.split(',').take(COLUMNS).map(|cell| cell.trim().to_owned()).collect();
        lines.iter().enumerate().map(|(place, line)| Row { number: place + 2, cells: cells(line) }).collect()
    }

    fn sorted(lines: &[&str]) -> (Vec<Student>, Vec<ImportError>) {
        sort_out(&rows(lines), &HashMap::from([("rpl".to_owned(), Uuid::max())]))
    }

    #[test]
    fn the_first_broken_rule_speaks() {
        let long = "9".repeat(31);
        for (line, code) in [
            ("9,,AB", Some(Code::IncompleteColumns)),
            ("9,,AB,x,x", Some(Code::InvalidTingkat)),
            ("X,rpl,A,Budi,123", Some(Code::InvalidTingkat)),
            ("10,,AB,x,x", Some(Code::InvalidJurusan)),
            ("10,xyz,AB,x,x", Some(Code::JurusanNotFound)),
            ("10,RPL,AB,x,x", Some(Code::InvalidRombel)),
            ("10,rpl,1,x,x", Some(Code::InvalidRombel)),
            ("10,rpl,,x,x", Some(Code::InvalidRombel)),
            ("10,rpl,A,x,x", Some(Code::InvalidNama)),
            ("10,rpl,A,Bu\tdi,x", Some(Code::InvalidNama)),
            ("10,rpl,A,Budi,12", Some(Code::InvalidNis)),
            ("10,rpl,A,Budi,12x", Some(Code::InvalidNis)),
            ("10,rpl,A,Budi,", Some(Code::InvalidNis)),
            (&format!("10,rpl,A,Budi,{long}"), Some(Code::InvalidNis)),
            ("10,rpl,A,Budi,２４３", Some(Code::InvalidNis)),
            (&format!("12,Rpl,b,Bu,{}", &long[1..]), None),
            ("10,rpl,a,=cmd|'/c calc'!A0,123", None),
        ] {
            let (students, errors) = sorted(&[line]);
            match code {
                Some(code) => assert_eq!(errors[0].code, ImportError::new(2, "", "", code).code, "{line}"),
                None => assert_eq!(students.len(), 1, "{line}"),
            }
        }
        assert_eq!(sorted(&["10,rpl,z,Budi,123"]).0[0].place.rombel, "Z");
    }

    #[test]
    fn of_equal_numbers_the_first_good_row_wins() {
        let lines = ["10,xyz,A,Budi,123", "10,rpl,A,Budi,123", "10,rpl,B,Siti,123"];
        let (students, errors) = sorted(&lines);
        assert_eq!(students.iter().map(|student| student.row).collect::<Vec<_>>(), [3]);
        let codes: Vec<_> = errors.iter().map(|error| (error.row, error.code)).collect();
        assert_eq!(codes, [(2, "JURUSAN_NOT_FOUND"), (4, "DUPLICATE_IN_FILE")]);
    }

    #[test]
    fn the_grade_tells_the_year_of_entry() {
        let year = Year { id: Uuid::nil(), tahun_mulai: 2026 };
        assert_eq!([10, 11, 12].map(|tingkat| year.tahun_masuk(tingkat)), [2026, 2025, 2024]);
    }
}
