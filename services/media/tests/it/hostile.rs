//! Files made to hurt: each is refused with its code, or published without what made it dangerous, and the service
//! neither grows nor dies of it.

use std::{io::Write as _, time::Instant};

use image::{DynamicImage, ImageBuffer, ImageFormat, Rgb};
use img_parts::png::{Png, PngChunk};
use turbojpeg::{Compressor, Image, PixelFormat};

use crate::{files, support::TestApp};

/// Most that media may ever hold, in KiB: the pictures at work and the files they come from.
const MOST: u64 = 400 * 1024;
const SCRIPT: &[u8] = b"<script>alert(document.domain)</script>";

#[tokio::test]
async fn every_hostile_file_gets_its_code_and_the_service_stays_small() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let jpeg = files::CAMERA.to_vec();
    let refused =
        |name: &'static str, mime: &'static str, bytes: Vec<u8>, code: &'static str| (name, mime, bytes, code);
    for (name, mime, bytes, code) in [
        refused("HTML as JPEG", "image/jpeg", [b"<!DOCTYPE html><html>", SCRIPT].concat(), "INVALID_CONTENT_TYPE"),
        refused(
            "SVG as PNG",
            "image/png",
            b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec(),
            "INVALID_CONTENT_TYPE",
        ),
        refused(
            "HTML behind a PNG's first bytes",
            "image/png",
            [b"\x89PNG\r\n\x1a\n", SCRIPT].concat(),
            "INVALID_FILE",
        ),
        refused("a script that is a GIF", "image/gif", b"GIF89a/*\0\0\0\0\0*/=1;alert(1)".to_vec(), "INVALID_FILE"),
        refused("a PDF as JPEG", "image/jpeg", files::PDF.to_vec(), "INVALID_CONTENT_TYPE"),
        refused("an archive as PNG", "image/png", files::docx(), "INVALID_CONTENT_TYPE"),
        refused("a JPEG cut off", "image/jpeg", jpeg[..jpeg.len() / 2].to_vec(), "INVALID_FILE"),
        refused("a WebP cut off", "image/webp", half(files::picture(300, 300, ImageFormat::WebP)), "INVALID_FILE"),
        refused("a GIF cut off", "image/gif", half(files::picture(300, 300, ImageFormat::Gif)), "INVALID_FILE"),
        refused("a JPEG of 12 bits", "image/jpeg", twelve_bits(jpeg.clone()), "INVALID_FILE"),
        refused("a PNG of 20 000 x 20 000", "image/png", files::bomb(), "INVALID_FILE"),
        refused("a JPEG of 20 000 x 20 000", "image/jpeg", vast_jpeg(jpeg.clone()), "INVALID_FILE"),
        refused("a GIF of 20 000 x 20 000", "image/gif", vast_gif(), "INVALID_FILE"),
        refused("600 megapixels of frames", "image/gif", frames(2000, 600, 500), "INVALID_FILE"),
    ] {
        let promise = app.promise(&siti, "banner", mime, bytes.len(), None).await;
        assert_eq!(app.put(&promise, &bytes).await, 200, "{name}");
        let answer = app.confirm(&siti, &promise).await;
        assert_eq!(answer.error(), (400, code), "{name}: {answer:?}");
        assert_eq!(app.storage(&promise.key).await.status, 404, "{name}");
        assert_eq!(app.confirm(&siti, &promise).await.error(), (404, "UPLOAD_NOT_FOUND"), "{name}");
    }
    assert!(peak(&app) < MOST, "{} KiB", peak(&app));
    assert_eq!(app.count("select count(*) from objects").await, 0);
}

#[tokio::test]
async fn what_can_be_shown_is_published_without_its_sting() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let (png, bomb) = (files::png(200, 100), unfolding(b"x\0\0"));
    for (name, mime, bytes, shown_as) in [
        ("a page behind a PNG", "image/png", [&png[..], SCRIPT].concat(), "image/png"),
        ("a page behind a JPEG", "image/jpeg", [files::CAMERA, SCRIPT].concat(), "image/jpeg"),
        ("an archive behind a GIF", "image/gif", [frames(2, 30, 30), files::docx()].concat(), "image/gif"),
        ("a page in a comment of a JPEG", "image/jpeg", commented(files::CAMERA), "image/jpeg"),
        ("a profile that unfolds to 512 MB", "image/png", with_chunk(&png, *b"iCCP", &bomb), "image/png"),
        ("a text that unfolds to 512 MB", "image/png", with_chunk(&png, *b"zTXt", &bomb), "image/png"),
        ("8 MB of text", "image/png", with_chunk(&png, *b"tEXt", &vec![b'x'; 8 << 20]), "image/png"),
        ("inks", "image/jpeg", cmyk(640, 480), "image/jpeg"),
        ("16 bits", "image/png", sixteen_bits(), "image/png"),
        ("5000 frames", "image/gif", frames(5000, 40, 40), "image/gif"),
        ("24 megapixels of one colour", "image/png", one_colour(6000, 4000), "image/png"),
    ] {
        let started = Instant::now();
        let promise = app.upload(&siti, "banner", mime, &bytes, None).await;
        println!("{name}: {} bytes, {:?}", bytes.len(), started.elapsed());
        let shown = app.storage(&promise.key).await;
        assert_eq!((shown.status, shown.header("content-type")), (200, shown_as), "{name}");
        for sting in [SCRIPT, b"PK\x03\x04", b"iCCP", b"zTXt", b"tEXt"] {
            assert!(!shown.bytes.windows(sting.len()).any(|window| window == sting), "{name}");
        }
        let small = app.storage(&format!("{}?w=64", promise.key)).await;
        assert_eq!(
            (small.status, small.header("content-security-policy")),
            (200, "default-src 'none'; sandbox"),
            "{name}"
        );
    }
    println!("peak of media: {} KiB", peak(&app));
    assert!(peak(&app) < MOST, "{} KiB", peak(&app));
}

#[tokio::test]
async fn documents_that_would_hurt_whoever_opens_them_are_refused() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let portfolio = app.portfolio_of(&siti).await;
    let mut vast = files::docx();
    let entry = vast.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap();
    vast[entry + 24..entry + 28].copy_from_slice(&u32::MAX.to_le_bytes()[..4]);
    let page = [b"<html>", SCRIPT, b"</html>"].concat();
    for (name, bytes) in [
        ("an archive that unfolds to 4 GB", vast),
        ("an archive without a directory", half(files::docx())),
        ("a page", page),
        ("a program", [&b"MZ\x90\0"[..], &[0; 200]].concat()),
    ] {
        let promise = app.promise(&siti, "document", files::DOCX, bytes.len(), Some(portfolio)).await;
        assert_eq!(app.put(&promise, &bytes).await, 200, "{name}");
        assert_eq!(app.confirm(&siti, &promise).await.error(), (400, "INVALID_CONTENT_TYPE"), "{name}");
    }
    assert!(peak(&app) < MOST, "{} KiB", peak(&app));
}

/// Most memory that media has held so far, in KiB.
fn peak(app: &TestApp) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", app.media.pid().unwrap())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

fn half(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.len() / 2);
    bytes
}

/// Where the frame header of a JPEG begins: precision, height, width follow its length.
fn frame_header(jpeg: &[u8]) -> usize {
    jpeg.windows(2).rposition(|window| window == [0xff, 0xc0]).unwrap() + 4
}

fn twelve_bits(mut jpeg: Vec<u8>) -> Vec<u8> {
    let at = frame_header(&jpeg);
    jpeg[at] = 12;
    jpeg
}

fn vast_jpeg(mut jpeg: Vec<u8>) -> Vec<u8> {
    let at = frame_header(&jpeg);
    jpeg[at + 1..at + 5].copy_from_slice(&[0x4e, 0x20, 0x4e, 0x20]);
    jpeg
}

fn vast_gif() -> Vec<u8> {
    let mut gif = frames(1, 10, 10);
    gif[6..10].copy_from_slice(&[0x20, 0x4e, 0x20, 0x4e]);
    gif
}

fn frames(count: u16, width: u16, height: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = gif::Encoder::new(&mut bytes, width, height, &[0, 0, 0, 200, 30, 30]).unwrap();
    let mut frame =
        gif::Frame::from_indexed_pixels(width, height, vec![1; usize::from(width) * usize::from(height)], None);
    frame.make_lzw_pre_encoded();
    for _ in 0..count {
        encoder.write_lzw_pre_encoded_frame(&frame).unwrap();
    }
    drop(encoder);
    bytes
}

fn commented(jpeg: &[u8]) -> Vec<u8> {
    let length = u16::try_from(SCRIPT.len() + 2).unwrap().to_be_bytes();
    [&jpeg[..2], &[0xff, 0xfe], &length, SCRIPT, &jpeg[2..]].concat()
}

fn with_chunk(png: &[u8], kind: [u8; 4], contents: &[u8]) -> Vec<u8> {
    let mut png = Png::from_bytes(png.to_vec().into()).unwrap();
    png.chunks_mut().insert(1, PngChunk::new(kind, contents.to_vec().into()));
    png.encoder().bytes().to_vec()
}

/// 512 MB of zeros, packed into half a megabyte.
fn unfolding(head: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::ZlibEncoder::new(head.to_vec(), flate2::Compression::best());
    let zeros = vec![0; 1 << 20];
    for _ in 0..512 {
        packer.write_all(&zeros).unwrap();
    }
    packer.finish().unwrap()
}

fn cmyk(width: usize, height: usize) -> Vec<u8> {
    let pixels = vec![90; width * height * 4];
    let image = Image { pixels: &pixels[..], width, pitch: width * 4, height, format: PixelFormat::CMYK };
    Compressor::new().unwrap().compress_to_vec(image).unwrap()
}

fn sixteen_bits() -> Vec<u8> {
    let picture =
        ImageBuffer::from_fn(300, 200, |x, y| Rgb([u16::try_from(x * 200).unwrap(), u16::try_from(y).unwrap(), 7]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    DynamicImage::ImageRgb16(picture).write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn one_colour(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    DynamicImage::ImageRgb8(image::RgbImage::from_pixel(width, height, Rgb([9, 90, 200])))
        .write_to(&mut bytes, ImageFormat::Png)
        .unwrap();
    bytes.into_inner()
}
