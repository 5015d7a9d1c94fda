//! Looks after all sockets of this replica once a second: tokens that expire or are refused, and clients that are gone.

use std::time::Duration;

use chrono::{DateTime, Utc};
use grafikarsa_jwt::Standing;
use tokio::time::{MissedTickBehavior, interval};

use super::{
    Realtime,
    frames::{self, Close, Expiry},
    hub::{Frame, Token},
};

const EVERY: Duration = Duration::from_secs(1);
/// A client is told so long before its token expires.
const NOTICE: Duration = Duration::from_secs(60);

/// Works for ever.
pub async fn run(realtime: &Realtime) {
    let mut rounds = interval(EVERY);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        round(realtime, Utc::now());
    }
}

fn round(realtime: &Realtime, now: DateTime<Utc>) {
    let (hub, settings) = (&realtime.hub, &realtime.settings);
    let mut open = 0_u32;
    hub.for_each(|socket| {
        open += 1;
        let token = socket.token();
        let standing = realtime.verifier.standing(socket.user, token.session, token.epoch);
        match decide(token, standing, now) {
            Some(Decision::Close(reason)) => socket.close(reason),
            Some(Decision::Tell) if socket.tell_of_expiry(token.expires_at) => {
                match frames::write("auth.expiring", &Expiry { expires_at: token.expires_at }) {
                    Ok(text) => socket.send(Frame::Text(text)),
                    Err(error) => tracing::error!(%error, "a frame cannot be written"),
                }
            }
            _ => {}
        }
        hub.check_heartbeat(socket, settings.ping_interval, settings.silence_limit);
    });
    metrics::gauge!("chat_sockets").set(f64::from(open));
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    Close(Close),
    Tell,
}

/// A session that has ended comes first: the client has to go to the login, and not to refresh its token.
fn decide(token: Token, standing: Standing, now: DateTime<Utc>) -> Option<Decision> {
    match standing {
        Standing::Revoked | Standing::Ended => Some(Decision::Close(Close::SessionEnded)),
        Standing::Refused => Some(Decision::Close(Close::TokenEnded)),
        Standing::Good if token.expires_at <= now => Some(Decision::Close(Close::TokenEnded)),
        Standing::Good if token.expires_at <= now + NOTICE && !token.told => Some(Decision::Tell),
        Standing::Good => None,
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_socket_ends_with_its_session_or_its_token_and_is_told_a_minute_before() {
        let now = Utc::now();
        let token = |seconds, told| Token {
            session: Uuid::nil(),
            epoch: 0,
            expires_at: now + chrono::Duration::seconds(seconds),
            told,
        };
        let close = |reason| Some(Decision::Close(reason));
        for (token, standing, decision) in [
            (token(61, false), Standing::Good, None),
            (token(60, false), Standing::Good, Some(Decision::Tell)),
            (token(60, true), Standing::Good, None),
            (token(0, true), Standing::Good, close(Close::TokenEnded)),
            (token(900, false), Standing::Refused, close(Close::TokenEnded)),
            (token(900, false), Standing::Revoked, close(Close::SessionEnded)),
            (token(900, false), Standing::Ended, close(Close::SessionEnded)),
            (token(0, true), Standing::Revoked, close(Close::SessionEnded)),
        ] {
            assert_eq!(decide(token, standing, now), decision, "{standing:?}");
        }
    }
}
