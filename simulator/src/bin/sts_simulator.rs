//! `sts_simulator`: serves a simulator over HTTP, for boto3, the AWS CLI and every SDK.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use sts_simulator::{Firehose, RequestLog, S3, Server, Simulator};

/// The account whose root user may sign if no options set anything up.
const DEFAULT_ACCOUNT: &str = "111111111111";

/// Serve AWS STS and IAM, with Firehose and S3, from memory: for tests with boto3, the AWS CLI and every SDK.
///
/// When the server is ready, it prints one line of JSON to stdout: {"endpoint": "http://127.0.0.1:4570"}.
/// Configure clients with AWS_ENDPOINT_URL or their own setting. Each request is logged to stderr in one line.
///
/// The root user of an account signs with the account's ID as access key ID and "test" as secret access key,
/// and creates what a test needs with IAM's API.
#[derive(Parser)]
#[command(version)]
struct Options {
    /// Files or folders with AWS CLI exports or the simulator's own JSON, imported at start-up
    #[arg(value_name = "PATH")]
    accounts: Vec<PathBuf>,

    /// Port to listen on; 0 selects a free one
    #[arg(long, default_value_t = 4570)]
    port: u16,

    /// Address to listen on
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), value_name = "ADDRESS")]
    bind: IpAddr,

    /// Account whose root user may sign; repeatable. Default: 111111111111 if no PATH is given
    #[arg(long, value_name = "ACCOUNT")]
    root: Vec<String>,

    /// Also serve the admin endpoint, /_simulator/, on addresses that other machines can reach, and for other
    /// host names than localhost
    #[arg(long)]
    admin: bool,

    /// Do not log requests
    #[arg(long)]
    quiet: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run(options)),
        Err(error) => Err(format!("cannot start: {error}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If stderr is closed, only the exit code reports the failure.
            let _ = writeln!(io::stderr(), "sts_simulator: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), String> {
    // Registered first, so that a signal during start-up is not lost.
    let stop = stop_signal().map_err(|error| format!("cannot wait for signals: {error}"))?;
    let aws = Simulator::new();
    let firehose = Firehose::plug_into(&aws);
    S3::plug_into(&aws);
    for path in &options.accounts {
        let import = aws.import(path).map_err(|error| error.to_string())?;
        for left_out in import.left_out() {
            let _ = writeln!(io::stderr(), "left out: {left_out}");
        }
    }
    let mut roots = options.root;
    if roots.is_empty() && options.accounts.is_empty() {
        roots.push(DEFAULT_ACCOUNT.to_owned());
    }
    for account in &roots {
        aws.root_user_with_known_key(account)
            .map_err(|error| format!("--root {error}"))?;
    }

    let mut server = Server::new(&aws).firehose(&firehose);
    if options.admin {
        server = server.admin(true);
    }
    if !options.quiet {
        server = server.on_request(move |request| {
            // A closed log must not end the server.
            let _ = writeln!(io::stderr(), "{request}");
            if let Some(account) = root_who_may_not_sign(request, &roots) {
                let _ = writeln!(
                    io::stderr(),
                    "the root user of {account} may not sign: start with --root {account}"
                );
            }
        });
    }
    let address = SocketAddr::new(options.bind, options.port);
    let server = server.listen(address).await.map_err(|error| {
        let advice = match error.kind() {
            io::ErrorKind::AddrInUse => {
                ": another program listens there; --port 0 selects a free port"
            }
            _ => "",
        };
        format!("cannot listen on {address}: {error}{advice}")
    })?;
    let mut stdout = io::stdout();
    let _ = writeln!(stdout, "{{\"endpoint\": \"{}\"}}", server.url());
    let _ = stdout.flush();

    stop.await;
    server.stop().await;
    Ok(())
}

/// Returns the account whose root user was rejected because no `--root` names it. AWS's error only says that the access
/// key is not known.
fn root_who_may_not_sign<'a>(request: &'a RequestLog, roots: &[String]) -> Option<&'a str> {
    let id = request.access_key_id.as_deref()?;
    let is_account = id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_digit());
    let is_refused = request.status.is_some_and(|status| status >= 400);
    let is_root = roots.iter().any(|account| account == id);
    (is_account && is_refused && !is_root).then_some(id)
}

/// Returns a future that completes when the program is asked to stop.
#[cfg(unix)]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        // Fails only without a console, which then sends no signal.
        let _ = tokio::signal::ctrl_c().await;
    })
}
