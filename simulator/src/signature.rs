//! Signature Version 4: who signed a request, and whether the signature is valid.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use time::OffsetDateTime;
use time::format_description::well_known::Iso8601;

use crate::clock::timestamp;
use crate::iam::{Accounts, Arrival, Caller, KeyOwner};
use crate::protocol::ErrorResponse;

/// How much the time of a signature may differ from the simulator's.
const CLOCK_SKEW: Duration = Duration::from_secs(15 * 60);

/// Authenticates a request: checks the scope of the signature, the key, the session token, its expiry, the
/// user or role, and the signature, in the order of STS.
pub(crate) fn authenticate(
    accounts: &Accounts,
    request: &HttpRequest,
    now: SystemTime,
) -> Result<Caller, ErrorResponse> {
    let authorization = Authorization::read(request).ok_or_else(|| {
        ErrorResponse::new(
            403,
            "MissingAuthenticationToken",
            "Request is missing Authentication Token",
        )
    })?;
    if !authorization.is_scoped_to_endpoint_of(request) {
        return Err(ErrorResponse::new(
            403,
            "SignatureDoesNotMatch",
            "Credential should be scoped to a valid region. ",
        ));
    }
    let invalid = || {
        ErrorResponse::new(
            403,
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
        )
    };
    let key = accounts
        .key(&authorization.access_key_id)
        .ok_or_else(invalid)?;
    let token = request.headers().get("x-amz-security-token");
    let session = match &key.owner {
        KeyOwner::User(_) => None,
        KeyOwner::Session(session) => Some(session),
    };
    if token != session.map(|session| session.token.as_str()) {
        return Err(invalid());
    }
    if session.is_some_and(|session| session.expiry <= now) {
        return Err(ErrorResponse::new(
            403,
            "ExpiredToken",
            "The security token included in the request is expired",
        ));
    }
    let arrival = Arrival::of(request, Some(&authorization.region), now);
    let caller = accounts.caller(&key.owner, arrival).ok_or_else(invalid)?;
    authorization.verify(request, &key.secret, token, now)?;
    Ok(caller)
}

/// The `Authorization` header of a request.
pub(crate) struct Authorization {
    pub(crate) access_key_id: String,
    pub(crate) region: String,
    pub(crate) service: String,
    headers: Vec<String>,
    signature: String,
}

impl Authorization {
    /// Reads the header; `None` if the request is not signed with Signature Version 4.
    pub(crate) fn read(request: &HttpRequest) -> Option<Self> {
        let header = request.headers().get("authorization")?;
        let fields = header.strip_prefix("AWS4-HMAC-SHA256 ")?;
        let field = |name: &str| {
            let mut fields = fields.split(',').map(str::trim);
            fields.find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
        };
        let mut scope = field("Credential")?.split('/');
        Some(Self {
            access_key_id: scope.next()?.to_owned(),
            // After the date.
            region: scope.nth(1)?.to_owned(),
            service: scope.next()?.to_owned(),
            headers: field("SignedHeaders")?
                .split(';')
                .map(str::to_owned)
                .collect(),
            signature: field("Signature")?.to_owned(),
        })
    }

    /// Whether the region in the scope is that of the endpoint. Hosts other than STS's own, such as a local
    /// server, have no region and fit any.
    fn is_scoped_to_endpoint_of(&self, request: &HttpRequest) -> bool {
        let host = request.uri().split('/').nth(2).unwrap_or_default();
        let Some(rest) = host
            .strip_prefix("sts.")
            .or_else(|| host.strip_prefix("sts-fips."))
        else {
            return true;
        };
        match rest.split('.').next() {
            Some("amazonaws") => self.region == "us-east-1",
            Some(region) => self.region == region,
            None => true,
        }
    }

    /// Checks the time and the signature.
    fn verify(
        &self,
        request: &HttpRequest,
        secret: &str,
        token: Option<&str>,
        now: SystemTime,
    ) -> Result<(), ErrorResponse> {
        let wrong = |message: String| ErrorResponse::new(403, "SignatureDoesNotMatch", message);
        let mismatch = || {
            wrong(
                "The request signature we calculated does not match the signature you provided. \
                 Check your AWS Secret Access Key and signing method. Consult the service \
                 documentation for details."
                    .to_owned(),
            )
        };
        let date = request.headers().get("x-amz-date").unwrap_or_default();
        let signed_at = amz_date(date).ok_or_else(mismatch)?;
        if now
            .duration_since(signed_at)
            .is_ok_and(|late| late > CLOCK_SKEW)
        {
            let (earliest, now) = (to_amz_date(now - CLOCK_SKEW), to_amz_date(now));
            return Err(wrong(format!(
                "Signature expired: {date} is now earlier than {earliest} ({now} - 15 min.)"
            )));
        }
        if signed_at
            .duration_since(now)
            .is_ok_and(|early| early > CLOCK_SKEW)
        {
            let (latest, now) = (to_amz_date(now + CLOCK_SKEW), to_amz_date(now));
            return Err(wrong(format!(
                "Signature not yet current: {date} is still later than {latest} ({now} + 15 min.)"
            )));
        }
        match self.expected_signature(request, secret, token, signed_at) {
            Some(signature) if signature == self.signature => Ok(()),
            _ => Err(mismatch()),
        }
    }

    /// Returns the signature that the owner of `secret` makes; `None` if the request cannot be signed.
    fn expected_signature(
        &self,
        request: &HttpRequest,
        secret: &str,
        token: Option<&str>,
        signed_at: SystemTime,
    ) -> Option<String> {
        let mut settings = SigningSettings::default();
        if self.service == "s3" {
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        }
        let hashed = request.headers().get("x-amz-content-sha256");
        let body = match hashed {
            None => SignableBody::Bytes(request.body().bytes()?),
            Some("UNSIGNED-PAYLOAD") => SignableBody::UnsignedPayload,
            Some("STREAMING-UNSIGNED-PAYLOAD-TRAILER") => {
                SignableBody::StreamingUnsignedPayloadTrailer
            }
            Some(_) => SignableBody::Bytes(request.body().bytes()?),
        };
        if hashed.is_some() {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        let identity: Identity = Credentials::new(
            &*self.access_key_id,
            secret,
            token.map(str::to_owned),
            None,
            "Simulator",
        )
        .into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(&self.service)
            .time(signed_at)
            .settings(settings)
            .build()
            .ok()?
            .into();
        // The signer adds these headers itself.
        const ADDED: [&str; 3] = ["x-amz-date", "x-amz-security-token", "x-amz-content-sha256"];
        let headers = request.headers().iter().filter(|(name, _)| {
            self.headers.iter().any(|signed| signed == name) && !ADDED.contains(name)
        });
        let signable = SignableRequest::new(request.method(), request.uri(), headers, body).ok()?;
        let (_, signature) = sign(signable, &parameters).ok()?.into_parts();
        Some(signature)
    }
}

/// Reads `20261122T120000Z`.
fn amz_date(text: &str) -> Option<SystemTime> {
    let date = OffsetDateTime::parse(text, &Iso8601::PARSING).ok()?;
    Some(date.into())
}

/// Formats as `20261122T120000Z`.
fn to_amz_date(time: SystemTime) -> String {
    timestamp(time).replace(['-', ':'], "")
}
