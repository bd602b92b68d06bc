//! Signature Version 4, in the header `Authorization` or in the query of a presigned URL: identifies the signer of a
//! request and verifies the signature.
//!
//! The signature is calculated from the request as it arrived, without the SDK's signer, which decides by itself which
//! headers to sign and how to write the URL.

use std::time::{Duration, SystemTime};

use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Iso8601;

use crate::arn;
use crate::clock::timestamp;
use crate::endpoint::{StsEndpoint, host_of, is_opt_in, path_of};
use crate::iam::{Accounts, Arrival, Caller};
use crate::protocol::{ErrorResponse, query_of};

/// How much the time of a signature may differ from the simulator's time. STS ignores `X-Amz-Expires`, so presigned
/// requests are valid for the same time. Those to S3 are valid for as long as they say.
const CLOCK_SKEW: Duration = Duration::from_secs(15 * 60);

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Authenticates a request. Checks, in STS's order: the scope of the signature, the key, the session token and its
/// expiry, the user or role, and the signature.
pub(crate) fn authenticate(
    accounts: &Accounts,
    request: &HttpRequest,
    now: SystemTime,
) -> Result<Caller, ErrorResponse> {
    let authorization = Authorization::read(request).ok_or_else(|| {
        if is_signed_with_4a(request) {
            let message = "the simulator does not support Signature Version 4A";
            return ErrorResponse::new(501, "NotSimulated", message);
        }
        ErrorResponse::new(
            403,
            "MissingAuthenticationToken",
            "Request is missing Authentication Token",
        )
    })?;
    authorization.check_is_complete()?;
    let endpoint = StsEndpoint::at(host_of(request.uri()));
    authorization.check_scope(endpoint.as_ref())?;
    let invalid = || {
        ErrorResponse::new(
            403,
            "InvalidClientTokenId",
            "The security token included in the request is invalid.",
        )
    };
    let key = accounts
        .key(&authorization.access_key_id)
        .filter(|key| key.is_active)
        .ok_or_else(invalid)?;
    let token = authorization.token.as_deref();
    let session = key.owner.session();
    if token != session.map(|session| session.token.as_str()) {
        return Err(invalid());
    }
    // Tokens from the global endpoint ("version 1") are not valid in opt-in regions.
    if session.is_some_and(|session| session.is_from_global_endpoint)
        && is_opt_in(&authorization.region)
    {
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
    // A partition does not know the keys of other partitions.
    if endpoint.is_some_and(|endpoint| endpoint.partition != arn::partition_of(caller.arn())) {
        return Err(invalid());
    }
    authorization.verify(request, &key.secret, now)?;
    Ok(caller)
}

/// The parts of a request's signature. Missing parts are empty.
pub(crate) struct Authorization {
    pub(crate) access_key_id: String,
    /// The date in the scope: `20261122`.
    scope_date: String,
    pub(crate) region: String,
    pub(crate) service: String,
    signed_headers: Vec<String>,
    signature: String,
    /// The time of the signature: `20261122T120000Z`.
    date: String,
    token: Option<String>,
    is_presigned: bool,
    /// `X-Amz-Expires` of a presigned request.
    expires: Option<String>,
}

impl Authorization {
    /// Reads the signature; `None` unless the request is signed with Signature Version 4.
    pub(crate) fn read(request: &HttpRequest) -> Option<Self> {
        match request.headers().get("authorization") {
            Some(header) => Self::from_header(request, header),
            None => Self::from_query(request),
        }
    }

    fn from_header(request: &HttpRequest, header: &str) -> Option<Self> {
        let fields = header.strip_prefix(ALGORITHM)?;
        let field = |name: &str| {
            let mut fields = fields.split(',').map(str::trim);
            fields.find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
        };
        let headers = request.headers();
        Some(Self {
            signature: field("Signature").unwrap_or_default().to_owned(),
            date: headers
                .get("x-amz-date")
                .map(str::to_owned)
                .or_else(|| from_http_date(headers.get("date")?))
                .unwrap_or_default(),
            token: headers.get("x-amz-security-token").map(str::to_owned),
            is_presigned: false,
            ..Self::from_credential(
                field("Credential").unwrap_or_default(),
                field("SignedHeaders").unwrap_or_default(),
            )
        })
    }

    fn from_query(request: &HttpRequest) -> Option<Self> {
        let query: Vec<_> = form_urlencoded::parse(query_of(request).as_bytes()).collect();
        let field = |name: &str| {
            let mut fields = query.iter();
            fields.find_map(|(field, value)| (field == name).then_some(&**value))
        };
        if field("X-Amz-Algorithm")? != ALGORITHM {
            return None;
        }
        Some(Self {
            signature: field("X-Amz-Signature").unwrap_or_default().to_owned(),
            date: field("X-Amz-Date").unwrap_or_default().to_owned(),
            token: field("X-Amz-Security-Token").map(str::to_owned),
            is_presigned: true,
            expires: field("X-Amz-Expires").map(str::to_owned),
            ..Self::from_credential(
                field("X-Amz-Credential").unwrap_or_default(),
                field("X-Amz-SignedHeaders").unwrap_or_default(),
            )
        })
    }

    /// Reads `<access key id>/<date>/<region>/<service>/aws4_request` and `<header>;<header>`.
    fn from_credential(credential: &str, signed_headers: &str) -> Self {
        let mut scope = credential.split('/').map(str::to_owned);
        let mut next = || scope.next().unwrap_or_default();
        Self {
            access_key_id: next(),
            scope_date: next(),
            region: next(),
            service: next(),
            signed_headers: signed_headers.split(';').map(str::to_owned).collect(),
            signature: String::new(),
            date: String::new(),
            token: None,
            is_presigned: false,
            expires: None,
        }
    }

    fn check_is_complete(&self) -> Result<(), ErrorResponse> {
        let mut missing = String::new();
        for (name, is_missing) in [
            ("Credential", self.service.is_empty()),
            ("Signature", self.signature.is_empty()),
            ("SignedHeaders", self.signed_headers == [""]),
            ("Date", self.date.is_empty()),
        ] {
            missing += &match (is_missing, self.is_presigned, name) {
                (false, ..) => continue,
                (true, true, _) => {
                    format!("AWS query-string parameters must include 'X-Amz-{name}'. ")
                }
                (true, false, "Date") => {
                    "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' \
                     header. "
                        .to_owned()
                }
                (true, false, _) => format!("Authorization header requires '{name}' parameter. "),
            };
        }
        if missing.is_empty() {
            Ok(())
        } else {
            Err(ErrorResponse::new(400, "IncompleteSignature", missing))
        }
    }

    /// Checks region and service. Hosts other than STS's own, such as a local server's, have no region and accept any.
    fn check_scope(&self, endpoint: Option<&StsEndpoint>) -> Result<(), ErrorResponse> {
        let Some(endpoint) = endpoint else {
            return Ok(());
        };
        let mut message = String::new();
        if self.region != endpoint.region {
            message += "Credential should be scoped to a valid region. ";
        }
        if self.service != "sts" {
            message += "Credential should be scoped to correct service: 'sts'. ";
        }
        if message.is_empty() {
            Ok(())
        } else {
            Err(mismatch(message))
        }
    }

    /// Checks the time and the signature.
    fn verify(
        &self,
        request: &HttpRequest,
        secret: &str,
        now: SystemTime,
    ) -> Result<(), ErrorResponse> {
        let wrong = || {
            mismatch(
                "The request signature we calculated does not match the signature you provided. \
                 Check your AWS Secret Access Key and signing method. Consult the service \
                 documentation for details.",
            )
        };
        let date = &self.date;
        let signed_at = amz_date(date).ok_or_else(wrong)?;
        if self.scope_date != date[..8] {
            return Err(mismatch(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from \
                 HTTP: '{}' != '{}', from '{date}'.",
                self.scope_date,
                &date[..8]
            )));
        }
        match self.service.as_str() {
            "s3" => self.check_time_of_s3(signed_at, now)?,
            _ => self.check_time(signed_at, now)?,
        }
        if !self.signed_headers.iter().any(|header| header == "host") {
            return Err(mismatch(
                "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
            ));
        }
        if self.service == "s3" && self.has_unsigned_header(request) {
            return Err(ErrorResponse::access_denied(
                "There were headers present in the request which were not signed",
            ));
        }
        let canonical = self.canonical_request(request).ok_or_else(wrong)?;
        let (region, service) = (&self.region, &self.service);
        let to_sign = format!(
            "{ALGORITHM}\n{date}\n{}/{region}/{service}/aws4_request\n{}",
            self.scope_date,
            sha256(canonical.as_bytes())
        );
        let key = generate_signing_key(secret, signed_at, region, service);
        if calculate_signature(key, to_sign.as_bytes()) == self.signature {
            Ok(())
        } else {
            Err(wrong())
        }
    }

    /// Checks that the time of the signature is close to the current time.
    fn check_time(&self, signed_at: SystemTime, now: SystemTime) -> Result<(), ErrorResponse> {
        let date = &self.date;
        if now
            .duration_since(signed_at)
            .is_ok_and(|late| late > CLOCK_SKEW)
        {
            let (earliest, now) = (to_amz_date(now - CLOCK_SKEW), to_amz_date(now));
            return Err(mismatch(format!(
                "Signature expired: {date} is now earlier than {earliest} ({now} - 15 min.)"
            )));
        }
        if signed_at
            .duration_since(now)
            .is_ok_and(|early| early > CLOCK_SKEW)
        {
            let (latest, now) = (to_amz_date(now + CLOCK_SKEW), to_amz_date(now));
            return Err(mismatch(format!(
                "Signature not yet current: {date} is still later than {latest} ({now} + 15 min.)"
            )));
        }
        Ok(())
    }

    /// Like [`check_time`](Self::check_time) for S3, which has other errors and lets presigned requests set their
    /// validity.
    fn check_time_of_s3(
        &self,
        signed_at: SystemTime,
        now: SystemTime,
    ) -> Result<(), ErrorResponse> {
        const WEEK: i64 = 7 * 24 * 3600;
        let is_early = signed_at
            .duration_since(now)
            .is_ok_and(|early| early > CLOCK_SKEW);
        let age = now.duration_since(signed_at).unwrap_or_default();
        if !self.is_presigned {
            if is_early || age > CLOCK_SKEW {
                let message =
                    "The difference between the request time and the current time is too large.";
                return Err(ErrorResponse::new(403, "RequestTimeTooSkewed", message));
            }
            return Ok(());
        }
        let expires = self.expires.as_deref().unwrap_or_default();
        let rule = match expires.parse::<i64>() {
            Err(_) => "X-Amz-Expires should be a number",
            Ok(..0) => "X-Amz-Expires must be non-negative",
            Ok(seconds) if seconds > WEEK => {
                "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires \
                 must be less than 604800 seconds"
            }
            Ok(_) if is_early => {
                return Err(ErrorResponse::access_denied("Request is not valid yet"));
            }
            Ok(seconds) if age > Duration::from_secs(seconds.unsigned_abs()) => {
                return Err(ErrorResponse::access_denied("Request has expired"));
            }
            Ok(_) => return Ok(()),
        };
        let code = "AuthorizationQueryParametersError";
        Err(ErrorResponse::new(400, code, rule))
    }

    /// Whether an `x-amz-` header is not signed, other than `x-amz-user-agent`.
    fn has_unsigned_header(&self, request: &HttpRequest) -> bool {
        let mut names = request.headers().iter().map(|(name, _)| name);
        names.any(|name| {
            let is_of_aws = name.starts_with("x-amz-") && name != "x-amz-user-agent";
            is_of_aws && !self.signed_headers.iter().any(|signed| signed == name)
        })
    }

    /// Returns the canonical request; `None` if a signed header is missing, or if the body is a stream and its hash is
    /// needed.
    fn canonical_request(&self, request: &HttpRequest) -> Option<String> {
        let is_s3 = self.service == "s3";
        let mut canonical = format!(
            "{}\n{}\n{}\n",
            request.method(),
            canonical_path(request.uri(), is_s3),
            canonical_query(request)
        );
        for name in &self.signed_headers {
            let values: Vec<_> = request
                .headers()
                .get_all(name)
                .map(collapse_spaces)
                .collect();
            let value = match name.as_str() {
                _ if !values.is_empty() => values.join(","),
                "host" => host_of(request.uri())
                    .trim_end_matches(":443")
                    .trim_end_matches(":80")
                    .to_owned(),
                _ => return None,
            };
            canonical += &format!("{name}:{value}\n");
        }
        canonical += &format!("\n{}\n", self.signed_headers.join(";"));
        let declared = request.headers().get("x-amz-content-sha256");
        let is_literal =
            |hash: &&str| *hash == "UNSIGNED-PAYLOAD" || hash.starts_with("STREAMING-");
        canonical += &match declared.filter(is_literal) {
            Some(literal) => literal.to_owned(),
            None if is_s3 && self.is_presigned => "UNSIGNED-PAYLOAD".to_owned(),
            None => sha256(request.body().bytes()?),
        };
        Some(canonical)
    }
}

/// Whether a request has a Version 4A signature, the asymmetric one for multi-region endpoints.
fn is_signed_with_4a(request: &HttpRequest) -> bool {
    const ALGORITHM_4A: &str = "AWS4-ECDSA-P256-SHA256";
    let header = request.headers().get("authorization");
    header.is_some_and(|header| header.starts_with(ALGORITHM_4A))
        || form_urlencoded::parse(query_of(request).as_bytes())
            .any(|(name, value)| name == "X-Amz-Algorithm" && value == ALGORITHM_4A)
}

fn mismatch(message: impl Into<String>) -> ErrorResponse {
    ErrorResponse::new(403, "SignatureDoesNotMatch", message)
}

/// Returns the canonical path of a URL. Paths are normalized and encoded once more, except for S3.
fn canonical_path(url: &str, is_s3: bool) -> String {
    let path = path_of(url);
    if is_s3 {
        return path.to_owned();
    }
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(uri_encode(segment)),
        }
    }
    let mut normalized = format!("/{}", segments.join("/"));
    if path.ends_with('/') && normalized != "/" {
        normalized.push('/');
    }
    normalized
}

/// Returns the canonical query of a URL: every parameter except the signature, encoded and sorted.
fn canonical_query(request: &HttpRequest) -> String {
    let parameters = form_urlencoded::parse(query_of(request).as_bytes());
    let mut parameters: Vec<_> = parameters
        .filter(|(name, _)| name != "X-Amz-Signature")
        .map(|(name, value)| (uri_encode(&name), uri_encode(&value)))
        .collect();
    parameters.sort_unstable();
    let parameters = parameters
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    parameters.collect::<Vec<_>>().join("&")
}

fn uri_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(byte.into());
            }
            byte => encoded += &format!("%{byte:02X}"),
        }
    }
    encoded
}

fn collapse_spaces(value: &str) -> String {
    value
        .split(' ')
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

fn sha256(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads `20261122T120000Z`, and no other form that ISO 8601 allows.
fn amz_date(text: &str) -> Option<SystemTime> {
    let has_form =
        text.len() == 16 && text.is_ascii() && text.as_bytes()[8] == b'T' && text.ends_with('Z');
    let date = OffsetDateTime::parse(text, &Iso8601::PARSING).ok()?;
    has_form.then(|| date.into())
}

/// Converts the time of the header `Date` to the format of `X-Amz-Date`.
fn from_http_date(date: &str) -> Option<String> {
    let date = DateTime::from_str(date, Format::HttpDate).ok()?;
    Some(to_amz_date(SystemTime::try_from(date).ok()?))
}

/// Formats as `20261122T120000Z`.
fn to_amz_date(time: SystemTime) -> String {
    timestamp(time).replace(['-', ':'], "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_normalized_and_encoded_once_more_but_not_for_s3() {
        for (url, path, of_s3) in [
            ("https://host", "/", "/"),
            ("https://host?a=/b", "/", "/"),
            ("https://host/", "/", "/"),
            (
                "https://host/a%20b/./c//../d/",
                "/a%2520b/d/",
                "/a%20b/./c//../d/",
            ),
            ("https://host/../..", "/", "/../.."),
        ] {
            assert_eq!(canonical_path(url, false), path, "{url}");
            assert_eq!(canonical_path(url, true), of_s3, "{url}");
        }
    }

    #[test]
    fn a_time_has_one_form() {
        assert!(amz_date("20261122T120000Z").is_some());
        for wrong in [
            "",
            "20261122",
            "2026-11-22T12:00:00Z",
            "20261322T120000Z",
            "２0261122T12000Z",
            "+20261122T1200Z",
        ] {
            assert!(amz_date(wrong).is_none(), "{wrong}");
        }
    }
}
