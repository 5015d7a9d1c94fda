//! The form of the editor, and what is to be written of it.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use chrono::NaiveDate;
use grafikarsa_http::{
    ApiError, ApiResult, BodyId, FieldErrors, nullable, optional_text, required_line, required_text,
};
use serde::Deserialize;
use sqlx::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    block::{self, Block, ChangelogPayloadInput, Context},
    bounded::Bounded,
};
use crate::settings::Rules;

const CATEGORIES: [&str; 4] = ["added", "updated", "removed", "fixed"];
const MOST_BLOCKS: usize = 50;
const MOST_CONTRIBUTORS: usize = 50;
const MOST_PICTURES: usize = 10;

#[derive(Debug, Deserialize, ToSchema)]
pub struct ChangelogInput {
    /// 1 to 50 characters.
    version: Option<String>,
    /// 1 to 255 characters.
    title: Option<String>,
    /// At most 2000 characters.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    description: Option<Option<String>>,
    /// `YYYY-MM-DD`. Empty or absent: today in a new one, otherwise unchanged.
    release_date: Option<String>,
    /// 1 to 4 in their order, each category once.
    #[schema(value_type = Option<Vec<ChangelogSectionInput>>)]
    sections: Option<Bounded<ChangelogSectionInput, { CATEGORIES.len() }>>,
    /// 1 to 50 in their order, each user once.
    #[schema(value_type = Option<Vec<ChangelogContributorInput>>)]
    contributors: Option<Bounded<ChangelogContributorInput, MOST_CONTRIBUTORS>>,
}

#[derive(Debug, Deserialize, ToSchema)]
pub struct ChangelogSectionInput {
    /// `added`, `updated`, `removed` or `fixed`.
    category: Option<String>,
    /// 1 to 50 in their order.
    #[schema(value_type = Option<Vec<ChangelogBlockInput>>)]
    blocks: Option<Bounded<ChangelogBlockInput, MOST_BLOCKS>>,
}

#[derive(Debug, Deserialize, ToSchema)]
pub struct ChangelogBlockInput {
    /// `text`, `image`, `youtube` or `button`.
    block_type: Option<String>,
    payload: Option<ChangelogPayloadInput>,
}

#[derive(Debug, Deserialize, ToSchema)]
pub struct ChangelogContributorInput {
    #[schema(value_type = Option<Uuid>)]
    user_id: Option<BodyId>,
    /// 1 to 255 characters.
    contribution: Option<String>,
}

/// What is to be written; absent is unchanged.
#[derive(Debug)]
pub struct Checked {
    pub version: Option<String>,
    pub title: Option<String>,
    pub description: Option<Option<String>>,
    pub release_date: Option<NaiveDate>,
    pub sections: Option<Vec<Section>>,
    pub contributors: Option<Vec<Contributor>>,
}

#[derive(Debug)]
pub struct Section {
    pub category: &'static str,
    pub blocks: Vec<Block>,
}

#[derive(Debug)]
pub struct Contributor {
    pub user: Uuid,
    pub contribution: String,
}

impl Checked {
    /// Names of the fields that change.
    pub fn fields(&self) -> Vec<&'static str> {
        let changes = [
            ("version", self.version.is_some()),
            ("title", self.title.is_some()),
            ("description", self.description.is_some()),
            ("release_date", self.release_date.is_some()),
            ("sections", self.sections.is_some()),
            ("contributors", self.contributors.is_some()),
        ];
        changes.into_iter().filter_map(|(name, changes)| changes.then_some(name)).collect()
    }
}

/// Checks every field before anything is stored. `standing` are the images of the changelog as it is.
pub async fn check(
    db: &PgPool,
    rules: Arc<Rules>,
    input: ChangelogInput,
    is_new: bool,
    standing: HashMap<String, Option<String>>,
) -> ApiResult<Checked> {
    input.must_be_texts()?;
    // Pictures are decoded and texts are parsed: too much for a thread that serves others.
    let work = move || {
        let mut errors = FieldErrors::new();
        let context = Context { storage_base: &rules.storage_base, standing: &standing };
        let checked = input.check(&mut errors, is_new, &context);
        (checked, errors)
    };
    let (checked, mut errors) = tokio::task::spawn_blocking(work).await.map_err(ApiError::internal)?;
    check_accounts(db, &mut errors, checked.contributors.as_deref().unwrap_or_default()).await?;
    errors.finish()?;
    Ok(checked)
}

/// Contributors are accounts that are not deleted.
async fn check_accounts(db: &PgPool, errors: &mut FieldErrors, contributors: &[Contributor]) -> ApiResult<()> {
    if contributors.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = contributors.iter().map(|contributor| contributor.user).collect();
    let existing: HashSet<Uuid> =
        sqlx::query_scalar!("select id from users where id = any($1) and deleted_at is null", &ids)
            .fetch_all(db)
            .await?
            .into_iter()
            .collect();
    for (place, id) in ids.iter().enumerate() {
        if !existing.contains(id) {
            errors.add(format!("contributors[{place}].user_id"), "Pengguna tidak ditemukan");
        }
    }
    Ok(())
}

impl ChangelogInput {
    /// Wrong types come before broken rules, as in every other body.
    fn must_be_texts(&self) -> ApiResult<()> {
        for (place, section) in self.sections.iter().flat_map(|sections| &sections.items).enumerate() {
            for (place_of_block, block) in section.blocks.iter().flat_map(|blocks| &blocks.items).enumerate() {
                let block_type = block.block_type.as_deref().map(str::trim).and_then(block::block_type);
                if let (Some(block_type), Some(payload)) = (block_type, &block.payload) {
                    payload
                        .must_be_texts(&format!("sections[{place}].blocks[{place_of_block}].payload"), block_type)?;
                }
            }
        }
        Ok(())
    }

    fn check(self, errors: &mut FieldErrors, is_new: bool, context: &Context) -> Checked {
        let version = (is_new || self.version.is_some())
            .then(|| required_line(errors, "version", "Versi", self.version.as_deref(), 1..=50));
        let title = (is_new || self.title.is_some())
            .then(|| required_line(errors, "title", "Judul", self.title.as_deref(), 1..=255));
        let description = self
            .description
            .map(|description| optional_text(errors, "description", "Deskripsi", description.as_deref(), 0..=2000));
        let release_date =
            self.release_date.as_deref().map(str::trim).filter(|text| !text.is_empty()).and_then(|text| {
                let date = date(text);
                if date.is_none() {
                    errors.add("release_date", "Tanggal rilis harus berformat YYYY-MM-DD");
                }
                date
            });
        let sections = (is_new || self.sections.is_some()).then(|| check_sections(errors, self.sections, context));
        let contributors =
            (is_new || self.contributors.is_some()).then(|| check_contributors(errors, self.contributors));
        Checked { version, title, description, release_date, sections, contributors }
    }
}

/// A date in the one spelling that date inputs have.
fn date(text: &str) -> Option<NaiveDate> {
    let is_spelled = text.len() == 10
        && text.bytes().enumerate().all(|(place, byte)| match place {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    if is_spelled { text.parse().ok() } else { None }
}

fn check_sections(
    errors: &mut FieldErrors,
    sections: Option<Bounded<ChangelogSectionInput, { CATEGORIES.len() }>>,
    context: &Context,
) -> Vec<Section> {
    let Some(sections) = sections.filter(|sections| (1..=CATEGORIES.len()).contains(&sections.count)) else {
        errors.add("sections", format!("Changelog harus memiliki 1 sampai {} bagian", CATEGORIES.len()));
        return Vec::new();
    };
    let mut seen = HashSet::new();
    let mut pictures = 0;
    let mut checked = Vec::with_capacity(sections.items.len());
    for (place, section) in sections.items.into_iter().enumerate() {
        let path = format!("sections[{place}]");
        let wanted = section.category.as_deref().map(str::trim).unwrap_or_default();
        let category = CATEGORIES.into_iter().find(|&known| known == wanted);
        match category {
            None => errors.add(format!("{path}.category"), "Kategori tidak dikenal"),
            Some(category) if !seen.insert(category) => {
                errors.add(format!("{path}.category"), "Setiap kategori hanya boleh sekali");
            }
            Some(_) => {}
        }
        let blocks = check_blocks(errors, &path, section.blocks, context, &mut pictures);
        checked.push(Section { category: category.unwrap_or_default(), blocks });
    }
    checked
}

fn check_blocks(
    errors: &mut FieldErrors,
    path: &str,
    blocks: Option<Bounded<ChangelogBlockInput, MOST_BLOCKS>>,
    context: &Context,
    pictures: &mut usize,
) -> Vec<Block> {
    let Some(blocks) = blocks.filter(|blocks| (1..=MOST_BLOCKS).contains(&blocks.count)) else {
        errors.add(format!("{path}.blocks"), format!("Setiap bagian harus memiliki 1 sampai {MOST_BLOCKS} blok"));
        return Vec::new();
    };
    let mut checked = Vec::with_capacity(blocks.items.len());
    for (place, block) in blocks.items.into_iter().enumerate() {
        let path = format!("{path}.blocks[{place}]");
        let block_type = block.block_type.as_deref().map(str::trim).and_then(block::block_type);
        if block_type.is_none() {
            errors.add(format!("{path}.block_type"), "Jenis blok tidak dikenal");
        }
        let path = format!("{path}.payload");
        if block.payload.is_none() {
            errors.add(&*path, "Payload wajib diisi");
        }
        let (Some(block_type), Some(payload)) = (block_type, block.payload) else { continue };
        let block = block::normalise(errors, &path, block_type, payload, context);
        if block.picture.is_some() {
            *pictures += 1;
            if *pictures > MOST_PICTURES {
                errors
                    .add(format!("{path}.url"), format!("Maksimal {MOST_PICTURES} gambar baru setiap kali menyimpan"));
            }
        }
        checked.push(block);
    }
    checked
}

fn check_contributors(
    errors: &mut FieldErrors,
    contributors: Option<Bounded<ChangelogContributorInput, MOST_CONTRIBUTORS>>,
) -> Vec<Contributor> {
    let Some(contributors) = contributors.filter(|list| (1..=MOST_CONTRIBUTORS).contains(&list.count)) else {
        errors.add("contributors", format!("Changelog harus memiliki 1 sampai {MOST_CONTRIBUTORS} kontributor"));
        return Vec::new();
    };
    let mut seen = HashSet::new();
    let mut checked = Vec::with_capacity(contributors.items.len());
    for (place, contributor) in contributors.items.into_iter().enumerate() {
        let path = format!("contributors[{place}]");
        let field = format!("{path}.contribution");
        let contribution = required_text(errors, &field, "Kontribusi", contributor.contribution.as_deref(), 1..=255);
        let user = contributor.user_id.map(Uuid::from);
        match user {
            None => errors.add(format!("{path}.user_id"), "Kontributor wajib dipilih"),
            Some(user) if !seen.insert(user) => {
                errors.add(format!("{path}.user_id"), "Setiap kontributor hanya boleh sekali");
            }
            Some(_) => {}
        }
        checked.push(Contributor { user: user.unwrap_or_default(), contribution });
    }
    checked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_has_one_spelling() {
        assert_eq!(date("2025-12-15"), NaiveDate::from_ymd_opt(2025, 12, 15));
        assert_eq!(date("2024-02-29"), NaiveDate::from_ymd_opt(2024, 2, 29));
        for bad in [
            "2025-02-29",
            "2025-13-01",
            "2025-1-1",
            "15-12-2025",
            "2025/12/15",
            "2025-12-15T00:00:00Z",
            "20251215",
            "+025-12-15",
            "besok",
        ] {
            assert_eq!(date(bad), None, "{bad}");
        }
    }
}
