//! HTTP requests from text: whole requests, or only a JSON body, or only a query.

use crate::protocol::{Fault, HttpRequest};
use crate::readers::malformed;

/// More headers than any tracker or app sends.
const MAX_HEADERS: usize = 64;

/// A request taken from bytes.
pub(super) struct Request<'a> {
    method: &'a str,
    uri: String,
    headers: Vec<(&'a str, &'a str)>,
    body: &'a [u8],
}

impl Request<'_> {
    pub(super) fn with<T>(&self, look: impl FnOnce(&HttpRequest<'_>) -> T) -> T {
        look(&HttpRequest { method: self.method, uri: &self.uri, headers: &self.headers, body: self.body })
    }
}

/// Takes the next request off the front of `bytes`.
pub(super) fn next<'a>(bytes: &mut &'a [u8]) -> Result<Request<'a>, Fault> {
    let all = bytes.trim_ascii_start();
    if all.starts_with(b"{") || all.starts_with(b"[") {
        *bytes = &[];
        return Ok(Request { method: "POST", uri: "/".into(), headers: vec![("Content-Type", "application/json")], body: all });
    }
    let first_line = all.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if !first_line.windows(5).any(|part| part == b"HTTP/") {
        *bytes = &[];
        let query = std::str::from_utf8(all).map_err(|_| malformed("neither a request nor JSON nor a query"))?.trim();
        let query = query.trim_start_matches('/').trim_start_matches('?');
        return Ok(Request { method: "GET", uri: format!("/?{query}"), headers: Vec::new(), body: &[] });
    }

    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let head = match request.parse(all) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) => return Err(malformed("the head of the request is not whole")),
        Err(error) => return Err(malformed(error)),
    };
    let headers: Vec<(&str, &str)> =
        request.headers.iter().filter_map(|header| Some((header.name, std::str::from_utf8(header.value).ok()?))).collect();
    let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = match length {
        Some((_, value)) => value.trim().parse().map_err(|_| malformed("the length of the body is no number"))?,
        None => 0,
    };
    let Some((body, rest)) = all[head..].split_at_checked(length) else {
        return Err(malformed(format_args!("the body has {} bytes, not {length}", all.len() - head)));
    };
    *bytes = rest;
    Ok(Request { method: request.method.unwrap_or_default(), uri: request.path.unwrap_or_default().to_owned(), headers, body })
}
