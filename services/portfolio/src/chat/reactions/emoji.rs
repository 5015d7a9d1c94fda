//! What counts as one emoji.

use std::sync::LazyLock;

use grafikarsa_http::FieldErrors;
use regex::Regex;

/// Most code points: a kiss of two people with skin tones has as many.
const MOST: usize = 10;

/// A picture with its skin tone or its presentation. Code points that Unicode has reserved for pictures count, too: phones
/// know them before this program does.
const PICTURE: &str = r"(?x)
    ^(?:
        [\p{Emoji_Modifier_Base}[\p{Extended_Pictographic}&&\p{Unassigned}]] \p{Emoji_Modifier}
        | [[\p{Emoji}&&\p{Extended_Pictographic}][\p{Extended_Pictographic}&&\p{Unassigned}]] \x{FE0F}?
    )$";

/// What is no picture: flags of countries, keys, flags of parts of countries, a skin tone alone.
const SPECIAL: &str = r"(?x)
    ^(?:
        \p{Regional_Indicator}{2}
        | [0-9\#*] \x{FE0F}? \x{20E3}
        | \x{1F3F4} [\x{E0030}-\x{E0039}\x{E0061}-\x{E007A}]+ \x{E007F}
        | \p{Emoji_Modifier}
    )$";

static PATTERNS: LazyLock<Option<(Regex, Regex)>> =
    LazyLock::new(|| Some((Regex::new(PICTURE).ok()?, Regex::new(SPECIAL).ok()?)));

/// Whether `text` is one of the sequences of Unicode's UTS #51, which make one grapheme cluster, and nothing else.
pub fn is_emoji(text: &str) -> bool {
    let Some((picture, special)) = &*PATTERNS else { return false };
    let is_joined = || text.split('\u{200D}').all(|part| picture.is_match(part));
    text.chars().count() <= MOST && (special.is_match(text) || is_joined())
}

/// The emoji of a request.
pub fn required(errors: &mut FieldErrors, value: Option<&str>) -> String {
    let emoji = value.unwrap_or_default();
    if emoji.is_empty() {
        errors.add("emoji", "Emoji wajib diisi");
    } else if !is_emoji(emoji) {
        errors.add("emoji", "Reaksi harus berupa satu emoji");
    }
    emoji.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_emoji_may_have_many_code_points() {
        for emoji in [
            "👍",
            "👍🏽",
            "❤",
            "❤️",
            "☺️",
            "©️",
            "🇮🇩",
            "🇵🇸",
            "1️⃣",
            "#️⃣",
            "*⃣",
            "🏴󠁧󠁢󠁥󠁮󠁧󠁿",
            "🏳️‍🌈",
            "🏴‍☠️",
            "👁️‍🗨️",
            "👨‍👩‍👧‍👦",
            "🧑🏽‍🤝‍🧑🏻",
            "👩🏽‍❤️‍💋‍👨🏿",
            "🧑‍💻",
            "🤷🏾‍♀️",
            "🐦‍⬛",
            "🫩",
            "🏽",
            // Reserved when this was written.
            "\u{1FAEA}",
        ] {
            assert!(is_emoji(emoji), "{emoji} {}", emoji.escape_unicode());
        }
    }

    #[test]
    fn everything_else_is_none() {
        for text in [
            "",
            " ",
            "a",
            "é",
            "ok",
            ":)",
            "1",
            "#",
            "*",
            "1\u{FE0F}",
            "👍👍",
            "👍 ",
            " 👍",
            "👍\n",
            "👍a",
            "a👍",
            "👍\0",
            "😀🏽",
            "🏽🏽",
            "🇮",
            "🇮🇩🇮",
            "🇮🇩🇮🇩",
            "\u{FE0F}",
            "\u{200D}",
            "\u{20E3}",
            "👍\u{200D}",
            "\u{200D}👍",
            "👍\u{FE0F}\u{FE0F}",
            "❤\u{FE0E}",
            "👍\u{301}",
            "中",
            "→",
            "☙",
            "\u{1F3F4}\u{E007F}",
            "\u{1F3F4}\u{E0067}",
            "👨‍👩‍👧‍👦‍👧‍👦",
        ] {
            assert!(!is_emoji(text), "{text} {}", text.escape_unicode());
        }
    }
}
