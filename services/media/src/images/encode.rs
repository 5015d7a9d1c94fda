//! From pixels to a file of the same format as before.

use bytes::Bytes;
use image::{
    DynamicImage, ImageEncoder as _,
    codecs::png::{CompressionType, FilterType, PngEncoder},
};
use img_parts::{ImageICC as _, jpeg::Jpeg, webp::WebP};
use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

use super::{BadImage, Format};

/// Quality of renderings, 1 to 100.
pub(super) const SCALED: u8 = 82;
/// Quality of a picture that could not be turned without encoding it again.
pub(super) const FULL: u8 = 92;

/// Pixels of a JPEG that is worth a second look at its codes.
const MAX_OPTIMISED: usize = 4_000_000;

/// Encodes with the colour profile that the pixels are meant in.
pub(super) fn encode(
    format: Format,
    picture: &DynamicImage,
    quality: u8,
    icc: Option<Bytes>,
) -> Result<Bytes, BadImage> {
    match format {
        Format::Jpeg => jpeg(picture, quality).and_then(|bytes| with_icc_in_jpeg(bytes, icc)),
        Format::Png => png(picture, icc),
        Format::Webp => webp(picture, quality).and_then(|bytes| with_icc_in_webp(bytes, icc)),
        Format::Gif => Err(BadImage::Undecodable),
    }
}

fn jpeg(picture: &DynamicImage, quality: u8) -> Result<Bytes, BadImage> {
    let converted;
    let pixels = match picture {
        DynamicImage::ImageRgb8(pixels) => pixels,
        other => {
            converted = other.to_rgb8();
            &converted
        }
    };
    let (width, height) = (pixels.width() as usize, pixels.height() as usize);
    let image = Image { pixels: &pixels.as_raw()[..], width, pitch: width * 3, height, format: PixelFormat::RGB };
    let encoded = Compressor::new().and_then(|mut compressor| {
        compressor.set_quality(i32::from(quality))?;
        compressor.set_subsamp(Subsamp::Sub2x2)?;
        // For optimised codes the library keeps all coefficients, which is too much for the largest.
        compressor.set_optimize(width * height <= MAX_OPTIMISED)?;
        compressor.compress_to_vec(image)
    });
    encoded.map(Bytes::from).map_err(|_| BadImage::Undecodable)
}

fn png(picture: &DynamicImage, icc: Option<Bytes>) -> Result<Bytes, BadImage> {
    let mut bytes = Vec::new();
    let mut encoder = PngEncoder::new_with_quality(&mut bytes, CompressionType::Default, FilterType::Adaptive);
    if let Some(icc) = icc
        && encoder.set_icc_profile(icc.to_vec()).is_err()
    {
        tracing::debug!("a colour profile was not kept");
    }
    picture.write_with_encoder(encoder).map_err(|_| BadImage::Undecodable)?;
    Ok(bytes.into())
}

fn webp(picture: &DynamicImage, quality: u8) -> Result<Bytes, BadImage> {
    let (width, height) = (picture.width(), picture.height());
    let encoder = match picture {
        DynamicImage::ImageRgba8(pixels) => webp::Encoder::from_rgba(pixels, width, height),
        DynamicImage::ImageRgb8(pixels) => webp::Encoder::from_rgb(pixels, width, height),
        _ => return Err(BadImage::Undecodable),
    };
    let encoded = encoder.encode_simple(false, f32::from(quality)).map_err(|_| BadImage::Undecodable)?;
    Ok(Bytes::copy_from_slice(&encoded))
}

/// Adds the profile, if any, to a JPEG made here.
pub(super) fn with_icc_in_jpeg(bytes: Bytes, icc: Option<Bytes>) -> Result<Bytes, BadImage> {
    if icc.is_none() {
        return Ok(bytes);
    }
    let mut jpeg = Jpeg::from_bytes(bytes).map_err(|_| BadImage::Undecodable)?;
    jpeg.set_icc_profile(icc);
    Ok(jpeg.encoder().bytes())
}

fn with_icc_in_webp(bytes: Bytes, icc: Option<Bytes>) -> Result<Bytes, BadImage> {
    if icc.is_none() {
        return Ok(bytes);
    }
    let mut webp = WebP::from_bytes(bytes).map_err(|_| BadImage::Undecodable)?;
    webp.set_icc_profile(icc);
    Ok(webp.encoder().bytes())
}
