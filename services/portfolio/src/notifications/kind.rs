use std::str::FromStr;

use anyhow::Context as _;
use serde::Serialize;
use utoipa::ToSchema;

/// Why somebody is told something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    NewFollower,
    PortfolioLiked,
    NewComment,
    ReplyComment,
    PortfolioApproved,
    PortfolioRejected,
    FeedbackUpdated,
}

impl Kind {
    pub const ALL: [Self; 7] = [
        Self::NewFollower,
        Self::PortfolioLiked,
        Self::NewComment,
        Self::ReplyComment,
        Self::PortfolioApproved,
        Self::PortfolioRejected,
        Self::FeedbackUpdated,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::NewFollower => "new_follower",
            Self::PortfolioLiked => "portfolio_liked",
            Self::NewComment => "new_comment",
            Self::ReplyComment => "reply_comment",
            Self::PortfolioApproved => "portfolio_approved",
            Self::PortfolioRejected => "portfolio_rejected",
            Self::FeedbackUpdated => "feedback_updated",
        }
    }

    /// What the keys of the acting person begin with in `data`; `None` where nobody is named.
    pub fn actor_prefix(self) -> Option<&'static str> {
        match self {
            Self::NewFollower => Some("follower"),
            Self::PortfolioLiked => Some("liker"),
            Self::NewComment | Self::ReplyComment | Self::FeedbackUpdated => Some("actor"),
            Self::PortfolioApproved | Self::PortfolioRejected => None,
        }
    }
}

impl FromStr for Kind {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).with_context(|| format!("no kind {text:?}"))
    }
}
