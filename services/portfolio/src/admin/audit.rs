//! Who did what. Every successful write of the back office leaves a row, in its transaction.

use sqlx::PgConnection;
use uuid::Uuid;

/// `fields` are names, never values.
pub async fn record(
    connection: &mut PgConnection,
    actor: Uuid,
    action: &str,
    target: Uuid,
    fields: &[&str],
) -> Result<(), sqlx::Error> {
    let fields: Vec<String> = fields.iter().map(|&field| field.to_owned()).collect();
    sqlx::query!(
        "insert into audit_log (id, actor_id, action, target, fields) values ($1, $2, $3, $4, $5)",
        Uuid::now_v7(),
        actor,
        action,
        target,
        &fields,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// One action on several targets.
pub async fn record_each(
    connection: &mut PgConnection,
    actor: Uuid,
    action: &str,
    targets: &[Uuid],
    fields: &[&str],
) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = targets.iter().map(|_| Uuid::now_v7()).collect();
    let fields: Vec<String> = fields.iter().map(|&field| field.to_owned()).collect();
    sqlx::query!(
        "
        insert into audit_log (id, actor_id, action, target, fields)
        select id, $1, $2, target, $5
        from unnest($3::uuid[], $4::uuid[]) as each (id, target)
        ",
        actor,
        action,
        &ids,
        targets,
        &fields,
    )
    .execute(connection)
    .await?;
    Ok(())
}
