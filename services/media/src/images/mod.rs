//! Pictures: inspected, decoded within limits, freed of metadata, scaled.
//!
//! Nothing here waits or talks to a server. It is slow, hungry work: callers go through [`pool::ImagePool`].

mod clean;
mod decode;
mod encode;
mod inspect;
mod orientation;
mod placeholder;
mod planes;
pub(crate) mod pool;
mod variants;

use bytes::Bytes;

pub(crate) use inspect::{Header, MAX_PIXELS, MAX_SIDE, header};
pub(crate) use variants::render;

/// The kinds of pictures that are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Jpeg,
    Png,
    Webp,
    Gif,
}

impl Format {
    pub(crate) fn of(content_type: &str) -> Option<Self> {
        match content_type {
            "image/jpeg" => Some(Self::Jpeg),
            "image/png" => Some(Self::Png),
            "image/webp" => Some(Self::Webp),
            "image/gif" => Some(Self::Gif),
            _ => None,
        }
    }
}

/// Why a picture is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadImage {
    #[error("a side has more than {MAX_SIDE} pixels, or the picture more than {MAX_PIXELS}")]
    TooLarge,
    #[error("the picture would take too much memory")]
    TooHungry,
    #[error("the picture cannot be decoded")]
    Undecodable,
}

/// A smaller rendering.
#[derive(Clone, Debug)]
pub(crate) struct Rendering {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// In the format of the picture.
    pub(crate) bytes: Bytes,
    /// The same as WebP, unless the picture is one.
    pub(crate) webp: Option<Bytes>,
}

/// A picture that may be published.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    /// The picture as it is shown, without anything that is not part of it.
    pub(crate) bytes: Bytes,
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// ThumbHash in base64.
    pub(crate) placeholder: String,
    pub(crate) variants: Vec<Rendering>,
}

/// Checks `bytes` by decoding them whole, applies the orientation, drops the metadata, and makes the renderings of
/// `widths` that are smaller than the picture.
pub(crate) fn publish(format: Format, bytes: &Bytes, header: Header, widths: &[u32]) -> Result<Published, BadImage> {
    let orientation = orientation::read(format, bytes);
    let (width, height) = orientation::turned(orientation, (header.width, header.height));
    let smaller: Vec<u32> = widths.iter().copied().filter(|&wanted| wanted < width).collect();
    let needed = smaller.iter().copied().max().unwrap_or(0).max(placeholder::SIDE);
    let picture = decode::decode(format, bytes, orientation, Some(needed))?;
    let icc = clean::icc_profile(format, bytes);
    let mut variants = Vec::with_capacity(smaller.len());
    if format != Format::Gif {
        for width in smaller {
            variants.push(variants::scale(format, &picture, (width, height_of(width, &picture)), icc.clone())?);
        }
    }
    let placeholder = placeholder::of(&picture)?;
    drop(picture);
    let bytes = clean::clean(format, bytes, header, orientation, icc)?;
    Ok(Published { bytes, width, height, placeholder, variants })
}

/// The part of a publication that `make bench-media` compares with other programs: from a photograph to WebP of these
/// widths.
///
/// # Errors
/// The photograph cannot be decoded.
pub fn webps(jpeg: &Bytes, widths: &[u32]) -> Result<Vec<Bytes>, BadImage> {
    let needed = widths.iter().copied().max();
    let picture = decode::decode(Format::Jpeg, jpeg, orientation::read(Format::Jpeg, jpeg), needed)?;
    let webp = |&width: &u32| {
        let scaled = variants::resize(&picture, width, height_of(width, &picture))?;
        encode::encode(Format::Webp, &scaled, encode::SCALED, None)
    };
    widths.iter().map(webp).collect()
}

/// The height that keeps the proportions of `picture` at `width`.
fn height_of(width: u32, picture: &image::DynamicImage) -> u32 {
    let exact = u64::from(picture.height()) * u64::from(width) / u64::from(picture.width().max(1));
    u32::try_from(exact).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests;
