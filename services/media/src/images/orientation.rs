//! Which way a camera was held.

use std::io::Cursor;

use bytes::Bytes;
use exif::{In, Tag};
use image::{DynamicImage, ImageDecoder as _, ImageFormat, RgbImage, RgbaImage, imageops, metadata::Orientation};
use img_parts::png::Png;
use turbojpeg::TransformOp;

use super::{BadImage, Format, inspect};

/// The orientation that the metadata asks for; upright if there is none or it makes no sense.
pub(super) fn read(format: Format, bytes: &Bytes) -> Orientation {
    let found = match format {
        Format::Jpeg => of_jpeg(bytes),
        Format::Png => of_png(bytes),
        Format::Webp => of_webp(bytes),
        Format::Gif => None,
    };
    found.unwrap_or(Orientation::NoTransforms)
}

fn of_jpeg(bytes: &[u8]) -> Option<Orientation> {
    of_exif(&exif::Reader::new().read_from_container(&mut Cursor::new(bytes)).ok()?)
}

/// Without a decoder, which would unfold the chunks before.
fn of_png(bytes: &Bytes) -> Option<Orientation> {
    let png = Png::from_bytes(bytes.clone()).ok()?;
    let chunk = png.chunk_by_type(*b"eXIf")?;
    of_exif(&exif::Reader::new().read_raw(chunk.contents().to_vec()).ok()?)
}

fn of_webp(bytes: &[u8]) -> Option<Orientation> {
    inspect::reader(ImageFormat::WebP, bytes).into_decoder().ok()?.orientation().ok()
}

fn of_exif(exif: &exif::Exif) -> Option<Orientation> {
    let value = exif.get_field(Tag::Orientation, In::PRIMARY)?.value.get_uint(0)?;
    Orientation::from_exif(u8::try_from(value).ok()?)
}

/// Turns the picture upright where it lies: a second one of the largest would not fit into memory.
pub(super) fn apply(picture: DynamicImage, orientation: Orientation) -> Result<DynamicImage, BadImage> {
    let mut picture = if is_sideways(orientation) { transposed(picture)? } else { picture };
    match orientation {
        Orientation::NoTransforms | Orientation::Rotate90FlipH => {}
        Orientation::Rotate180 | Orientation::Rotate270FlipH => imageops::rotate180_in_place(&mut picture),
        Orientation::FlipHorizontal | Orientation::Rotate90 => imageops::flip_horizontal_in_place(&mut picture),
        Orientation::FlipVertical | Orientation::Rotate270 => imageops::flip_vertical_in_place(&mut picture),
    }
    Ok(picture)
}

/// Mirrored at the diagonal.
fn transposed(picture: DynamicImage) -> Result<DynamicImage, BadImage> {
    fn pixels<const N: usize>(bytes: &mut [u8], (width, height): (u32, u32)) {
        let (pixels, _) = bytes.as_chunks_mut::<N>();
        let (width, height) = (width as usize, height as usize);
        transpose::transpose_inplace(pixels, &mut vec![[0; N]; width.max(height)], width, height);
    }
    let (width, height) = (picture.width(), picture.height());
    let turned = match picture {
        DynamicImage::ImageRgb8(image) => {
            let mut bytes = image.into_raw();
            pixels::<3>(&mut bytes, (width, height));
            RgbImage::from_raw(height, width, bytes).map(DynamicImage::ImageRgb8)
        }
        other => {
            let mut bytes = other.into_rgba8().into_raw();
            pixels::<4>(&mut bytes, (width, height));
            RgbaImage::from_raw(height, width, bytes).map(DynamicImage::ImageRgba8)
        }
    };
    turned.ok_or(BadImage::Undecodable)
}

/// Width and height after the orientation is applied.
pub(super) fn turned(orientation: Orientation, (width, height): (u32, u32)) -> (u32, u32) {
    if is_sideways(orientation) { (height, width) } else { (width, height) }
}

pub(super) fn is_sideways(orientation: Orientation) -> bool {
    matches!(
        orientation,
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH
    )
}

/// The same for a plane of single bytes.
pub(super) fn turn_plane(plane: &mut [u8], (width, height): (usize, usize), orientation: Orientation) {
    let mut width = width;
    if is_sideways(orientation) {
        let mut turned = vec![0; plane.len()];
        transpose::transpose(plane, &mut turned, width, height);
        plane.copy_from_slice(&turned);
        width = height;
    }
    match orientation {
        Orientation::NoTransforms | Orientation::Rotate90FlipH => {}
        Orientation::Rotate180 | Orientation::Rotate270FlipH => plane.reverse(),
        Orientation::FlipHorizontal | Orientation::Rotate90 => {
            plane.chunks_exact_mut(width).for_each(<[u8]>::reverse);
        }
        Orientation::FlipVertical | Orientation::Rotate270 => {
            plane.reverse();
            plane.chunks_exact_mut(width).for_each(<[u8]>::reverse);
        }
    }
}

/// The same as an operation on the coefficients of a JPEG.
pub(super) fn operation(orientation: Orientation) -> TransformOp {
    match orientation {
        Orientation::NoTransforms => TransformOp::None,
        Orientation::Rotate90 => TransformOp::Rot90,
        Orientation::Rotate180 => TransformOp::Rot180,
        Orientation::Rotate270 => TransformOp::Rot270,
        Orientation::FlipHorizontal => TransformOp::Hflip,
        Orientation::FlipVertical => TransformOp::Vflip,
        Orientation::Rotate90FlipH => TransformOp::Transpose,
        Orientation::Rotate270FlipH => TransformOp::Transverse,
    }
}
