use std::{
    collections::BTreeMap,
    io::{Cursor, Read as _},
};

use calamine::{Data, DataRef, DataType as _, Reader as _, SheetType, Xlsx};
use zip::ZipArchive;

use super::{COLUMNS, Collected, Row, Unreadable, cell};
use crate::admin::import::MOST;

/// What all parts of a workbook may unpack to.
const UNPACKED: u64 = 50 * 1024 * 1024;
/// A workbook has some tens of parts.
const PARTS: usize = 1000;
/// From here on a number of Excel is no longer the one that was typed.
const INEXACT: f64 = 9_007_199_254_740_992.0;

pub fn read(bytes: &[u8]) -> Result<Vec<Row>, Unreadable> {
    inspect(bytes)?;
    let broken = |_| Unreadable::Broken;
    let mut workbook: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).map_err(broken)?;
    let sheets = workbook.sheets_metadata();
    let first = sheets.iter().find(|sheet| sheet.typ == SheetType::WorkSheet).ok_or(Unreadable::Empty)?.name.clone();
    let mut sheet = workbook.worksheet_cells_reader(&first).map_err(broken)?;
    // Cell by cell: a sheet that claims a million columns takes no more room than what is written in it.
    let mut rows: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    while let Some(found) = sheet.next_cell().map_err(broken)? {
        let (row, column) = found.get_position();
        let column = column as usize;
        let text = if column < COLUMNS { text(found.get_value()) } else { String::new() };
        if text.is_empty() {
            continue;
        }
        let cells = rows.entry(row).or_default();
        if cells.len() <= column {
            cells.resize(column + 1, String::new());
        }
        cells[column] = text;
        // The header is one more.
        if rows.len() > MOST + 1 {
            return Err(Unreadable::TooManyRows);
        }
    }
    let mut collected = Collected::default();
    for (row, cells) in rows {
        collected.push(row as usize + 1, cells)?;
    }
    collected.finish()
}

/// Numbers as people write them: no exponent, no `.0`. One that is not exact any more keeps an exponent, so that it
/// passes no rule.
fn text(value: &DataRef<'_>) -> String {
    let number = match value {
        DataRef::SharedString(text) => return cell(text),
        DataRef::String(text) => return cell(text),
        DataRef::Float(number) => *number,
        // The column has the format of a date; what was typed is a number all the same.
        DataRef::DateTime(date) => date.as_f64(),
        other => return cell(&Data::from(other.clone()).as_string().unwrap_or_default()),
    };
    if number.abs() < INEXACT { format!("{number}") } else { format!("{number:e}") }
}

/// Looks at the archive before anything unpacks it into memory. What the entries say of themselves may be a lie, so
/// each of them is unpacked into nothing, up to the limit.
fn inspect(bytes: &[u8]) -> Result<(), Unreadable> {
    if !bytes.starts_with(b"PK\x03\x04") {
        return Err(Unreadable::WrongKind);
    }
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|_| Unreadable::Broken)?;
    if archive.len() > PARTS {
        return Err(Unreadable::Broken);
    }
    if !archive.file_names().any(|name| name.is_ok_and(|name| is_workbook(&name))) {
        return Err(Unreadable::WrongKind);
    }
    let mut left = UNPACKED;
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(|_| Unreadable::Broken)?;
        if entry.size() > left {
            return Err(Unreadable::TooLarge);
        }
        let strings = is_strings(&entry.name().map_err(|_| Unreadable::Broken)?);
        let mut entry = entry.take(left + 1);
        let mut text = Vec::new();
        let unpacked = if strings {
            entry.read_to_end(&mut text).map(|length| length as u64)
        } else {
            std::io::copy(&mut entry, &mut std::io::sink())
        };
        left = left.checked_sub(unpacked.map_err(|_| Unreadable::Broken)?).ok_or(Unreadable::TooLarge)?;
        if strings && !is_modest(&text) {
            return Err(Unreadable::Broken);
        }
    }
    Ok(())
}

fn is_workbook(name: &str) -> bool {
    let name = name.to_lowercase();
    // `xl/workbook.xml`, which some programs number.
    name.contains("workbook") && name.rsplit_once('.').is_some_and(|(_, ending)| ending == "xml")
}

/// In any case and in any folder, as calamine looks for it.
fn is_strings(name: &str) -> bool {
    name.to_lowercase().ends_with("sharedstrings.xml")
}

/// calamine reserves room for as many shared strings as the file says it has, and too much ends the process. Real ones
/// are in UTF-8, and 50 MiB have no room for ten million.
fn is_modest(strings: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(strings) else { return false };
    let claims = text.match_indices("uniqueCount").map(|(at, name)| &text[at + name.len()..]);
    let modest = claims
        .map(|claim| claim.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '=' | '"' | '\'')))
        .all(|claim| claim.bytes().take(8).take_while(u8::is_ascii_digit).count() < 8);
    modest && !text.contains('\0')
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

    use super::*;

    const PACKAGE: &str = r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
        <Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"
            Target="xl/workbook.xml"/></Relationships>"#;
    const RELATIONS: &str = r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
        <Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet"
            Target="worksheets/sheet1.xml"/></Relationships>"#;
    const WORKBOOK: &str = r#"<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"
        xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">
        <sheets><sheet name="Siswa" sheetId="1" r:id="r1"/></sheets></workbook>"#;

    fn archive(parts: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        for (name, content) in parts {
            writer.start_file(*name, options).unwrap();
            writer.write_all(content).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    fn workbook(cells: &str, strings: &str) -> Vec<u8> {
        let sheet = format!("<worksheet><sheetData>{cells}</sheetData></worksheet>");
        archive(&[
            ("_rels/.rels", PACKAGE.as_bytes()),
            ("xl/workbook.xml", WORKBOOK.as_bytes()),
            ("xl/_rels/workbook.xml.rels", RELATIONS.as_bytes()),
            ("xl/sharedStrings.xml", strings.as_bytes()),
            ("xl/worksheets/sheet1.xml", sheet.as_bytes()),
        ])
    }

    #[test]
    fn numbers_are_plain_integers() {
        for (number, expected) in [
            (DataRef::Float(24_327_004_990_001.0), "24327004990001"),
            (DataRef::Float(10.0), "10"),
            (DataRef::Float(10.5), "10.5"),
            (DataRef::Int(12), "12"),
            (DataRef::Float(2.5e16), "2.5e16"),
        ] {
            assert_eq!(text(&number), expected);
        }
    }

    #[test]
    fn a_sheet_is_read_cell_by_cell_however_large_it_claims_to_be() {
        let cells = r#"<row r="1"><c r="A1" t="inlineStr"><is><t>Tingkat</t></is></c></row>
            <row r="3"><c r="A3"><v>10</v></c><c r="B3" t="s"><v>0</v></c><c r="C3" t="inlineStr"><is><t> a </t></is></c>
                <c r="D3" t="s"><v>1</v></c><c r="E3"><v>2.4327004990001E13</v></c><c r="XFD3"><v>1</v></c></row>
            <row r="1048576"><c r="A1048576"><v>11</v></c></row>"#;
        let rows =
            read(&workbook(cells, "<sst uniqueCount=\"2\"><si><t>rpl</t></si><si><t>Budi</t></si></sst>")).unwrap();
        let cells: Vec<_> = rows.iter().map(|row| (row.number, row.cells.join("|"))).collect();
        assert_eq!(cells, [(3, "10|rpl|a|Budi|24327004990001".to_owned()), (1_048_576, "11".to_owned())]);
    }

    #[test]
    fn a_string_that_is_used_thousands_of_times_is_cut_each_time() {
        let long = format!("<sst><si><t>{}</t></si></sst>", "x".repeat(1024 * 1024));
        let row = |row: usize| format!("<row r=\"{row}\"><c r=\"D{row}\" t=\"s\"><v>0</v></c></row>");
        let cells: Vec<String> = (1..=MOST).map(row).collect();
        let rows = read(&workbook(&cells.concat(), &long)).unwrap();
        assert_eq!(rows.len(), MOST);
        assert!(rows.iter().all(|row| row.cells[3].len() == 200));
    }

    #[test]
    fn what_unpacks_to_too_much_is_refused_before_it_is_unpacked() {
        let half = vec![b' '; 26 * 1024 * 1024];
        let bomb = archive(&[("xl/workbook.xml", b"x"), ("a", &half), ("b", &half)]);
        assert!(bomb.len() < 100 * 1024, "{}", bomb.len());
        assert_eq!(read(&bomb), Err(Unreadable::TooLarge));
    }

    #[test]
    fn an_entry_that_lies_about_its_size_is_refused_too() {
        let mut bomb = archive(&[("xl/workbook.xml", b"x"), ("a", &vec![b' '; 60 * 1024 * 1024])]);
        // The size that is told, in the headers of the entry and of the directory.
        let told = (60_u32 * 1024 * 1024).to_le_bytes();
        let places: Vec<usize> = (0..bomb.len() - 4).filter(|&at| bomb[at..at + 4] == told).collect();
        assert!(!places.is_empty());
        for at in places {
            bomb[at..at + 4].copy_from_slice(&100_u32.to_le_bytes());
        }
        assert!(matches!(read(&bomb), Err(Unreadable::TooLarge | Unreadable::Broken)));
    }

    #[test]
    fn a_claim_of_countless_strings_is_refused() {
        for claim in ["uniqueCount=\"99999999999\"", "uniqueCount = '100000000'"] {
            assert_eq!(read(&workbook("", &format!("<sst {claim}></sst>"))), Err(Unreadable::Broken), "{claim}");
        }
        assert_eq!(read(&workbook("", "<sst uniqueCount=\"9999999\"></sst>")), Err(Unreadable::Empty));
    }

    #[test]
    fn other_files_and_broken_ones_are_told_apart() {
        assert_eq!(read(b"tingkat,kode"), Err(Unreadable::WrongKind));
        assert_eq!(read(b"PK\x03\x04 and nothing more"), Err(Unreadable::Broken));
        assert_eq!(read(&archive(&[("word/document.xml", b"x")])), Err(Unreadable::WrongKind));
        assert_eq!(read(&archive(&[("xl/workbook.xml", b"x")])), Err(Unreadable::Broken));
    }
}
