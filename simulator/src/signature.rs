//! Who signed a request: its `Authorization` header, checked as AWS does.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

use super::sts::Refusal;
use super::timestamp;
use super::world::{Caller, Owner, World};

/// How far a signature's time may be off.
const CLOCK_SKEW: Duration = Duration::from_secs(15 * 60);

/// Who signed: scope, key, token, expiry, role and signature, in STS's order.
pub(super) fn authenticate(
    world: &World,
    request: &HttpRequest,
    now: SystemTime,
) -> Result<Caller, Refusal> {
    let signed = Signed::read(request).ok_or_else(|| {
        Refusal::new(
            403,
            "MissingAuthenticationToken",
            "Request is missing Authentication Token",
        )
    })?;
    if !signed.is_for(request) {
        return Err(Refusal::new(
            403,
            "SignatureDoesNotMatch",
            "Credential should be scoped to a valid region. ",
        ));
    }
    let invalid = || {
        Refusal::new(
            403,
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
        )
    };
    let key = world.key(&signed.access_key_id).ok_or_else(invalid)?;
    let token = request.headers().get("x-amz-security-token");
    let wanted = match &key.owner {
        Owner::User(_) => None,
        Owner::Session(session) => Some(session),
    };
    if token != wanted.map(|session| session.token.as_str()) {
        return Err(invalid());
    }
    if wanted.is_some_and(|session| session.expiry <= now) {
        return Err(Refusal::new(
            403,
            "ExpiredToken",
            "The security token included in the request is expired",
        ));
    }
    let caller = world.caller(&key.owner, now).ok_or_else(invalid)?;
    signed.check(request, &key.secret, token, now)?;
    Ok(caller)
}

/// What the `Authorization` header says.
pub(super) struct Signed {
    pub(super) access_key_id: String,
    pub(super) region: String,
    pub(super) service: String,
    headers: Vec<String>,
    signature: String,
}

impl Signed {
    /// None where the request is not signed with SigV4.
    pub(super) fn read(request: &HttpRequest) -> Option<Self> {
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

    /// Whether the scope's region is that of the endpoint, as far as its name tells one.
    fn is_for(&self, request: &HttpRequest) -> bool {
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

    fn check(
        &self,
        request: &HttpRequest,
        secret: &str,
        token: Option<&str>,
        now: SystemTime,
    ) -> Result<(), Refusal> {
        let wrong = |message: String| Refusal::new(403, "SignatureDoesNotMatch", message);
        let unsigned = || {
            wrong(
                "The request signature we calculated does not match the signature you provided. \
                 Check your AWS Secret Access Key and signing method. Consult the service \
                 documentation for details."
                    .to_owned(),
            )
        };
        let date = request.headers().get("x-amz-date").unwrap_or_default();
        let signed_at = amz_date(date).ok_or_else(unsigned)?;
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
        match self.calculated(request, secret, token, signed_at) {
            Some(signature) if signature == self.signature => Ok(()),
            _ => Err(unsigned()),
        }
    }

    /// The signature that the holder of `secret` makes; none where the request cannot be signed.
    fn calculated(
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
        // Those that the signer adds itself are not given to it again.
        const ADDED: [&str; 3] = ["x-amz-date", "x-amz-security-token", "x-amz-content-sha256"];
        let headers = request.headers().iter().filter(|(name, _)| {
            self.headers.iter().any(|signed| signed == name) && !ADDED.contains(name)
        });
        let signable = SignableRequest::new(request.method(), request.uri(), headers, body).ok()?;
        let (_, signature) = sign(signable, &parameters).ok()?.into_parts();
        Some(signature)
    }
}

/// `20261122T120000Z`.
fn amz_date(text: &str) -> Option<SystemTime> {
    let part = |range| text.get(range);
    let iso = format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0..4)?,
        part(4..6)?,
        part(6..8)?,
        part(9..11)?,
        part(11..13)?,
        part(13..15)?
    );
    let date = DateTime::from_str(&iso, Format::DateTime).ok()?;
    SystemTime::try_from(date).ok()
}

fn to_amz_date(time: SystemTime) -> String {
    timestamp(time).replace(['-', ':'], "")
}
