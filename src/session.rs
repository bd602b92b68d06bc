//! [`Session`]: one set of loaded credentials, and what STS returned with it.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_smithy_runtime_api::client::identity::Identity;

/// The provider name of the credentials, which logs and the SDK's messages show.
const PROVIDER_NAME: &str = "RoleChain";

/// Credentials that a hop loaded.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) credentials: Credentials,
    /// Until when the credentials are used. Credentials without an expiry get one when they are loaded.
    pub(crate) expiry: SystemTime,
    /// The session's ARN, as STS returned it.
    pub(crate) arn: Option<Arc<str>>,
    /// Whether the session comes from a session store, and so may be of any age.
    pub(crate) from_store: bool,
    /// Whether these are source credentials, which may be of any age and may be renewed at any time.
    pub(crate) of_source: bool,
    /// The credentials as the SDK's identity, created once for all calls.
    identity: Arc<OnceLock<Identity>>,
}

impl Session {
    /// Creates a session from credentials that the source's provider returned.
    pub(crate) fn of_source(credentials: Credentials, expiry: SystemTime) -> Self {
        Self {
            credentials,
            expiry,
            arn: None,
            from_store: false,
            of_source: true,
            identity: Arc::default(),
        }
    }

    /// Creates a session from temporary credentials.
    pub(crate) fn new(
        access_key_id: impl Into<String>,
        secret_access_key: impl Into<String>,
        session_token: impl Into<String>,
        expiry: SystemTime,
        account: Option<&str>,
        arn: Option<Arc<str>>,
    ) -> Self {
        let mut credentials = Credentials::builder()
            .access_key_id(access_key_id)
            .secret_access_key(secret_access_key)
            .session_token(session_token)
            .expiry(expiry)
            .provider_name(PROVIDER_NAME);
        credentials.set_account_id(account.map(Into::into));
        Self {
            arn,
            of_source: false,
            ..Self::of_source(credentials.build(), expiry)
        }
    }

    /// The credentials as the SDK's identity.
    pub(crate) fn identity(&self) -> Identity {
        let identity = self
            .identity
            .get_or_init(|| self.credentials.clone().into());
        identity.clone()
    }

    /// The remaining lifetime of the credentials; `Duration::MAX` if they have no expiry of their own.
    pub(crate) fn time_left(&self, now: SystemTime) -> Duration {
        let expiry = self.credentials.expiry();
        expiry.map_or(Duration::MAX, |expiry| {
            expiry.duration_since(now).unwrap_or_default()
        })
    }

    /// The access key ID, which is not a secret.
    pub(crate) fn access_key_id(&self) -> &str {
        self.credentials.access_key_id()
    }
}

/// Returns whether credentials can be sent: an HTTP header contains the access key ID and the session token. The SDK's
/// signer panics if the ID, perhaps read from a file, ends with a line break.
pub(crate) fn is_sendable(credentials: &Credentials) -> bool {
    let token = credentials.session_token().unwrap_or_default();
    let mut chars = credentials.access_key_id().chars().chain(token.chars());
    !chars.any(char::is_control)
}
