use std::time::Duration;

use axum::extract::{Request, State};
use grafikarsa_http::{ApiError, ApiResult, Data, Envelope, Query};
use serde::{Deserialize, Serialize};
use tokio::{sync::Semaphore, time::timeout};
use utoipa::{IntoParams, ToSchema};

use super::{
    check::{self, Checked, ClassToCreate},
    errors::ImportError,
    report::Imported,
    run,
    table::{self, Unreadable},
    upload,
};
use crate::{
    AppState,
    accounts::intents,
    capabilities::{Caller, Capability},
    portfolios::filters,
};

pub const PATH: &str = "/api/v1/admin/import/students";
/// A little less than nginx waits for the answer.
pub const TIME_LIMIT: Duration = Duration::from_secs(148);

/// Files that a replica reads and imports at once: each may fill tens of megabytes and keeps a connection of the pool.
static PLACES: Semaphore = Semaphore::const_new(2);
/// How long a further one waits for its turn.
const TURN: Duration = Duration::from_secs(10);

#[derive(Debug, Deserialize, IntoParams)]
pub struct Options {
    /// Only says what the import would do. The field `dry_run` of the form means the same, if this is absent.
    dry_run: Option<String>,
}

/// The form. The file is a table of five columns: tingkat, kode_jurusan, rombel, nama_lengkap, nis.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the body, which is read field by field")]
pub struct ImportForm {
    /// `.csv` or `.xlsx`, 5 MiB at the most.
    #[schema(format = Binary)]
    file: String,
    dry_run: Option<bool>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ImportReport {
    DryRun(DryRun),
    Import(Imported),
}

/// What an import would do.
#[derive(Debug, Serialize, ToSchema)]
pub struct DryRun {
    total_rows: usize,
    classes_to_create: Vec<ClassToCreate>,
    students_to_create: usize,
    validation_errors: Vec<ImportError>,
}

/// Creates the students of a table, with the classes that they need. Rows that break a rule are left out and reported.
#[utoipa::path(
    post,
    path = "/api/v1/admin/import/students",
    tag = "admin import",
    params(Options),
    request_body(content = ImportForm, content_type = "multipart/form-data"),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<ImportReport>)),
)]
pub async fn import(
    State(app): State<AppState>,
    caller: Caller,
    Query(options): Query<Options>,
    request: Request,
) -> ApiResult<Data<ImportReport>> {
    let asked = filters::boolean("dry_run", options.dry_run.as_deref())?;
    caller.require(Capability::Users)?;
    let turn = timeout(TURN, PLACES.acquire()).await;
    let _place = turn.map_err(|_| ApiError::unavailable())?.map_err(ApiError::internal)?;

    let form = upload::read(request).await?;
    let said = filters::boolean("dry_run", form.dry_run.as_deref())?;
    // Whoever has died while importing must not keep this one from succeeding.
    intents::recover_imports(&app).await?;
    let rows = parse(form.kind, form.bytes).await?;
    let checked = check::check(&app.db, rows).await?;
    if asked.or(said).unwrap_or(false) {
        return dry_run(&app, checked).await;
    }
    let imported = run::run(&app, caller.id, checked).await?;
    let message = imported.message();
    Ok(Data::new(ImportReport::Import(imported)).message(message))
}

async fn dry_run(app: &AppState, checked: Checked) -> ApiResult<Data<ImportReport>> {
    let report = DryRun {
        total_rows: checked.total_rows,
        classes_to_create: check::missing_classes(&app.db, checked.year, &checked.students).await?,
        students_to_create: checked.students.len(),
        validation_errors: checked.errors,
    };
    let message = format!("{} siswa siap diimpor", report.students_to_create);
    Ok(Data::new(ImportReport::DryRun(report)).message(message))
}

async fn parse(kind: table::Kind, bytes: Vec<u8>) -> ApiResult<Vec<table::Row>> {
    match tokio::task::spawn_blocking(move || table::read(kind, &bytes)).await {
        Ok(rows) => Ok(rows?),
        // A library met what it had not expected in a file.
        Err(error) => {
            tracing::warn!(%error, "an uploaded table could not be read");
            Err(Unreadable::Broken.into())
        }
    }
}
