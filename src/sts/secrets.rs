//! [`Secrets`] keeps the secrets of a call out of the SDK's log, wherever that goes, and out of STS's error responses.

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
/// At TRACE the SDK logs each request that it sends, and what it parses from each response. When STS rejects a call,
/// its message may repeat what it was sent.
#[derive(Clone)]
pub(super) struct Secrets(Arc<[String]>);

/// The fixed parts of STS's error responses.
const ERROR_RESPONSE: &str = r#"
<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <Error><Type>Sender</Type><Type>Receiver</Type><Code></Code><Message></Message></Error><RequestId></RequestId>
</ErrorResponse> &amp; &lt; &gt; &quot; &apos; &#34; &#39; &#xA; &#xD;"#;

impl Secrets {
    /// Takes the secrets of a call. A secret that is part of the fixed text of error responses, such as these `words`,
    /// is not masked: stars in place of known words would reveal it, and would change what the response means.
    pub(super) fn new<'a, 'b>(
        secrets: impl IntoIterator<Item = &'a str>,
        words: impl IntoIterator<Item = &'b str>,
    ) -> Self {
        let words: Vec<&'b str> = words.into_iter().chain([ERROR_RESPONSE]).collect();
        let is_said = |secret: &str| words.iter().any(|word| word.contains(secret));
        let secrets = secrets.into_iter().filter(|secret| !is_said(secret));
        Self(secrets.map(str::to_owned).collect())
    }

    /// Replaces each byte of a secret with a star.
    pub(super) fn mask(&self, text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        self.mask_bytes(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Masks secrets, both plain and with the escapes of forms and XML.
    fn mask_bytes(&self, bytes: &mut [u8]) {
        let mut text = bytes.to_vec();
        // The position in `bytes` of each byte of `text`, and of its end.
        let mut positions: Vec<usize> = (0..=text.len()).collect();
        // A response repeats what the request contained, escaped at most three times.
        for _ in 0..4 {
            for secret in self.0.iter().map(String::as_bytes) {
                let windows = text.windows(secret.len()).enumerate();
                for (at, _) in windows.filter(|(_, window)| *window == secret) {
                    bytes[positions[at]..positions[at + secret.len()]].fill(b'*');
                }
            }
            let (decoded, begins) = decode(&text);
            text = decoded;
            positions = begins.into_iter().map(|at| positions[at]).collect();
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
        // Nothing is masked in a success response: a new session may contain a short secret by chance.
        let secrets = if response.status().is_success() {
            Self(Arc::default())
        } else {
            self.clone()
        };
        let body = std::mem::replace(response.body_mut(), SdkBody::taken());
        *response.body_mut() = masked(body, secrets);
        Ok(())
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets")
    }
}

/// Returns the same body with a `Debug` that does not show its content. HTTP clients can read, clone and send it as
/// before.
fn hidden(body: SdkBody) -> SdkBody {
    body.map_preserve_contents(SdkBody::from_body_1_x)
}

/// Returns the body of a response with these secrets masked, and an error in place of one that is too long.
fn masked(body: SdkBody, secrets: Secrets) -> SdkBody {
    SdkBody::from_body_1_x(MaskedBody {
        inner: body,
        secrets,
        read: Some(Vec::new()),
    })
}

/// The maximum size of a response in bytes. STS's have a few thousand, but another server's may be endless, and the
/// whole response is kept in memory.
const MAX_RESPONSE: usize = 1 << 20;

struct MaskedBody {
    inner: SdkBody,
    secrets: Secrets,
    /// The bytes read so far; `None` once they have been returned.
    read: Option<Vec<u8>>,
}

impl Body for MaskedBody {
    type Data = <SdkBody as Body>::Data;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Error>>> {
        let body = self.get_mut();
        while let Some(read) = &mut body.read {
            match ready!(Pin::new(&mut body.inner).poll_frame(context)) {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        read.extend_from_slice(&data);
                    }
                    if read.len() > MAX_RESPONSE {
                        return Poll::Ready(Some(Err("the response is too long".into())));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    let mut read = std::mem::take(read);
                    body.secrets.mask_bytes(&mut read);
                    body.read = None;
                    return Poll::Ready(Some(Ok(Frame::data(read.into()))));
                }
            }
        }
        Poll::Ready(None)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Decodes the escapes of forms and XML. Also returns the position in `text` of each decoded byte, and of the end.
fn decode(text: &[u8]) -> (Vec<u8>, Vec<usize>) {
    let (mut decoded, mut begins) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < text.len() {
        let (byte, len) = escaped(&text[at..]).unwrap_or((text[at], 1));
        decoded.push(byte);
        begins.push(at);
        at += len;
    }
    begins.push(at);
    (decoded, begins)
}

/// The byte that an escape at the start of the text stands for, such as `%2F`, `&amp;`, `&#47;` or `&#x2F;`, and the
/// length of the escape.
fn escaped(text: &[u8]) -> Option<(u8, usize)> {
    match text {
        [b'%', digits @ ..] => {
            let digits = std::str::from_utf8(digits.get(..2)?).ok()?;
            Some((u8::from_str_radix(digits, 16).ok()?, 3))
        }
        [b'&', rest @ ..] => {
            let len = rest.iter().take(8).position(|byte| *byte == b';')?;
            let byte = match &rest[..len] {
                b"amp" => b'&',
                b"lt" => b'<',
                b"gt" => b'>',
                b"quot" => b'"',
                b"apos" => b'\'',
                [b'#', b'x' | b'X', digits @ ..] => {
                    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?
                }
                [b'#', digits @ ..] => std::str::from_utf8(digits).ok()?.parse().ok()?,
                _ => return None,
            };
            Some((byte, len + 2))
        }
        _ => None,
    }
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
        let secrets = Secrets::new(["b/c", "a&b/c", "", "918273", "<\"'>"], []);
        let text = "a&b/c a%26b%2Fc a&amp;b/c a&#38;b&#x2F;c a%26amp%3bb%2fc &lt;&quot;&apos;&gt; \
                    918273918273 rest";
        let body = masked(SdkBody::from(text), secrets.clone());
        assert_eq!(body.content_length(), Some(text.len() as u64));
        let masked = read(body).await;
        let stars = [
            "a&b/c",
            "a%26b%2Fc",
            "a&amp;b/c",
            "a&#38;b&#x2F;c",
            "a%26amp%3bb%2fc",
            "&lt;&quot;&apos;&gt;",
        ]
        .map(|form| "*".repeat(form.len()));
        assert_eq!(masked, format!("{} ************ rest", stars.join(" ")));
        assert_eq!(format!("{secrets:?}"), "Secrets");
    }

    #[tokio::test]
    async fn a_body_without_an_end_is_not_kept_in_memory() {
        let read = async |len| {
            let body = masked(SdkBody::from("x".repeat(len)), Secrets::new([], []));
            ByteStream::new(body).collect().await
        };
        let whole = read(MAX_RESPONSE).await.unwrap();
        assert_eq!(whole.to_vec().len(), MAX_RESPONSE);
        assert!(read(MAX_RESPONSE + 1).await.is_err());
    }

    #[test]
    fn what_is_escaped_again_and_again_does_not_keep_the_thread() {
        let text = "%25".to_owned() + &"25".repeat(MAX_RESPONSE / 2);
        assert_eq!(Secrets::new(["a&b/c"], []).mask(&text), text);
    }

    #[test]
    fn what_is_not_escaped_is_read_as_it_is() {
        for text in [
            "%",
            "%2",
            "100%",
            "%zz",
            "&",
            "&;",
            "&x;",
            "&#;",
            "&#x;",
            "&#999;",
            "a&b",
            "ä&ö;%ü",
        ] {
            assert_eq!(decode(text.as_bytes()).0, text.as_bytes(), "{text}");
        }
    }

    #[test]
    fn what_errors_say_anyway_is_not_masked() {
        let secrets = Secrets::new(
            ["de", "Code", "sts", "Hub", "2222", "Error<", "j"],
            ["role/Hub22222"],
        );
        let text = "<Code>de</Code> sts Hub 2222 Error< Error j";
        assert_eq!(
            secrets.mask(text),
            "<Code>de</Code> sts Hub 2222 ****** Error *"
        );
    }
}
