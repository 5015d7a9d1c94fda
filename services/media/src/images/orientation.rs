//! Which way a camera was held.

use std::io::Cursor;

use exif::{In, Tag};
use image::{ImageDecoder as _, ImageFormat, metadata::Orientation};
use turbojpeg::TransformOp;

use super::{Format, inspect};

/// The orientation that the metadata asks for; upright if there is none or it makes no sense.
pub(super) fn read(format: Format, bytes: &[u8]) -> Orientation {
    let found = match format {
        Format::Jpeg => of_jpeg(bytes),
        Format::Png => of_decoder(ImageFormat::Png, bytes),
        Format::Webp => of_decoder(ImageFormat::WebP, bytes),
        Format::Gif => None,
    };
    found.unwrap_or(Orientation::NoTransforms)
}

fn of_jpeg(bytes: &[u8]) -> Option<Orientation> {
    let exif = exif::Reader::new().read_from_container(&mut Cursor::new(bytes)).ok()?;
    let value = exif.get_field(Tag::Orientation, In::PRIMARY)?.value.get_uint(0)?;
    Orientation::from_exif(u8::try_from(value).ok()?)
}

fn of_decoder(format: ImageFormat, bytes: &[u8]) -> Option<Orientation> {
    inspect::reader(format, bytes).into_decoder().ok()?.orientation().ok()
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
