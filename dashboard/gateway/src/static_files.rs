//! The web client's files, built by `build.rs` and carried in the binary.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;
use std::fmt::Write;

#[derive(RustEmbed)]
#[folder = "$OUT_DIR/web"]
struct Files;

/// What somebody sees who has a share link.
const SHARE_PAGE: &str = "share.html";

/// The file of an address; `/` is the page, `/share` the one of share links.
pub(crate) async fn file(uri: Uri, headers: HeaderMap) -> Response {
    let path = match uri.path().trim_start_matches('/') {
        "" => "index.html",
        "share" => SHARE_PAGE,
        path => path,
    };
    let Some(file) = Files::get(path) else { return (StatusCode::NOT_FOUND, "there is nothing here").into_response() };
    if path == SHARE_PAGE {
        // A link's secret stands behind `#`, which is sent to nobody; what knows of it is kept nowhere all the same.
        let headers =
            [(CACHE_CONTROL, "no-store"), (REFERRER_POLICY, "no-referrer"), (CONTENT_TYPE, "text/html; charset=utf-8")];
        return (headers, file.data.into_owned()).into_response();
    }
    let mut tag = String::from("\"");
    file.metadata.sha256_hash()[..16].iter().for_each(|b| write!(tag, "{b:02x}").expect("a String grows as needed"));
    tag.push('"');
    // Vite puts a hash of the content into the names under assets/.
    let cache = if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let known = headers.get(IF_NONE_MATCH).is_some_and(|sent| sent.as_bytes() == tag.as_bytes());
    let headers = [(CACHE_CONTROL, cache.to_owned()), (ETAG, tag)];
    if known {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    let media_type = file.metadata.mimetype().to_owned();
    (headers, [(CONTENT_TYPE, media_type)], file.data.into_owned()).into_response()
}
