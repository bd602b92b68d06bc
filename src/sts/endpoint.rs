//! The endpoint of STS that a config sets, if it sets one, and its check.

use aws_types::SdkConfig;
use aws_types::service_config::ServiceConfigKey;

use crate::error::Violation;

/// The endpoint URL that the config sets for STS, if any.
pub(super) fn endpoint_url(config: &SdkConfig) -> Option<String> {
    let shared = || config.endpoint_url().map(str::to_owned);
    if config.get_origin("endpoint_url").is_client_config() {
        return shared();
    }
    let key = ServiceConfigKey::builder()
        .service_id("STS")
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build();
    let own = key
        .ok()
        .and_then(|key| config.service_config()?.load_config(key));
    own.or_else(shared)
}

/// Where calls to a region's STS go, for people.
pub(super) fn destination(config: &SdkConfig, region: &str) -> String {
    match endpoint_url(config) {
        Some(url) => format!("at {} (region {region})", without_user(&url)),
        None => format!("in region {region}"),
    }
}

/// Checks the endpoint URL that the config sets for STS. The SDK would report an invalid one only at the first call, in
/// an error that quotes the whole request.
pub(super) fn check_endpoint_url(config: &SdkConfig) -> Result<(), Violation> {
    let Some(url) = endpoint_url(config) else {
        return Ok(());
    };
    for (field, variable, is_set) in [
        ("use_fips", "AWS_USE_FIPS_ENDPOINT", config.use_fips()),
        (
            "use_dual_stack",
            "AWS_USE_DUALSTACK_ENDPOINT",
            config.use_dual_stack(),
        ),
    ] {
        if is_set == Some(true) {
            let rule = format!(
                "must not be set (for example by {variable}) together with an endpoint URL for STS \
                 ({})",
                without_user(&url)
            );
            return Err(Violation::new(field, rule, Some("true")));
        }
    }
    let is_http = |scheme: &str| ["http", "https"].contains(&&*scheme.to_ascii_lowercase());
    let after_scheme = url.split_once("://").filter(|(scheme, _)| is_http(scheme));
    let host = after_scheme.and_then(|(_, rest)| rest.split(['/', '?', '#']).next());
    let is_printable = url.chars().all(|c| c.is_ascii_graphic());
    if is_printable && host.is_some_and(|host| !host.is_empty() && !host.starts_with(':')) {
        return Ok(());
    }
    let rule =
        "must be a URL, such as https://sts.eu-west-1.amazonaws.com or http://localhost:4566";
    Err(Violation::new(
        "endpoint_url",
        rule,
        Some(without_user(&url)),
    ))
}

/// Removes user and password from a URL.
fn without_user(url: &str) -> &str {
    url.rsplit_once('@').map_or(url, |(_, host)| host)
}
