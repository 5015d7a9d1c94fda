//! Documents follow their portfolio.

use reqwest::Method;
use url::Url;

use crate::{
    files,
    support::{Person, TestApp, eventually},
};

async fn link(app: &TestApp, who: &Person, key: &str) -> crate::support::Answer {
    app.media(Method::GET, &format!("/api/v1/uploads/presign-view?object_key={key}"), Some(who)).send().await
}

#[tokio::test]
async fn a_document_is_public_while_its_portfolio_is() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let portfolio = app.portfolio_of(&siti).await;
    let key = app.upload(&siti, "document", "application/pdf", files::PDF, Some(portfolio)).await.key;
    let draft = app.storage(&key).await;
    assert_eq!((draft.status, draft.header("cache-control")), (404, "no-store"));

    app.publish(&siti, portfolio).await;
    eventually("the document is public", async || app.storage(&key).await.status == 200).await;
    let public = app.storage(&key).await;
    for (name, value) in [
        ("content-type", "application/pdf"),
        ("cache-control", "private, no-cache"),
        ("content-disposition", "inline"),
        ("content-security-policy", ""),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(public.header(name), value, "{name}");
    }
    assert_eq!(&public.bytes[..], files::PDF);

    let path = format!("/api/v1/portfolios/{portfolio}/archive");
    assert_eq!(app.door(Method::POST, &path, Some(&siti)).send().await.status, 200);
    eventually("the document is hidden again", async || app.storage(&key).await.status == 404).await;
}

#[tokio::test]
async fn an_office_document_is_downloaded_by_its_own_name() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let portfolio = app.portfolio_of(&siti).await;
    let bytes = files::docx();
    let mut wish = crate::support::wish("document", files::DOCX, bytes.len(), Some(portfolio));
    wish["filename"] = "../Laporan \"akhir\".docx".into();
    let answer = app.presign(&siti, &wish).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let data = &answer.body["data"];
    let promise = crate::support::Promise {
        id: data["upload_id"].as_str().unwrap().parse().unwrap(),
        key: data["object_key"].as_str().unwrap().to_owned(),
        url: data["presigned_url"].as_str().unwrap().to_owned(),
        mime: files::DOCX.to_owned(),
    };
    assert_eq!(app.put(&promise, &bytes).await, 200);
    assert_eq!(app.confirm(&siti, &promise).await.status, 200);
    app.publish(&siti, portfolio).await;
    eventually("the document is public", async || app.storage(&promise.key).await.status == 200).await;
    let stored = app.storage(&promise.key).await;
    assert!(
        stored.header("content-disposition").starts_with("attachment; filename=\"Laporan _akhir_.docx\""),
        "{}",
        stored.header("content-disposition")
    );
    let scaled = app.storage(&format!("{}?w=64", promise.key)).await;
    assert_eq!(scaled.status, 400);
}

#[tokio::test]
async fn a_link_opens_one_document_for_those_who_may_see_it() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    let portfolio = app.portfolio_of(&siti).await;
    let key = app.upload(&siti, "document", "application/pdf", files::PDF, Some(portfolio)).await.key;
    let answer = link(&app, &siti, &key).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.body["data"]["expires_in"], 3600);
    let url = Url::parse(answer.body["data"]["url"].as_str().unwrap()).unwrap();
    assert!(url.as_str().starts_with(app.stack.nginx().await.as_str()), "{url}");
    let signed = format!("{key}?{}", url.query().unwrap());
    let opened = app.storage(&signed).await;
    assert_eq!((opened.status, opened.header("cache-control")), (200, "private, no-store"));
    assert_eq!(app.storage(&signed.replace("signature=", "signature=A")).await.status, 404);
    assert_eq!(app.storage(&signed.replace("expires=", "expires=9")).await.status, 404);
    assert_eq!(link(&app, &budi, &key).await.error(), (403, "FORBIDDEN"));
    assert_eq!(link(&app, &siti, "documents/../x.pdf").await.error(), (400, "VALIDATION_ERROR"));
    let unknown = format!("documents/{portfolio}/{portfolio}.pdf");
    assert_eq!(link(&app, &siti, &unknown).await.error(), (404, "OBJECT_NOT_FOUND"));
}

#[tokio::test]
async fn links_are_made_for_the_five_folders_of_people_and_portfolios() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let picture = files::png(40, 40);
    let avatar = app.upload(&siti, "avatar", "image/png", &picture, None).await.key;
    assert_eq!(link(&app, &siti, &avatar).await.status, 200);
    let of_a_message = app.upload(&siti, "chat_image", "image/png", &picture, None).await.key;
    let of_a_changelog = of_a_message.replace("chat-images", "changelog-images");
    for key in [&*of_a_message, &of_a_changelog, "staging/x", "", "%00"] {
        assert_eq!(link(&app, &siti, key).await.error(), (400, "VALIDATION_ERROR"), "{key}");
    }
}
