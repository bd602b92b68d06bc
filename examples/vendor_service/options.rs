//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser};

use crate::base::BaseOptions;
use crate::local;

/// Accept records over HTTP and put them on the customers' Firehose streams.
#[derive(Parser)]
pub struct Options {
    /// Vendor's role that the customers' roles trust
    #[arg(
        long,
        required_unless_present = "local",
        default_value_if("local", "true", local::HUB_ARN)
    )]
    pub hub_arn: Option<String>,

    /// JSON file with the customers
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "local",
        conflicts_with = "local"
    )]
    pub customers: Option<PathBuf>,

    /// IAM path that every customer's role must have
    #[arg(
        long,
        value_name = "PATH",
        default_value_if("local", "true", local::ROLE_PATH)
    )]
    pub role_path: Option<String>,

    /// Address to listen on
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8080",
        default_value_if("local", "true", "127.0.0.1:0")
    )]
    pub listen: String,

    /// Maximum number of customers whose sessions are cached
    #[arg(long, value_name = "N", default_value = "10000", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_chains: u32,

    /// Size of the queue of records; each customer may use an eighth of it, but at least 4 MiB
    #[arg(long, value_name = "MIB", default_value = "64", value_parser = clap::value_parser!(u16).range(8..))]
    pub queue_mib: u16,

    /// Time limit for the requests in flight after Ctrl-C or SIGTERM
    #[arg(long, value_name = "SECONDS", default_value = "25", value_parser = clap::value_parser!(u16).range(1..))]
    pub shutdown_seconds: u16,

    /// Profile with the source credentials [default: the SDK's default credentials]
    #[arg(long, conflicts_with = "local")]
    pub profile: Option<String>,

    #[command(flatten)]
    pub base: BaseOptions,

    #[command(flatten)]
    pub load: LoadOptions,
}

/// The options of the load with `--local`.
#[derive(Args)]
pub struct LoadOptions {
    /// With --local: number of customers; if there are four or more, the last three are meant to fail
    #[arg(long, value_name = "N", default_value = "100", conflicts_with = "customers", value_parser = clap::value_parser!(u32).range(1..))]
    pub local_customers: u32,

    /// With --local: number of requests to send, or 0 to serve until Ctrl-C
    #[arg(
        long,
        value_name = "N",
        default_value = "1500",
        conflicts_with = "customers"
    )]
    pub requests: u64,

    /// With --local: number of concurrent clients
    #[arg(long, value_name = "N", default_value = "32", conflicts_with = "customers", value_parser = clap::value_parser!(u16).range(1..))]
    pub clients: u16,

    /// With --local: response time of STS and Firehose
    #[arg(
        long,
        value_name = "MS",
        default_value = "20",
        conflicts_with = "customers"
    )]
    pub latency_ms: u32,

    /// With --local: make STS unavailable during the second third of the requests
    #[arg(long, conflicts_with = "customers")]
    pub outage: bool,
}
