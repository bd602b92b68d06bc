//! [`Server`]: serves a simulator over HTTP, for boto3, the AWS CLI and every SDK.

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

/// How long a client may take to send the head of a request, and how long a connection may be idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// How many calls of STS a served simulator keeps.
const CALL_LIMIT: usize = 10_000;
/// How long requests in flight may take after the server is stopped.
const GRACE: Duration = Duration::from_secs(5);
/// The wait before the next `accept` after one has failed, as when the process is out of file descriptors.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(20);

/// Serves a simulator over HTTP on a local address.
///
/// Configure clients with their endpoint setting: `AWS_ENDPOINT_URL` for the AWS CLI and most SDKs, `endpoint_url` in
/// boto3. One endpoint serves STS, IAM and the services that were added. The signature of a request names the service;
/// an unsigned request is routed by its operation, version or path.
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

/// The state that all connections share.
#[derive(Clone)]
struct Shared {
    simulator: Simulator,
    admin: Option<bool>,
    /// Whether [`Server::admin`] enabled the admin endpoint, rather than the loopback address by default.
    is_admin_explicit: bool,
    on_request: Option<LogRequest>,
    firehose: Option<crate::Firehose>,
}

impl Server {
    /// Creates a server for this simulator; [`listen`](Self::listen) starts it.
    pub fn new(simulator: &Simulator) -> Self {
        Self {
            shared: Shared {
                simulator: simulator.clone(),
                admin: None,
                is_admin_explicit: false,
                on_request: None,
                firehose: None,
            },
        }
    }

    /// Sets whether to serve the admin endpoint, `/_simulator/`, with which a program adds and ends faults and reads
    /// calls; the README describes it. Default: only if the address is a loopback address.
    pub fn admin(mut self, is_on: bool) -> Self {
        self.shared.admin = Some(is_on);
        self.shared.is_admin_explicit = is_on;
        self
    }

    /// Lets the admin endpoint read the records of this Firehose and make records fail. Default: it has no Firehose.
    pub fn firehose(mut self, firehose: &crate::Firehose) -> Self {
        self.shared.firehose = Some(firehose.clone());
        self
    }

    /// Calls `log` after each request. Default: requests are not logged.
    pub fn on_request(mut self, log: impl Fn(&RequestLog) + Send + Sync + 'static) -> Self {
        self.shared.on_request = Some(Arc::new(log));
        self
    }

    /// Starts the server in its own task; port 0 selects a free port. From then on, [`Simulator::calls`] returns only
    /// the latest 10,000 calls.
    ///
    /// # Errors
    ///
    /// Fails if the address is in use, or is not an address of this machine.
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

/// A running server. Dropping it stops it immediately; see [`stop`](Self::stop).
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

    /// Returns the URL to configure as the endpoint of clients.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops accepting connections, and returns when the requests in flight have been answered, or after five seconds.
    pub async fn stop(self) {
        let Self { stop, task, .. } = self;
        // Either fails if the runtime is shutting down.
        let _ = stop.send(());
        let _ = task.await;
    }
}

/// Accepts connections, each in its own task, until `stopped`.
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
                // The client has disconnected already, or the process has too many open files.
                Err(_) => tokio::time::sleep(ACCEPT_BACKOFF).await,
            },
            Some(_) = connections.join_next() => {}
            stop = &mut stopped => break stop.is_ok(),
        }
    };
    drop(listener);
    if is_graceful {
        // Connections that are still open after this are dropped with the set.
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
    // Responses are small; they should not wait to be combined with later data.
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
    // Fails if the client disconnects or does not send HTTP. The server needs to do nothing about either.
    let _ = watcher.watch(connection).await;
}

/// The error that closes a connection without a response, as a fault demands.
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
        // An IPv4 client on an IPv6 socket gets the IPv4 address that policies use.
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

/// Whether a fault resets the connection, rather than closing it.
fn is_reset(error: &ConnectorError) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref());
    source.is_some_and(|error: &io::Error| error.kind() == io::ErrorKind::ConnectionReset)
}

/// Reads a whole request, and makes its URL absolute as the simulator expects.
async fn read(request: Request<Incoming>, address: SocketAddr) -> Result<HttpRequest, Refused> {
    let (mut parts, incoming) = request.into_parts();
    let body = body::read(&parts, incoming).await?;
    let host = parts.headers.get(header::HOST);
    let host = match host.map(|host| host.to_str()) {
        Some(Ok(host)) if !host.is_empty() => host.to_owned(),
        // Signatures cover this header, so without it only unsigned requests are accepted later.
        _ => address.to_string(),
    };
    let target = parts
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let uri = format!("http://{host}{target}").parse();
    parts.uri = uri.map_err(|_| Refused(StatusCode::BAD_REQUEST))?;
    // AWS's response to a request that is invalid from here on is not known; HTTP's status is.
    Request::from_parts(parts, SdkBody::from(body))
        .try_into()
        .map_err(|_| Refused(StatusCode::BAD_REQUEST))
}
