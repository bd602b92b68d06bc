//! Bodies: reads request bodies up to a size and a time limit; sends response bodies, which a fault may cut off.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{Response, StatusCode, header};

/// STS's own limit.
const MAX_BODY: usize = 10_000_000;
/// S3 accepts objects of up to 5 GB in one request; tests use smaller ones.
const MAX_S3_BODY: usize = 128 * 1024 * 1024;
/// How long a client may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// A request that is rejected before the simulator gets it, with only a status, like AWS's front end does.
#[derive(Debug)]
pub(super) struct Refused(pub(super) StatusCode);

impl Refused {
    pub(super) fn into_response(self) -> Response<AnswerBody> {
        let mut response = Response::new(SdkBody::empty().into());
        *response.status_mut() = self.0;
        // The rest of the request is not read.
        let close = header::HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
        response
    }
}

pub(super) async fn read(parts: &Parts, body: Incoming) -> Result<Bytes, Refused> {
    let authorization = parts.headers.get(header::AUTHORIZATION);
    let is_s3 = authorization
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("/s3/aws4_request"));
    let max = if is_s3 { MAX_S3_BODY } else { MAX_BODY };
    let too_large = || Refused(StatusCode::PAYLOAD_TOO_LARGE);
    let announced = parts.headers.get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    // Lets a client that waits for "100 Continue" fail before it sends the body.
    if announced.is_some_and(|length| length > max as u64) {
        return Err(too_large());
    }
    match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, max).collect()).await {
        Err(_) => Err(Refused(StatusCode::REQUEST_TIMEOUT)),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Refused(StatusCode::BAD_REQUEST)),
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
    }
}

type BodyError = <SdkBody as Body>::Error;

/// The body of a response. If it fails, because a fault says so, everything before the failure is sent.
pub(super) struct AnswerBody {
    body: SdkBody,
    broken: Option<BodyError>,
}

impl From<SdkBody> for AnswerBody {
    fn from(body: SdkBody) -> Self {
        Self { body, broken: None }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Err(error))) => {
                // hyper discards unsent data when a body fails, but sends it while a body is pending. So fail one poll
                // later.
                self.broken = Some(error);
                context.waker().wake_by_ref();
                Poll::Pending
            }
            polled => polled,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.broken.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        Body::size_hint(&self.body)
    }
}
