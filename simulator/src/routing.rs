//! Routing: which service a request is for.

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;

use crate::endpoint::{StsEndpoint, bucket_of_host, host_of, is_endpoint_of, path_of};
use crate::protocol::{Parameters, is_form};
use crate::signature::Authorization;

/// Returns the name of the service that a request is for; `None` means STS. `plugged_in` returns the names of the
/// services that were added.
///
/// The host decides, then the signature. All other requests are unsigned ones to a local server, which serves all
/// services, so the differences between the services' protocols decide.
pub(crate) fn service_of(
    request: &HttpRequest,
    authorization: Option<&Authorization>,
    plugged_in: impl FnOnce() -> Vec<String>,
) -> Option<String> {
    let host = host_of(request.uri());
    if StsEndpoint::at(host).is_some() {
        return None;
    }
    match authorization.map(|authorization| authorization.service.as_str()) {
        Some("sts") => return None,
        Some(service) if !service.is_empty() => return Some(service.to_owned()),
        _ => {}
    }
    let plugged_in = plugged_in();
    let mut names = plugged_in.iter().map(String::as_str).chain(["iam"]);
    if let Some(name) = names.find(|name| is_endpoint_of(host, name)) {
        return Some(name.to_owned());
    }
    if let Some(target) = request.headers().get("x-amz-target") {
        // `Firehose_20150804.PutRecord`
        let prefix = target.split(['_', '.']).next().unwrap_or_default();
        return Some(prefix.to_ascii_lowercase());
    }
    let parameters = Parameters::read(request);
    match parameters.first("Version") {
        Some("2011-06-15") => return None,
        Some("2010-05-08") => return Some("iam".to_owned()),
        _ => {}
    }
    let has_s3 = plugged_in.iter().any(|name| name == "s3");
    (has_s3 && is_of_s3(request, &parameters)).then(|| "s3".to_owned())
}

/// Whether a request names a bucket, or lists all buckets. STS and IAM use only the path `/`, and SDKs send them an
/// action.
fn is_of_s3(request: &HttpRequest, parameters: &Parameters) -> bool {
    let host = request.headers().get("host");
    let host = host.unwrap_or_else(|| host_of(request.uri()));
    let has_path = path_of(request.uri()) != "/";
    let is_query_protocol = is_form(request) || parameters.first("Action").is_some();
    let is_of_sdk = request.headers().get("amz-sdk-invocation-id").is_some();
    has_path || !is_query_protocol && (bucket_of_host(host).is_some() || is_of_sdk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unsigned_request_is_for_the_service_that_it_looks_like() {
        const LOCAL: &str = "http://127.0.0.1:4566";
        const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
        const FIREHOSE: (&str, &str) = ("x-amz-target", "Firehose_20150804.PutRecord");
        type Row<'a> = (
            &'a str,
            &'a str,
            &'a [(&'a str, &'a str)],
            &'a str,
            Option<&'a str>,
        );
        let rows: &[Row<'_>] = &[
            ("POST", LOCAL, &[FORM], "Action=A&Version=2011-06-15", None),
            ("POST", LOCAL, &[FORM], "Action=A", None),
            (
                "POST",
                LOCAL,
                &[FORM],
                "Action=A&Version=2010-05-08",
                Some("iam"),
            ),
            ("POST", LOCAL, &[FIREHOSE], "{}", Some("firehose")),
            (
                "POST",
                LOCAL,
                &[("x-amz-target", "DynamoDB_20120810.GetItem")],
                "{}",
                Some("dynamodb"),
            ),
            ("POST", LOCAL, &[("x-amz-target", "")], "{}", Some("")),
            ("GET", "http://127.0.0.1:4566/", &[], "", None),
            (
                "GET",
                "http://127.0.0.1:4566/?Action=A&Version=2011-06-15",
                &[],
                "",
                None,
            ),
            (
                "GET",
                "http://127.0.0.1:4566/",
                &[("amz-sdk-invocation-id", "1")],
                "",
                Some("s3"),
            ),
            (
                "GET",
                "http://127.0.0.1:4566/reports?list-type=2",
                &[],
                "",
                Some("s3"),
            ),
            (
                "PUT",
                "http://127.0.0.1:4566/reports/key",
                &[],
                "x",
                Some("s3"),
            ),
            ("GET", "http://reports.localhost:4566/", &[], "", Some("s3")),
            (
                "GET",
                "http://reports.localhost/?list-type=2",
                &[],
                "",
                Some("s3"),
            ),
            ("GET", "http://s3.localhost:4566/", &[], "", None),
            // An STS client whose endpoint is a subdomain of localhost, or has a path.
            (
                "POST",
                "http://sts.localhost:4566/",
                &[FORM],
                "Action=A&Version=2011-06-15",
                None,
            ),
            (
                "POST",
                "http://127.0.0.1:4566/sts",
                &[FORM],
                "Action=A&Version=2011-06-15",
                None,
            ),
            (
                "POST",
                "https://sts.eu-west-1.amazonaws.com/",
                &[FIREHOSE],
                "{}",
                None,
            ),
            (
                "POST",
                "https://firehose.eu-west-1.amazonaws.com/",
                &[],
                "{}",
                Some("firehose"),
            ),
            (
                "POST",
                "https://iam.amazonaws.com/",
                &[FORM],
                "Action=A",
                Some("iam"),
            ),
        ];
        for (method, url, headers, body, expected) in rows {
            let mut request = HttpRequest::new((*body).into());
            request.set_method(method).unwrap();
            request.set_uri(*url).unwrap();
            for (name, value) in *headers {
                request.headers_mut().insert(*name, *value);
            }
            let found = service_of(&request, None, || {
                vec!["firehose".to_owned(), "s3".to_owned()]
            });
            assert_eq!(
                found.as_deref(),
                *expected,
                "{method} {url} {headers:?} {body}"
            );
        }
        let mut request = HttpRequest::new("".into());
        request
            .set_uri("http://127.0.0.1:4566/reports/key")
            .unwrap();
        assert_eq!(service_of(&request, None, Vec::new), None, "without S3");
    }
}
