//! What a file really is, whatever its name and its sender say.

use std::io::Cursor;

/// The media type found in the bytes; `None` for everything that is not stored here, markup of any kind among it.
pub(super) fn sniff(bytes: &[u8]) -> Option<&'static str> {
    match infer::get(bytes)?.mime_type() {
        "image/jpeg" => Some("image/jpeg"),
        "image/png" => Some("image/png"),
        "image/webp" => Some("image/webp"),
        "image/gif" => Some("image/gif"),
        "application/pdf" => Some("application/pdf"),
        _ if bytes.starts_with(b"PK\x03\x04") => office_archive(bytes),
        _ if bytes.starts_with(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") => office_compound(bytes),
        _ => None,
    }
}

/// No honest document of 20 MB unfolds to more.
const MAX_UNFOLDED: u64 = 512 * 1024 * 1024;

/// Word and PowerPoint since 2007: archives with a main part. Nothing is unpacked here, but what would hurt whoever opens
/// the document is none.
fn office_archive(bytes: &[u8]) -> Option<&'static str> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).ok()?;
    let mut unfolded = 0_u64;
    for index in 0..archive.len() {
        unfolded = unfolded.saturating_add(archive.by_index_raw(index).ok()?.size());
    }
    if unfolded > MAX_UNFOLDED || archive.has_overlapping_entries().unwrap_or(true) {
        return None;
    }
    let has = |name| archive.index_for_name(name).is_some();
    // Programs in documents are for nobody's school portfolio.
    if !has("[Content_Types].xml")
        || archive.file_names().any(|name| name.is_ok_and(|name| name.ends_with("vbaProject.bin")))
    {
        return None;
    }
    match (has("word/document.xml"), has("ppt/presentation.xml")) {
        (true, false) => Some("application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        (false, true) => Some("application/vnd.openxmlformats-officedocument.presentationml.presentation"),
        _ => None,
    }
}

/// Word and PowerPoint before that: compound files with a main stream.
fn office_compound(bytes: &[u8]) -> Option<&'static str> {
    let file = cfb::CompoundFile::open(Cursor::new(bytes)).ok()?;
    match (file.exists("/WordDocument"), file.exists("/PowerPoint Document")) {
        (true, false) => Some("application/msword"),
        (false, true) => Some("application/vnd.ms-powerpoint"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn archive(parts: &[&str]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        for part in parts {
            writer.start_file(*part, stored).unwrap();
            writer.write_all(b"<xml/>").unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    fn compound(stream: &str) -> Vec<u8> {
        let mut file = cfb::CompoundFile::create(Cursor::new(Vec::new())).unwrap();
        file.create_stream(stream).unwrap().write_all(b"text").unwrap();
        file.into_inner().into_inner()
    }

    #[test]
    fn pictures_are_known_by_their_first_bytes() {
        let camera = include_bytes!("../../tests/fixtures/camera-gps-rotated.jpg");
        assert_eq!(sniff(camera), Some("image/jpeg"));
        assert_eq!(sniff(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), Some("image/png"));
        assert_eq!(sniff(b"RIFF\x24\0\0\0WEBPVP8 "), Some("image/webp"));
        assert_eq!(sniff(b"GIF89a\x01\0\x01\0"), Some("image/gif"));
        assert_eq!(sniff(b"%PDF-1.7\n"), Some("application/pdf"));
    }

    #[test]
    fn documents_are_told_apart_by_what_is_inside() {
        let docx = archive(&["_rels/.rels", "docProps/app.xml", "word/document.xml", "[Content_Types].xml"]);
        assert!(sniff(&docx).unwrap().ends_with("wordprocessingml.document"));
        let pptx = archive(&["[Content_Types].xml", "ppt/presentation.xml"]);
        assert!(sniff(&pptx).unwrap().ends_with("presentationml.presentation"));
        assert_eq!(sniff(&compound("/WordDocument")), Some("application/msword"));
        assert_eq!(sniff(&compound("/PowerPoint Document")), Some("application/vnd.ms-powerpoint"));
    }

    /// A Word document with another number at `field` of the last entry of its directory.
    fn patched(field: usize, number: u32) -> Vec<u8> {
        let mut bytes = archive(&["[Content_Types].xml", "word/document.xml"]);
        let entry = bytes.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap();
        bytes[entry + field..entry + field + 4].copy_from_slice(&number.to_le_bytes());
        bytes
    }

    #[test]
    fn archives_that_unfold_to_too_much_are_nothing() {
        assert!(sniff(&patched(24, 6)).is_some());
        assert_eq!(sniff(&patched(24, 1 << 30)), None, "the size once unpacked");
        assert_eq!(sniff(&patched(42, 0)), None, "the same bytes twice");
    }

    #[test]
    fn everything_else_is_nothing() {
        let macros = archive(&["[Content_Types].xml", "word/document.xml", "word/vbaProject.bin"]);
        let workbook = archive(&["[Content_Types].xml", "xl/workbook.xml"]);
        let plain = archive(&["index.html"]);
        for bytes in [
            &b""[..],
            b"<!DOCTYPE html><html><body>foto.jpg</body></html>",
            b"<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(1)\"/>",
            b"<?xml version=\"1.0\"?><svg/>",
            b"MZ\x90\0",
            b"BM",
            &macros,
            &workbook,
            &plain,
            &compound("/Workbook"),
            b"PK\x03\x04",
        ] {
            assert_eq!(sniff(bytes), None, "{:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(20)]));
        }
    }
}
