//! What is published instead of the upload: the same picture without position, camera, previews, comments, and without
//! whatever else was hidden in the file. Pixels stay as they were wherever the format allows it.

use std::{io::Cursor, num::NonZeroU64};

use bytes::Bytes;
use gif::{ColorOutput, DecodeOptions, MemoryLimit, Repeat};
use image::metadata::Orientation;
use img_parts::{
    ImageICC as _,
    jpeg::Jpeg,
    png::Png,
    riff::{RiffChunk, RiffContent},
    webp::WebP,
};
use turbojpeg::{Colorspace, Transform, Transformer};

use super::{BadImage, Format, Header, decode, encode, inspect, orientation, planes};

/// Larger colour profiles (mostly those of printing presses) are not kept.
const MAX_ICC: usize = 64 * 1024;
/// Coefficients beyond this are decoded and encoded again instead of being moved around.
pub(super) const MAX_MOVED: u64 = 100 * 1024 * 1024;
/// Pixels of all frames of an animation, so that a small file cannot keep a processor busy for minutes.
const MAX_ANIMATED: u64 = 500_000_000;

/// Chunks of a PNG that make up the picture and its colours.
const PNG_CHUNKS: [&[u8; 4]; 10] =
    [b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT"];
/// Those that make up the pixels.
const PNG_PIXELS: [&[u8; 4]; 5] = [b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"];
/// Chunks of a WebP that make up the picture and its colours.
const WEBP_CHUNKS: [&[u8; 4]; 7] = [b"VP8X", b"ICCP", b"ANIM", b"ANMF", b"ALPH", b"VP8 ", b"VP8L"];

/// The colour profile, without which a photograph of a recent phone looks pale.
pub(super) fn icc_profile(format: Format, bytes: &Bytes) -> Option<Bytes> {
    let profile = match format {
        Format::Jpeg if is_cmyk(bytes) => None,
        Format::Jpeg => Jpeg::from_bytes(bytes.clone()).ok()?.icc_profile(),
        Format::Png => Png::from_bytes(bytes.clone()).ok()?.icc_profile(),
        Format::Webp => WebP::from_bytes(bytes.clone()).ok()?.icc_profile(),
        Format::Gif => None,
    };
    profile.filter(|profile| profile.len() <= MAX_ICC)
}

pub(super) fn clean(
    format: Format,
    bytes: &Bytes,
    header: Header,
    turn: Orientation,
    icc: Option<Bytes>,
) -> Result<Bytes, BadImage> {
    match format {
        Format::Jpeg => jpeg(bytes, header, turn, icc),
        Format::Gif => gif(bytes),
        // Rare: neither cameras nor editors write an orientation here.
        _ if turn != Orientation::NoTransforms => {
            encode::encode(format, &decode::decode(format, bytes, turn, None)?, encode::FULL, icc)
        }
        Format::Png => png(bytes, icc.is_some()),
        Format::Webp => webp(bytes),
    }
}

/// Moves the coefficients into place, which loses nothing and writes a new file around them. Where blocks would have to
/// be cut, or the picture is too large for that or made for print, it is encoded again.
fn jpeg(bytes: &Bytes, header: Header, turn: Orientation, icc: Option<Bytes>) -> Result<Bytes, BadImage> {
    if header.moves {
        let mut transform = Transform::op(orientation::operation(turn));
        transform.perfect = true;
        transform.optimize = true;
        transform.copy_none = true;
        if let Ok(moved) = Transformer::new().and_then(|mut it| it.transform_to_vec(&transform, bytes)) {
            return encode::with_icc_in_jpeg(moved.into(), icc);
        }
    }
    if !is_cmyk(bytes)
        && let Some(turned) = planes::turn(bytes, turn)?
    {
        return encode::with_icc_in_jpeg(turned, icc);
    }
    let picture = decode::decode(Format::Jpeg, bytes, turn, None)?;
    encode::encode(Format::Jpeg, &picture, encode::FULL, icc)
}

/// Browsers show the colours of print files each in its own way: they are published as RGB.
fn is_cmyk(bytes: &[u8]) -> bool {
    let header = turbojpeg::read_header(bytes);
    header.is_ok_and(|header| matches!(header.colorspace, Colorspace::CMYK | Colorspace::YCCK))
}

fn png(bytes: &Bytes, keeps_profile: bool) -> Result<Bytes, BadImage> {
    with_chunks(bytes, |kind| PNG_CHUNKS.contains(&kind) && (keeps_profile || kind != b"iCCP"))
}

/// The pixels of a PNG alone, for decoders: texts and profiles are packed, and may unfold to any size.
pub(super) fn bare_png(bytes: &Bytes) -> Result<Bytes, BadImage> {
    with_chunks(bytes, |kind| PNG_PIXELS.contains(&kind))
}

fn with_chunks(bytes: &Bytes, wanted: impl Fn(&[u8; 4]) -> bool) -> Result<Bytes, BadImage> {
    let mut png = Png::from_bytes(bytes.clone()).map_err(|_| BadImage::Undecodable)?;
    let end = png.chunks().iter().position(|chunk| &chunk.kind() == b"IEND").ok_or(BadImage::Undecodable)?;
    png.chunks_mut().truncate(end + 1);
    png.chunks_mut().retain(|chunk| wanted(&chunk.kind()));
    Ok(png.encoder().bytes())
}

fn webp(bytes: &Bytes) -> Result<Bytes, BadImage> {
    /// Bits of the extended header that announce EXIF and XMP.
    const METADATA: u8 = 0b0000_1100;
    let mut webp = WebP::from_bytes(bytes.clone()).map_err(|_| BadImage::Undecodable)?;
    webp.chunks_mut().retain(|chunk| WEBP_CHUNKS.contains(&&chunk.id()));
    for chunk in webp.chunks_mut() {
        if &chunk.id() != b"VP8X" {
            continue;
        }
        let mut flags = chunk.content().data().map(|data| data.to_vec()).unwrap_or_default();
        if let Some(first) = flags.first_mut() {
            *first &= !METADATA;
        }
        *chunk = RiffChunk::new(*b"VP8X", RiffContent::Data(flags.into()));
    }
    Ok(webp.encoder().bytes())
}

/// Frame by frame with its own palette: the animation stays, comments and application data do not.
fn gif(bytes: &[u8]) -> Result<Bytes, BadImage> {
    let refused = |_| BadImage::Undecodable;
    let mut decoder = gif_decoder(bytes, true)?;
    let mut pixels = 0;
    while let Some(frame) = decoder.next_frame_info().map_err(|_| BadImage::Undecodable)? {
        pixels += u64::from(frame.width) * u64::from(frame.height);
    }
    if pixels > MAX_ANIMATED {
        return Err(BadImage::TooLarge);
    }
    let mut decoder = gif_decoder(bytes, false)?;
    let palette = decoder.global_palette().unwrap_or_default().to_vec();
    let mut cleaned = Vec::with_capacity(bytes.len());
    let mut encoder = gif::Encoder::new(&mut cleaned, decoder.width(), decoder.height(), &palette).map_err(refused)?;
    let mut frames = 0;
    loop {
        let next = decoder.read_next_frame().map_err(|_| BadImage::Undecodable)?;
        let Some(mut frame) = next.cloned() else { break };
        if frames == 0 && decoder.repeat() != Repeat::Finite(0) {
            encoder.set_repeat(decoder.repeat()).map_err(refused)?;
        }
        // The decoder has put the lines in order.
        frame.interlaced = false;
        encoder.write_frame(&frame).map_err(refused)?;
        frames += 1;
    }
    drop(encoder);
    if frames == 0 { Err(BadImage::Undecodable) } else { Ok(cleaned.into()) }
}

fn gif_decoder(bytes: &[u8], only_headers: bool) -> Result<gif::Decoder<Cursor<&[u8]>>, BadImage> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    options.skip_frame_decoding(only_headers);
    if let Some(limit) = NonZeroU64::new(inspect::MAX_PIXELS) {
        options.set_memory_limit(MemoryLimit::Bytes(limit));
    }
    options.read_info(Cursor::new(bytes)).map_err(|_| BadImage::Undecodable)
}
