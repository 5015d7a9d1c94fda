//! Smaller renderings of a picture, in its own format and as WebP.

use bytes::Bytes;
use fast_image_resize::{
    PixelType, Resizer,
    images::{Image, ImageRef},
};
use image::{DynamicImage, RgbImage, RgbaImage};

use super::{BadImage, Format, Rendering, clean, decode, encode, height_of, orientation};

/// Renders a stored picture at `width` pixels, which must be less than it has. For pictures that were published, which
/// are upright and free of metadata.
pub(crate) fn render(format: Format, bytes: &Bytes, width: u32) -> Result<Rendering, BadImage> {
    let picture = decode::decode(format, bytes, orientation::read(format, bytes), Some(width))?;
    scale(format, &picture, (width, height_of(width, &picture)), clean::icc_profile(format, bytes))
}

pub(super) fn scale(
    format: Format,
    picture: &DynamicImage,
    (width, height): (u32, u32),
    icc: Option<Bytes>,
) -> Result<Rendering, BadImage> {
    let scaled = resize(picture, width, height)?;
    let webp = match format {
        Format::Webp => None,
        _ => Some(encode::encode(Format::Webp, &scaled, encode::SCALED, icc.clone())?),
    };
    let bytes = encode::encode(format, &scaled, encode::SCALED, icc)?;
    Ok(Rendering { width, height, bytes, webp })
}

/// Colours are weighted by their opacity, so that transparent pixels do not bleed into their neighbours.
pub(super) fn resize(picture: &DynamicImage, width: u32, height: u32) -> Result<DynamicImage, BadImage> {
    let (pixels, kind) = match picture {
        DynamicImage::ImageRgb8(image) => (image.as_raw(), PixelType::U8x3),
        DynamicImage::ImageRgba8(image) => (image.as_raw(), PixelType::U8x4),
        _ => return Err(BadImage::Undecodable),
    };
    let source = ImageRef::new(picture.width(), picture.height(), pixels, kind).map_err(|_| BadImage::Undecodable)?;
    let mut target = Image::new(width, height, kind);
    Resizer::new().resize(&source, &mut target, None).map_err(|_| BadImage::Undecodable)?;
    let pixels = target.into_vec();
    match kind {
        PixelType::U8x4 => RgbaImage::from_raw(width, height, pixels).map(DynamicImage::ImageRgba8),
        _ => RgbImage::from_raw(width, height, pixels).map(DynamicImage::ImageRgb8),
    }
    .ok_or(BadImage::Undecodable)
}
