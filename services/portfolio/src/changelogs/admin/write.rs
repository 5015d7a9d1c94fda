//! What belongs to a changelog: written as a whole, in the transaction that has locked its row.

use std::collections::HashSet;

use grafikarsa_http::{ApiResult, FieldErrors};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::input::{Contributor, Section};

/// The row, locked against other edits, the deletion, and media's question whether an object is shown. False when the
/// changelog is deleted. Locked as well are the changelogs whose pictures `sections` show: media's question about a picture
/// locks the one that it was stored for.
pub async fn lock(connection: &mut PgConnection, id: Uuid, sections: &[Section]) -> Result<bool, sqlx::Error> {
    let mut ids: Vec<Uuid> = shown(sections).filter_map(|(_, _, key)| owner(key)).collect();
    ids.push(id);
    let locked = sqlx::query!(
        r#"
        select id, deleted_at is null as "exists!"
        from changelogs
        where id = any($1)
        order by id
        for no key update
        "#,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(locked.into_iter().any(|changelog| changelog.id == id && changelog.exists))
}

/// Refuses pictures that are noted as gone, unless the changelog shows them already: then they are not. All that could say
/// so is locked.
pub async fn must_stay(connection: &mut PgConnection, changelog: Uuid, sections: &[Section]) -> ApiResult<()> {
    let keys: Vec<String> = shown(sections).map(|(_, _, key)| key.to_owned()).collect();
    let gone = sqlx::query_scalar!(
        "
        select o.object_key
        from media_objects o
        where o.object_key = any($1)
            and o.deleted_at is not null
            and not exists (
                select
                from changelog_sections s
                join changelog_blocks b on b.section_id = s.id
                where s.changelog_id = $2 and b.object_key = o.object_key
            )
        ",
        &keys,
        changelog,
    )
    .fetch_all(connection)
    .await?;
    let mut errors = FieldErrors::new();
    for (place, place_of_block, key) in shown(sections) {
        if gone.iter().any(|gone| gone == key) {
            let field = format!("sections[{place}].blocks[{place_of_block}].payload.url");
            errors.add(field, "Gambar sudah dihapus, unggah kembali");
        }
    }
    errors.finish()
}

/// Stored objects in their places.
fn shown(sections: &[Section]) -> impl Iterator<Item = (usize, usize, &str)> {
    sections.iter().enumerate().flat_map(|(place, section)| {
        let blocks = section.blocks.iter().enumerate();
        blocks.filter_map(move |(place_of_block, block)| Some((place, place_of_block, block.object_key.as_deref()?)))
    })
}

/// The changelog that a picture was stored for.
fn owner(key: &str) -> Option<Uuid> {
    key.strip_prefix("changelog-images/")?.split('/').next()?.parse().ok()
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
