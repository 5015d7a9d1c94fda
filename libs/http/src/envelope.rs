use std::borrow::Cow;

use axum::{
    Json,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::PageWindow;

/// A successful answer as it goes over the wire.
#[derive(Debug, Serialize, ToSchema)]
pub struct Envelope<T> {
    /// Always true.
    pub success: bool,
    /// What was asked for; `null` where there is nothing.
    pub data: T,
    /// For the person in front of the screen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<Cow<'static, str>>,
}

/// Says in the documentation that `data` is `null`: `body = Envelope<Nothing>`.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Nothing;

/// A page of a list as it goes over the wire.
#[derive(Debug, Serialize, ToSchema)]
pub struct PageEnvelope<T> {
    /// Always true.
    pub success: bool,
    /// The items of this page.
    pub data: Vec<T>,
    /// Where this page stands.
    pub meta: Meta,
}

/// Where a page stands in its list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Meta {
    /// This page, from 1.
    pub current_page: i64,
    /// The limit applied.
    pub per_page: i64,
    /// Number of pages; 0 when the list is empty.
    pub total_pages: i64,
    /// Number of items of the whole list.
    pub total_count: i64,
}

impl Meta {
    /// The meta data of `window` in a list of `total_count` items.
    pub fn new(window: PageWindow, total_count: i64) -> Self {
        Self {
            current_page: window.page,
            per_page: window.per_page,
            total_pages: (total_count + window.per_page - 1) / window.per_page,
            total_count,
        }
    }
}

/// A successful answer: `{"success":true,"data":…,"message"?:…}`.
#[derive(Debug)]
pub struct Data<T> {
    status: StatusCode,
    headers: HeaderMap,
    data: T,
    message: Option<Cow<'static, str>>,
}

impl<T> Data<T> {
    /// 200 with `data`.
    pub fn new(data: T) -> Self {
        Self { status: StatusCode::OK, headers: HeaderMap::new(), data, message: None }
    }

    /// 201 with `data`.
    pub fn created(data: T) -> Self {
        Self { status: StatusCode::CREATED, ..Self::new(data) }
    }

    /// Adds the text that the web client shows.
    #[must_use]
    pub fn message(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        self.message = Some(message.into());
        self
    }

    /// Adds a response header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }
}

impl Data<()> {
    /// 200 with `data: null`.
    pub fn none() -> Self {
        Self::new(())
    }
}

impl<T: Serialize> IntoResponse for Data<T> {
    fn into_response(self) -> Response {
        let body = Envelope { success: true, data: self.data, message: self.message };
        (self.status, self.headers, Json(body)).into_response()
    }
}

/// One page of a list with its meta data.
#[derive(Debug)]
pub struct Page<T> {
    items: Vec<T>,
    meta: Meta,
}

impl<T> Page<T> {
    /// The items of `window` in a list of `total_count`.
    pub fn new(items: Vec<T>, window: PageWindow, total_count: i64) -> Self {
        Self { items, meta: Meta::new(window, total_count) }
    }
}

impl<T: Serialize> IntoResponse for Page<T> {
    fn into_response(self) -> Response {
        Json(PageEnvelope { success: true, data: self.items, meta: self.meta }).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_pages_is_rounded_up_and_zero_when_empty() {
        let window = PageWindow { page: 1, per_page: 20 };
        for (total, pages) in [(0, 0), (1, 1), (20, 1), (21, 2), (100, 5)] {
            assert_eq!(Meta::new(window, total).total_pages, pages, "{total}");
        }
    }
}
