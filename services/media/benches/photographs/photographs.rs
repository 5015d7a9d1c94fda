//! CPU seconds from a photograph to its WebP files, by three programs, one photograph after the other.

use std::process::Command;

use bytes::Bytes;
use image::{RgbImage, imageops};
use turbojpeg::{Compressor, Decompressor, Image, PixelFormat, Subsamp};

use crate::{WIDTHS, processes};

const CAMERA: &[u8] = include_bytes!("../../tests/fixtures/camera-gps-rotated.jpg");
const ROUNDS: u32 = 10;
/// The quality that media uses.
const QUALITY: u32 = 82;

/// A real photograph of 6 megapixels, laid out with its mirror images until it fills this size.
pub fn photograph(width: u32, height: u32) -> Bytes {
    let mut decompressor = Decompressor::new().unwrap();
    let header = decompressor.read_header(CAMERA).unwrap();
    let pitch = header.width * 3;
    let mut pixels = vec![0; pitch * header.height];
    let image =
        Image { pixels: &mut pixels[..], width: header.width, pitch, height: header.height, format: PixelFormat::RGB };
    // The camera left a few bytes too many, of which the library warns.
    let _warning = decompressor.decompress(CAMERA, image);
    let (w, h) = (u32::try_from(header.width).unwrap(), u32::try_from(header.height).unwrap());
    let tile = RgbImage::from_raw(w, h, pixels).unwrap();
    let mirrored = imageops::flip_horizontal(&tile);
    let mut picture = RgbImage::new(width, height);
    for row in 0..height.div_ceil(h) {
        for column in 0..width.div_ceil(w) {
            let part = if column % 2 == 0 { &tile } else { &mirrored };
            let part = if row % 2 == 0 { part.clone() } else { imageops::flip_vertical(part) };
            imageops::replace(&mut picture, &part, i64::from(column * w), i64::from(row * h));
        }
    }
    grain(&mut picture);
    let (width, height) = (width as usize, height as usize);
    let image = Image { pixels: &picture.as_raw()[..], width, pitch: width * 3, height, format: PixelFormat::RGB };
    let mut compressor = Compressor::new().unwrap();
    compressor.set_quality(85).unwrap();
    compressor.set_subsamp(Subsamp::Sub2x2).unwrap();
    compressor.compress_to_vec(image).unwrap().into()
}

/// The noise of a small sensor, without which the files would be smaller than any phone's.
fn grain(picture: &mut RgbImage) {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for value in picture.iter_mut() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let [a, b, ..] = state.to_le_bytes();
        *value = value.saturating_add(a % 16).saturating_sub(b % 16);
    }
}

pub fn ours(photo: &Bytes) -> f64 {
    media::webps(photo, &WIDTHS).unwrap();
    let before = processes::own_cpu();
    for _ in 0..ROUNDS {
        media::webps(photo, &WIDTHS).unwrap();
    }
    (processes::own_cpu() - before) / f64::from(ROUNDS)
}

pub fn vipsthumbnail(photo: &Bytes) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("photo.jpg");
    std::fs::write(&file, photo).unwrap();
    let before = processes::cpu_of_children();
    for _ in 0..ROUNDS {
        for width in WIDTHS {
            let made = folder.path().join(format!("{width}.webp[Q={QUALITY}]"));
            let status = Command::new("vipsthumbnail")
                .arg(&file)
                .args(["--size", &format!("{width}x"), "-o"])
                .arg(made)
                .status();
            assert!(status.expect("vipsthumbnail is installed").success());
        }
    }
    (processes::cpu_of_children() - before) / f64::from(ROUNDS)
}

pub fn sharp(photo: &Bytes) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("photo.jpg");
    std::fs::write(&file, photo).unwrap();
    let output = Command::new("node")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/photographs/sharp.mjs"))
        .arg(&file)
        .args([ROUNDS.to_string(), QUALITY.to_string()])
        .args(WIDTHS.map(|width| width.to_string()))
        .output()
        .expect("node is installed");
    let text = String::from_utf8(output.stdout).unwrap();
    text.trim().parse().unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)))
}
