//! Direct messages of two: conversations, messages, reactions, settings, blocks and streaks. Whoever changes a conversation
//! locks its row first; whoever opens one, or blocks somebody, locks the pair before that.

use axum::extract::DefaultBodyLimit;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::AppState;

mod blocks;
mod conversations;
mod events;
pub mod messages;
pub mod people;
mod permission;
pub mod reactions;
mod settings;
pub mod streaks;

/// Bodies of this chapter.
const BODY_LIMIT: usize = 64 * 1024;

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(conversations::list::list, conversations::open::open))
        .routes(routes!(conversations::detail::detail))
        .routes(routes!(conversations::flags::archive, conversations::flags::unarchive))
        .routes(routes!(conversations::flags::mute, conversations::flags::unmute))
        .routes(routes!(conversations::read::read))
        .routes(routes!(messages::list::list, messages::send::send))
        .routes(routes!(messages::delete::delete))
        .routes(routes!(reactions::add::add))
        .routes(routes!(reactions::remove::remove))
        .routes(routes!(settings::settings, settings::update))
        .routes(routes!(blocks::block::block, blocks::block::unblock))
        .routes(routes!(blocks::list::list))
        .routes(routes!(streaks::list))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
}
