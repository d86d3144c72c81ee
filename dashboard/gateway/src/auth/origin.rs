//! Other web sites may not speak for a signed-in browser: exact origins, and a header that only our own page can set.

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// Header that every state-changing request must carry: forms and simple cross-site requests can't.
pub(crate) const CSRF_HEADER: &str = "x-waystream";

/// Origins that may speak to us.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origins {
    /// Exact origins (`https://fleet.example.org`) beside the address that the browser itself asked for; needed behind a
    /// proxy that changes the `Host` header.
    pub(crate) also: Arc<[String]>,
}

impl Origins {
    /// Whether a request with these headers comes from a page of ours, or not from a page at all.
    pub(crate) fn allow(&self, headers: &HeaderMap) -> bool {
        let mut origins = headers.get_all(ORIGIN).iter();
        let Some(origin) = origins.next() else { return true };
        let Ok(origin) = origin.to_str() else { return false };
        if origins.next().is_some() {
            return false;
        }
        if self.also.iter().any(|o| o == origin) {
            return true;
        }
        let Some(host) = headers.get(HOST).and_then(|h| h.to_str().ok()) else { return false };
        let own = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        own == Some(host)
    }
}

/// Refuses requests of other origins (REST and Socket.IO alike), and state-changing REST calls without [`CSRF_HEADER`]. REST calls
/// with an `Authorization` come from programs: no site can make somebody's browser send one, and their cookies say nothing.
pub(crate) async fn require_same_origin(State(origins): State<Origins>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if !path.starts_with("/api/") && !path.starts_with("/socket.io/") {
        return next.run(request).await;
    }
    if path.starts_with("/api/") && request.headers().contains_key(AUTHORIZATION) {
        return next.run(request).await;
    }
    if !origins.allow(request.headers()) {
        return refuse("this origin may not speak to us");
    }
    let safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if !safe && path.starts_with("/api/") && !request.headers().contains_key(CSRF_HEADER) {
        return refuse("header x-waystream is missing");
    }
    next.run(request).await
}

fn refuse(error: &str) -> Response {
    let answer = crate::wire::ErrorAnswer { error: error.to_owned() };
    (StatusCode::FORBIDDEN, axum::Json(answer)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_pages_may_speak() {
        let origins = Origins { also: Arc::new(["https://fleet.example.org".to_owned()]) };
        let check = |origin: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, "127.0.0.1:8080".parse().expect("a header value"));
            if let Some(origin) = origin {
                headers.insert(ORIGIN, origin.parse().expect("a header value"));
            }
            origins.allow(&headers)
        };
        for good in [None, Some("http://127.0.0.1:8080"), Some("https://127.0.0.1:8080"), Some("https://fleet.example.org")] {
            assert!(check(good), "{good:?}");
        }
        for bad in
            ["null", "http://127.0.0.1:8081", "http://evil.example", "https://fleet.example.org.evil.example", "127.0.0.1:8080"]
        {
            assert!(!check(Some(bad)), "{bad}");
        }
    }
}
