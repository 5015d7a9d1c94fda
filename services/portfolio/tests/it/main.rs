//! The portfolio service as its clients meet it: the real programs of auth and portfolio, over HTTP, on real servers.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic"
)]

mod academic;
mod account_events;
mod admin_portfolios;
mod admin_rights;
mod admin_series;
mod admin_users;
mod assessment_metrics;
mod assessments;
mod blocks;
mod changelogs;
mod chat;
mod comments;
mod create_user;
mod dashboard;
mod editing;
mod feed;
mod feedback;
mod follows;
mod import_students;
mod internal;
mod kills;
mod likes;
mod lists;
mod master_data;
mod matrix;
mod me;
mod media_events;
mod moderation;
mod notifications;
mod people;
mod portfolios;
mod promotion;
mod rankings;
mod realtime;
mod rights;
mod search;
mod series;
mod smart_feed;
mod social_links;
mod special_roles;
mod statements;
mod support;
mod system;
mod update_me;
mod views;
