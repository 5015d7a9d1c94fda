//! Changelogs as clients get them: one statement, whatever they hold.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{PgExecutor, Postgres, QueryBuilder, types::Json};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::users::UserBrief;

/// The order of every list.
pub const ORDER: &str = " order by release_date desc, created_at desc, id desc";

/// A release note.
#[derive(Debug, Serialize, ToSchema)]
pub struct Changelog {
    id: Uuid,
    version: String,
    title: String,
    description: Option<String>,
    release_date: NaiveDate,
    is_published: bool,
    sections: Vec<ChangelogSection>,
    contributors: Vec<ChangelogContributor>,
    created_at: DateTime<Utc>,
    /// Of the latest edit, publication or withdrawal.
    updated_at: DateTime<Utc>,
}

/// A release note as its authors get it.
#[derive(Debug, Serialize, ToSchema)]
pub struct AdminChangelog {
    #[serde(flatten)]
    changelog: Changelog,
    /// `null` when the account is deleted.
    created_by: Option<UserBrief>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ChangelogSection {
    id: Uuid,
    /// `added`, `updated`, `removed` or `fixed`.
    category: String,
    /// The public gets none that are empty.
    blocks: Vec<ChangelogBlock>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ChangelogBlock {
    id: Uuid,
    /// `text`, `image`, `youtube` or `button`.
    block_type: String,
    #[schema(value_type = Object)]
    payload: Value,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ChangelogContributor {
    id: Uuid,
    user: UserBrief,
    contribution: String,
}

/// What a reader gets to see: empty blocks and deactivated contributors are for staff only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    Public,
    Staff,
}

impl Audience {
    /// The condition of what exists for this audience.
    pub const fn exists(self) -> &'static str {
        match self {
            Self::Public => "is_published and deleted_at is null",
            Self::Staff => "deleted_at is null",
        }
    }
}

#[derive(Debug, sqlx::FromRow)]
pub struct Row {
    id: Uuid,
    version: String,
    title: String,
    description: Option<String>,
    release_date: NaiveDate,
    is_published: bool,
    sections: Json<Vec<ChangelogSection>>,
    contributors: Json<Vec<ChangelogContributor>>,
    created_by: Option<Json<UserBrief>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    /// How many there are for this audience, in the same snapshot.
    pub total: i64,
}

impl From<Row> for Changelog {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            version: row.version,
            title: row.title,
            description: row.description,
            release_date: row.release_date,
            is_published: row.is_published,
            sections: row.sections.0,
            contributors: row.contributors.0,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

impl From<Row> for AdminChangelog {
    fn from(mut row: Row) -> Self {
        let created_by = row.created_by.take().map(|user| user.0);
        Self { changelog: row.into(), created_by }
    }
}

/// One of those that exist for this audience.
pub async fn find(executor: impl PgExecutor<'_>, id: Uuid, audience: Audience) -> Result<Option<Row>, sqlx::Error> {
    let mut query = page(audience);
    query.push(" and id = ").push_bind(id);
    select(&mut query, audience);
    query.build_query_as().fetch_optional(executor).await
}

/// Begins a query with the choice of rows, which [`select`] decorates.
pub fn page(audience: Audience) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new("with page as materialized (select id from changelogs where ");
    query.push(audience.exists());
    query
}

/// Ends a query that [`page`] has begun.
pub fn select(query: &mut QueryBuilder<Postgres>, audience: Audience) {
    let (of_blocks, of_people) = match audience {
        Audience::Public => (" and not b.is_empty", " and u.is_active"),
        Audience::Staff => ("", ""),
    };
    query.push(
        ")
        select
            c.id,
            c.version,
            c.title,
            c.description,
            c.release_date,
            c.is_published,
            coalesce(
                (
                    select json_agg(
                        json_build_object(
                            'id', s.id,
                            'category', s.category,
                            'blocks', coalesce(
                                (
                                    select json_agg(
                                        json_build_object(
                                            'id', b.id, 'block_type', b.block_type, 'payload', b.payload
                                        )
                                        order by b.place
                                    )
                                    from changelog_blocks b
                                    where b.section_id = s.id",
    );
    query.push(of_blocks);
    query.push(
        "
                                ),
                                '[]'
                            )
                        )
                        order by s.place
                    )
                    from changelog_sections s
                    where s.changelog_id = c.id
                ),
                '[]'
            ) as sections,
            coalesce(
                (
                    select json_agg(
                        json_build_object(
                            'id', p.id,
                            'user', json_build_object(
                                'id', u.id, 'username', u.username, 'nama', u.nama, 'avatar_url', u.avatar_url
                            ),
                            'contribution', p.contribution
                        )
                        order by p.place
                    )
                    from changelog_contributors p
                    join users u on u.id = p.user_id and u.deleted_at is null",
    );
    query.push(of_people);
    query.push(
        "
                    where p.changelog_id = c.id
                ),
                '[]'
            ) as contributors,
            (
                select json_build_object(
                    'id', u.id, 'username', u.username, 'nama', u.nama, 'avatar_url', u.avatar_url
                )
                from users u
                where u.id = c.created_by and u.deleted_at is null
            ) as created_by,
            c.created_at,
            c.updated_at,
            (select count(*) from changelogs where ",
    );
    query.push(audience.exists());
    query.push(
        ") as total
        from page
        join changelogs c on c.id = page.id
        order by c.release_date desc, c.created_at desc, c.id desc",
    );
}
