//! [`Secrets`]: keeps those of a call out of the SDK's log, wherever that goes, and out of what STS says.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeDeserializationInterceptorContextMut, BeforeTransmitInterceptorContextMut,
};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::{Error, SdkBody};
use aws_smithy_types::config_bag::ConfigBag;
use http_body::{Body, Frame, SizeHint};

/// The secrets of a call: those that it sends, and those that sign it.
///
/// At TRACE the SDK logs each request that it sends, and what it makes of each answer. Where STS refuses a call, it may
/// repeat what it was sent.
#[derive(Clone)]
pub(super) struct Secrets(Arc<[String]>);

impl Secrets {
    pub(super) fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let secrets = secrets.into_iter().filter(|secret| !secret.is_empty());
        Self(secrets.map(str::to_owned).collect())
    }

    /// Puts stars in the place of secrets, one for each byte.
    pub(super) fn mask(&self, text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        self.mask_bytes(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Masks them as they are, and as requests and answers have them.
    fn mask_bytes(&self, bytes: &mut [u8]) {
        let forms = |secret: &String| [secret.clone(), form_encoded(secret), xml_escaped(secret)];
        let mut forms: Vec<String> = self.0.iter().flat_map(forms).collect();
        // One may be part of another.
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        for form in forms {
            let mut rest = &mut *bytes;
            let is_form = |part: &[u8]| part == form.as_bytes();
            while let Some(at) = rest.windows(form.len()).position(is_form) {
                let (masked, after) = rest[at..].split_at_mut(form.len());
                masked.fill(b'*');
                rest = after;
            }
        }
    }
}

impl Intercept for Secrets {
    fn name(&self) -> &'static str {
        "secrets of a call to STS"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.request_mut().body_mut();
        *body = hidden(std::mem::replace(body, SdkBody::taken()));
        Ok(())
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response_mut();
        if !response.status().is_success() {
            let body = std::mem::replace(response.body_mut(), SdkBody::taken());
            *response.body_mut() = SdkBody::from_body_1_x(MaskedBody {
                inner: body,
                secrets: self.clone(),
                read: Vec::new(),
                is_read: false,
            });
        }
        Ok(())
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets")
    }
}

/// Returns the same body, whose `Debug` shows nothing of it. HTTP clients may read, clone and send it as before.
fn hidden(body: SdkBody) -> SdkBody {
    body.map_preserve_contents(SdkBody::from_body_1_x)
}

/// The body of an answer, without secrets.
struct MaskedBody {
    inner: SdkBody,
    secrets: Secrets,
    read: Vec<u8>,
    is_read: bool,
}

impl Body for MaskedBody {
    type Data = <SdkBody as Body>::Data;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Error>>> {
        let body = self.get_mut();
        while !body.is_read {
            match ready!(Pin::new(&mut body.inner).poll_frame(context)) {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        body.read.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    body.is_read = true;
                    let mut read = std::mem::take(&mut body.read);
                    body.secrets.mask_bytes(&mut read);
                    return Poll::Ready(Some(Ok(Frame::data(read.into()))));
                }
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.is_read
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The text as the body of a request contains it.
fn form_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(byte.into());
        } else {
            encoded += &format!("%{byte:02X}");
        }
    }
    encoded
}

/// The text as the body of an answer contains it.
fn xml_escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use aws_smithy_types::byte_stream::ByteStream;

    use super::*;

    async fn read(body: SdkBody) -> String {
        let read = ByteStream::new(body).collect().await.unwrap();
        String::from_utf8(read.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_hidden_body_is_the_same_for_all_but_debug() {
        let plain = SdkBody::from("ExternalId=c0ffee");
        assert!(format!("{plain:?}").contains("c0ffee"));
        let body = hidden(plain);
        assert!(!format!("{body:?} {body:#?}").contains("c0ffee"));
        assert_eq!(body.content_length(), Some(17));
        assert_eq!(body.bytes(), Some(&b"ExternalId=c0ffee"[..]));
        let again = body.try_clone().unwrap();
        assert_eq!(read(body).await, "ExternalId=c0ffee");
        assert_eq!(read(again).await, "ExternalId=c0ffee");
    }

    #[tokio::test]
    async fn a_masked_body_has_the_same_length_and_no_secret_in_any_form() {
        let secrets = Secrets::new(["b/c", "a&b/c", "", "918273"]);
        let text = "a&b/c a%26b%2Fc a&amp;b/c 918273918273 rest";
        let body = SdkBody::from_body_1_x(MaskedBody {
            inner: SdkBody::from(text),
            secrets: secrets.clone(),
            read: Vec::new(),
            is_read: false,
        });
        assert_eq!(body.content_length(), Some(text.len() as u64));
        let masked = read(body).await;
        assert_eq!(masked, "***** ********* ********* ************ rest");
        assert_eq!(masked.len(), text.len());
        assert_eq!(format!("{secrets:?}"), "Secrets");
    }
}
