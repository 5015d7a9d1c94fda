//! The smart feed: others' newest published work, ordered by [`score`](super::score).
//!
//! What does not depend on the viewer is the same for everybody, and each replica remembers it with the numbers of
//! `list_changes`, which move in the transaction of every change that matters: at the same numbers it is exact. A request
//! reads the numbers with what it needs of the viewer.

use std::{cmp::Reverse, collections::HashSet, sync::Arc};

use chrono::{DateTime, Utc};
use grafikarsa_http::{ApiResult, PageWindow};
use moka::future::Cache;
use sqlx::{PgPool, QueryBuilder};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::score::{self, Candidate, Following, Interests, Maxima};
use crate::{AppState, portfolios::card};

/// At most so many are weighed.
const MOST_CANDIDATES: usize = 1_000;
/// More are remembered, so that a viewer's own work among the newest leaves a thousand of others'.
const REMEMBERED: i64 = 1_500;
/// Interests of so many viewers are remembered.
const MOST_VIEWERS: u64 = 5_000;

/// The numbers of what lists and feeds show. Each only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Changes {
    lists: i64,
    feed: i64,
}

impl Changes {
    /// Whether something read at these numbers is as new as `wanted`.
    fn are_at_least(self, wanted: Self) -> bool {
        self.lists >= wanted.lists && self.feed >= wanted.feed
    }
}

/// What is the same for every viewer.
#[derive(Debug)]
struct Newest {
    at: Changes,
    maxima: Maxima,
    candidates: Vec<Candidate>,
}

/// What this replica remembers. Cheap to clone.
#[derive(Clone)]
pub struct Memory {
    newest: Arc<Mutex<Option<Arc<Newest>>>>,
    interests: Cache<Uuid, (Changes, Arc<score::Viewer>)>,
}

impl Default for Memory {
    fn default() -> Self {
        Self { newest: Arc::default(), interests: Cache::new(MOST_VIEWERS) }
    }
}

impl Memory {
    /// The candidates as of `wanted` or later. Of many who miss them at once one reads them.
    async fn newest(&self, db: &PgPool, wanted: Changes) -> Result<Arc<Newest>, sqlx::Error> {
        let mut slot = self.newest.lock().await;
        if let Some(newest) = slot.as_ref().filter(|newest| newest.at.are_at_least(wanted)) {
            return Ok(newest.clone());
        }
        let newest = Arc::new(read_newest(db).await?);
        *slot = Some(newest.clone());
        Ok(newest)
    }

    async fn viewer(&self, db: &PgPool, id: Uuid, wanted: Changes) -> Result<Arc<score::Viewer>, sqlx::Error> {
        if let Some((at, viewer)) = self.interests.get(&id).await
            && at.are_at_least(wanted)
        {
            return Ok(viewer);
        }
        let (at, viewer) = read_viewer(db, id).await?;
        let viewer = Arc::new(viewer);
        self.interests.insert(id, (at, viewer.clone())).await;
        Ok(viewer)
    }
}

/// A page of the feed of `viewer` with scores, and the number of candidates.
pub async fn page(app: &AppState, viewer: Uuid, window: PageWindow) -> ApiResult<(Vec<(card::Row, f64)>, i64)> {
    let now = sqlx::query!(
        r#"
        select
            (select lists from list_changes) as "lists!",
            (select feed from list_changes) as "feed!",
            array(select followed_id from follows where follower_id = $1) as "followed!",
            array(
                select f.followed_id
                from follows f
                join follows back on back.follower_id = f.followed_id and back.followed_id = $1
                where f.follower_id = $1
            ) as "mutual!",
            clock_timestamp() as "time!"
        "#,
        viewer,
    )
    .fetch_one(&app.db)
    .await?;
    let changes = Changes { lists: now.lists, feed: now.feed };
    let newest = app.smart_feed.newest(&app.db, changes).await?;
    let interests = app.smart_feed.viewer(&app.db, viewer, changes).await?;
    let follows = Follows { followed: now.followed.into_iter().collect(), mutual: now.mutual.into_iter().collect() };
    let ranked = rank(&newest, viewer, &interests, &follows, now.time);

    let total = i64::try_from(ranked.len()).unwrap_or(i64::MAX);
    let skipped = usize::try_from(window.offset()).unwrap_or(usize::MAX);
    let taken = usize::try_from(window.limit()).unwrap_or(0);
    let chosen: Vec<(Uuid, f64)> = ranked.into_iter().skip(skipped).take(taken).collect();
    Ok((decorate(&app.db, viewer, &chosen).await?, total))
}

/// Whom the viewer follows, and who of them follows back.
struct Follows {
    followed: HashSet<Uuid>,
    mutual: HashSet<Uuid>,
}

impl Follows {
    fn with(&self, owner: Uuid) -> Following {
        if self.mutual.contains(&owner) {
            Following::Mutual
        } else if self.followed.contains(&owner) {
            Following::OneWay
        } else {
            Following::None
        }
    }
}

/// All candidates with their scores, the best first.
fn rank(
    newest: &Newest,
    viewer: Uuid,
    interests: &score::Viewer,
    follows: &Follows,
    now: DateTime<Utc>,
) -> Vec<(Uuid, f64)> {
    let others = newest.candidates.iter().filter(|candidate| candidate.owner != viewer).take(MOST_CANDIDATES);
    let mut scored: Vec<(f64, &Candidate)> = others
        .map(|candidate| {
            let following = follows.with(candidate.owner);
            (score::score(candidate, interests, following, newest.maxima, now), candidate)
        })
        .collect();
    scored.sort_unstable_by(|(a, first), (b, second)| {
        let order = |candidate: &Candidate| Reverse((candidate.published_at, candidate.id));
        b.total_cmp(a).then_with(|| order(first).cmp(&order(second)))
    });
    scored.into_iter().map(|(score, candidate)| (candidate.id, score)).collect()
}

async fn read_newest(db: &PgPool) -> Result<Newest, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        with newest as materialized (
            select id, user_id, published_at, like_count, view_count, thumbnail_url, has_blocks, tag_ids
            from portfolios
            where is_public
            order by published_at desc, id desc
            limit $1
        )
        select
            p.id as "id?",
            p.user_id as "user_id?",
            p.published_at,
            p.like_count as "like_count?",
            p.view_count as "view_count?",
            p.thumbnail_url is not null as "has_thumbnail!",
            p.has_blocks as "has_blocks?",
            p.tag_ids as "tag_ids?",
            k.id as "kelas_id?",
            k.jurusan_id as "jurusan_id?",
            a.total_score::float8 as assessment,
            now.lists as "lists!",
            now.feed as "feed!",
            now.most_likes as "most_likes!",
            now.most_views as "most_views!"
        from (
            select
                (select lists from list_changes) as lists,
                (select feed from list_changes) as feed,
                coalesce((select max(like_count) from portfolios where is_public), 1) as most_likes,
                coalesce((select max(view_count) from portfolios where is_public), 1) as most_views
        ) now
        left join newest p on true
        left join users u on u.id = p.user_id
        left join (kelas k join jurusan j on j.id = k.jurusan_id and j.deleted_at is null)
            on k.id = u.kelas_id and k.deleted_at is null
        left join assessments a on a.portfolio_id = p.id
        order by p.published_at desc, p.id desc
        "#,
        REMEMBERED,
    )
    .fetch_all(db)
    .await?;
    let mut newest = Newest {
        at: Changes { lists: 0, feed: 0 },
        maxima: Maxima { likes: 1, views: 1 },
        candidates: Vec::with_capacity(rows.len()),
    };
    for row in rows {
        newest.at = Changes { lists: row.lists, feed: row.feed };
        newest.maxima = Maxima { likes: row.most_likes.max(1), views: row.most_views.max(1) };
        // Without any portfolio there is one row that holds the numbers alone.
        let (Some(id), Some(owner)) = (row.id, row.user_id) else { continue };
        newest.candidates.push(Candidate {
            id,
            owner,
            published_at: row.published_at,
            likes: row.like_count.unwrap_or(0),
            views: row.view_count.unwrap_or(0),
            has_thumbnail: row.has_thumbnail,
            has_blocks: row.has_blocks.unwrap_or(false),
            tags: row.tag_ids.unwrap_or_default(),
            kelas: row.kelas_id,
            jurusan: row.jurusan_id,
            assessment: row.assessment,
        });
    }
    Ok(newest)
}

/// Class, major and interests of a viewer, and the numbers at which they were read.
async fn read_viewer(db: &PgPool, id: Uuid) -> Result<(Changes, score::Viewer), sqlx::Error> {
    let row = sqlx::query!(
        r#"
        with liked as materialized (
            select p.id, p.tag_ids, k.jurusan_id
            from portfolio_likes l
            join portfolios p on p.id = l.portfolio_id and p.is_public
            join users o on o.id = p.user_id
            left join (kelas k join jurusan j on j.id = k.jurusan_id and j.deleted_at is null)
                on k.id = o.kelas_id and k.deleted_at is null
            where l.user_id = $1
        ),
        tags as (select tag, count(*) as n from liked, unnest(liked.tag_ids) as tag group by tag),
        majors as (select jurusan_id, count(*) as n from liked where jurusan_id is not null group by jurusan_id)
        select
            (select lists from list_changes) as "lists!",
            (select feed from list_changes) as "feed!",
            (
                select k.id
                from users u
                join kelas k on k.id = u.kelas_id and k.deleted_at is null
                join jurusan j on j.id = k.jurusan_id and j.deleted_at is null
                where u.id = $1
            ) as kelas_id,
            (
                select k.jurusan_id
                from users u
                join kelas k on k.id = u.kelas_id and k.deleted_at is null
                join jurusan j on j.id = k.jurusan_id and j.deleted_at is null
                where u.id = $1
            ) as jurusan_id,
            exists (select 1 from liked) as "any!",
            array(select tag from tags order by tag) as "tags!",
            array(select n from tags order by tag) as "tag_counts!",
            array(select jurusan_id from majors order by jurusan_id) as "majors!",
            array(select n from majors order by jurusan_id) as "major_counts!"
        "#,
        id,
    )
    .fetch_one(db)
    .await?;
    let interests = Interests {
        tags: row.tags.into_iter().zip(row.tag_counts).collect(),
        jurusan: row.majors.into_iter().zip(row.major_counts).collect(),
        any: row.any,
    };
    let at = Changes { lists: row.lists, feed: row.feed };
    Ok((at, score::Viewer { kelas: row.kelas_id, jurusan: row.jurusan_id, interests }))
}

/// The rows of the chosen portfolios, in their order. Whatever has gone out of sight in the meantime is left out.
async fn decorate(db: &PgPool, viewer: Uuid, chosen: &[(Uuid, f64)]) -> Result<Vec<(card::Row, f64)>, sqlx::Error> {
    let ids: Vec<Uuid> = chosen.iter().map(|(id, _)| *id).collect();
    let mut query = QueryBuilder::new("with page as materialized (select * from unnest(");
    query.push_bind(ids).push("::uuid[]) with ordinality as page (id, place))");
    card::select(&mut query, "", "page join portfolios p on p.id = page.id and p.is_public", Some(viewer));
    query.push(" order by page.place");
    let rows: Vec<card::Row> = query.build_query_as().fetch_all(db).await?;
    let mut scores = chosen.iter();
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            let (_, score) = scores.find(|(id, _)| *id == row.id)?;
            Some((row, *score))
        })
        .collect())
}
