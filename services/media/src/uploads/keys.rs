//! Keys of published objects: `{folder}/{uuid}/{uuid}.{ending}` and nothing else.

use uuid::Uuid;

use super::kinds::{Kind, extension};

/// A key of the one shape there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key<'a> {
    pub(crate) text: &'a str,
    pub(crate) folder: &'a str,
}

impl<'a> Key<'a> {
    /// Reads a key; `None` for whatever looks different: other folders, `..`, empty segments, percent signs.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split('/');
        let (Some(folder), Some(scope), Some(name), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return None;
        };
        let (id, ending) = name.split_once('.')?;
        let known = Kind::ALL.iter().any(|kind| kind.folder() == folder);
        let plain = !ending.is_empty() && ending.len() <= 4 && ending.bytes().all(|byte| byte.is_ascii_lowercase());
        (known && is_uuid(scope) && is_uuid(id) && plain).then_some(Self { text, folder })
    }

    /// Reads a key that clients may name in requests of their own.
    pub(crate) fn parse_named(text: &'a str) -> Option<Self> {
        Self::parse(text).filter(|key| Kind::ALL.iter().any(|kind| kind.is_named() && kind.folder() == key.folder))
    }

    /// Documents follow their portfolio's visibility; pictures are for everybody who knows the key.
    pub(crate) fn is_document(self) -> bool {
        self.folder == Kind::Document.folder()
    }
}

/// Only the spelling that we write ourselves.
fn is_uuid(text: &str) -> bool {
    text.len() == 36 && Uuid::try_parse(text).is_ok() && !text.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// A new key. Random, because whoever knows the key of a picture may see it.
pub(crate) fn new(kind: Kind, scope: Uuid, content_type: &str) -> Option<String> {
    Some(format!("{}/{scope}/{}.{}", kind.folder(), Uuid::new_v4(), extension(content_type)?))
}

/// Where the browser puts the bytes of an upload.
pub(crate) fn staging(upload: Uuid) -> String {
    format!("staging/{upload}")
}

/// Where a rendering of an object is kept.
pub(crate) fn variant(object_key: &str, width: u32) -> String {
    format!("variants/{width}/{object_key}")
}

/// Where the same rendering is kept as WebP.
pub(crate) fn webp_variant(object_key: &str, width: u32) -> String {
    format!("variants/{width}/{object_key}.webp")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_can_be_read_and_a_private_one_cannot() {
        let key = new(Kind::Thumbnail, Uuid::now_v7(), "image/webp").unwrap();
        assert_eq!(Key::parse(&key).unwrap().folder, "thumbnails");
        assert_eq!(Key::parse(&staging(Uuid::now_v7())), None);
        assert_eq!(Key::parse(&variant(&key, 64)), None);
        assert_eq!(new(Kind::Document, Uuid::now_v7(), "text/html"), None);
    }

    #[test]
    fn clients_name_keys_of_five_folders() {
        let id = "0f6c2a10-0000-4000-8000-000000000001";
        for (folder, named) in [
            ("avatars", true),
            ("banners", true),
            ("thumbnails", true),
            ("portfolio-images", true),
            ("documents", true),
            ("chat-images", false),
            ("changelog-images", false),
        ] {
            let key = format!("{folder}/{id}/{id}.jpg");
            assert!(Key::parse(&key).is_some(), "{folder}");
            assert_eq!(Key::parse_named(&key).is_some(), named, "{folder}");
        }
    }

    #[test]
    fn everything_that_looks_different_is_refused() {
        let id = "0f6c2a10-0000-4000-8000-000000000001";
        let good = format!("avatars/{id}/{id}.jpg");
        assert!(Key::parse(&good).is_some());
        for bad in [
            String::new(),
            "avatars".to_owned(),
            format!("avatars/{id}"),
            format!("avatars/{id}/"),
            format!("avatars//{id}.jpg"),
            format!("/avatars/{id}/{id}.jpg"),
            format!("avatars/{id}/{id}.jpg/"),
            format!("avatars/{id}/../{id}.jpg"),
            format!("avatars/../{id}.jpg"),
            format!("avatars/{id}/%2e%2e%2f{id}.jpg"),
            format!("avatars/{id}/{id}"),
            format!("avatars/{id}/{id}."),
            format!("avatars/{id}/{id}.jpg.exe"),
            format!("avatars/{id}/{id}.JPG"),
            format!("avatars/{}/{id}.jpg", id.replace('-', "")),
            format!("avatars/{}/{id}.jpg", "0F6C2A10-0000-4000-8000-00000000000A"),
            format!("secrets/{id}/{id}.jpg"),
            format!("staging/{id}"),
        ] {
            assert_eq!(Key::parse(&bad), None, "{bad}");
        }
    }
}
