//! Imports whose requests have died after auth had confirmed the accounts.

use std::collections::HashMap;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    check::{Place, Student, Year},
    write::{self, Profile},
};
use crate::{accounts::intents::Intent, users::copy::Account};

/// The half of an import that is ours. An intent keeps it until the other half is certain.
#[derive(Debug, Serialize, Deserialize)]
pub struct Plan {
    tahun_ajaran_id: Uuid,
    pub students: Vec<Planned>,
}

/// A student on the way.
#[derive(Debug, Serialize, Deserialize)]
pub struct Planned {
    pub account_id: Uuid,
    nama: String,
    nis: String,
    place: Place,
    tahun_masuk: i32,
}

impl Plan {
    pub fn new(year: Year, students: &[(Uuid, Student)]) -> Self {
        let planned = |(account_id, student): &(Uuid, Student)| Planned {
            account_id: *account_id,
            nama: student.nama.clone(),
            nis: student.nis.clone(),
            place: student.place.clone(),
            tahun_masuk: year.tahun_masuk(student.place.tingkat),
        };
        Self { tahun_ajaran_id: year.id, students: students.iter().map(planned).collect() }
    }
}

/// Writes the profiles of these accounts, as far as they are not complete yet, and takes them off the intent.
pub async fn complete(connection: &mut PgConnection, intent: &Intent, accounts: &[Account]) -> anyhow::Result<()> {
    let plan: Plan = serde_json::from_value(intent.profile.clone()).context("the plan of an import cannot be read")?;
    let accounts: HashMap<Uuid, &Account> = accounts.iter().map(|account| (account.id, account)).collect();
    let left: Vec<(&Planned, &Account)> = plan
        .students
        .iter()
        .filter(|student| intent.account_ids.contains(&student.account_id))
        .filter_map(|student| Some((student, *accounts.get(&student.account_id)?)))
        .collect();
    let places: Vec<Place> = left.iter().map(|(student, _)| student.place.clone()).collect();
    let (kelas, _) = write::ensure_classes(connection, intent.actor_id, plan.tahun_ajaran_id, &places).await?;
    let profiles: Vec<Profile> = left
        .iter()
        .map(|&(student, account)| Profile {
            account,
            nama: &student.nama,
            nis: &student.nis,
            // Without its major there is no class to be in.
            kelas: kelas.get(&student.place).map(|kelas| kelas.id),
            tahun_masuk: student.tahun_masuk,
        })
        .collect();
    write::complete(connection, intent.actor_id, &profiles).await?;
    let done: Vec<Uuid> = left.iter().map(|(student, _)| student.account_id).collect();
    sqlx::query!(
        "
        update account_intents
        set account_ids = array(select id from unnest(account_ids) as id where id <> all($2))
        where command_id = $1
        ",
        intent.command_id,
        &done,
    )
    .execute(connection)
    .await?;
    Ok(())
}
