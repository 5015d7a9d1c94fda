//! Extractors: they say in a handler's signature who calls and what is read.

mod body;
mod body_id;
mod client;
mod paging;
mod path;
mod user;

pub use body::{Body, DeferredBody, OptionalBody, nullable};
pub use body_id::BodyId;
pub use client::{ClientIp, RequestId};
pub use paging::{PageWindow, Paging};
pub use path::{Id, Path, Query, parse_id};
pub(crate) use user::Identity;
pub use user::{CurrentUser, MaybeUser};
