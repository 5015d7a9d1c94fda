//! What every service's HTTP side shares: envelope, errors, extractors, middleware, the two listeners and shutdown.
//!
//! A handler's signature tells the story: [`CurrentUser`] or [`MaybeUser`] says who may call, [`Id`] or [`Path`] for
//! what, [`Body`] or [`DeferredBody`] what is sent, and [`ApiResult`] of [`Data`] or [`Page`] what comes back.

pub mod account_rules;
mod counter;
pub mod database;
mod envelope;
mod error;
mod extract;
mod fields;
mod internal;
mod middleware;
pub mod openapi;
mod rate_limit;
mod service;
mod settings;
mod shutdown;
mod unread;
mod upgrade;

pub use counter::{Counter, Limit};
pub use envelope::{Data, Envelope, Meta, Nothing, Page, PageEnvelope};
pub use error::{ApiError, ApiResult, FieldError, OnConstraint};
pub use extract::{
    Body, BodyId, ClientIp, CurrentUser, DeferredBody, Id, MaybeUser, OptionalBody, PageWindow, Paging, Path, Query,
    RequestId, nullable, parse_id,
};
pub use fields::{FieldErrors, clean, optional_text, required_line, required_text, search_text};
pub use internal::{InternalClient, InternalError, InternalGuard};
pub use service::{Readiness, Service, healthcheck};
pub use settings::HttpSettings;
pub use shutdown::shutdown_signal;
pub use upgrade::{ServerSocket, Upgrade};
