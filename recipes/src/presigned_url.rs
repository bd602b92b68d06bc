//! Presigned URLs that work for as long as they say.

use std::time::Duration;

use aws_role_chain::RoleChain;
use aws_sdk_s3::Client;
use aws_sdk_s3::presigning::PresigningConfig;

/// Returns a URL from which anybody may read the object for this long. The client is one of `chain.sdk_config()`.
pub async fn presigned_get(
    chain: &RoleChain,
    s3: &Client,
    bucket: &str,
    key: &str,
    valid_for: Duration,
) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    // A URL is good for no longer than the session that signed it. If what is left of it is too short, this
    // waits for a new one.
    let credentials = chain.credentials_valid_for(valid_for).await?;
    let request = s3
        .get_object()
        .bucket(bucket)
        .key(key)
        .customize()
        .config_override(aws_sdk_s3::config::Builder::new().credentials_provider(credentials))
        .presigned(PresigningConfig::expires_in(valid_for)?)
        .await?;
    Ok(request.uri().to_owned())
}
