//! The options that the examples share, and the SDK config from which they create their chains.

use std::error::Error;

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, ConfigLoader};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_types::SdkConfig;
use aws_types::region::Region;
use clap::Args;

#[derive(Args)]
pub struct BaseOptions {
    /// AWS region [default: from the environment or the profile]
    #[arg(long)]
    region: Option<String>,

    /// Endpoint of all services, for example a local server
    #[arg(long, value_name = "URL")]
    endpoint_url: Option<String>,

    /// Use simulated accounts (sts-simulator) instead of AWS
    #[arg(long, conflicts_with_all = ["region", "endpoint_url"])]
    pub local: bool,
}

impl BaseOptions {
    /// Loads the config with the credentials of `profile`, or without a profile with the SDK's default credentials.
    pub async fn load(&self, profile: Option<&str>) -> Result<SdkConfig, Box<dyn Error>> {
        let Some(profile) = profile else {
            return Ok(self.loader().load().await);
        };
        check_profile(profile).await?;
        let loader = self.loader().profile_name(profile).no_credentials();
        let config = loader.load().await;
        // With profile_name alone, access keys in the environment would take precedence over the profile's credentials.
        let mut provider = ProviderConfig::without_region().with_region(config.region().cloned());
        if let Some(client) = config.http_client() {
            provider = provider.with_http_client(client);
        }
        let credentials = ProfileFileCredentialsProvider::builder()
            .configure(&provider)
            .profile_name(profile)
            .build();
        let credentials = SharedCredentialsProvider::new(credentials);
        let config = config.into_builder().credentials_provider(credentials);
        Ok(config.build())
    }

    /// Loads the config without credentials, for chains that start with a token or an assertion.
    pub async fn load_without_credentials(&self) -> SdkConfig {
        self.loader().no_credentials().load().await
    }

    /// Returns whether calls go to the simulator or to a custom endpoint.
    pub fn is_local_server(&self) -> bool {
        self.local || self.endpoint_url.is_some()
    }

    fn loader(&self) -> ConfigLoader {
        let mut loader = aws_config::defaults(BehaviorVersion::latest());
        if let Some(region) = &self.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(url) = &self.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        loader
    }
}

/// Returns an error if the profile does not exist, which aws-config does not report when it loads the config.
async fn check_profile(name: &str) -> Result<(), Box<dyn Error>> {
    // Reads the files in AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE, or by default those in ~/.aws.
    let (fs, env, files) = Default::default();
    let profiles = aws_config::profile::load(&fs, &env, &files, None).await?;
    match profiles.get_profile(name) {
        Some(_) => Ok(()),
        None => Err(format!("--profile {name}: the profile does not exist").into()),
    }
}
