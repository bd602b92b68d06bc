//! [`Server`]: a simulator over HTTP, for boto3, the AWS CLI and every SDK.

mod admin;
mod body;
mod request_log;
mod socket;

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use crate::iam::ClientAddress;
use crate::simulator::Simulator;
use body::{AnswerBody, Refused};
pub use request_log::RequestLog;
use socket::{ResetSwitch, Socket};

/// How long a client may take for the head of a request, and how long a connection may be idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// How many calls of STS a simulator keeps that is served.
const CALL_LIMIT: usize = 10_000;
/// How long requests in flight may take when the server stops.
const GRACE: Duration = Duration::from_secs(5);
/// How long to wait before the next connection is accepted where the process is out of file descriptors.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(20);

/// Serves a simulator over HTTP on an address of this machine.
///
/// Point clients to it by their endpoint setting: `AWS_ENDPOINT_URL` for the AWS CLI and most SDKs,
/// `endpoint_url` in boto3. One endpoint answers for STS, for IAM and for the services that are plugged in:
/// which one a request is for is in its signature or, without one, in what it looks like.
///
/// # Examples
///
/// ```
/// use sts_simulator::{Server, Simulator};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let aws = Simulator::new();
/// let server = Server::new(&aws)
///     .on_request(|request| eprintln!("{request}"))
///     .listen("127.0.0.1:0")
///     .await?;
/// println!("export AWS_ENDPOINT_URL={}", server.url());
/// // … the program under test runs …
/// server.stop().await;
/// # Ok(())
/// # }
/// ```
#[must_use = "listen() starts it"]
pub struct Server {
    shared: Shared,
}

type LogRequest = Arc<dyn Fn(&RequestLog) + Send + Sync>;

/// What all connections share.
#[derive(Clone)]
struct Shared {
    simulator: Simulator,
    admin: Option<bool>,
    /// Whether the program says that the admin endpoint answers, and not only the address.
    is_admin_asked_for: bool,
    on_request: Option<LogRequest>,
    firehose: Option<crate::Firehose>,
}

impl Server {
    /// Creates a server of this simulator, which starts with [`listen`](Self::listen).
    pub fn new(simulator: &Simulator) -> Self {
        Self {
            shared: Shared {
                simulator: simulator.clone(),
                admin: None,
                is_admin_asked_for: false,
                on_request: None,
                firehose: None,
            },
        }
    }

    /// Sets whether the admin endpoint, `/_simulator/`, answers, by which a program makes the simulator fail, recover
    /// and show its calls; the README describes it. Default: only if the address is a loopback address.
    pub fn admin(mut self, is_on: bool) -> Self {
        self.shared.admin = Some(is_on);
        self.shared.is_admin_asked_for = is_on;
        self
    }

    /// Lets the admin endpoint make records of this Firehose fail. Default: it cannot.
    pub fn firehose(mut self, firehose: &crate::Firehose) -> Self {
        self.shared.firehose = Some(firehose.clone());
        self
    }

    /// Calls `log` after each request. Default: nothing is logged.
    pub fn on_request(mut self, log: impl Fn(&RequestLog) + Send + Sync + 'static) -> Self {
        self.shared.on_request = Some(Arc::new(log));
        self
    }

    /// Starts the server in a task of its own; port 0 takes a free port. From then on,
    /// [`Simulator::calls`] has the latest 10,000 calls only.
    ///
    /// # Errors
    ///
    /// Fails if the address is in use, or is not one of this machine's.
    pub async fn listen(self, address: impl ToSocketAddrs) -> io::Result<RunningServer> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let mut shared = self.shared;
        shared.simulator.limit_calls(CALL_LIMIT);
        shared.admin.get_or_insert(address.ip().is_loopback());
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve(listener, address, shared, stopped));
        Ok(RunningServer {
            address,
            stop,
            task,
        })
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

/// A server that answers. Dropped, it stops at once; see [`stop`](Self::stop).
#[derive(Debug)]
pub struct RunningServer {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl RunningServer {
    /// Returns the address that the server listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the URL to set as clients' endpoint.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Accepts no more connections, and returns when the requests in flight are answered, after five seconds at
    /// most.
    pub async fn stop(self) {
        let Self { stop, task, .. } = self;
        // Either may be gone already, if the runtime is shutting down.
        let _ = stop.send(());
        let _ = task.await;
    }
}

/// Accepts connections, each in a task of its own, until `stopped`.
async fn serve(
    listener: TcpListener,
    address: SocketAddr,
    shared: Shared,
    mut stopped: oneshot::Receiver<()>,
) {
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let is_graceful = loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(connection(stream, peer, address, shared.clone(), graceful.watcher()));
                }
                // The client is gone already, or the process has too many open files.
                Err(_) => tokio::time::sleep(ACCEPT_BACKOFF).await,
            },
            Some(_) = connections.join_next() => {}
            stop = &mut stopped => break stop.is_ok(),
        }
    };
    drop(listener);
    if is_graceful {
        // What is still in flight after that is dropped with the set.
        let _ = tokio::time::timeout(GRACE, graceful.shutdown()).await;
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    address: SocketAddr,
    shared: Shared,
    watcher: hyper_util::server::graceful::Watcher,
) {
    // Answers are small, and wait for nothing.
    let _ = stream.set_nodelay(true);
    let reset = ResetSwitch::default();
    let socket = Socket::new(stream, reset.clone());
    let service = service_fn(move |request| {
        let (shared, reset) = (shared.clone(), reset.clone());
        async move { shared.answer(request, peer, address, &reset).await }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(socket), service);
    // Fails if the client breaks off, or sends what is not HTTP: both are its own affair.
    let _ = watcher.watch(connection).await;
}

/// The connection is closed without an answer, because a fault says so.
#[derive(Debug)]
struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is closed by a fault")
    }
}

impl Error for Closed {}

impl Shared {
    async fn answer(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
        address: SocketAddr,
        reset: &ResetSwitch,
    ) -> Result<Response<AnswerBody>, Closed> {
        if self.admin == Some(true) && admin::is_path(request.uri().path()) {
            return Ok(admin::answer(self, request).await);
        }
        let started = Instant::now();
        let mut request = match read(request, address).await {
            Ok(request) => request,
            Err(refused) => return Ok(refused.into_response()),
        };
        // Of a client with IPv4 on a socket of IPv6, the address that policies have.
        request.add_extension(ClientAddress(peer.ip().to_canonical()));
        let mut log = self
            .on_request
            .as_ref()
            .map(|_| RequestLog::of(&self.simulator, &request, peer));
        let response = self.simulator.call(request).await;
        if response.as_ref().is_err_and(is_reset) {
            reset.set();
        }
        let response = response.ok().and_then(|response| {
            if let Some(log) = &mut log {
                log.answered(&response);
            }
            Some(response.try_into_http1x().ok()?.map(AnswerBody::from))
        });
        if let (Some(on_request), Some(mut log)) = (&self.on_request, log) {
            log.duration = started.elapsed();
            on_request(&log);
        }
        response.ok_or(Closed)
    }
}

/// Whether a fault resets the connection, and does not only close it.
fn is_reset(error: &ConnectorError) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref());
    source.is_some_and(|error: &io::Error| error.kind() == io::ErrorKind::ConnectionReset)
}

/// Reads a request whole, as the simulator takes it: with an absolute URL.
async fn read(request: Request<Incoming>, address: SocketAddr) -> Result<HttpRequest, Refused> {
    let (mut parts, incoming) = request.into_parts();
    let body = body::read(&parts, incoming).await?;
    let host = parts.headers.get(header::HOST);
    let host = match host.map(|host| host.to_str()) {
        Some(Ok(host)) if !host.is_empty() => host.to_owned(),
        // Signatures cover the header, so that only unsigned requests get further without it.
        _ => address.to_string(),
    };
    let target = parts
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let uri = format!("http://{host}{target}").parse();
    parts.uri = uri.map_err(|_| Refused(StatusCode::BAD_REQUEST))?;
    // AWS's answers to what follows are not known; HTTP's own is clear.
    Request::from_parts(parts, SdkBody::from(body))
        .try_into()
        .map_err(|_| Refused(StatusCode::BAD_REQUEST))
}
