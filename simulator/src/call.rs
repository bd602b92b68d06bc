//! [`Call`]: a request that STS received.

use std::fmt;
use std::time::Duration;

use crate::policy::Explanation;
use crate::protocol::Parameters;

/// A request that STS received; see [`Simulator::calls`](crate::Simulator::calls).
///
/// `Debug` omits parameters that may be secret, such as the external ID.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let aws = sts_simulator::Simulator::new();
/// let keys = aws.user("arn:aws:iam::111111111111:user/orders").create()?;
/// let sts = aws_sdk_sts::Client::new(&aws.sdk_config(keys));
/// sts.get_session_token().duration_seconds(900).send().await?;
///
/// let calls = aws.calls();
/// assert_eq!(calls[0].action, "GetSessionToken");
/// assert_eq!(calls[0].host, "sts.eu-west-1.amazonaws.com");
/// assert_eq!(calls[0].parameter("DurationSeconds"), Some("900"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct Call {
    /// The operation: `AssumeRole`, `GetCallerIdentity`, ….
    pub action: String,
    /// The parameter `RoleArn`, if sent.
    pub role_arn: Option<String>,
    /// The parameter `RoleSessionName`, if sent.
    pub session_name: Option<String>,
    /// The parameter `DurationSeconds`, if sent.
    pub duration_seconds: Option<String>,
    /// The host that the request was sent to, such as `sts.eu-west-1.amazonaws.com`.
    pub host: String,
    /// The region in the signature; `None` if the request is not signed.
    pub region: Option<String>,
    /// The access key ID in the signature; `None` if the request is not signed.
    pub access_key_id: Option<String>,
    /// The time of arrival, since the simulator was created.
    pub at: Duration,
    pub(crate) parameters: Parameters,
    pub(crate) decisions: Vec<Explanation>,
}

impl Call {
    /// Returns a parameter by its name in the request: `ExternalId`, `Tags.member.1.Key`, ….
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.first(name)
    }

    /// Returns the decisions on the actions that the call needs, and why they were made, up to the first action that is
    /// denied. For AssumeRole, the actions are `sts:SetSourceIdentity`, `sts:TagSession`, `sts:SetContext` and
    /// `sts:AssumeRole`. Empty if no policy was evaluated: the call needs no permission, or its error says that it was
    /// malformed or not authenticated.
    pub fn decisions(&self) -> &[Explanation] {
        &self.decisions
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("action", &self.action)
            .field("role_arn", &self.role_arn)
            .field("session_name", &self.session_name)
            .field("duration_seconds", &self.duration_seconds)
            .field("host", &self.host)
            .field("region", &self.region)
            .field("access_key_id", &self.access_key_id)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}
