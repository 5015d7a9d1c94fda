//! What is stored.

use std::str::FromStr;

const MIB: i64 = 1024 * 1024;
const STILL: &[&str] = &["image/jpeg", "image/png", "image/webp"];
const IMAGES: &[&str] = &["image/jpeg", "image/png", "image/webp", "image/gif"];
const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
const PPTX: &str = "application/vnd.openxmlformats-officedocument.presentationml.presentation";
const DOCUMENTS: &[&str] = &["application/pdf", "application/msword", DOCX, "application/vnd.ms-powerpoint", PPTX];

/// What an object is for. All but the last are the `upload_type` of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Avatar,
    Banner,
    Thumbnail,
    PortfolioImage,
    Document,
    ChatImage,
    /// Comes from portfolio, not from a browser.
    ChangelogImage,
}

/// Nothing that is stored is called so.
#[derive(Debug)]
pub(crate) struct UnknownKind;

impl Kind {
    pub(crate) const ALL: [Self; 7] = [
        Self::Avatar,
        Self::Banner,
        Self::Thumbnail,
        Self::PortfolioImage,
        Self::Document,
        Self::ChatImage,
        Self::ChangelogImage,
    ];

    /// The kind that an `upload_type` asks for.
    pub(crate) fn of_upload_type(name: &str) -> Option<Self> {
        name.parse().ok().filter(|kind| *kind != Self::ChangelogImage)
    }

    /// True where clients name keys in requests of their own; pictures of messages and changelogs go with these.
    pub(crate) fn is_named(self) -> bool {
        !matches!(self, Self::ChatImage | Self::ChangelogImage)
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Avatar => "avatar",
            Self::Banner => "banner",
            Self::Thumbnail => "thumbnail",
            Self::PortfolioImage => "portfolio_image",
            Self::Document => "document",
            Self::ChatImage => "chat_image",
            Self::ChangelogImage => "changelog_image",
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
            Self::ChangelogImage => "changelog-images",
        }
    }

    pub(crate) fn max_bytes(self) -> i64 {
        match self {
            Self::Avatar | Self::Thumbnail => 5 * MIB,
            Self::Banner | Self::PortfolioImage | Self::ChatImage | Self::ChangelogImage => 10 * MIB,
            Self::Document => 20 * MIB,
        }
    }

    /// Media types that are taken, as declared and as found in the bytes.
    pub(crate) fn content_types(self) -> &'static [&'static str] {
        match self {
            Self::Avatar | Self::Thumbnail => STILL,
            Self::Banner | Self::PortfolioImage | Self::ChatImage | Self::ChangelogImage => IMAGES,
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
            let kind = Kind::of_upload_type(kind).unwrap();
            assert_eq!((kind.max_bytes(), kind.content_types().len()), (bytes, types));
        }
        assert_eq!(Kind::of_upload_type("changelog_image"), None);
        assert!("changelog".parse::<Kind>().is_err());
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
