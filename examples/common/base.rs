//! The options that the examples have in common, and the SDK config that a chain starts from.

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
    /// AWS region, instead of the environment's or the profile's
    #[arg(long)]
    region: Option<String>,

    /// One endpoint for all services, such as a local server
    #[arg(long, value_name = "URL")]
    endpoint_url: Option<String>,

    /// Run on the simulator sts-simulator, without AWS
    #[arg(long, conflicts_with_all = ["region", "endpoint_url"])]
    pub local: bool,
}

impl BaseOptions {
    /// Loads the config with the credentials of `profile`, or else those of the SDK's default chain.
    pub async fn load(&self, profile: Option<&str>) -> Result<SdkConfig, Box<dyn Error>> {
        let Some(profile) = profile else {
            return Ok(self.loader().load().await);
        };
        check_profile(profile).await?;
        let loader = self.loader().profile_name(profile).no_credentials();
        let config = loader.load().await;
        // profile_name alone would prefer the keys in the environment to the profile's.
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

    /// Loads the config without credentials: for chains that start with a token.
    pub async fn load_without_credentials(&self) -> SdkConfig {
        self.loader().no_credentials().load().await
    }

    /// Whether the services are on this machine, or on another that is not AWS's.
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

/// aws-config takes no notice of a profile that does not exist.
async fn check_profile(name: &str) -> Result<(), Box<dyn Error>> {
    // The files that AWS_CONFIG_FILE and AWS_SHARED_CREDENTIALS_FILE name, or those in ~/.aws.
    let (fs, env, files) = Default::default();
    let profiles = aws_config::profile::load(&fs, &env, &files, None).await?;
    match profiles.get_profile(name) {
        Some(_) => Ok(()),
        None => Err(format!("--profile {name}: there is no such profile").into()),
    }
}
