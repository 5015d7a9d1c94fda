use axum::{http::header, response::IntoResponse};
use grafikarsa_http::ApiResult;

use crate::capabilities::{Caller, Capability};

const TEMPLATE: &str = "\
tingkat,kode_jurusan,rombel,nama_lengkap,nis
10,rpl,A,Budi Santoso,24327004990001
10,rpl,B,Siti Aminah,24327004990002
11,tkj,A,Ahmad Rizki,23327004990003
";

/// A table to fill in.
#[utoipa::path(
    get,
    path = "/api/v1/admin/import/students/template",
    tag = "admin import",
    security(("bearer" = [])),
    responses((status = 200, body = String, content_type = "text/csv")),
)]
pub async fn template(caller: Caller) -> ApiResult<impl IntoResponse> {
    caller.require(Capability::Users)?;
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=template_import_siswa.csv"),
    ];
    Ok((headers, TEMPLATE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::import::table;

    #[test]
    fn the_template_can_be_imported() {
        let rows = table::read(table::Kind::Csv, TEMPLATE.as_bytes()).unwrap();
        assert_eq!(rows.len(), 3);
        assert!(rows.iter().all(|row| row.cells.len() == 5));
    }
}
