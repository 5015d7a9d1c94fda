use std::collections::HashSet;

use axum::extract::State;
use grafikarsa_http::{ApiResult, Body, Data, Envelope, FieldErrors, clean};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use url::Url;
use utoipa::ToSchema;
use uuid::Uuid;

use super::SocialLink;
use crate::{AppState, capabilities::Caller};

const PLATFORMS: [&str; 14] = [
    "facebook",
    "instagram",
    "github",
    "linkedin",
    "twitter",
    "personal_website",
    "tiktok",
    "youtube",
    "behance",
    "dribbble",
    "threads",
    "bluesky",
    "medium",
    "gitlab",
];
const URL_CHARS: usize = 500;

#[derive(Debug, Deserialize, ToSchema)]
pub struct LinksRequest {
    /// At most one of each platform; an empty list clears all.
    #[schema(required = true, value_type = Vec<LinkRequest>)]
    social_links: Option<Vec<LinkRequest>>,
}

#[derive(Debug, Deserialize, ToSchema)]
pub struct LinkRequest {
    #[schema(required = true, value_type = String)]
    platform: Option<String>,
    /// With or without scheme.
    #[schema(required = true, value_type = String)]
    url: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Links {
    social_links: Vec<SocialLink>,
}

/// Replace one's own links to other platforms.
#[utoipa::path(
    put,
    path = "/api/v1/me/social-links",
    tag = "users",
    request_body = LinksRequest,
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Links>, description = "The links as they are stored")),
)]
pub async fn replace(
    State(app): State<AppState>,
    caller: Caller,
    Body(body): Body<LinksRequest>,
) -> ApiResult<Data<Links>> {
    let links = body.check()?;
    let mut tx = app.db.begin().await?;
    store(&mut tx, caller.id, &links).await?;
    tx.commit().await?;
    Ok(Data::new(Links { social_links: links }).message("Tautan sosial berhasil diperbarui"))
}

async fn store(connection: &mut PgConnection, user: Uuid, links: &[SocialLink]) -> Result<(), sqlx::Error> {
    // The row's lock lets one of two replacements at once be the last.
    sqlx::query!("update users set updated_at = now() where id = $1", user).execute(&mut *connection).await?;
    sqlx::query!("delete from social_links where user_id = $1", user).execute(&mut *connection).await?;
    let (platforms, urls): (Vec<String>, Vec<String>) =
        links.iter().map(|link| (link.platform.clone(), link.url.clone())).unzip();
    sqlx::query!(
        "
        insert into social_links (user_id, platform, url, position)
        select $1, platform, url, position
        from unnest($2::text[], $3::text[]) with ordinality as link (platform, url, position)
        ",
        user,
        &platforms,
        &urls,
    )
    .execute(connection)
    .await?;
    Ok(())
}

impl LinksRequest {
    fn check(self) -> ApiResult<Vec<SocialLink>> {
        let mut errors = FieldErrors::new();
        let sent = self.social_links.unwrap_or_else(|| {
            // A broken call must not wipe the list.
            errors.add("social_links", "Daftar tautan wajib diisi");
            Vec::new()
        });
        if sent.len() > PLATFORMS.len() {
            errors.add("social_links", "Maksimal 14 tautan");
            errors.finish()?;
            return Ok(Vec::new());
        }
        let mut seen = HashSet::new();
        let mut links = Vec::with_capacity(sent.len());
        for (place, link) in sent.into_iter().enumerate() {
            let platform = clean(link.platform.as_deref().unwrap_or_default()).to_owned();
            if !PLATFORMS.contains(&platform.as_str()) {
                errors.add(format!("social_links[{place}].platform"), "Platform tidak dikenal");
            } else if !seen.insert(platform.clone()) {
                errors.add(format!("social_links[{place}].platform"), "Setiap platform hanya boleh satu tautan");
            }
            match address(link.url.as_deref().unwrap_or_default()) {
                Ok(url) => links.push(SocialLink { platform, url }),
                Err(message) => errors.add(format!("social_links[{place}].url"), message),
            }
        }
        errors.finish()?;
        Ok(links)
    }
}

/// The address that `text` means. The web client renders it as a link, so nothing but `http` and `https` may pass.
fn address(text: &str) -> Result<String, &'static str> {
    const BAD: &str = "URL tidak valid";
    let text = clean(text);
    if text.is_empty() {
        return Err("URL wajib diisi");
    }
    if text.chars().count() > URL_CHARS {
        return Err("URL maksimal 500 karakter");
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\') {
        return Err(BAD);
    }
    let address = if has_scheme(text) { text.to_owned() } else { format!("https://{text}") };
    let (scheme, rest) = address.split_once("://").ok_or(BAD)?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // The parser forgives a missing host and an empty user; a reader of the link might not.
    if authority.is_empty() || authority.contains('@') {
        return Err(BAD);
    }
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(BAD);
    }
    let parsed = Url::parse(&address).map_err(|_| BAD)?;
    let host = parsed.host_str().unwrap_or_default().trim_end_matches('.');
    if host.contains('.') { Ok(address) } else { Err(BAD) }
}

/// `example.com:8080/x` has a port and no scheme, `mailto:x` has a scheme.
fn has_scheme(text: &str) -> bool {
    let Some((before, after)) = text.split_once(':') else { return false };
    let scheme = before.starts_with(|c: char| c.is_ascii_alphabetic())
        && before.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    scheme && !(before.contains('.') && after.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_get_a_scheme_and_may_only_be_of_the_web() {
        for (text, expected) in [
            ("https://github.com/budi", Some("https://github.com/budi")),
            ("HTTP://github.com", Some("HTTP://github.com")),
            ("  github.com/budi ", Some("https://github.com/budi")),
            ("budi.example.com:8080/x", Some("https://budi.example.com:8080/x")),
            ("münchen.de/budi", Some("https://münchen.de/budi")),
            ("github.com/a:b", Some("https://github.com/a:b")),
            ("", None),
            ("javascript:alert(1)", None),
            ("javascript://github.com/%0aalert(1)", None),
            ("data:text/html,x", None),
            ("mailto:budi@example.com", None),
            ("ftp://github.com", None),
            ("//github.com", None),
            ("https://", None),
            ("https:///github.com", None),
            ("https:github.com", None),
            ("https://localhost", None),
            ("localhost", None),
            ("https://budi@github.com", None),
            ("https://budi:rahasia@github.com", None),
            ("https://@github.com", None),
            ("https://github.com/a b", None),
            ("https://github.com\\@evil.com", None),
        ] {
            assert_eq!(address(text).ok().as_deref(), expected, "{text}");
        }
        assert!(address(&format!("https://a.id/{}", "x".repeat(487))).is_ok());
        assert!(address(&format!("https://a.id/{}", "x".repeat(488))).is_err());
    }
}
