//! A response body that is cut off.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body::{Body, Frame};

/// Returns a body that ends with an error after `start`.
pub(crate) fn truncated_body(start: &[u8]) -> SdkBody {
    SdkBody::from_body_1_x(TruncatedBody(Some(Bytes::copy_from_slice(start))))
}

struct TruncatedBody(Option<Bytes>);

impl Body for TruncatedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(Some(match self.0.take() {
            Some(start) => Ok(Frame::data(start)),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }))
    }
}
