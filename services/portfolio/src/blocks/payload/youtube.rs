use std::sync::LazyLock;

use ::url::Url;
use regex::Regex;
use serde_json::json;

use super::{Fields, Normalised, url as addresses};

static ID: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("^[A-Za-z0-9_-]{11}$").ok());

pub(super) fn normalise(fields: &mut Fields) -> Normalised {
    let video_id = read(fields, "video_id");
    let title = fields.text("title", 200);
    let is_empty = video_id.is_empty();
    Normalised::new(json!({ "video_id": video_id, "title": title }), is_empty)
}

/// The video at `key`, as its identifier or in one of the usual addresses; empty is none. The identifier becomes part of
/// the address of a frame, so nothing else may stand there.
pub fn read(fields: &mut Fields, key: &str) -> String {
    let raw = fields.text(key, 2048);
    identifier(&raw).unwrap_or_else(|| {
        fields.error(key, "Video YouTube tidak dikenali");
        String::new()
    })
}

fn identifier(raw: &str) -> Option<String> {
    if raw.is_empty() || is_id(raw) {
        return Some(raw.to_owned());
    }
    let url = Url::parse(&addresses::address(raw, addresses::Rule::Web)?).ok()?;
    let mut segments = url.path_segments()?;
    let first = segments.next().unwrap_or_default();
    let id = match url.host_str()? {
        "youtu.be" => first.to_owned(),
        "youtube.com" | "www.youtube.com" | "m.youtube.com" | "music.youtube.com" | "www.youtube-nocookie.com" => {
            match first {
                "watch" => url.query_pairs().find(|(key, _)| key == "v")?.1.into_owned(),
                "embed" | "shorts" | "live" => segments.next()?.to_owned(),
                _ => return None,
            }
        }
        _ => return None,
    };
    is_id(&id).then_some(id)
}

fn is_id(text: &str) -> bool {
    ID.as_ref().is_some_and(|pattern| pattern.is_match(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_taken_from_the_usual_addresses() {
        for raw in [
            "dQw4w9WgXcQ",
            "https://www.youtube.com/watch?t=3&v=dQw4w9WgXcQ",
            "https://youtu.be/dQw4w9WgXcQ?si=x",
            "youtube.com/embed/dQw4w9WgXcQ",
            "https://m.youtube.com/shorts/dQw4w9WgXcQ",
            "https://www.youtube.com/live/dQw4w9WgXcQ?feature=share",
        ] {
            assert_eq!(identifier(raw).as_deref(), Some("dQw4w9WgXcQ"), "{raw}");
        }
        for raw in ["x", "https://evil.test/watch?v=dQw4w9WgXcQ", "dQw4w9WgXcQ\"", "https://youtu.be/x"] {
            assert_eq!(identifier(raw), None, "{raw}");
        }
    }
}
