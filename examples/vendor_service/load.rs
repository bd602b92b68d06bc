//! The load of `--local`: clients that send requests to the service over HTTP.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use sts_simulator::Fault;
use tokio::task::JoinSet;

use crate::local::Local;
use crate::options::LoadOptions;
use crate::service::Service;

/// The phase of the load during which STS is unavailable.
pub const OUTAGE: &str = "outage";

pub struct Load {
    pub url: String,
    pub service: Arc<Service>,
    pub local: Arc<Local>,
    pub requests: u64,
    pub clients: u16,
    pub outage: bool,
}

/// The results of the load.
pub struct Report {
    pub phases: Vec<Phase>,
    /// The indexes of the customers that had a valid session when the outage began.
    pub with_session: HashSet<usize>,
    pub took: Duration,
    /// Whether the service was stopped before all requests were sent.
    pub is_interrupted: bool,
}

pub struct Phase {
    pub name: &'static str,
    pub answers: Vec<Answer>,
    pub sts_calls: usize,
}

pub struct Answer {
    pub request: u64,
    /// The customer's index.
    pub customer: usize,
    /// `None` if the connection failed.
    pub status: Option<u16>,
    /// The error code of a request that was not accepted.
    pub error: String,
    pub took: Duration,
}

impl Load {
    pub fn new(
        options: &LoadOptions,
        url: String,
        service: Arc<Service>,
        local: Arc<Local>,
    ) -> Self {
        Self {
            url,
            service,
            local,
            requests: options.requests,
            clients: options.clients,
            outage: options.outage,
        }
    }

    /// Sends the requests. Each phase ends before the next one begins, so that no request is in two phases.
    pub async fn run(self) -> Report {
        let started = Instant::now();
        let load = Arc::new(self);
        let mut phases = Vec::new();
        let mut with_session = HashSet::new();
        let (third, all) = (load.requests / 3, load.requests);
        let parts = if load.outage {
            vec![
                ("before", 0..third),
                (OUTAGE, third..2 * third),
                ("after", 2 * third..all),
            ]
        } else {
            vec![("all", 0..all)]
        };
        for (name, requests) in parts {
            if name == OUTAGE {
                with_session = load.customers_with_session();
                load.local.aws.fail(Fault::service_unavailable());
            }
            let phase = load.phase(name, requests).await;
            load.local.aws.recover();
            let is_stopped = phase.answers.iter().any(|answer| answer.status.is_none());
            phases.push(phase);
            // The service was stopped. Requests that it did not answer say nothing about the outage.
            if is_stopped {
                break;
            }
        }
        let took = started.elapsed();
        Report {
            phases,
            with_session,
            took,
            is_interrupted: false,
        }
    }

    async fn phase(self: &Arc<Self>, name: &'static str, requests: std::ops::Range<u64>) -> Phase {
        let sts_calls = self.local.aws.requests();
        let next = Arc::new(AtomicU64::new(requests.start));
        let http = Client::builder(TokioExecutor::new()).build_http();
        let mut clients = JoinSet::new();
        for _ in 0..self.clients {
            let client = self
                .clone()
                .client(http.clone(), next.clone(), requests.end);
            clients.spawn(client);
        }
        let answers = clients.join_all().await.into_iter().flatten().collect();
        let sts_calls = self.local.aws.requests() - sts_calls;
        Phase {
            name,
            answers,
            sts_calls,
        }
    }

    /// Sends one request after another, until all are sent or the service has stopped.
    async fn client(
        self: Arc<Self>,
        http: Client<HttpConnector, Full<Bytes>>,
        next: Arc<AtomicU64>,
        end: u64,
    ) -> Vec<Answer> {
        let mut answers = Vec::new();
        loop {
            let request = next.fetch_add(1, Ordering::Relaxed);
            if request >= end {
                return answers;
            }
            let answer = self.send(&http, request).await;
            let is_stopped = answer.status.is_none();
            answers.push(answer);
            if is_stopped {
                return answers;
            }
        }
    }

    async fn send(&self, http: &Client<HttpConnector, Full<Bytes>>, request: u64) -> Answer {
        let started = Instant::now();
        let customer = self.customer_of(request);
        let it = &self.local.customers[customer];
        let post = Request::post(format!("{}/customers/{}/records", self.url, it.id))
            .body(Full::from(it.record(request)))
            .expect("a request");
        let (status, error) = match http.request(post).await {
            Ok(response) if response.status() == 200 => (Some(200), String::new()),
            Ok(response) => {
                let status = response.status().as_u16();
                let body = response.into_body().collect().await;
                let body = body.map(|body| body.to_bytes()).unwrap_or_default();
                let body: Value = serde_json::from_slice(&body).unwrap_or_default();
                (
                    Some(status),
                    body["error"].as_str().unwrap_or_default().to_owned(),
                )
            }
            Err(_) => (None, "no connection".to_owned()),
        };
        let took = started.elapsed();
        Answer {
            request,
            customer,
            status,
            error,
            took,
        }
    }

    /// Half of the requests are for a tenth of the customers.
    fn customer_of(&self, request: u64) -> usize {
        let mut random = fastrand::Rng::with_seed(request);
        let customers = self.local.customers.len();
        let most = if random.bool() {
            customers.div_ceil(10)
        } else {
            customers
        };
        random.usize(..most)
    }

    fn customers_with_session(&self) -> HashSet<usize> {
        let customers = self.local.customers.iter().enumerate();
        let places: HashMap<_, _> = customers
            .map(|(place, customer)| (customer.role_arn.as_str(), place))
            .collect();
        let chains = self.service.pool.chains();
        let valid = chains.iter().filter(|chain| {
            let session = chain.status().pop();
            session.is_some_and(|session| session.session_arn.is_some() && !session.is_expired)
        });
        valid
            .filter_map(|chain| places.get(chain.role_arn()?).copied())
            .collect()
    }
}
