//! WebSockets. axum's own wrapper hides the stream, which has to be read to its end after an early close: a connection
//! that is closed with unread bytes is reset, and the client never sees the close code.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::{
    body::Body,
    extract::FromRequestParts,
    http::{HeaderValue, Request, StatusCode, header, request::Parts},
    response::Response,
};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        handshake::server::create_response,
        protocol::{Role, WebSocketConfig},
    },
};

use crate::ApiError;

/// The server's side of a WebSocket.
pub type ServerSocket = WebSocketStream<Fragments<TokioIo<Upgraded>>>;

/// A request that asks for a WebSocket; any other is refused with 426 `UPGRADE_REQUIRED`.
pub struct Upgrade {
    response: Response,
    on_upgrade: OnUpgrade,
}

impl<S: Send + Sync> FromRequestParts<S> for Upgrade {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let mut request = Request::new(());
        *request.method_mut() = parts.method.clone();
        *request.version_mut() = parts.version;
        *request.headers_mut() = parts.headers.clone();
        let response = create_response(&request).map_err(|_| required())?.map(|()| Body::empty());
        let on_upgrade = parts.extensions.remove().ok_or_else(required)?;
        Ok(Self { response, on_upgrade })
    }
}

impl Upgrade {
    /// Answers 101 and has `serve` talk over the socket, in a task of its own. Nothing of the answer's route limits the
    /// time it takes. If the client goes away before, `serve` is dropped.
    ///
    /// `fragment` is asked for every frame that ends no message, which the socket itself does not show; when it says no,
    /// reading fails.
    pub fn serve<F>(
        self,
        config: WebSocketConfig,
        fragment: impl FnMut() -> bool + Send + 'static,
        serve: impl FnOnce(ServerSocket) -> F + Send + 'static,
    ) -> Response
    where
        F: Future<Output = ()> + Send + 'static,
    {
        tokio::spawn(async move {
            match self.on_upgrade.await {
                Ok(upgraded) => {
                    let stream = Fragments::new(TokioIo::new(upgraded), fragment);
                    let socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
                    // A task of its own, so that what the upgrade needed is given back.
                    tokio::spawn(serve(socket));
                }
                Err(error) => tracing::debug!(%error, "a connection did not become a WebSocket"),
            }
        });
        self.response
    }
}

/// A connection whose incoming frames are looked at: an endless row of fragments is otherwise no message and not noticed.
pub struct Fragments<S> {
    stream: S,
    allowed: Option<Box<dyn FnMut() -> bool + Send>>,
    frames: Frames,
}

impl<S> Fragments<S> {
    fn new(stream: S, allowed: impl FnMut() -> bool + Send + 'static) -> Self {
        Self { stream, allowed: Some(Box::new(allowed)), frames: Frames::default() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Fragments<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        // What comes after too many is only thrown away.
        let Some(allowed) = &mut this.allowed else { return Poll::Ready(Ok(())) };
        if this.frames.read(&buffer.filled()[before..], allowed) {
            return Poll::Ready(Ok(()));
        }
        this.allowed = None;
        buffer.set_filled(before);
        Poll::Ready(Err(io::Error::other("too many fragments")))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Fragments<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Follows the frames of a client through the bytes, as far as their headers go.
#[derive(Debug, Default)]
struct Frames {
    header: Vec<u8>,
    /// Bytes of the payload that are still to come.
    payload: u64,
}

impl Frames {
    /// False as soon as a fragment is not allowed.
    fn read(&mut self, mut bytes: &[u8], allowed: &mut impl FnMut() -> bool) -> bool {
        while !bytes.is_empty() {
            let skipped = usize::try_from(self.payload).unwrap_or(usize::MAX).min(bytes.len());
            self.payload -= skipped as u64;
            bytes = &bytes[skipped..];
            let Some((&byte, rest)) = bytes.split_first() else { return true };
            self.header.push(byte);
            bytes = rest;
            if let Some((payload, is_final)) = header(&self.header) {
                self.payload = payload;
                self.header.clear();
                if !is_final && !allowed() {
                    return false;
                }
            }
        }
        true
    }
}

/// The length of the payload and whether the frame is the last of its message; `None` while the header is not complete.
fn header(header: &[u8]) -> Option<(u64, bool)> {
    let (&first, &second) = (header.first()?, header.get(1)?);
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    let extended = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let length = header.get(2..2 + extended)?;
    if header.len() < 2 + extended + mask {
        return None;
    }
    let payload = match extended {
        0 => u64::from(second & 0x7f),
        _ => length.iter().fold(0, |payload, byte| payload << 8 | u64::from(*byte)),
    };
    Some((payload, first & 0x80 != 0))
}

fn required() -> ApiError {
    ApiError::new(StatusCode::UPGRADE_REQUIRED, "UPGRADE_REQUIRED", "Alamat ini hanya melayani koneksi WebSocket")
        .with_header(header::UPGRADE, HeaderValue::from_static("websocket"))
        .with_header(header::CONNECTION, HeaderValue::from_static("upgrade"))
        .with_header(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragments_are_found_however_the_bytes_are_cut() {
        let mask = [1, 2, 3, 4];
        let mut bytes = Vec::new();
        for (first, length) in
            [(0x01, 0_usize), (0x00, 300), (0x89, 5), (0x00, 70_000), (0x80, 2), (0x81, 0), (0x01, 1)]
        {
            bytes.push(first);
            match length {
                0..126 => bytes.push(0x80 | u8::try_from(length).unwrap()),
                126..65_536 => {
                    bytes.push(0x80 | 0x7e);
                    bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
                }
                _ => {
                    bytes.push(0x80 | 0x7f);
                    bytes.extend((length as u64).to_be_bytes());
                }
            }
            bytes.extend(mask);
            bytes.extend(std::iter::repeat_n(0, length));
        }
        for size in [1, 3, 7, 1000, bytes.len()] {
            let (mut frames, mut fragments) = (Frames::default(), 0);
            for piece in bytes.chunks(size) {
                assert!(frames.read(piece, &mut || {
                    fragments += 1;
                    true
                }));
            }
            assert_eq!(fragments, 4, "{size}");
        }
        let (mut frames, mut left) = (Frames::default(), 2);
        assert!(!frames.read(&bytes, &mut || {
            left -= 1;
            left > 0
        }));
        assert_eq!(left, 0, "it stops at once");
    }
}
