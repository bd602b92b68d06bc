//! The AWS emulator `ministack` (PyPI, MIT): installed into `target/`, started on a free port, and stopped when
//! dropped. It checks signatures, session tokens and their expiry, trust policies across accounts, external IDs,
//! session policies and tags, and delivers Firehose records to S3.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use aws_config::BehaviorVersion;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_firehose::types::ExtendedS3DestinationConfiguration;
use aws_types::SdkConfig;
use aws_types::region::Region;

use super::pypi;

const VERSION: &str = "1.5.33";
pub const REGION: &str = "us-east-1";

pub struct Ministack {
    server: Child,
    port: u16,
}

impl Ministack {
    /// Starts a server. Returns `None` if python3 is missing, with a message on stderr; panics in CI.
    pub fn start() -> Option<Self> {
        static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
        let program = PROGRAM.get_or_init(|| pypi::program("ministack", VERSION));
        Some(Self::run(program.as_deref()?))
    }

    fn run(program: &Path) -> Self {
        // Another process may take the port before the server starts.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
                .port();
            let mut server = Command::new(program)
                .envs([
                    ("AUTH", "true"),
                    ("LOG_LEVEL", "WARNING"),
                    ("BIND_HOST", "127.0.0.1"),
                    ("GATEWAY_PORT", &port.to_string()),
                ])
                .env_remove("AWS_ACCESS_KEY_ID")
                .env_remove("AWS_SECRET_ACCESS_KEY")
                .env_remove("AWS_SESSION_TOKEN")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let deadline = Instant::now() + Duration::from_secs(60);
            while Instant::now() < deadline && server.try_wait().unwrap().is_none() {
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return Self { server, port };
                }
                std::thread::yield_now();
            }
            let _ = server.kill();
            let _ = server.wait();
        }
        panic!("ministack does not start: {}", program.display());
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }

    pub async fn config(&self, keys: Credentials) -> SdkConfig {
        aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .endpoint_url(self.url())
            .credentials_provider(SharedCredentialsProvider::new(keys))
            .load()
            .await
    }

    /// Returns the config of an account's administrator, for set-up only: the server does not check its requests.
    pub async fn administrator(&self, account: &str) -> SdkConfig {
        self.config(Credentials::new(
            account,
            "test",
            None,
            None,
            "administrator",
        ))
        .await
    }

    pub async fn iam(&self, account: &str) -> aws_sdk_iam::Client {
        aws_sdk_iam::Client::new(&self.administrator(account).await)
    }

    pub async fn s3(&self, account: &str) -> aws_sdk_s3::Client {
        let config = self.administrator(account).await;
        let config = aws_sdk_s3::config::Builder::from(&config).force_path_style(true);
        aws_sdk_s3::Client::from_conf(config.build())
    }

    pub async fn make_user(&self, account: &str, name: &str, policy: &str) -> Credentials {
        let iam = self.iam(account).await;
        iam.create_user().user_name(name).send().await.unwrap();
        iam.put_user_policy()
            .user_name(name)
            .policy_name("permissions")
            .policy_document(policy)
            .send()
            .await
            .unwrap();
        let key = iam
            .create_access_key()
            .user_name(name)
            .send()
            .await
            .unwrap()
            .access_key
            .unwrap();
        Credentials::new(key.access_key_id, key.secret_access_key, None, None, "user")
    }

    pub async fn make_role(&self, account: &str, name: &str, trust: &str, policy: &str) {
        let iam = self.iam(account).await;
        iam.create_role()
            .role_name(name)
            .assume_role_policy_document(trust)
            .send()
            .await
            .unwrap();
        iam.put_role_policy()
            .role_name(name)
            .policy_name("permissions")
            .policy_document(policy)
            .send()
            .await
            .unwrap();
    }

    /// Creates a delivery stream that delivers to a new bucket.
    pub async fn make_stream(&self, account: &str, stream: &str, bucket: &str) {
        let s3 = self.s3(account).await;
        s3.create_bucket().bucket(bucket).send().await.unwrap();
        let destination = ExtendedS3DestinationConfiguration::builder()
            .role_arn(format!("arn:aws:iam::{account}:role/Delivery"))
            .bucket_arn(format!("arn:aws:s3:::{bucket}"))
            .build()
            .unwrap();
        aws_sdk_firehose::Client::new(&self.administrator(account).await)
            .create_delivery_stream()
            .delivery_stream_name(stream)
            .extended_s3_destination_configuration(destination)
            .send()
            .await
            .unwrap();
    }
}

impl Drop for Ministack {
    fn drop(&mut self) {
        // The process may already have ended.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
