//! WebSockets. axum's own wrapper hides the stream, which has to be read to its end after an early close: a connection
//! that is closed with unread bytes is reset, and the client never sees the close code.

use axum::{
    body::Body,
    extract::FromRequestParts,
    http::{HeaderValue, Request, StatusCode, header, request::Parts},
    response::Response,
};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        handshake::server::create_response,
        protocol::{Role, WebSocketConfig},
    },
};

use crate::ApiError;

/// The server's side of a WebSocket.
pub type ServerSocket = WebSocketStream<TokioIo<Upgraded>>;

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
    pub fn serve<F>(self, config: WebSocketConfig, serve: impl FnOnce(ServerSocket) -> F + Send + 'static) -> Response
    where
        F: Future<Output = ()> + Send + 'static,
    {
        tokio::spawn(async move {
            match self.on_upgrade.await {
                Ok(upgraded) => {
                    let stream = TokioIo::new(upgraded);
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

fn required() -> ApiError {
    ApiError::new(StatusCode::UPGRADE_REQUIRED, "UPGRADE_REQUIRED", "Alamat ini hanya melayani koneksi WebSocket")
        .with_header(header::UPGRADE, HeaderValue::from_static("websocket"))
        .with_header(header::CONNECTION, HeaderValue::from_static("upgrade"))
        .with_header(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))
}
