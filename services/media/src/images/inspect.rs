//! What a picture says about itself before it is decoded.

use std::io::Cursor;

use bytes::Bytes;
use image::{ImageDecoder as _, ImageFormat, ImageReader, Limits};
use img_parts::{png::Png, webp::WebP};
use turbojpeg::{Colorspace, Decompressor, Subsamp};

use super::{BadImage, Format, clean, orientation, planes};

/// Pixels of a side.
pub(crate) const MAX_SIDE: u32 = 10_000;
/// Pixels in all.
pub(crate) const MAX_PIXELS: u64 = 50_000_000;
/// Bytes that a picture may take while it is worked on: whatever has 50 megapixels of 8 bits per channel fits.
pub(super) const MAX_MEMORY: u64 = 400 * 1024 * 1024;

/// Size of a picture as stored, before its orientation, and what decoding it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Most bytes held at once while the picture is worked on, roughly.
    pub(crate) memory: u64,
    /// Whether the coefficients of a JPEG can be moved into place, instead of decoding and encoding it.
    pub(super) moves: bool,
}

/// Reads the header and refuses what is too large. Costs next to nothing, whatever the file claims.
pub(crate) fn header(format: Format, bytes: &Bytes) -> Result<Header, BadImage> {
    let header = match format {
        Format::Jpeg => jpeg(bytes)?,
        Format::Png => png(bytes)?,
        Format::Webp => webp(bytes)?,
        // The canvas and one frame.
        Format::Gif => decoded(ImageFormat::Gif, bytes, 8)?,
    };
    check_size(header.width, header.height)?;
    if header.memory > MAX_MEMORY {
        return Err(BadImage::TooHungry);
    }
    Ok(header)
}

fn check_size(width: u32, height: u32) -> Result<(), BadImage> {
    if width == 0 || height == 0 {
        return Err(BadImage::Undecodable);
    }
    if width > MAX_SIDE || height > MAX_SIDE || u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(BadImage::TooLarge);
    }
    Ok(())
}

fn jpeg(bytes: &Bytes) -> Result<Header, BadImage> {
    let header = Decompressor::new().and_then(|mut it| it.read_header(bytes)).map_err(|_| BadImage::Undecodable)?;
    let width = u32::try_from(header.width).map_err(|_| BadImage::TooLarge)?;
    let height = u32::try_from(header.height).map_err(|_| BadImage::TooLarge)?;
    let pixels = u64::from(width) * u64::from(height);
    let is_cmyk = matches!(header.colorspace, Colorspace::CMYK | Colorspace::YCCK);
    // Two bytes for each coefficient.
    let coefficients = pixels
        * match header.subsamp {
            _ if is_cmyk => 8,
            Subsamp::Gray => 2,
            Subsamp::Sub2x2 | Subsamp::Sub4x1 | Subsamp::Sub1x4 => 3,
            Subsamp::Sub2x1 | Subsamp::Sub1x2 => 4,
            _ => 6,
        };
    let is_turned = orientation::read(Format::Jpeg, bytes) != image::metadata::Orientation::NoTransforms;
    let moving = coefficients * if is_turned { 2 } else { 1 };
    let kept = if header.is_progressive { coefficients } else { 0 };
    let decoding = match is_cmyk {
        true => pixels * 4,
        // The planes, and the largest of them a second time.
        false if planes::fit(&header) => coefficients / 2 + pixels,
        false => pixels * 3,
    } + kept;
    let moves = moving <= clean::MAX_MOVED && !is_cmyk;
    let memory = match moves {
        // Should blocks have to be cut, it is decoded instead.
        true if is_turned => moving.max(decoding),
        true => moving,
        false => decoding,
    };
    Ok(Header { width, height, memory, moves })
}

/// Reads only the first chunk: others may unfold to any size.
fn png(bytes: &Bytes) -> Result<Header, BadImage> {
    let png = Png::from_bytes(bytes.clone()).map_err(|_| BadImage::Undecodable)?;
    let header = png.chunks().first().filter(|chunk| &chunk.kind() == b"IHDR").ok_or(BadImage::Undecodable)?;
    let &[w0, w1, w2, w3, h0, h1, h2, h3, depth, colour, ..] = &header.contents()[..] else {
        return Err(BadImage::Undecodable);
    };
    let is_transparent = png.chunk_by_type(*b"tRNS").is_some();
    // Bytes per pixel as decoded, and of the copy in RGB or RGBA where that is another one.
    let (channels, copied) = match (colour, is_transparent) {
        (0, false) => (1, 3),
        (0, true) | (4, _) => (2, 4),
        (2 | 3, false) => (3, 0),
        _ => (4, 0),
    };
    let (sample, copied) = if depth == 16 { (2, copied.max(channels)) } else { (1, copied) };
    let (width, height) = (u32::from_be_bytes([w0, w1, w2, w3]), u32::from_be_bytes([h0, h1, h2, h3]));
    Ok(Header { width, height, memory: memory(width, height, channels * sample + copied), moves: false })
}

fn webp(bytes: &Bytes) -> Result<Header, BadImage> {
    let webp = WebP::from_bytes(bytes.clone()).map_err(|_| BadImage::Undecodable)?;
    // Lossless pictures are decoded with alpha and then copied; lossy ones from planes.
    let is_lossy = webp.has_chunk(*b"VP8 ");
    decoded(ImageFormat::WebP, bytes, if is_lossy { 6 } else { 7 })
}

fn decoded(format: ImageFormat, bytes: &[u8], per_pixel: u64) -> Result<Header, BadImage> {
    let decoder = reader(format, bytes).into_decoder().map_err(|_| BadImage::Undecodable)?;
    let (width, height) = decoder.dimensions();
    Ok(Header { width, height, memory: memory(width, height, per_pixel), moves: false })
}

/// And a bit more for scaled copies.
fn memory(width: u32, height: u32, per_pixel: u64) -> u64 {
    (u64::from(width) * u64::from(height)).saturating_mul(per_pixel).saturating_add(8 * 1024 * 1024)
}

/// A reader of the `image` crate that refuses to allocate beyond the limit.
pub(super) fn reader(format: ImageFormat, bytes: &[u8]) -> ImageReader<Cursor<&[u8]>> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    // Sizes are checked by the caller, who tells one refusal from the other.
    limits.max_alloc = Some(MAX_MEMORY);
    reader.limits(limits);
    reader
}
