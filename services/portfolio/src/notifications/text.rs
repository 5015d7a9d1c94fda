//! What a notification says, as plain text.

use serde_json::Value;

use super::Kind;

/// Who acted, when the account is gone or deactivated.
const SOMEBODY: &str = "Seseorang";

pub fn title(kind: Kind) -> &'static str {
    match kind {
        Kind::NewFollower => "Pengikut baru",
        Kind::PortfolioLiked => "Portofolio disukai",
        Kind::NewComment => "Komentar baru",
        Kind::ReplyComment => "Balasan baru",
        Kind::PortfolioApproved => "Portofolio diterbitkan",
        Kind::PortfolioRejected => "Portofolio perlu diperbaiki",
        Kind::FeedbackUpdated => "Status feedback diperbarui",
    }
}

/// `actor` is the user name of who acted; `None` when the account is deleted or deactivated.
pub fn message(kind: Kind, actor: Option<&str>, data: &Value) -> String {
    let actor = actor.map_or_else(|| SOMEBODY.to_owned(), |username| format!("@{username}"));
    let judul = data["portfolio_judul"].as_str().unwrap_or_default();
    match kind {
        Kind::NewFollower => format!("{actor} mulai mengikuti Anda"),
        Kind::PortfolioLiked => format!("{actor} menyukai portofolio \"{judul}\""),
        Kind::NewComment => format!("{actor} mengomentari \"{judul}\""),
        Kind::ReplyComment => format!("{actor} membalas komentar Anda"),
        Kind::PortfolioApproved => format!("Portofolio \"{judul}\" disetujui dan diterbitkan"),
        Kind::PortfolioRejected => format!("Portofolio \"{judul}\" perlu diperbaiki"),
        Kind::FeedbackUpdated => {
            let status = status_label(data["new_status"].as_str().unwrap_or_default());
            format!("{actor} mengubah status feedback Anda menjadi {status}")
        }
    }
}

fn status_label(status: &str) -> &str {
    match status {
        "pending" => "Menunggu",
        "read" => "Dibaca",
        "resolved" => "Selesai",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn messages_name_who_acted_and_what_it_was_about() {
        let data = json!({ "portfolio_judul": "Logo <b> & \"Kopi\"", "new_status": "resolved" });
        for (kind, expected) in [
            (Kind::NewFollower, "@ani mulai mengikuti Anda"),
            (Kind::PortfolioLiked, "@ani menyukai portofolio \"Logo <b> & \"Kopi\"\""),
            (Kind::NewComment, "@ani mengomentari \"Logo <b> & \"Kopi\"\""),
            (Kind::ReplyComment, "@ani membalas komentar Anda"),
            (Kind::PortfolioApproved, "Portofolio \"Logo <b> & \"Kopi\"\" disetujui dan diterbitkan"),
            (Kind::PortfolioRejected, "Portofolio \"Logo <b> & \"Kopi\"\" perlu diperbaiki"),
            (Kind::FeedbackUpdated, "@ani mengubah status feedback Anda menjadi Selesai"),
        ] {
            assert_eq!(message(kind, Some("ani"), &data), expected);
        }
    }

    #[test]
    fn a_deleted_account_is_somebody() {
        assert_eq!(message(Kind::NewFollower, None, &json!({})), "Seseorang mulai mengikuti Anda");
    }

    #[test]
    fn titles_are_short_and_there() {
        for kind in Kind::ALL {
            assert!((1..=255).contains(&title(kind).chars().count()), "{kind:?}");
        }
    }
}
