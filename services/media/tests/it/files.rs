//! Files to upload.

use std::io::{Cursor, Write as _};

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};

/// A real photograph: turned by 90°, with GPS position.
pub const CAMERA: &[u8] = include_bytes!("../fixtures/camera-gps-rotated.jpg");
pub const PDF: &[u8] = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n";
pub const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";

pub fn picture(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
    let colour = |x, y| Rgb([u8::try_from(x % 256).unwrap(), u8::try_from(y % 256).unwrap(), 90]);
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::ImageRgb8(RgbImage::from_fn(width, height, colour)).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

pub fn png(width: u32, height: u32) -> Vec<u8> {
    picture(width, height, ImageFormat::Png)
}

/// A header that claims 20 000 × 20 000 pixels, and next to nothing behind it.
pub fn bomb() -> Vec<u8> {
    let mut header = [20_000_u32.to_be_bytes(), 20_000_u32.to_be_bytes()].concat();
    header.extend([8, 6, 0, 0, 0]);
    let mut png = img_parts::png::Png::from_bytes(png(1, 1).into()).unwrap();
    png.chunks_mut()[0] = img_parts::png::PngChunk::new(*b"IHDR", header.into());
    png.encoder().bytes().to_vec()
}

pub fn docx() -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for part in ["[Content_Types].xml", "word/document.xml"] {
        writer.start_file(part, stored).unwrap();
        writer.write_all(b"<xml/>").unwrap();
    }
    writer.finish().unwrap().into_inner()
}
