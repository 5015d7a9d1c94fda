//! From a file to pixels: 8 bits per channel, RGB or RGBA, the right way up.

use bytes::Bytes;
use image::{DynamicImage, ImageFormat, RgbImage, metadata::Orientation};
use turbojpeg::{Colorspace, Decompressor, Image, PixelFormat, ScalingFactor};

use super::{
    BadImage, Format, clean, inspect,
    orientation::{self, is_sideways},
};

/// A progressive JPEG with more scans than this is made to waste time.
pub(super) const MAX_SCANS: u32 = 100;

/// Decodes the whole picture. A JPEG is scaled down on the way, as far as a width of `at_least` pixels allows.
pub(super) fn decode(
    format: Format,
    bytes: &Bytes,
    orientation: Orientation,
    at_least: Option<u32>,
) -> Result<DynamicImage, BadImage> {
    let picture = match format {
        Format::Jpeg => jpeg(bytes, at_least.map(|width| (width, is_sideways(orientation))))?,
        Format::Png => other(ImageFormat::Png, &clean::bare_png(bytes)?)?,
        Format::Webp => other(ImageFormat::WebP, bytes)?,
        Format::Gif => other(ImageFormat::Gif, bytes)?,
    };
    orientation::apply(picture, orientation)
}

fn other(format: ImageFormat, bytes: &[u8]) -> Result<DynamicImage, BadImage> {
    let picture = inspect::reader(format, bytes).decode().map_err(|_| BadImage::Undecodable)?;
    Ok(if picture.color().has_alpha() {
        DynamicImage::ImageRgba8(picture.into_rgba8())
    } else {
        DynamicImage::ImageRgb8(picture.into_rgb8())
    })
}

fn jpeg(bytes: &[u8], wanted: Option<(u32, bool)>) -> Result<DynamicImage, BadImage> {
    let mut decompressor = Decompressor::new().map_err(|_| BadImage::Undecodable)?;
    let header = decompressor.read_header(bytes).map_err(|_| BadImage::Undecodable)?;
    let factor = match wanted {
        Some((width, sideways)) if !header.is_lossless => {
            smallest_factor(if sideways { header.height } else { header.width }, width as usize)
        }
        _ => ScalingFactor::ONE,
    };
    let is_cmyk = matches!(header.colorspace, Colorspace::CMYK | Colorspace::YCCK);
    let format = if is_cmyk { PixelFormat::CMYK } else { PixelFormat::RGB };
    let (width, height) = (factor.scale(header.width), factor.scale(header.height));
    let pitch = width * format.size();
    let mut pixels = vec![0; pitch * height];
    decompressor.set_scan_limit(MAX_SCANS).map_err(|_| BadImage::Undecodable)?;
    decompressor.set_scaling_factor(factor).map_err(|_| BadImage::Undecodable)?;
    let decoded = decompressor.decompress(bytes, Image { pixels: &mut pixels[..], width, pitch, height, format });
    tolerate(decoded)?;
    if is_cmyk {
        mix(&mut pixels);
    }
    let width = u32::try_from(width).map_err(|_| BadImage::TooLarge)?;
    let height = u32::try_from(height).map_err(|_| BadImage::TooLarge)?;
    RgbImage::from_raw(width, height, pixels).map(DynamicImage::ImageRgb8).ok_or(BadImage::Undecodable)
}

/// Some cameras leave a few bytes between the picture and its end mark. The pixels are all there, and the warning
/// that the library makes of it is no reason to refuse the photograph. A file that was cut off is.
pub(super) fn tolerate(decoded: turbojpeg::Result<()>) -> Result<(), BadImage> {
    match decoded {
        Ok(()) => Ok(()),
        Err(turbojpeg::Error::TurboJpegError(message)) if message.contains("extraneous bytes") => Ok(()),
        Err(_) => Err(BadImage::Undecodable),
    }
}

/// The smallest scale of the library, eighths of the picture, that still has `wanted` pixels of `side`.
fn smallest_factor(side: usize, wanted: usize) -> ScalingFactor {
    (1..=8)
        .map(|eighths| ScalingFactor::new(eighths, 8))
        .find(|factor| factor.scale(side) >= wanted)
        .unwrap_or(ScalingFactor::ONE)
}

/// From inks to RGB, in place. Programs for print store the amount of missing ink, so that paper white is 255. Without
/// colour management, which the preview of a print file can do without.
fn mix(pixels: &mut Vec<u8>) {
    let mixed = |ink: u8, black: u8| u8::try_from(u16::from(ink) * u16::from(black) / 255).unwrap_or(u8::MAX);
    let count = pixels.len() / 4;
    for pixel in 0..count {
        let [c, m, y, k] = [0, 1, 2, 3].map(|ink| pixels[4 * pixel + ink]);
        pixels[3 * pixel..3 * pixel + 3].copy_from_slice(&[mixed(c, k), mixed(m, k), mixed(y, k)]);
    }
    pixels.truncate(3 * count);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jpeg_is_scaled_down_while_it_is_decoded_as_far_as_the_width_allows() {
        for (side, wanted, scaled) in [(4000, 1280, 1500), (4000, 256, 500), (200, 1280, 200), (8, 1, 1)] {
            assert_eq!(smallest_factor(side, wanted).scale(side), scaled, "{side} to {wanted}");
        }
    }
}
