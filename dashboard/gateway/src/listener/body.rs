//! A request's body that has to be here in time: whoever sends it byte by byte would keep a connection for as long as it likes.

use axum::BoxError;
use axum::body::Body;
use hyper::body::{Body as HttpBody, Bytes, Frame, Incoming, SizeHint};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Sleep;

/// The body, or an error once so much time has passed without its end.
pub(super) fn in_time(body: Incoming, limit: Duration) -> Body {
    match body.is_end_stream() {
        true => Body::new(body),
        false => Body::new(Timed { body, late: Box::pin(tokio::time::sleep(limit)) }),
    }
}

struct Timed {
    body: Incoming,
    late: Pin<Box<Sleep>>,
}

impl HttpBody for Timed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx).map_err(BoxError::from);
        if frame.is_pending() && self.late.as_mut().poll(cx).is_ready() {
            let error = io::Error::new(io::ErrorKind::TimedOut, "the body took too long");
            return Poll::Ready(Some(Err(error.into())));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
