//! Photographs that are too large to have their coefficients moved: decoded to their planes of brightness and colour,
//! turned there and encoded again. That takes half the memory that RGB would, and no colour is sampled twice.

use bytes::Bytes;
use image::metadata::Orientation;
use turbojpeg::{Compressor, DecompressHeader, Decompressor, Subsamp, YuvImage};

use super::{
    BadImage, decode,
    encode::FULL,
    orientation::{self, is_sideways},
};

/// Whether the planes fit the picture without a rest, which a turned picture would have on its wrong side.
pub(super) fn fit(header: &DecompressHeader) -> bool {
    let is_known =
        matches!(header.subsamp, Subsamp::None | Subsamp::Gray | Subsamp::Sub2x2 | Subsamp::Sub2x1 | Subsamp::Sub1x2);
    is_known && header.width.is_multiple_of(2) && header.height.is_multiple_of(2)
}

/// The picture, turned upright and encoded anew; `None` where the planes do not fit it.
pub(super) fn turn(bytes: &Bytes, turn: Orientation) -> Result<Option<Bytes>, BadImage> {
    let refused = |_| BadImage::Undecodable;
    let mut decompressor = Decompressor::new().map_err(refused)?;
    let header = decompressor.read_header(bytes).map_err(refused)?;
    if !fit(&header) {
        return Ok(None);
    }
    let (width, height) = (header.width, header.height);
    let sizes = planes(width, height, header.subsamp);
    let mut pixels = vec![0; sizes.iter().map(|(width, height)| width * height).sum()];
    decompressor.set_scan_limit(decode::MAX_SCANS).map_err(refused)?;
    let image = YuvImage { pixels: &mut pixels[..], width, align: 1, height, subsamp: header.subsamp };
    decode::tolerate(decompressor.decompress_to_yuv(bytes, image))?;
    drop(decompressor);

    let mut rest = &mut pixels[..];
    for size in sizes {
        let (plane, others) = rest.split_at_mut(size.0 * size.1);
        orientation::turn_plane(plane, size, turn);
        rest = others;
    }
    let (width, height, subsamp) = match (is_sideways(turn), header.subsamp) {
        (false, subsamp) => (width, height, subsamp),
        (true, Subsamp::Sub2x1) => (height, width, Subsamp::Sub1x2),
        (true, Subsamp::Sub1x2) => (height, width, Subsamp::Sub2x1),
        (true, subsamp) => (height, width, subsamp),
    };
    let image = YuvImage { pixels: &pixels[..], width, align: 1, height, subsamp };
    let encoded = Compressor::new().and_then(|mut compressor| {
        // Without optimised codes, for which the library would keep all coefficients.
        compressor.set_quality(i32::from(FULL))?;
        compressor.compress_yuv_to_vec(image)
    });
    encoded.map(|bytes| Some(bytes.into())).map_err(refused)
}

/// Width and height of each plane.
fn planes(width: usize, height: usize, subsamp: Subsamp) -> Vec<(usize, usize)> {
    let colour = match subsamp {
        Subsamp::Gray => return vec![(width, height)],
        Subsamp::Sub2x2 => (width / 2, height / 2),
        Subsamp::Sub2x1 => (width / 2, height),
        Subsamp::Sub1x2 => (width, height / 2),
        _ => (width, height),
    };
    vec![(width, height), colour, colour]
}
