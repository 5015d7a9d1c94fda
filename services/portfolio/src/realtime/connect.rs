//! The handshake: who may open a socket.

use std::time::Instant;

use axum::{
    extract::{RawQuery, State},
    http::{HeaderMap, header},
    response::Response,
};
use grafikarsa_http::{ApiError, ApiResult, CurrentUser, Upgrade};
use grafikarsa_jwt::{Standing, TokenError};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use url::form_urlencoded;

use super::{
    frames::MAX_INCOMING,
    hub::{Refused, Token},
    pace::{SharedPace, Verdict},
    socket,
};
use crate::AppState;

/// Little, because thousands of sockets are mostly silent.
const BUFFER: usize = 4 * 1024;

/// Opens the socket that tells what happens in conversations. Browsers send the access token as `?token=`.
#[utoipa::path(
    get, path = "/api/v1/ws/chat", tag = "chat", security(("bearer" = [])),
    params(("token" = Option<String>, Query, description = "Access token, before the Authorization header")),
    responses(
        (status = 101, description = "The connection is a WebSocket from here on"),
        (status = 426, description = "The request asks for no WebSocket"),
        (status = 503, description = "This replica is not connected to the message bus, or has no room"),
    ),
)]
pub async fn connect(
    State(app): State<AppState>,
    upgrade: Result<Upgrade, ApiError>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    caller: Result<CurrentUser, ApiError>,
) -> ApiResult<Response> {
    let upgrade = upgrade?;
    let realtime = &app.realtime;
    if headers.get_all(header::ORIGIN).iter().any(|origin| !realtime.allows(origin.as_bytes())) {
        return Err(ApiError::forbidden());
    }
    let user = match token(query.as_deref()) {
        Some(token) => realtime.verifier.verify(&token)?.into(),
        None => caller?,
    };
    // A session that was replaced by a login in the same browser leaves its tokens good, for everything but this.
    if realtime.verifier.standing(user.id, user.session, user.epoch) != Standing::Good
        || !is_active(&app, &user).await?
    {
        return Err(TokenError::Revoked.into());
    }
    let handshakes = app.limits.handshakes(user.id);
    let place = match realtime.hub.admit() {
        Ok(place) => place,
        Err(refused) => {
            if refused == Refused::Full {
                tracing::warn!("there is no room for one more socket");
            }
            // What this replica cannot serve counts for nothing, and the limit is still told first.
            handshakes.check(&app.db).await?;
            return Err(ApiError::unavailable());
        }
    };
    handshakes.hit(&app.db).await?;

    let token = Token { session: user.session, epoch: user.epoch, expires_at: user.expires_at, told: false };
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .max_message_size(Some(MAX_INCOMING))
        .max_frame_size(Some(MAX_INCOMING));
    let realtime = realtime.clone();
    let pace = SharedPace::default();
    let fragments = pace.clone();
    Ok(upgrade.serve(
        config,
        move || fragments.frame(Instant::now()) != Verdict::Flood,
        move |stream| socket::serve(realtime, stream, place, user.id, token, pace),
    ))
}

/// The token of the query. An empty one is none.
fn token(query: Option<&str>) -> Option<String> {
    let mut fields = form_urlencoded::parse(query?.as_bytes());
    let (_, token) = fields.find(|(name, _)| name == "token")?;
    (!token.is_empty()).then(|| token.into_owned())
}

/// The list of revocations comes over the bus; the copy of the account may know more.
async fn is_active(app: &AppState, user: &CurrentUser) -> Result<bool, sqlx::Error> {
    let active = sqlx::query_scalar!(
        r#"select is_active and deleted_at is null as "active!" from users where id = $1"#,
        user.id,
    );
    Ok(active.fetch_optional(&app.db).await?.unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_found_wherever_it_stands_in_the_query() {
        for (query, found) in [
            (None, None),
            (Some(""), None),
            (Some("token="), None),
            (Some("other=1"), None),
            (Some("token=a.b.c"), Some("a.b.c")),
            (Some("v=2&token=a%2Eb.c&x"), Some("a.b.c")),
        ] {
            assert_eq!(token(query).as_deref(), found, "{query:?}");
        }
    }
}
