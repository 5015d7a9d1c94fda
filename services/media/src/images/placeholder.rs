//! The blur that a page shows while the picture loads: some 25 bytes.

use data_encoding::BASE64;
use image::DynamicImage;

use super::{BadImage, variants};

/// The hash is made of a picture of this many pixels a side at most.
pub(super) const SIDE: u32 = 100;

/// ThumbHash in base64.
pub(super) fn of(picture: &DynamicImage) -> Result<String, BadImage> {
    let longest = picture.width().max(picture.height()).max(1);
    let fit = |side: u32| (side * SIDE / longest).clamp(1, SIDE);
    let small = if longest > SIDE {
        variants::resize(picture, fit(picture.width()), fit(picture.height()))?.into_rgba8()
    } else {
        picture.to_rgba8()
    };
    let hash = thumbhash::rgba_to_thumb_hash(small.width() as usize, small.height() as usize, small.as_raw());
    Ok(BASE64.encode(&hash))
}
