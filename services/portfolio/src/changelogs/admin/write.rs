//! What belongs to a changelog: written as a whole, in the transaction that has locked its row.

use std::collections::HashSet;

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::input::{Contributor, Section};

/// The row, locked against other edits, the deletion, and media's question whether an object is shown. False when the
/// changelog is deleted.
pub async fn lock(connection: &mut PgConnection, id: Uuid) -> Result<bool, sqlx::Error> {
    let found =
        sqlx::query_scalar!("select id from changelogs where id = $1 and deleted_at is null for no key update", id,);
    Ok(found.fetch_optional(connection).await?.is_some())
}

/// Sections in the place of all that there are.
pub async fn sections(connection: &mut PgConnection, changelog: Uuid, sections: &[Section]) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from changelog_sections where changelog_id = $1", changelog).execute(&mut *connection).await?;
    let ids: Vec<Uuid> = sections.iter().map(|_| Uuid::now_v7()).collect();
    let categories: Vec<String> = sections.iter().map(|section| section.category.to_owned()).collect();
    sqlx::query!(
        "
        insert into changelog_sections (id, changelog_id, place, category)
        select s.id, $1, (s.place - 1)::integer, s.category
        from unnest($2::uuid[], $3::text[]) with ordinality as s (id, category, place)
        ",
        changelog,
        &ids,
        &categories,
    )
    .execute(&mut *connection)
    .await?;

    let mut rows = Blocks::default();
    for (section, id) in sections.iter().zip(ids) {
        for (place, block) in (0..).zip(&section.blocks) {
            rows.ids.push(Uuid::now_v7());
            rows.sections.push(id);
            rows.places.push(place);
            rows.types.push(block.block_type.to_owned());
            rows.payloads.push(block.payload.clone());
            rows.empty.push(block.is_empty);
            rows.object_keys.push(block.object_key.clone());
        }
    }
    sqlx::query!(
        "
        insert into changelog_blocks (id, section_id, place, block_type, payload, is_empty, object_key)
        select *
        from unnest($1::uuid[], $2::uuid[], $3::integer[], $4::text[], $5::jsonb[], $6::boolean[], $7::text[])
        ",
        &rows.ids,
        &rows.sections,
        &rows.places,
        &rows.types,
        &rows.payloads,
        &rows.empty,
        &rows.object_keys as &[Option<String>],
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A column each.
#[derive(Default)]
struct Blocks {
    ids: Vec<Uuid>,
    sections: Vec<Uuid>,
    places: Vec<i32>,
    types: Vec<String>,
    payloads: Vec<Value>,
    empty: Vec<bool>,
    object_keys: Vec<Option<String>>,
}

/// Contributors in the place of all that there are.
pub async fn contributors(
    connection: &mut PgConnection,
    changelog: Uuid,
    contributors: &[Contributor],
) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from changelog_contributors where changelog_id = $1", changelog)
        .execute(&mut *connection)
        .await?;
    let ids: Vec<Uuid> = contributors.iter().map(|_| Uuid::now_v7()).collect();
    let users: Vec<Uuid> = contributors.iter().map(|contributor| contributor.user).collect();
    let contributions: Vec<String> = contributors.iter().map(|contributor| contributor.contribution.clone()).collect();
    sqlx::query!(
        "
        insert into changelog_contributors (id, changelog_id, place, user_id, contribution)
        select c.id, $1, (c.place - 1)::integer, c.user_id, c.contribution
        from unnest($2::uuid[], $3::uuid[], $4::text[]) with ordinality as c (id, user_id, contribution, place)
        ",
        changelog,
        &ids,
        &users,
        &contributions,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Objects of this changelog's own that it shows.
pub async fn own_objects(connection: &mut PgConnection, changelog: Uuid) -> Result<HashSet<String>, sqlx::Error> {
    let keys = sqlx::query_scalar!(
        r#"
        select distinct b.object_key as "object_key!"
        from changelog_sections s
        join changelog_blocks b on b.section_id = s.id
        where s.changelog_id = $1
            and b.object_key like 'changelog-images/' || $1::uuid::text || '/%'
        "#,
        changelog,
    )
    .fetch_all(connection)
    .await?;
    Ok(keys.into_iter().collect())
}
