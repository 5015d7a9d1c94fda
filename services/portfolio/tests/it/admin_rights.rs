//! The back office by its guards: every route, asked by a guest, a student, a holder of each single capability and an
//! admin. What happens behind the guard has tests of its own.

use reqwest::Method;
use serde_json::json;

use crate::support::{TestApp, User};

const CAPABILITIES: [&str; 14] = [
    "dashboard",
    "portfolios",
    "moderation",
    "assessments",
    "assessment_metrics",
    "tags",
    "series",
    "users",
    "special_roles",
    "majors",
    "classes",
    "academic_years",
    "feedback",
    "changelog",
];

/// Nobody's id.
const ID: &str = "00000000-0000-4000-8000-000000000000";

/// A route with an empty body or none, who gets behind its guard, and what he meets there.
const ROUTES: [(&str, &str, &[&str], u16); 80] = [
    ("GET", "dashboard/stats", &["dashboard", "moderation"], 200),
    ("GET", "jurusan", &["majors", "classes", "series"], 200),
    ("POST", "jurusan", &["majors"], 422),
    ("PATCH", "jurusan/ID", &["majors"], 404),
    ("DELETE", "jurusan/ID", &["majors"], 404),
    ("GET", "tahun-ajaran", &["academic_years", "classes"], 200),
    ("POST", "tahun-ajaran", &["academic_years"], 422),
    ("PATCH", "tahun-ajaran/ID", &["academic_years"], 404),
    ("POST", "tahun-ajaran/ID/set-active", &["academic_years"], 404),
    ("DELETE", "tahun-ajaran/ID", &["academic_years"], 404),
    ("GET", "kelas", &["classes", "users", "series"], 200),
    ("POST", "kelas", &["classes"], 422),
    ("PATCH", "kelas/ID", &["classes"], 404),
    ("DELETE", "kelas/ID", &["classes"], 404),
    ("GET", "kelas/ID/students", &["classes"], 404),
    ("GET", "tags", &["tags", "portfolios"], 200),
    ("POST", "tags", &["tags"], 422),
    ("PATCH", "tags/ID", &["tags"], 404),
    ("DELETE", "tags/ID", &["tags"], 404),
    ("GET", "series", &["series", "portfolios"], 200),
    ("POST", "series", &["series"], 422),
    ("GET", "series/ID", &["series"], 404),
    ("PATCH", "series/ID", &["series"], 404),
    ("DELETE", "series/ID", &["series"], 404),
    ("GET", "series/ID/export/preview", &["series"], 404),
    ("GET", "series/ID/export", &["series"], 404),
    ("GET", "users", &["users", "special_roles", "portfolios"], 200),
    ("POST", "users", &["users"], 422),
    ("GET", "users/check-username?username=budi", &["users"], 200),
    ("GET", "users/check-email?email=a@b.test", &["users"], 200),
    ("GET", "users/ID", &["users"], 404),
    ("PATCH", "users/ID", &["users"], 404),
    ("DELETE", "users/ID", &["users"], 404),
    ("PATCH", "users/ID/password", &["users"], 404),
    ("POST", "users/ID/activate", &["users"], 404),
    ("POST", "users/ID/deactivate", &["users"], 404),
    ("GET", "users/ID/special-roles", &["users", "special_roles"], 404),
    ("PUT", "users/ID/special-roles", &["users"], 404),
    ("POST", "import/students", &["users"], 400),
    ("GET", "import/students/template", &["users"], 200),
    ("GET", "portfolios", &["portfolios"], 200),
    ("GET", "portfolios?status=pending_review", &["portfolios", "moderation"], 200),
    ("GET", "portfolios?status=published", &["portfolios"], 200),
    ("GET", "portfolios/pending", &["moderation"], 200),
    ("GET", "portfolios/ID", &["portfolios", "moderation"], 404),
    ("PATCH", "portfolios/ID", &["portfolios"], 404),
    ("DELETE", "portfolios/ID", &["portfolios"], 404),
    ("POST", "portfolios/ID/approve", &["moderation"], 404),
    ("POST", "portfolios/ID/reject", &["moderation"], 404),
    ("GET", "special-roles", &["special_roles"], 200),
    ("GET", "special-roles/active", &["special_roles", "users"], 200),
    ("GET", "special-roles/capabilities", &["special_roles"], 200),
    ("POST", "special-roles", &["special_roles"], 422),
    ("GET", "special-roles/ID", &["special_roles"], 404),
    ("PATCH", "special-roles/ID", &["special_roles"], 404),
    ("DELETE", "special-roles/ID", &["special_roles"], 404),
    ("POST", "special-roles/ID/users", &["special_roles"], 404),
    ("DELETE", "special-roles/ID/users/ID", &["special_roles"], 404),
    ("GET", "assessment-metrics", &["assessment_metrics", "assessments"], 200),
    ("POST", "assessment-metrics", &["assessment_metrics"], 422),
    ("PUT", "assessment-metrics/reorder", &["assessment_metrics"], 422),
    ("PATCH", "assessment-metrics/ID", &["assessment_metrics"], 404),
    ("DELETE", "assessment-metrics/ID", &["assessment_metrics"], 404),
    ("GET", "assessments", &["assessments"], 200),
    ("GET", "assessments/stats", &["assessments"], 200),
    ("GET", "assessments/ID", &["assessments"], 404),
    ("POST", "assessments/ID", &["assessments"], 404),
    ("DELETE", "assessments/ID", &["assessments"], 404),
    ("GET", "feedback", &["feedback"], 200),
    ("GET", "feedback/stats", &["feedback"], 200),
    ("GET", "feedback/ID", &["feedback"], 404),
    ("PATCH", "feedback/ID", &["feedback"], 404),
    ("DELETE", "feedback/ID", &["feedback"], 404),
    ("GET", "changelogs", &["changelog"], 200),
    ("POST", "changelogs", &["changelog"], 422),
    ("GET", "changelogs/ID", &["changelog"], 404),
    ("PATCH", "changelogs/ID", &["changelog"], 404),
    ("DELETE", "changelogs/ID", &["changelog"], 404),
    ("POST", "changelogs/ID/publish", &["changelog"], 404),
    ("POST", "changelogs/ID/unpublish", &["changelog"], 404),
];

#[tokio::test]
async fn every_route_lets_in_exactly_whom_the_contract_says() {
    let app = TestApp::spawn().await;
    let mut callers: Vec<(&str, User)> = vec![("student", app.student("siti").await)];
    for (place, capability) in CAPABILITIES.into_iter().enumerate() {
        callers.push((capability, app.holder(&format!("pemegang_{place}"), &[capability]).await));
    }
    callers.push(("admin", app.admin().clone()));
    let mut wrong = Vec::new();
    for (method, path, allowed, behind) in ROUTES {
        let path = format!("/api/v1/admin/{}", path.replace("ID", ID));
        let method: Method = method.parse().unwrap();
        let guest = app.guest(method.clone(), &path, &[]).await.status;
        if guest != 401 {
            wrong.push(format!("guest {method} {path}: {guest}"));
        }
        for (name, caller) in &callers {
            let body = (method != Method::GET && method != Method::DELETE).then(|| json!({}));
            let status = caller.ask(method.clone(), &path, body.as_ref()).await.status;
            let expected = if *name == "admin" || allowed.contains(name) { behind } else { 403 };
            if status != expected {
                wrong.push(format!("{name} {method} {path}: {status} and not {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn a_capability_of_an_inactive_or_deleted_role_is_none() {
    let app = TestApp::spawn().await;
    let siti = app.holder("siti", &["tags"]).await;
    siti.get("/api/v1/admin/tags").await.data(200);
    for change in
        ["update special_roles set is_active = false", "update special_roles set is_active = true, deleted_at = now()"]
    {
        app.sql(change).await;
        crate::support::eventually("the capability is gone", async || {
            siti.get("/api/v1/admin/tags").await.status == 403
        })
        .await;
    }
}
