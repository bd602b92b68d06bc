//! [`HiddenBody`]: keeps the parameters of a call out of the SDK's log, wherever that goes.

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextMut;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;

/// At TRACE the SDK logs each request that it sends. What it shows of the body (the external ID, the MFA code, the
/// token) depends on how its own interceptors have wrapped that; this one leaves nothing to show.
#[derive(Debug)]
pub(super) struct HiddenBody;

impl Intercept for HiddenBody {
    fn name(&self) -> &'static str {
        "hidden body of a call to STS"
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
}

/// Returns the same body, whose `Debug` shows nothing of it. HTTP clients may read, clone and send it as before.
fn hidden(body: SdkBody) -> SdkBody {
    body.map_preserve_contents(SdkBody::from_body_1_x)
}

#[cfg(test)]
mod tests {
    use aws_smithy_types::byte_stream::ByteStream;

    use super::*;

    #[tokio::test]
    async fn a_hidden_body_is_the_same_for_all_but_debug() {
        let plain = SdkBody::from("ExternalId=c0ffee");
        assert!(format!("{plain:?}").contains("c0ffee"));
        let body = hidden(plain);
        assert!(!format!("{body:?} {body:#?}").contains("c0ffee"));
        assert_eq!(body.content_length(), Some(17));
        assert_eq!(body.bytes(), Some(&b"ExternalId=c0ffee"[..]));
        let again = body.try_clone().unwrap();
        for body in [body, again] {
            let sent = ByteStream::new(body).collect().await.unwrap();
            assert_eq!(sent.to_vec(), b"ExternalId=c0ffee");
        }
    }
}
