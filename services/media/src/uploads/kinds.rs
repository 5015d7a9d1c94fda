//! What can be uploaded.

use std::str::FromStr;

const MIB: i64 = 1024 * 1024;
const STILL: &[&str] = &["image/jpeg", "image/png", "image/webp"];
const IMAGES: &[&str] = &["image/jpeg", "image/png", "image/webp", "image/gif"];
const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
const PPTX: &str = "application/vnd.openxmlformats-officedocument.presentationml.presentation";
const DOCUMENTS: &[&str] = &["application/pdf", "application/msword", DOCX, "application/vnd.ms-powerpoint", PPTX];

/// The `upload_type` of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Avatar,
    Banner,
    Thumbnail,
    PortfolioImage,
    Document,
    ChatImage,
}

/// Nothing that can be uploaded is called so.
#[derive(Debug)]
pub(crate) struct UnknownKind;

impl Kind {
    pub(crate) const ALL: [Self; 6] =
        [Self::Avatar, Self::Banner, Self::Thumbnail, Self::PortfolioImage, Self::Document, Self::ChatImage];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Avatar => "avatar",
            Self::Banner => "banner",
            Self::Thumbnail => "thumbnail",
            Self::PortfolioImage => "portfolio_image",
            Self::Document => "document",
            Self::ChatImage => "chat_image",
        }
    }

    /// The first part of its keys.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::Avatar => "avatars",
            Self::Banner => "banners",
            Self::Thumbnail => "thumbnails",
            Self::PortfolioImage => "portfolio-images",
            Self::Document => "documents",
            Self::ChatImage => "chat-images",
        }
    }

    pub(crate) fn max_bytes(self) -> i64 {
        match self {
            Self::Avatar | Self::Thumbnail => 5 * MIB,
            Self::Banner | Self::PortfolioImage | Self::ChatImage => 10 * MIB,
            Self::Document => 20 * MIB,
        }
    }

    /// Media types that are taken, as declared and as found in the bytes.
    pub(crate) fn content_types(self) -> &'static [&'static str] {
        match self {
            Self::Avatar | Self::Thumbnail => STILL,
            Self::Banner | Self::PortfolioImage | Self::ChatImage => IMAGES,
            Self::Document => DOCUMENTS,
        }
    }

    /// True for uploads into a portfolio; the others belong to their uploader.
    pub(crate) fn needs_portfolio(self) -> bool {
        matches!(self, Self::Thumbnail | Self::PortfolioImage | Self::Document)
    }

    /// Widths that pages ask for at once, made at the confirmation.
    pub(crate) fn variant_widths(self) -> &'static [u32] {
        match self {
            Self::Avatar => &[64, 128, 256],
            Self::Thumbnail => &[320, 640, 1280],
            _ => &[],
        }
    }
}

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(UnknownKind)
    }
}

/// The ending of keys. It comes from the media type, never from a file name.
pub(crate) fn extension(content_type: &str) -> Option<&'static str> {
    Some(match content_type {
        "image/jpeg" => "jpg",
        "image/png" => "png",
        "image/webp" => "webp",
        "image/gif" => "gif",
        "application/pdf" => "pdf",
        "application/msword" => "doc",
        DOCX => "docx",
        "application/vnd.ms-powerpoint" => "ppt",
        PPTX => "pptx",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_types_are_the_contracts() {
        for (kind, bytes, types) in [
            ("avatar", 5_242_880, 3),
            ("banner", 10_485_760, 4),
            ("thumbnail", 5_242_880, 3),
            ("portfolio_image", 10_485_760, 4),
            ("document", 20_971_520, 5),
            ("chat_image", 10_485_760, 4),
        ] {
            let kind: Kind = kind.parse().unwrap();
            assert_eq!((kind.max_bytes(), kind.content_types().len()), (bytes, types));
        }
        assert!("changelog_image".parse::<Kind>().is_err());
    }

    #[test]
    fn every_accepted_type_has_an_ending() {
        let mut endings: Vec<_> =
            Kind::ALL.iter().flat_map(|kind| kind.content_types()).filter_map(|name| extension(name)).collect();
        endings.sort_unstable();
        endings.dedup();
        assert_eq!(endings, ["doc", "docx", "gif", "jpg", "pdf", "png", "ppt", "pptx", "webp"]);
        assert_eq!(extension("text/html"), None);
        assert_eq!(extension("image/svg+xml"), None);
    }
}
