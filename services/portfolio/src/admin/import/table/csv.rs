use csv::{Reader, ReaderBuilder, StringRecord};

use super::{COLUMNS, Collected, Row, Unreadable, cell};

const BOM: &[u8] = b"\xef\xbb\xbf";

pub fn read(bytes: &[u8]) -> Result<Vec<Row>, Unreadable> {
    // No text has it: this is some other file.
    if bytes.contains(&0) {
        return Err(Unreadable::WrongKind);
    }
    let text = std::str::from_utf8(bytes.strip_prefix(BOM).unwrap_or(bytes)).map_err(|_| Unreadable::Broken)?;
    // One kind of line ends, also behind the last line, makes the numbers below exact.
    let text = text.replace("\r\n", "\n").replace('\r', "\n") + "\n";
    let mut reader = reader(&text, delimiter(&text));
    let mut collected = Collected::default();
    let mut record = StringRecord::new();
    let mut broken_lines = 0;
    while reader.read_record(&mut record).map_err(|_| Unreadable::Broken)? {
        // A cell with line ends in it is one row of a spreadsheet.
        let inside: usize = record.iter().map(|field| field.matches('\n').count()).sum();
        let lines = usize::try_from(reader.position().line()).map_err(|_| Unreadable::Broken)?;
        let number = lines.saturating_sub(1 + inside + broken_lines);
        broken_lines += inside;
        collected.push(number, record.iter().take(COLUMNS).map(cell).collect())?;
    }
    collected.finish()
}

fn reader(text: &str, delimiter: u8) -> Reader<&[u8]> {
    ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(text.as_bytes())
}

/// Spreadsheets in Indonesian write semicolons: whichever stands more often in the first row that is not blank, outside
/// of quotes.
fn delimiter(text: &str) -> u8 {
    let written = text.find(char::is_alphanumeric).unwrap_or_default();
    let start = text[..written].rfind('\n').map_or(0, |end| end + 1);
    let (mut commas, mut semicolons, mut quoted) = (0, 0, false);
    for byte in text[start..].bytes() {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if !quoted => break,
            b',' if !quoted => commas += 1,
            b';' if !quoted => semicolons += 1,
            _ => {}
        }
    }
    if semicolons > commas { b';' } else { b',' }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Vec<(usize, Vec<String>)> {
        read(text.as_bytes()).unwrap().into_iter().map(|row| (row.number, row.cells)).collect()
    }

    fn row(number: usize, cells: [&str; 5]) -> (usize, Vec<String>) {
        (number, cells.map(str::to_owned).to_vec())
    }

    #[test]
    fn commas_and_semicolons_with_and_without_a_mark_of_the_encoding() {
        let expected = [row(2, ["10", "rpl", "A", "Budi", "123"])];
        for (line_end, delimiter, bom) in [("\n", ",", ""), ("\r\n", ";", "\u{feff}"), ("\r", ",", "\u{feff}")] {
            let text = format!("{bom}tingkat,kode_jurusan,rombel,nama_lengkap,nis\n10,rpl,A,Budi,123");
            let text = text.replace(',', delimiter).replace('\n', line_end);
            assert_eq!(rows(&text), expected, "{text:?}");
        }
    }

    #[test]
    fn the_first_row_decides_whatever_stands_in_the_cells() {
        assert_eq!(
            rows("10;rpl;A;Ahmad, S.Kom, M.Kom;123\n"),
            [row(1, ["10", "rpl", "A", "Ahmad, S.Kom, M.Kom", "123"])]
        );
        assert_eq!(rows("10,rpl,A,\"a;b;c;d;e;f\",123\n"), [row(1, ["10", "rpl", "A", "a;b;c;d;e;f", "123"])]);
        assert_eq!(rows(";;;;\n10;rpl;A;Budi;123\n"), [row(2, ["10", "rpl", "A", "Budi", "123"])]);
    }

    #[test]
    fn quotes_are_those_of_the_standard() {
        let text = "10,rpl,A,\"Budi \"\"Bud\"\", Santoso\",\" 123 \"\n";
        assert_eq!(rows(text), [row(1, ["10", "rpl", "A", "Budi \"Bud\", Santoso", "123"])]);
    }

    #[test]
    fn rows_have_the_numbers_that_a_spreadsheet_shows() {
        let text = "kelas,b,c,d,e\r\n\r\n10,rpl,A,\"Budi\r\nSantoso\",1\r\n,,,,\r\n10,rpl,A,Siti,2,extra\r\n11,rpl\r\n";
        assert_eq!(
            rows(text),
            [
                row(3, ["10", "rpl", "A", "Budi\nSantoso", "1"]),
                row(5, ["10", "rpl", "A", "Siti", "2"]),
                (6, vec!["11".to_owned(), "rpl".to_owned()]),
            ]
        );
    }

    #[test]
    fn what_is_no_text_is_refused() {
        assert_eq!(read(b"PK\x03\x04\x00\x00"), Err(Unreadable::WrongKind));
        assert_eq!(read(b"10,rpl,A,Andr\xe9,1\n"), Err(Unreadable::Broken));
        assert_eq!(read(b"tingkat,b\n\n  \n,,\n"), Err(Unreadable::Empty));
    }
}
