//! GetCallerIdentity, which is only called by a diagnosis.

use aws_credential_types::Credentials;

use super::{CallOptions, Sts, unusable};
use crate::error::Error;
use crate::request::RequestSummary;

impl Sts {
    /// Returns the ARN and the account that `signer` belongs to. `summary` is that of the hop or source whose
    /// credentials these are.
    pub(crate) async fn get_caller_identity(
        &self,
        summary: &RequestSummary<'_>,
        signer: &Credentials,
    ) -> Result<(String, String), Error> {
        let call = self.client().get_caller_identity();
        let call = |config| call.clone().customize().config_override(config).send();
        let options = CallOptions {
            mfa_code: None,
            no_retries: false,
            has_waiter: true,
        };
        let answer = self.send(summary, Some(signer), [], &options, call).await?;
        let identity = answer.arn.zip(answer.account);
        identity.ok_or_else(|| unusable(summary, "STS returned no ARN"))
    }
}
