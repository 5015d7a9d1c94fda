//! What a picture says about itself before it is decoded.

use std::io::Cursor;

use image::{ImageDecoder as _, ImageFormat, ImageReader, Limits};
use turbojpeg::{Colorspace, Decompressor, Subsamp};

use super::{BadImage, Format};

/// Pixels of a side.
pub(crate) const MAX_SIDE: u32 = 10_000;
/// Pixels in all.
pub(crate) const MAX_PIXELS: u64 = 50_000_000;
/// Bytes that a decoder may ask for: 50 megapixels with alpha, and some more. 16 bits per channel cost twice as much.
pub(super) const MAX_DECODED: u64 = 256 * 1024 * 1024;

/// Size of a picture as stored, before its orientation, and what decoding it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Most bytes held at once while the picture is worked on, roughly.
    pub(crate) memory: u64,
}

/// Reads the header and refuses what is too large. Costs next to nothing, whatever the file claims.
pub(crate) fn header(format: Format, bytes: &[u8]) -> Result<Header, BadImage> {
    let header = match format {
        Format::Jpeg => jpeg(bytes)?,
        Format::Png => decoded(ImageFormat::Png, bytes)?,
        Format::Webp => decoded(ImageFormat::WebP, bytes)?,
        Format::Gif => decoded(ImageFormat::Gif, bytes)?,
    };
    check_size(header.width, header.height)?;
    if format != Format::Jpeg && header.memory > MAX_DECODED {
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

fn jpeg(bytes: &[u8]) -> Result<Header, BadImage> {
    let header = Decompressor::new().and_then(|mut it| it.read_header(bytes)).map_err(|_| BadImage::Undecodable)?;
    let width = u32::try_from(header.width).map_err(|_| BadImage::TooLarge)?;
    let height = u32::try_from(header.height).map_err(|_| BadImage::TooLarge)?;
    // The lossless rotation keeps all coefficients, two bytes for each sample.
    let half_samples = match (header.colorspace, header.subsamp) {
        (Colorspace::CMYK | Colorspace::YCCK, _) => 8,
        (_, Subsamp::Gray) => 2,
        (_, Subsamp::Sub2x2 | Subsamp::Sub4x1 | Subsamp::Sub1x4) => 3,
        (_, Subsamp::Sub2x1 | Subsamp::Sub1x2) => 4,
        _ => 6,
    };
    Ok(Header { width, height, memory: u64::from(width) * u64::from(height) * half_samples })
}

fn decoded(format: ImageFormat, bytes: &[u8]) -> Result<Header, BadImage> {
    let decoder = reader(format, bytes).into_decoder().map_err(|_| BadImage::Undecodable)?;
    let (width, height) = decoder.dimensions();
    // Once as decoded, and half of it again for scaled copies and the encoder.
    Ok(Header { width, height, memory: decoder.total_bytes().saturating_add(decoder.total_bytes() / 4) })
}

/// A reader of the `image` crate that refuses to allocate beyond the limit.
pub(super) fn reader(format: ImageFormat, bytes: &[u8]) -> ImageReader<Cursor<&[u8]>> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    // Sizes are checked by the caller, who tells one refusal from the other.
    limits.max_alloc = Some(2 * MAX_DECODED);
    reader.limits(limits);
    reader
}
