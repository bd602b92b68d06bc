//! Presigned URLs that are valid for as long as they claim.

use std::time::Duration;

use aws_role_chain::RoleChain;
use aws_sdk_s3::Client;
use aws_sdk_s3::presigning::PresigningConfig;

/// Returns a URL with which anyone can read the object for this long. Create the client with `chain.sdk_config()`.
pub async fn presigned_get(
    chain: &RoleChain,
    s3: &Client,
    bucket: &str,
    key: &str,
    valid_for: Duration,
) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    // A URL stops working when the session that signed it expires. If the cached session expires too soon, this waits
    // for a new one.
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
