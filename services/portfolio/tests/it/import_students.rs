//! POST /admin/import/students: what a file comes to.

mod interrupted;

use std::io::{Cursor, Write as _};

use grafikarsa_devstack::testing::http_client;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use uuid::Uuid;
use zip::{ZipWriter, write::SimpleFileOptions};

use crate::support::{Answer, TestApp, User, eventually};

const IMPORT: &str = "/api/v1/admin/import/students";
const HEADER: &str = "tingkat,kode_jurusan,rombel,nama_lengkap,nis\n";
const OPEN: &str = "select count(*) from account_intents where state = 'open'";

/// A school with two majors and an active year, and no class.
async fn school() -> TestApp {
    school_with(&[]).await
}

async fn school_with(settings: &[(&str, &str)]) -> TestApp {
    let app = TestApp::with(settings).await;
    app.sql(
        "insert into jurusan (id, nama, kode) values
             (gen_random_uuid(), 'Rekayasa Perangkat Lunak', 'rpl'), (gen_random_uuid(), 'Teknik Jaringan', 'tkj');
         insert into tahun_ajaran (id, tahun_mulai, is_active) values (gen_random_uuid(), 2026, true)",
    )
    .await;
    app
}

async fn import(user: &User, text: &str) -> Answer {
    user.upload(IMPORT, &[], Some(("siswa.csv", text.as_bytes()))).await
}

/// The same as a client that does not wait.
fn begin_import(app: &TestApp, text: &str) -> JoinHandle<Option<Answer>> {
    let (admin, text) = (app.admin().clone(), text.to_owned());
    tokio::spawn(async move {
        // The connection may die with the service.
        tokio::spawn(async move { import(&admin, &text).await }).await.ok()
    })
}

/// Students of classes A to Z of a major.
fn students(first: usize, count: usize) -> String {
    let row = |number: usize| {
        let rombel = char::from(b'A' + u8::try_from(number % 26).unwrap());
        format!("10,rpl,{rombel},Siswa {number},{}\n", 24_327_000_000 + number)
    };
    let rows: Vec<String> = (first..first + count).map(row).collect();
    HEADER.to_owned() + &rows.concat()
}

/// Row and code of each error.
fn codes(errors: &Value) -> Vec<(u64, String)> {
    let errors = errors.as_array().unwrap().iter();
    errors.map(|error| (error["row"].as_u64().unwrap(), error["code"].as_str().unwrap().to_owned())).collect()
}

/// Every account of auth but the admin's has its profile, every student's profile its account, class and history.
async fn nobody_is_half_created(app: &TestApp) {
    let pool = app.stack.pool("auth").await;
    let accounts: Vec<Uuid> = sqlx::query_scalar("select id from accounts where role = 'student' order by id")
        .fetch_all(&pool)
        .await
        .unwrap();
    let profiles: Vec<Uuid> = sqlx::query_scalar(
        "select u.id from users u
         join riwayat_kelas r on r.user_id = u.id and r.kelas_id = u.kelas_id and r.is_current
         where u.role = 'student' and u.nama like 'Siswa %' and u.nis = u.username order by u.id",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap();
    assert_eq!(accounts, profiles);
    assert_eq!(
        app.count("select count(*) from users where role = 'student'").await,
        i64::try_from(profiles.len()).unwrap()
    );
}

#[tokio::test]
async fn a_class_is_imported_and_its_students_log_in_with_their_nis() {
    let app = school().await;
    let text =
        format!("{HEADER}10,rpl,A,Budi Santoso,007\n12,RPL,b,  Siti Aminah ,24327004990002\n9,rpl,A,Ahmad Rizki,3\n");
    let answer = import(app.admin(), &text).await;
    let data = answer.data(200);
    let error = "Tingkat harus 10, 11, atau 12";
    assert_eq!(
        data,
        json!({
            "total_rows": 3, "created_classes": 2, "created_students": 2, "skipped": 1,
            "errors": [{ "row": 4, "nis": "3", "nama": "Ahmad Rizki", "error": error, "code": "INVALID_TINGKAT" }],
        })
    );
    assert!(answer.body["message"].is_string());
    // Shorter than a password that somebody chooses may be.
    let budi = app.login("007", "007").await;
    let me = budi.get("/api/v1/me").await.data(200);
    assert_eq!(
        (&me["nama"], &me["email"], &me["must_change_password"]),
        (&json!("Budi Santoso"), &json!("007@grafikarsa.com"), &json!(true))
    );
    let siti = app.login("24327004990002", "24327004990002").await;
    let me = siti.get("/api/v1/me").await.data(200);
    assert_eq!(
        (&me["nama"], &me["nis"], &me["tahun_masuk"]),
        (&json!("Siti Aminah"), &json!("24327004990002"), &json!(2024))
    );
    assert_eq!(me["kelas"]["nama"], "XII-RPL-B");
    let history =
        "select count(*) from riwayat_kelas r join kelas k on k.id = r.kelas_id join users u on u.id = r.user_id
                   where r.is_current and u.kelas_id = k.id and k.nama in ('X-RPL-A', 'XII-RPL-B')";
    assert_eq!(app.count(history).await, 2);
    assert_eq!(app.count("select count(*) from audit_log where action = 'user.create'").await, 2);
    assert_eq!(app.count("select count(*) from audit_log where action = 'kelas.create'").await, 2);
    assert_eq!(app.count("select count(*) from account_intents where state = 'done' and profile = '{}'").await, 1);
    // auth knows the names, too.
    let auth = app.stack.pool("auth").await;
    eventually("auth hears of the names", async || {
        let named = sqlx::query_scalar::<_, i64>("select count(*) from accounts where nama = 'Budi Santoso'");
        named.fetch_one(&auth).await.unwrap() == 1
    })
    .await;
}

#[tokio::test]
async fn a_dry_run_says_what_would_happen_and_writes_nothing() {
    let app = school().await;
    app.sql(
        "insert into kelas (id, tahun_ajaran_id, jurusan_id, tingkat, rombel, nama)
         select gen_random_uuid(), t.id, j.id, 10, 'A', 'X-RPL-A' from tahun_ajaran t, jurusan j where j.kode = 'rpl'",
    )
    .await;
    let text = "11,tkj,B,Siswa 1,101\n10,rpl,A,Siswa 2,102\n10,tkj,A,Siswa 3,103\n10,RPL,b,Siswa 4,104\n10,rpl,b,Siswa 5,105\n\
                12,rpl,A,x,106\n10,xyz,A,Siswa 7,107\n";
    let data = app
        .admin()
        .upload(&format!("{IMPORT}?dry_run=true"), &[], Some(("siswa.csv", text.as_bytes())))
        .await
        .data(200);
    assert_eq!(data["total_rows"], 7);
    assert_eq!(data["students_to_create"], 5);
    assert_eq!(
        data["classes_to_create"],
        json!([
            { "nama": "X-RPL-B", "tingkat": 10, "jurusan": "rpl", "rombel": "B" },
            { "nama": "X-TKJ-A", "tingkat": 10, "jurusan": "tkj", "rombel": "A" },
            { "nama": "XI-TKJ-B", "tingkat": 11, "jurusan": "tkj", "rombel": "B" },
        ])
    );
    assert_eq!(
        codes(&data["validation_errors"]),
        [(6, "INVALID_NAMA".to_owned()), (7, "JURUSAN_NOT_FOUND".to_owned())]
    );
    assert_eq!(app.count("select count(*) from users where role = 'student'").await, 0);
    assert_eq!(app.count("select count(*) from kelas").await, 1);
    assert_eq!(app.count("select count(*) from account_intents").await, 0);
}

#[tokio::test]
async fn the_dry_run_may_be_a_field_and_the_query_wins() {
    let app = school().await;
    let file = Some(("siswa.csv", &b"10,rpl,A,Siswa 1,101\n"[..]));
    let query = |value: &str| format!("{IMPORT}?dry_run={value}");
    let data = app.admin().upload(IMPORT, &[("dry_run", "1")], file).await.data(200);
    assert_eq!(data["students_to_create"], 1);
    let data = app.admin().upload(&query(""), &[("dry_run", "true")], file).await.data(200);
    assert_eq!(data["students_to_create"], 1);
    app.admin().upload(&query("ya"), &[], file).await.fails(400, "VALIDATION_ERROR");
    app.admin().upload(IMPORT, &[("dry_run", "ya")], file).await.fails(400, "VALIDATION_ERROR");
    let data = app.admin().upload(&query("false"), &[("dry_run", "true")], file).await.data(200);
    assert_eq!(data["created_students"], 1);
}

#[tokio::test]
async fn only_holders_of_users_import() {
    let app = school().await;
    let file = Some(("siswa.csv", &b"10,rpl,A,Siswa 1,101\n"[..]));
    app.get(&format!("{IMPORT}/template")).await.fails(401, "UNAUTHORIZED");
    let siti = app.holder("siti", &["classes", "majors"]).await;
    siti.upload(IMPORT, &[], file).await.fails(403, "FORBIDDEN");
    siti.get(&format!("{IMPORT}/template")).await.fails(403, "FORBIDDEN");
    // What is wrong with the query comes before, what is wrong with the body after.
    siti.upload(&format!("{IMPORT}?dry_run=x"), &[], None).await.fails(400, "VALIDATION_ERROR");
    siti.upload(IMPORT, &[], None).await.fails(403, "FORBIDDEN");
    let tata = app.holder("tata", &["users"]).await;
    assert_eq!(tata.upload(IMPORT, &[], file).await.data(200)["created_students"], 1);
}

#[tokio::test]
async fn every_row_that_makes_no_student_is_reported_with_its_first_broken_rule() {
    let app = school().await;
    app.user(json!({ "username": "budi", "nis": "201" })).await;
    app.user(json!({ "username": "202" })).await;
    app.user(json!({ "username": "siti", "email": "203@grafikarsa.com" })).await;
    let rows = [
        ("10,rpl,A,Siswa 0", "INCOMPLETE_COLUMNS"),
        ("13,rpl,A,Siswa 1,101", "INVALID_TINGKAT"),
        ("10,,A,Siswa 2,102", "INVALID_JURUSAN"),
        ("10,xyz,A,Siswa 3,103", "JURUSAN_NOT_FOUND"),
        ("10,rpl,AB,Siswa 4,104", "INVALID_ROMBEL"),
        ("10,rpl,A,S,105", "INVALID_NAMA"),
        ("10,rpl,A,Siswa 6,24327/00", "INVALID_NIS"),
        ("10,rpl,A,Siswa 7,107", ""),
        ("10,rpl,A,Siswa 8,107", "DUPLICATE_IN_FILE"),
        ("10,rpl,A,Siswa 9,201", "NIS_EXISTS"),
        ("10,rpl,A,Siswa 10,202", "USERNAME_EXISTS"),
        ("10,rpl,A,Siswa 11,203", "EMAIL_EXISTS"),
    ];
    let lines: Vec<String> = rows.iter().map(|(row, _)| format!("{row}\n")).collect();
    let data = import(app.admin(), &(HEADER.to_owned() + &lines.concat())).await.data(200);
    let expected: Vec<(u64, String)> = (2..)
        .zip(rows)
        .filter(|(_, (_, code))| !code.is_empty())
        .map(|(row, (_, code))| (row, code.to_owned()))
        .collect();
    assert_eq!(codes(&data["errors"]), expected);
    assert_eq!((&data["created_students"], &data["skipped"], &data["total_rows"]), (&json!(1), &json!(11), &json!(12)));
    // The class of invalid rows is not made for them.
    assert_eq!(app.count("select count(*) from kelas").await, 1);
}

#[tokio::test]
async fn semicolons_a_mark_of_the_encoding_quotes_and_blank_rows_are_read() {
    let app = school().await;
    let text = "\u{feff}Kelas;Jurusan;Rombel;Nama;NIS;Catatan\r\n\r\n10;rpl;A;\"Budi; Santoso\";101;x\r\n;;;;\r\n10;rpl;A;Ahmad, S.Kom;102\r\n";
    let data = import(app.admin(), text).await.data(200);
    assert_eq!((&data["total_rows"], &data["created_students"]), (&json!(2), &json!(2)));
    assert_eq!(app.count("select count(*) from users where nama in ('Budi; Santoso', 'Ahmad, S.Kom')").await, 2);
}

#[tokio::test]
async fn what_looks_like_a_formula_is_a_name_as_any_other() {
    let app = school().await;
    let data = import(app.admin(), "10,rpl,A,=cmd|' /C calc'!A0,101\n").await.data(200);
    assert_eq!(data["created_students"], 1);
    assert_eq!(app.login("101", "101").await.get("/api/v1/me").await.data(200)["nama"], "=cmd|' /C calc'!A0");
}

/// A workbook of one sheet.
fn workbook(sheet: &str) -> Vec<u8> {
    let parts = [
        (
            "_rels/.rels",
            r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1"
                Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"
                Target="xl/workbook.xml"/></Relationships>"#,
        ),
        (
            "xl/workbook.xml",
            r#"<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"
                xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">
                <sheets><sheet name="Siswa" sheetId="1" r:id="r1"/></sheets></workbook>"#,
        ),
        (
            "xl/_rels/workbook.xml.rels",
            r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1"
                Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet"
                Target="worksheets/sheet1.xml"/></Relationships>"#,
        ),
        ("xl/worksheets/sheet1.xml", sheet),
    ];
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in parts {
        writer.start_file(name, SimpleFileOptions::default()).unwrap();
        writer.write_all(content.as_bytes()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[tokio::test]
async fn numbers_and_merged_cells_of_a_workbook_are_read() {
    let app = school().await;
    let text = |place: &str, text: &str| format!(r#"<c r="{place}" t="inlineStr"><is><t>{text}</t></is></c>"#);
    let number = |place: &str, number: &str| format!(r#"<c r="{place}"><v>{number}</v></c>"#);
    let rows = [
        [text("A1", "Tingkat"), text("B1", "Jurusan"), text("C1", "Rombel"), text("D1", "Nama"), text("E1", "NIS")]
            .concat(),
        // A number as Excel writes long ones, and one with its fraction.
        [
            number("A2", "10"),
            text("B2", "RPL"),
            text("C2", "a"),
            text("D2", "Siswa 1"),
            number("E2", "2.4327004990001E13"),
        ]
        .concat(),
        [number("A3", "11.0"), text("B3", "rpl"), text("C3", "A"), text("D3", "Siswa 2"), text("E3", "00123")].concat(),
        // Column A is merged with the row above: only the first cell has the value.
        [r#"<c r="A4"/>"#.to_owned(), text("B4", "rpl"), text("C4", "A"), text("D4", "Siswa 3"), number("E4", "104")]
            .concat(),
        // More digits than Excel keeps.
        [
            number("A5", "10"),
            text("B5", "rpl"),
            text("C5", "A"),
            text("D5", "Siswa 4"),
            number("E5", "24327004990001000000"),
        ]
        .concat(),
    ];
    let rows: Vec<String> = (1..).zip(rows).map(|(row, cells)| format!(r#"<row r="{row}">{cells}</row>"#)).collect();
    let sheet = format!(
        r#"<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{}</sheetData>
        <mergeCells count="1"><mergeCell ref="A3:A4"/></mergeCells></worksheet>"#,
        rows.concat()
    );
    let answer = app.admin().upload(IMPORT, &[], Some(("Siswa.XLSX", &workbook(&sheet)))).await;
    let data = answer.data(200);
    assert_eq!(data["created_students"], 2, "{data}");
    assert_eq!(codes(&data["errors"]), [(4, "INVALID_TINGKAT".to_owned()), (5, "INVALID_NIS".to_owned())]);
    app.login("24327004990001", "24327004990001").await;
    app.login("00123", "00123").await;
}

#[tokio::test]
async fn files_that_are_no_tables_are_refused() {
    let app = school().await;
    let refused = async |name: &str, content: &[u8], code: &str| {
        app.admin().upload(IMPORT, &[], Some((name, content))).await.fails(400, code);
    };
    app.admin().upload(IMPORT, &[("dry_run", "true")], None).await.fails(400, "INVALID_FILE");
    app.admin().upload(IMPORT, &[("file", "10,rpl,A,Budi,1")], None).await.fails(400, "INVALID_FILE");
    app.admin().post(IMPORT, &json!({})).await.fails(400, "INVALID_FILE");
    app.admin().act(IMPORT).await.fails(400, "INVALID_FILE");
    refused("siswa.txt", b"10,rpl,A,Budi,123\n", "INVALID_FILE_TYPE").await;
    refused("siswa.csv", &workbook(""), "INVALID_FILE_TYPE").await;
    refused("siswa.xlsx", b"10,rpl,A,Budi,123\n", "INVALID_FILE_TYPE").await;
    refused("siswa.csv", b"10,rpl,A,Andr\xe9,123\n", "INVALID_FILE").await;
    refused("siswa.xlsx", &workbook("<worksheet>"), "INVALID_FILE").await;
    refused("siswa.csv", b"", "EMPTY_FILE").await;
    refused("siswa.csv", format!("{HEADER}\n,,,,\n").as_bytes(), "EMPTY_FILE").await;
    refused("siswa.csv", students(1, 2001).as_bytes(), "TOO_MANY_ROWS").await;
    refused("siswa.csv", &vec![b'\n'; 5 * 1024 * 1024], "EMPTY_FILE").await;
    refused("siswa.csv", &vec![b'\n'; 5 * 1024 * 1024 + 1], "FILE_TOO_LARGE").await;
    refused("siswa.csv", &vec![b'\n'; 7 * 1024 * 1024], "FILE_TOO_LARGE").await;
    assert_eq!(app.count("select count(*) from account_intents").await, 0);
}

#[tokio::test]
async fn nginx_lets_the_largest_file_through() {
    let app = school().await;
    let admin = app.admin().through_nginx(&app).await;
    let upload = async |content: Vec<u8>| admin.upload(IMPORT, &[], Some(("siswa.csv", &content))).await;
    upload(vec![b'\n'; 5 * 1024 * 1024]).await.fails(400, "EMPTY_FILE");
    upload(vec![b'\n'; 5 * 1024 * 1024 + 1]).await.fails(400, "FILE_TOO_LARGE");
    upload(vec![b'\n'; 7 * 1024 * 1024]).await.fails(413, "PAYLOAD_TOO_LARGE");
    assert_eq!(upload(students(1, 3).into()).await.data(200)["created_students"], 3);
}

#[tokio::test]
async fn an_archive_that_unpacks_to_too_much_is_refused() {
    let app = school().await;
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for part in ["_rels/.rels", "xl/workbook.xml", "xl/worksheets/sheet1.xml"] {
        writer.start_file(part, SimpleFileOptions::default()).unwrap();
        writer.write_all(&vec![b' '; 40 * 1024 * 1024]).unwrap();
    }
    let bomb = writer.finish().unwrap().into_inner();
    app.admin().upload(IMPORT, &[], Some(("siswa.xlsx", &bomb))).await.fails(400, "FILE_TOO_LARGE");
}

#[tokio::test]
async fn without_an_active_year_nothing_is_imported() {
    let app = school().await;
    app.sql("update tahun_ajaran set is_active = false").await;
    import(app.admin(), "10,rpl,A,Siswa 1,101\n").await.fails(400, "NO_ACTIVE_TAHUN_AJARAN");
}

#[tokio::test]
async fn the_same_file_creates_nothing_the_second_time() {
    let app = school().await;
    let text = students(1, 30);
    let data = import(app.admin(), &text).await.data(200);
    assert_eq!((&data["created_students"], &data["created_classes"]), (&json!(30), &json!(26)));
    let data = import(app.admin(), &text).await.data(200);
    assert_eq!(
        (&data["created_students"], &data["created_classes"], &data["skipped"]),
        (&json!(0), &json!(0), &json!(30))
    );
    assert!(codes(&data["errors"]).iter().all(|(_, code)| code == "NIS_EXISTS"));
    assert_eq!(data["errors"].as_array().unwrap().len(), 30);
    nobody_is_half_created(&app).await;
}

#[tokio::test]
async fn two_imports_at_once_create_each_class_and_each_student_once() {
    let app = school().await;
    // Half of the students are in both files.
    let imports = [begin_import(&app, &students(1, 40)), begin_import(&app, &students(21, 40))];
    let mut created = 0;
    for import in imports {
        let data = import.await.unwrap().unwrap().data(200);
        created += data["created_students"].as_u64().unwrap();
        for (_, code) in codes(&data["errors"]) {
            assert!(["NIS_EXISTS", "USERNAME_EXISTS", "CREATE_FAILED"].contains(&code.as_str()), "{code}");
        }
    }
    assert_eq!(created, 60);
    assert_eq!(app.count("select count(*) from users where role = 'student'").await, 60);
    assert_eq!(app.count("select count(*) from kelas").await, 26);
    nobody_is_half_created(&app).await;
}

#[tokio::test]
async fn a_number_that_somebody_takes_meanwhile_is_reported_and_its_account_is_gone() {
    let app = school().await;
    let mut taker = app.pool.begin().await.unwrap();
    sqlx::query(
        "insert into users (id, account_version, username, email, role, is_active, must_change_password, created_at, nama, nis)
         values (gen_random_uuid(), 1, 'lain', 'lain@sekolah.sch.id', 'alumni', true, false, now(), 'Lain', '102')",
    )
    .execute(&mut *taker)
    .await
    .unwrap();
    let importing = begin_import(&app, "10,rpl,A,Siswa 1,101\n10,rpl,A,Siswa 2,102\n");
    app.somebody_waits_for_a_lock().await;
    taker.commit().await.unwrap();
    let data = importing.await.unwrap().unwrap().data(200);
    assert_eq!(data["created_students"], 1);
    assert_eq!(codes(&data["errors"]), [(2, "CREATE_FAILED".to_owned())]);
    app.login("101", "101").await;
    nobody_is_half_created(&app).await;
    // The name is free again.
    app.user(json!({ "username": "102" })).await;
}

#[tokio::test]
async fn a_year_that_ends_meanwhile_undoes_the_import() {
    let app = school().await;
    let mut ending = app.pool.begin().await.unwrap();
    sqlx::query("update tahun_ajaran set is_active = false").execute(&mut *ending).await.unwrap();
    let importing = begin_import(&app, "10,rpl,A,Siswa 1,101\n");
    app.somebody_waits_for_a_lock().await;
    ending.commit().await.unwrap();
    importing.await.unwrap().unwrap().fails(503, "SERVICE_UNAVAILABLE");
    assert_eq!(app.count(OPEN).await, 0);
    nobody_is_half_created(&app).await;
    import(app.admin(), "10,rpl,A,Siswa 1,101\n").await.fails(400, "NO_ACTIVE_TAHUN_AJARAN");
}

#[tokio::test]
async fn two_imports_at_once_are_enough_and_a_third_is_told_to_come_back() {
    let app = school().await;
    let mut holding = app.pool.begin().await.unwrap();
    sqlx::query("select from tahun_ajaran for update").execute(&mut *holding).await.unwrap();
    let imports = [begin_import(&app, &students(1, 1)), begin_import(&app, &students(2, 1))];
    eventually("both wait for the year", async || {
        app.count(
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
        )
        .await
            == 2
    })
    .await;
    import(app.admin(), &students(3, 1)).await.fails(503, "SERVICE_UNAVAILABLE");
    holding.rollback().await.unwrap();
    for import in imports {
        assert_eq!(import.await.unwrap().unwrap().data(200)["created_students"], 1);
    }
    assert_eq!(import(app.admin(), &students(3, 1)).await.data(200)["created_students"], 1);
}

#[tokio::test]
async fn random_passwords_are_shown_once_and_stored_nowhere() {
    let app = school_with(&[("IMPORT_INITIAL_PASSWORD", "random")]).await;
    let text = "10,rpl,A,Siswa 1,101\n10,rpl,A,x,102\n10,rpl,B,Siswa 3,103\n";
    let file = Some(("siswa.csv", text.as_bytes()));
    let data = app.admin().upload(&format!("{IMPORT}?dry_run=1"), &[], file).await.data(200);
    assert!(data.get("credentials").is_none());
    let data = import(app.admin(), text).await.data(200);
    let credentials = data["credentials"].as_array().unwrap();
    assert_eq!(credentials.len(), 2);
    let passwords: Vec<&str> = credentials.iter().map(|one| one["password"].as_str().unwrap()).collect();
    assert!(passwords[0] != passwords[1] && passwords.iter().all(|password| password.chars().count() == 10));
    assert_eq!(
        credentials[1],
        json!({ "row": 3, "nama": "Siswa 3", "kelas": "X-RPL-B", "username": "103", "password": passwords[1] })
    );
    app.login("103", passwords[1]).await;
    let intents: Vec<String> =
        sqlx::query_scalar("select profile::text from account_intents").fetch_all(&app.pool).await.unwrap();
    assert_eq!(intents, ["{}"]);
    // By their own number nobody gets in.
    let url = app.auth.public_url().join("/api/v1/auth/login").unwrap();
    let login = http_client().post(url).json(&json!({ "username": "101", "password": "101" }));
    assert_eq!(login.send().await.unwrap().status(), 400);
}

#[tokio::test]
async fn the_template_is_a_table_with_three_students() {
    let app = school().await;
    let answer = app.admin().get(&format!("{IMPORT}/template")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "text/csv; charset=utf-8");
    assert_eq!(answer.headers["content-disposition"], "attachment; filename=template_import_siswa.csv");
    let url = app.portfolio.public_url().join(&format!("{IMPORT}/template")).unwrap();
    let text = http_client().get(url).bearer_auth(&app.admin().token).send().await.unwrap().text().await.unwrap();
    assert!(text.starts_with("tingkat,kode_jurusan,rombel,nama_lengkap,nis\n"), "{text}");
    let data =
        app.admin().upload(&format!("{IMPORT}?dry_run=1"), &[], Some(("t.csv", text.as_bytes()))).await.data(200);
    assert_eq!((&data["total_rows"], &data["students_to_create"]), (&json!(3), &json!(3)));
}
