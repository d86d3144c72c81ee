//! Headers that tell a browser what our pages may do: nothing but speak to us and show tiles.

use crate::wire::TileSource;
use axum::Router;
use axum::http::header::{
    CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use tower_http::set_header::SetResponseHeaderLayer;

/// Puts them on every answer.
pub(crate) fn secure(router: Router, tiles: Option<&TileSource>, encrypted: bool) -> Router {
    let images = tiles.and_then(|t| source(&t.url)).map_or_else(String::new, |source| format!(" {source}"));
    // Leaflet places its panes by style attributes.
    let policy = format!(
        "default-src 'self'; img-src 'self' data: blob:{images}; style-src 'self' 'unsafe-inline'; worker-src 'self' blob:; \
         object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    );
    let policy = HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'self'"));
    let fixed: [(HeaderName, &'static str); 3] = [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    // Tile servers ask for a referrer; they get our origin and nothing else. Answers that say less may.
    let referrer = HeaderValue::from_static("strict-origin-when-cross-origin");
    let mut router = router
        .layer(SetResponseHeaderLayer::overriding(CONTENT_SECURITY_POLICY, policy))
        .layer(SetResponseHeaderLayer::if_not_present(REFERRER_POLICY, referrer));
    for (name, value) in fixed {
        router = router.layer(SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value)));
    }
    if encrypted {
        // Not for subdomains: they may be somebody else's.
        let year = HeaderValue::from_static("max-age=31536000");
        router = router.layer(SetResponseHeaderLayer::overriding(STRICT_TRANSPORT_SECURITY, year));
    }
    router
}

/// The source expression of a tile address: `https://{s}.example.org/{z}…` is `https://*.example.org`.
fn source(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split('/').next()?.replace("{s}", "*");
    let harmless = |c: char| c.is_ascii_alphanumeric() || "-.:*".contains(c);
    (matches!(scheme, "http" | "https") && !host.is_empty() && host.chars().all(harmless)).then(|| format!("{scheme}://{host}"))
}

#[cfg(test)]
mod tests {
    use super::source;

    #[test]
    fn tiles_come_from_their_host_only() {
        assert_eq!(source("https://{s}.tile.example.org/{z}/{x}/{y}.png").as_deref(), Some("https://*.tile.example.org"));
        assert_eq!(source("http://127.0.0.1:7000/{z}/{x}/{y}").as_deref(), Some("http://127.0.0.1:7000"));
        assert_eq!(source("https://a.example; script-src *"), None);
        assert_eq!(source("/tiles/{z}/{x}/{y}"), None);
    }
}
