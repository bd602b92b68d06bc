//! The AWS emulator `ministack` (PyPI, MIT): installed into `target/`, started on a free port, stopped
//! when dropped. It checks signatures, session tokens and their expiry, trust policies across
//! accounts, external IDs, session policies and tags, and delivers Firehose records to S3.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use aws_config::BehaviorVersion;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_types::SdkConfig;
use aws_types::region::Region;

const VERSION: &str = "1.5.33";
pub const REGION: &str = "us-east-1";

pub struct Ministack {
    server: Child,
    port: u16,
}

impl Ministack {
    /// None, with a word on stderr, where there is no python3; in CI that is a failure.
    pub fn start() -> Option<Self> {
        static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
        let program = PROGRAM.get_or_init(install).as_deref();
        if program.is_none() {
            assert!(
                std::env::var_os("CI").is_none(),
                "these tests need python3 with venv"
            );
            eprintln!("skipped: this test needs python3 with venv, to run ministack");
        }
        Some(Self::run(program?))
    }

    fn run(program: &Path) -> Self {
        // Another process may take the port between here and the server's start.
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

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub async fn config(&self, keys: Credentials) -> SdkConfig {
        aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .endpoint_url(self.url())
            .credentials_provider(SharedCredentialsProvider::new(keys))
            .load()
            .await
    }

    /// An account's administrator, whom the server lets do anything unchecked: for the set-up only.
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
}

impl Drop for Ministack {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Installs the server, once; an install that was broken off is made again.
fn install() -> Option<PathBuf> {
    let target = target_dir();
    let venv = target.join(format!("ministack-{VERSION}"));
    let program = venv.join(if cfg!(windows) {
        "Scripts/ministack.exe"
    } else {
        "bin/ministack"
    });
    if program.exists() {
        return Some(program);
    }
    let python = ["python3", "python"].into_iter().find(|python| {
        let tried = Command::new(python)
            .args(["-c", "import venv, ensurepip"])
            .output();
        tried.is_ok_and(|output| output.status.success())
    })?;
    // pip writes the folder's name into the programs: it must be made where it stays.
    let _ = std::fs::remove_dir_all(&venv);
    let run = |command: &mut Command| {
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{command:?}: {text}");
    };
    run(Command::new(python).args(["-m", "venv"]).arg(&venv));
    let pip = venv.join(if cfg!(windows) {
        "Scripts/python.exe"
    } else {
        "bin/python"
    });
    let package = format!("ministack=={VERSION}");
    run(Command::new(pip).args(["-m", "pip", "install", "--quiet", &package]));
    assert!(program.exists(), "pip installed no {}", program.display());
    Some(program)
}

/// The folder that cargo builds into: this test's own program is two folders down.
pub fn target_dir() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    program.ancestors().nth(3).unwrap().to_owned()
}
