use image::{
    AnimationDecoder as _, DynamicImage, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage,
    codecs::gif::{GifDecoder, GifEncoder, Repeat},
};
use img_parts::webp::WebP;
use std::io::Cursor;
use turbojpeg::Subsamp;

use super::*;

const CAMERA: &[u8] = include_bytes!("../../tests/fixtures/camera-gps-rotated.jpg");

fn published(format: Format, bytes: &[u8], widths: &[u32]) -> Result<Published, BadImage> {
    let bytes = Bytes::copy_from_slice(bytes);
    let header = header(format, &bytes)?;
    publish(format, &bytes, header, widths)
}

/// Red on the left, blue on the right.
fn two_colours(width: u32, height: u32) -> DynamicImage {
    let colour = |x, _| if x < width / 2 { Rgb([255, 0, 0]) } else { Rgb([0, 0, 255]) };
    DynamicImage::ImageRgb8(RgbImage::from_fn(width, height, colour))
}

fn file(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn jpeg(picture: &DynamicImage) -> Vec<u8> {
    encode::encode(Format::Jpeg, picture, 95, None).unwrap().to_vec()
}

/// An EXIF segment with nothing but an orientation, put behind the first two bytes.
fn with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut segment = vec![0xff, 0xe1, 0, 34];
    segment.extend(b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0");
    segment.extend([orientation, 0, 0, 0, 0, 0, 0]);
    [&jpeg[..2], &segment, &jpeg[2..]].concat()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn a_real_photograph_is_turned_upright_and_loses_its_position_and_camera() {
    let before = exif::Reader::new().read_from_container(&mut Cursor::new(CAMERA)).unwrap();
    assert!(before.get_field(exif::Tag::GPSLatitude, exif::In::PRIMARY).is_some());
    assert_eq!(orientation::read(Format::Jpeg, &Bytes::from_static(CAMERA)), image::metadata::Orientation::Rotate90);

    let photograph = published(Format::Jpeg, CAMERA, &[320, 640, 1280]).unwrap();
    assert!(exif::Reader::new().read_from_container(&mut Cursor::new(&photograph.bytes[..])).is_err());
    for secret in [&b"Exif"[..], b"Apple", b"iPhone", b"GPS", b"http://ns.adobe.com"] {
        assert!(!contains(&photograph.bytes, secret), "{}", String::from_utf8_lossy(secret));
    }
    assert_eq!((photograph.width, photograph.height), (2448, 2448));
    // The same pixels as the upload's, turned by 90 degrees.
    let original =
        decode::decode(Format::Jpeg, &Bytes::from_static(CAMERA), image::metadata::Orientation::NoTransforms, None)
            .unwrap();
    let upright = decode::decode(Format::Jpeg, &photograph.bytes, image::metadata::Orientation::NoTransforms, None);
    let (original, upright) = (original.rotate90().into_rgb8(), upright.unwrap().into_rgb8());
    let difference: u64 = original.as_raw().iter().zip(upright.as_raw()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    assert!(difference / (original.as_raw().len() as u64) < 3, "{difference}");

    assert_eq!(photograph.variants.iter().map(|variant| variant.width).collect::<Vec<_>>(), [320, 640, 1280]);
    for variant in &photograph.variants {
        let header = header(Format::Jpeg, &variant.bytes).unwrap();
        assert_eq!((header.width, header.height), (variant.width, variant.width));
        assert!(!contains(&variant.bytes, b"Exif"));
    }
    assert!((20..60).contains(&photograph.placeholder.len()), "{}", photograph.placeholder);
}

#[test]
fn every_orientation_is_applied_to_pixels_and_size() {
    // Left is red. Where is red after the camera's orientation? And the size of a 64 × 32 picture?
    for (orientation, red_at, size) in [
        (1, (2, 16), (64, 32)),
        (2, (61, 16), (64, 32)),
        (3, (61, 16), (64, 32)),
        (4, (2, 16), (64, 32)),
        (5, (16, 2), (32, 64)),
        (6, (16, 2), (32, 64)),
        (7, (16, 61), (32, 64)),
        (8, (16, 61), (32, 64)),
    ] {
        let photograph = with_orientation(&jpeg(&two_colours(64, 32)), orientation);
        let result = published(Format::Jpeg, &photograph, &[16]).unwrap();
        assert_eq!((result.width, result.height), size, "{orientation}");
        let shown = decode::decode(Format::Jpeg, &result.bytes, image::metadata::Orientation::NoTransforms, None);
        let shown = shown.unwrap().into_rgb8();
        assert_eq!(shown.dimensions(), size, "{orientation}");
        assert!(shown.get_pixel(red_at.0, red_at.1).0[0] > 200, "{orientation}");
        assert_eq!(result.variants[0].width, 16);
        assert_eq!(result.variants[0].height, size.1 * 16 / size.0);
    }
}

#[test]
fn a_photograph_too_large_to_be_moved_is_turned_in_its_planes() {
    // Left is red, above is dark: where both are after each orientation.
    let corner = |x, y| match (x < 32, y < 16) {
        (true, true) => Rgb([120, 0, 0]),
        (true, false) => Rgb([255, 0, 0]),
        (false, true) => Rgb([0, 0, 120]),
        (false, false) => Rgb([0, 0, 255]),
    };
    let picture = DynamicImage::ImageRgb8(RgbImage::from_fn(64, 32, corner));
    for format in [Subsamp::Sub2x2, Subsamp::Sub2x1, Subsamp::None, Subsamp::Gray] {
        let mut compressor = turbojpeg::Compressor::new().unwrap();
        compressor.set_subsamp(format).unwrap();
        let pixels = picture.as_bytes();
        let image = turbojpeg::Image { pixels, width: 64, pitch: 192, height: 32, format: turbojpeg::PixelFormat::RGB };
        let bytes: Bytes = compressor.compress_to_vec(image).unwrap().into();
        for number in 1..=8 {
            let turn = image::metadata::Orientation::from_exif(number).unwrap();
            let turned = planes::turn(&bytes, turn).unwrap().unwrap();
            let expected = decode::decode(Format::Jpeg, &bytes, turn, None).unwrap().into_rgb8();
            let found = decode::decode(Format::Jpeg, &turned, image::metadata::Orientation::NoTransforms, None);
            let found = found.unwrap().into_rgb8();
            assert_eq!(found.dimensions(), expected.dimensions());
            let differences = expected.as_raw().iter().zip(found.as_raw()).map(|(a, b)| u64::from(a.abs_diff(*b)));
            let mean = differences.sum::<u64>() / expected.as_raw().len() as u64;
            assert!(mean < 6, "{format:?} {number}: {mean}");
        }
    }
}

#[test]
fn a_turned_photograph_that_does_not_fit_the_blocks_keeps_all_its_pixels() {
    let photograph = with_orientation(&jpeg(&two_colours(67, 35)), 6);
    let result = published(Format::Jpeg, &photograph, &[]).unwrap();
    assert_eq!((result.width, result.height), (35, 67));
    assert_eq!(header(Format::Jpeg, &result.bytes).unwrap().width, 35);
}

#[test]
fn what_hides_behind_the_picture_is_not_published() {
    let secret = b"<script>alert(1)</script>";
    let mut uploads = vec![
        (Format::Jpeg, jpeg(&two_colours(32, 32))),
        (Format::Png, file(&two_colours(32, 32), ImageFormat::Png)),
        (Format::Webp, file(&two_colours(32, 32), ImageFormat::WebP)),
        (Format::Gif, file(&two_colours(32, 32), ImageFormat::Gif)),
    ];
    for (format, upload) in &mut uploads {
        upload.extend_from_slice(secret);
        let result = published(*format, upload, &[]).unwrap();
        assert!(!contains(&result.bytes, secret), "{format:?}");
        assert_eq!((result.width, result.height), (32, 32));
    }
}

#[test]
fn texts_and_metadata_of_a_png_are_dropped_and_its_pixels_stay() {
    let picture = DynamicImage::ImageRgba8(RgbaImage::from_pixel(40, 30, Rgba([10, 20, 30, 128])));
    let mut png = img_parts::png::Png::from_bytes(file(&picture, ImageFormat::Png).into()).unwrap();
    let text = img_parts::png::PngChunk::new(*b"tEXt", Bytes::from_static(b"Author\0Siti"));
    png.chunks_mut().insert(1, text);
    let result = published(Format::Png, &png.encoder().bytes(), &[]).unwrap();
    assert!(!contains(&result.bytes, b"Siti"));
    assert_eq!(image::load_from_memory(&result.bytes).unwrap(), picture);
}

#[test]
fn a_webp_loses_its_exif_and_stays_readable() {
    use img_parts::ImageEXIF as _;
    let mut webp = WebP::from_bytes(file(&two_colours(48, 24), ImageFormat::WebP).into()).unwrap();
    webp.set_exif(Some(Bytes::from_static(b"MM\0\x2a\0\0\0\x08\0\0position")));
    let result = published(Format::Webp, &webp.encoder().bytes(), &[24]).unwrap();
    assert!(!contains(&result.bytes, b"position"));
    assert_eq!(image::load_from_memory(&result.bytes).unwrap().width(), 48);
    assert_eq!(image::load_from_memory(&result.variants[0].bytes).unwrap().width(), 24);
}

#[test]
fn an_animation_keeps_its_frames_and_loses_its_comments() {
    let mut bytes = Vec::new();
    {
        let mut encoder = GifEncoder::new(&mut bytes);
        encoder.set_repeat(Repeat::Infinite).unwrap();
        for shade in [0, 120, 240] {
            let frame = RgbaImage::from_pixel(20, 10, Rgba([shade, 0, 0, 255]));
            encoder.encode_frame(image::Frame::new(frame)).unwrap();
        }
    }
    // A comment before the end mark.
    bytes.truncate(bytes.len() - 1);
    bytes.extend(b"\x21\xfe\x06secret\x00\x3b");
    let result = published(Format::Gif, &bytes, &[]).unwrap();
    assert!(!contains(&result.bytes, b"secret"));
    assert!(contains(&result.bytes, b"NETSCAPE2.0"));
    let frames = GifDecoder::new(Cursor::new(&result.bytes[..])).unwrap().into_frames().collect_frames().unwrap();
    assert_eq!(frames.len(), 3);
    assert_eq!(frames[2].buffer().get_pixel(3, 3).0, [240, 0, 0, 255]);
}

#[test]
fn the_colour_profile_stays() {
    use img_parts::ImageICC as _;
    let profile = Bytes::from_static(b"pretend this is Display P3");
    let mut upload = img_parts::jpeg::Jpeg::from_bytes(jpeg(&two_colours(64, 64)).into()).unwrap();
    upload.set_icc_profile(Some(profile.clone()));
    let result = published(Format::Jpeg, &upload.encoder().bytes(), &[32]).unwrap();
    for bytes in [result.bytes, result.variants[0].bytes.clone()] {
        assert_eq!(img_parts::jpeg::Jpeg::from_bytes(bytes).unwrap().icc_profile(), Some(profile.clone()));
    }
}

#[test]
fn no_rendering_is_larger_than_the_picture() {
    let result = published(Format::Png, &file(&two_colours(200, 100), ImageFormat::Png), &[64, 128, 256]).unwrap();
    assert_eq!(
        result.variants.iter().map(|variant| (variant.width, variant.height)).collect::<Vec<_>>(),
        [(64, 32), (128, 64)]
    );
}

#[test]
fn damaged_pictures_are_refused() {
    let mut torn = CAMERA.to_vec();
    torn.truncate(CAMERA.len() / 2);
    assert_eq!(published(Format::Jpeg, &torn, &[]).unwrap_err(), BadImage::Undecodable);
    for (format, written) in
        [(Format::Png, ImageFormat::Png), (Format::Webp, ImageFormat::WebP), (Format::Gif, ImageFormat::Gif)]
    {
        let mut bytes = file(&two_colours(300, 300), written);
        bytes.truncate(bytes.len() / 2);
        assert_eq!(published(format, &bytes, &[]).unwrap_err(), BadImage::Undecodable, "{format:?}");
    }
    let mut flipped = file(&two_colours(300, 300), ImageFormat::Png);
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xff;
    assert_eq!(published(Format::Png, &flipped, &[]).unwrap_err(), BadImage::Undecodable);
    for format in [Format::Jpeg, Format::Png, Format::Webp, Format::Gif] {
        assert_eq!(published(format, b"<html></html>", &[]).unwrap_err(), BadImage::Undecodable);
        assert_eq!(published(format, b"", &[]).unwrap_err(), BadImage::Undecodable);
    }
}

/// A PNG that claims a size and holds next to nothing.
fn bomb(width: u32, height: u32) -> Vec<u8> {
    let mut header = Vec::new();
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    header.extend([8, 6, 0, 0, 0]);
    let small = file(&two_colours(1, 1), ImageFormat::Png);
    let mut png = img_parts::png::Png::from_bytes(small.into()).unwrap();
    png.chunks_mut()[0] = img_parts::png::PngChunk::new(*b"IHDR", header.into());
    png.encoder().bytes().to_vec()
}

#[test]
fn bombs_are_refused_by_their_header() {
    for (width, height) in [(20_000, 20_000), (10_001, 10), (10, 10_001), (8_000, 8_000)] {
        assert_eq!(
            header(Format::Png, &bomb(width, height).into()).unwrap_err(),
            BadImage::TooLarge,
            "{width}x{height}"
        );
    }
    assert!(header(Format::Png, &bomb(u32::MAX / 2, 2).into()).is_err());
    assert!(header(Format::Png, &bomb(10_000, 5_000).into()).is_ok());
    // And a JPEG: the size stands in its frame header.
    let mut large = jpeg(&two_colours(16, 16));
    let frame = large.windows(2).position(|window| window == [0xff, 0xc0]).unwrap();
    large[frame + 5..frame + 9].copy_from_slice(&[0x4e, 0x20, 0x4e, 0x20]);
    assert_eq!(header(Format::Jpeg, &large.into()).unwrap_err(), BadImage::TooLarge);
}

/// Small files of every kind, some with what editors and cameras add.
fn seeds() -> Vec<(Format, Vec<u8>)> {
    let picture = DynamicImage::ImageRgba8(RgbaImage::from_fn(40, 30, |x, y| {
        Rgba([x.to_le_bytes()[0], y.to_le_bytes()[0], 90, 128])
    }));
    vec![
        (Format::Jpeg, with_orientation(&jpeg(&two_colours(67, 35)), 6)),
        (Format::Jpeg, jpeg(&two_colours(64, 64))),
        (Format::Png, file(&picture, ImageFormat::Png)),
        (Format::Png, file(&DynamicImage::ImageLuma8(picture.to_luma8()), ImageFormat::Png)),
        (Format::Webp, file(&picture, ImageFormat::WebP)),
        (Format::Webp, encode::encode(Format::Webp, &two_colours(48, 24), 80, None).unwrap().to_vec()),
        (Format::Gif, file(&picture, ImageFormat::Gif)),
    ]
}

proptest::proptest! {
    /// Whatever happens to a file on its way, it is refused or published, and what is published can be read.
    #[test]
    fn damaged_files_never_break_anything(
        seed in 0..7_usize,
        changes in proptest::collection::vec((proptest::num::usize::ANY, proptest::num::u8::ANY), 0..6),
        cut in proptest::option::of(0..100_usize),
    ) {
        let (format, mut bytes) = seeds().swap_remove(seed);
        for (at, value) in changes {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        if let Some(percent) = cut {
            bytes.truncate(bytes.len() * percent / 100);
        }
        if let Ok(result) = published(format, &bytes, &[16]) {
            let again = header(format, &result.bytes).unwrap();
            proptest::prop_assert_eq!((again.width, again.height), (result.width, result.height));
        }
    }
}
